"""Crawlers that break the contract, each in one way."""

import asyncio
import os
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from time import monotonic_ns
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

from crawlers.contract import Job, Recorder, SharedIterator


def crash(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    raise RuntimeError("this crawler crashes")


def die(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    os.abort()


def end_quietly(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    os._exit(0)


def die_strangely(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    os.kill(os.getpid(), 40)  # a real-time signal, which has no name


def hang(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    print("hanging", file=sys.stderr, flush=True)
    time.sleep(600)


def chat(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Not broken, but prints a lot."""
    for job in jobs:
        print("x" * 100_000)
        fetch(job, record)


def skip_half(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    for job in jobs:
        if job.seq % 2:
            fetch(job, record)


def fetch_twice(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    for job in jobs:
        fetch(job, Recorder())
        fetch(job, record)


def invent(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    for job in jobs:
        record(job.seq, 10**12, 10**12 + 1000, 200, 1)


def record_twice(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    for job in jobs:
        fetch(job, record)
        record(job.seq, monotonic_ns(), monotonic_ns(), 200, 1)


def fetch(job: Job, record: Recorder) -> None:
    parts = urlsplit(job.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    start_ns = monotonic_ns()
    connection.request("GET", f"{parts.path}?{parts.query}")
    response = connection.getresponse()
    size_bytes = len(response.read())
    record(job.seq, start_ns, monotonic_ns(), response.status, size_bytes)
    connection.close()


def with_urllib(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Not broken, but as simple as README's example."""
    for job in jobs:
        start_ns = monotonic_ns()
        try:
            with urlopen(job.url, timeout=timeout_s) as response:  # noqa: S310
                status, size, error = response.status, len(response.read()), ""
        except OSError:
            status, size, error = 0, 0, "failed"
        record(job.seq, start_ns, monotonic_ns(), status, size, error)


def all_failed(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Sound, but for its words: every failure is `failed`."""
    from crawlers.asyncio_protocol import crawl

    class Imprecise(Recorder):
        def __call__(
            self, seq: int, start: int, end: int, status: int, size: int, error: str = ""
        ) -> None:
            record(seq, start, end, *((0, 0, "failed") if error or status != 200 else (200, size)))

    crawl(jobs, concurrency, timeout_s, Imprecise())


async def nobody_awaits(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """A coroutine function, which is called and not awaited."""


def dies_of_500(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Honest, until it meets one of the faults."""
    from crawlers.asyncio_protocol import crawl

    class Fragile(Recorder):
        def __call__(self, seq: int, start: int, end: int, status: int, *rest: Any) -> None:
            if status == 500:
                os._exit(9)
            record(seq, start, end, status, *rest)

    crawl(jobs, concurrency, timeout_s, Fragile())


def takes_all_first(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sound, but no job is fetched before all are taken."""
    from crawlers.asyncio_protocol import crawl

    crawl(SharedIterator(list(jobs)), concurrency, timeout_s, record)


def starts_clocks_early(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sound, but a request is sent 0.17 s after its clock is started."""
    from crawlers.asyncio_aiohttp import fetch_each, open_session

    async def work(session: Any) -> None:
        for job in jobs:
            early_ns = monotonic_ns()

            class Early(Recorder):
                def __call__(
                    self, seq: int, start_ns: int, *rest: Any, early_ns: int = early_ns
                ) -> None:
                    record(seq, early_ns, *rest)

            await asyncio.sleep(0.17)
            await fetch_each((job,), session, Early())

    async def crawl() -> None:
        async with open_session(concurrency, timeout_s) as session:
            await asyncio.gather(*(work(session) for _ in range(concurrency)))

    asyncio.run(crawl())


def starts_early(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Sound, but each timer fires 20 ms early."""
    _floor_of(
        (job._replace(due_ns=job.due_ns - 20_000_000) for job in jobs),
        *(concurrency, timeout_s, record),
    )


def ignores_due_times(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sound in closed loop."""
    _floor_of((job._replace(due_ns=0) for job in jobs), concurrency, timeout_s, record)


def drops_late_jobs(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sound, but it takes no job that is 20 ms late."""
    _floor_of(
        (job for job in jobs if monotonic_ns() < job.due_ns + 20_000_000),
        *(concurrency, timeout_s, record),
    )


def says_when_due(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sound, and says when its jobs were due, and how many of them it started before that."""
    taken = list(jobs)
    due_ns = [job.due_ns for job in taken]
    _floor_of(iter(taken), concurrency, timeout_s, record)
    fetched = record.columns()
    started = zip(fetched["seq"], fetched["start_ns"], strict=True)
    after_ms = [(at_ns - due_ns[0]) // 1_000_000 for at_ns in due_ns]
    early = sum(start_ns < due_ns[seq] for seq, start_ns in started)
    print(f"due after {after_ms} ms, started early: {early}")


def newest_first(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Sound, but of the jobs that are due it starts the newest."""
    left = list(jobs)

    def newest() -> Iterator[Job]:
        while left:
            due = [job for job in left if job.due_ns <= monotonic_ns()]
            job = due[-1] if due else left[0]
            left.remove(job)
            yield job

    _floor_of(newest(), concurrency, timeout_s, record)


def _floor_of(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    from crawlers.asyncio_protocol import crawl

    crawl(jobs, concurrency, timeout_s, record)


def exceeds_its_limit(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has C in flight, and records half of them as its limit."""
    from crawlers.asyncio_protocol import crawl

    record.limit(monotonic_ns(), concurrency // 2)
    crawl(jobs, concurrency, timeout_s, record)


def leaves_its_limit_unused(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Has half of its limit in flight."""
    from crawlers.asyncio_protocol import crawl

    record.limit(monotonic_ns(), concurrency * 3 // 4)
    crawl(jobs, concurrency // 2, timeout_s, record)


def records_no_limit(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Sound, but for the limit that it would have to record if it adapted."""
    from crawlers.asyncio_protocol import crawl

    crawl(jobs, concurrency, timeout_s, record)


def crash_if_second(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    for job in jobs:
        if job.seq == 1:
            raise RuntimeError("the second process crashes")
        fetch(job, record)
