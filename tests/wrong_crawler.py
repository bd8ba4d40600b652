"""A crawler that does everything wrong at once."""

import asyncio
from collections.abc import Iterator
from time import monotonic_ns

import aiohttp

from crawlers.contract import Job, Recorder


def everything_wrong(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """All at once, each twice, clocks started before, bodies left unread, times made up, failures
    dropped."""
    asyncio.run(_everything_wrong(list(jobs), record))


async def _everything_wrong(jobs: list[Job], record: Recorder) -> None:
    timeout = aiohttp.ClientTimeout(total=1)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        start_ns = monotonic_ns()

        async def fetch_badly(job: Job) -> None:
            status = 0
            for _ in range(2):
                try:
                    async with session.get(job.url, allow_redirects=False) as response:
                        status = response.status
                except (aiohttp.ClientError, OSError):
                    continue
            if status:
                record(job.seq, start_ns, start_ns + 1_000_000, status, 0)

        await asyncio.gather(*(fetch_badly(job) for job in jobs))
