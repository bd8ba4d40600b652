"""Coroutines, with aiohttp, on several event loops: each in a thread, with a session of its own.

The threads share the jobs, and the concurrency is split among them. Where Python has a GIL they
take turns, and this costs more than one loop does.
"""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from crawlers.asyncio_aiohttp import fetch_one, open_session
from crawlers.asyncio_dispatch import fetch_all, new_event_loop
from crawlers.collector import collect_less_often
from crawlers.contract import Job, Recorder, SharedIterator
from crawlers.dispatch import look_ahead


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    jobs, is_open_loop = look_ahead(jobs)
    shared = SharedIterator(jobs)
    collect_less_often()

    def run_loop(slots: int) -> None:
        with asyncio.Runner(loop_factory=partial(new_event_loop, is_open_loop)) as runner:
            runner.run(_crawl(shared, slots, timeout_s, record, is_open_loop))

    shares = split(concurrency, _cpus())
    with ThreadPoolExecutor(len(shares)) as executor:
        for done in [executor.submit(run_loop, slots) for slots in shares]:
            done.result()


async def _crawl(
    jobs: Iterator[Job], slots: int, timeout_s: float, record: Recorder, is_open_loop: bool
) -> None:
    async with open_session(slots, timeout_s) as session:

        async def fetch(job: Job) -> None:
            await fetch_one(job, session, record)

        await fetch_all(jobs, slots, fetch, is_open_loop)


def split(concurrency: int, threads: int) -> list[int]:
    """How many slots each thread has; no thread has none."""
    each, left = divmod(concurrency, threads)
    return [each + (ordinal < left) for ordinal in range(min(threads, concurrency))]


def _cpus() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
