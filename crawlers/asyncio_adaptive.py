"""Coroutines, with aiohttp, as many as a limiter finds to be right: each function is a crawler.

The fetches are those of crawlers.asyncio_aiohttp. A worker ends when there are more than may be in
flight, and others are started when there are fewer. Both keep to a closed loop: in an open one the
load is given, and there is nothing to find.
"""

import asyncio
from collections.abc import Iterator
from functools import partial
from time import monotonic_ns

import aiohttp

from crawlers.asyncio_aiohttp import fetch_each, open_session, run_on
from crawlers.asyncio_dispatch import new_event_loop
from crawlers.contract import Job, Recorder
from crawlers.limiters.aimd import AimdLimiter
from crawlers.limiters.limiter import Limiter, sign_of
from crawlers.limiters.vegas import VegasLimiter


def aimd(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job; the limit grows by 1 per round trip, and is halved if need be."""
    _run(AimdLimiter(concurrency), jobs, concurrency, timeout_s, record)


def vegas(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job; the limit follows an estimate of how many requests wait at the service."""
    _run(VegasLimiter(concurrency), jobs, concurrency, timeout_s, record)


def _run(
    limiter: Limiter, jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    async def crawl() -> None:
        async with (
            open_session(concurrency, timeout_s) as session,
            asyncio.TaskGroup() as tasks,
        ):
            _Workers(limiter, jobs, record, session, tasks).start()

    run_on(partial(new_event_loop, False), crawl())


class _Workers:
    """Workers over one iterator, as many as the limiter says."""

    def __init__(
        self,
        limiter: Limiter,
        jobs: Iterator[Job],
        record: Recorder,
        session: aiohttp.ClientSession,
        tasks: asyncio.TaskGroup,
    ) -> None:
        self._limiter, self._jobs, self._record = limiter, jobs, record
        self._session, self._tasks = session, tasks
        self._most = 0
        """The limit that was recorded last."""
        self._count = 0
        self._is_over = False

    def start(self) -> None:
        """Record the limit, and start the first workers."""
        self._follow(monotonic_ns())

    def _follow(self, now_ns: int) -> None:
        """Record the limit if it has changed, and start workers up to it."""
        most = int(self._limiter.limit)
        if most == self._most:
            return
        self._most = most
        self._record.limit(now_ns, most)
        while self._count < most and not self._is_over:
            self._count += 1
            self._tasks.create_task(self._work())

    async def _work(self) -> None:
        start_ns = 0

        def taken() -> Iterator[Job]:
            nonlocal start_ns
            # The limit may have fallen while this worker fetched, or before it began.
            while self._count <= self._most:
                job = next(self._jobs, None)
                if job is None:
                    self._is_over = True
                    break
                start_ns = monotonic_ns()
                self._limiter.started(start_ns)
                yield job
            self._count -= 1

        def recorded(
            seq: int, began_ns: int, end_ns: int, status: int, size_bytes: int, error: str
        ) -> None:
            self._record(seq, began_ns, end_ns, status, size_bytes, error)
            self._limiter.ended(start_ns, end_ns, sign_of(status, error))
            self._follow(end_ns)

        await fetch_each(taken(), self._session, recorded)
