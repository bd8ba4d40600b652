"""Two crawlers with limits that are no good, as controls of the score over all scenarios.

    ./benchmark.sh run --scenario all --crawlers \
        asyncio-aimd,asyncio,./tests/limiter_controls.py:never_decreases,./tests/limiter_controls.py:always_one

The first must be last, and the second must not be first.
"""

import asyncio
from collections.abc import Iterator
from time import monotonic_ns

from crawlers.asyncio_aiohttp import fetch_each, open_session
from crawlers.contract import Job, Recorder


def never_decreases(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Fetch one at a time, and one more after each answer, whatever the answer is."""
    asyncio.run(_crawl(jobs, concurrency, timeout_s, record))


def always_one(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch one at a time."""
    asyncio.run(_crawl(jobs, min(concurrency, 1), timeout_s, record))


async def _crawl(jobs: Iterator[Job], most: int, timeout_s: float, record: Recorder) -> None:
    limit = 1
    record.limit(monotonic_ns(), limit)
    async with open_session(most, timeout_s) as session, asyncio.TaskGroup() as workers:

        async def work() -> None:
            nonlocal limit
            for job in jobs:
                await fetch_each((job,), session, record)
                if limit < most:
                    limit += 1
                    record.limit(monotonic_ns(), limit)
                    workers.create_task(work())

        workers.create_task(work())
