"""Coroutines, with any of Tornado's HTTP clients: C workers over one iterator."""

import asyncio
import contextlib
from collections.abc import Iterator

from crawlers.contract import Job, Recorder
from crawlers.tornado_client import Fetch, Kind, make_client


def crawl_with(
    kind: Kind,
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
) -> None:
    """Fetch every job with the kind of client that Tornado is configured for."""

    async def main() -> None:
        client = make_client(concurrency, kind)

        async def work() -> None:
            for job in jobs:
                fetch = Fetch(client, job, timeout_s, kind)
                with contextlib.suppress(Exception):  # finish reads the exception
                    await fetch.response
                fetch.finish(record)

        try:
            async with asyncio.TaskGroup() as workers:
                for _ in range(concurrency):
                    workers.create_task(work())
        finally:
            client.close()

    asyncio.run(main())
