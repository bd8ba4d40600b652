"""Coroutines, with any of Tornado's HTTP clients: C workers over one iterator."""

import asyncio
import contextlib
from collections.abc import Iterator
from functools import partial

from crawlers.asyncio_dispatch import fetch_all, new_event_loop
from crawlers.contract import Job, Recorder
from crawlers.dispatch import look_ahead
from crawlers.tornado_client import Fetch, Kind, make_client


def crawl_with(
    kind: Kind,
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
) -> None:
    """Fetch every job with the kind of client that Tornado is configured for."""
    jobs, is_open_loop = look_ahead(jobs)

    async def main() -> None:
        client = make_client(concurrency, kind)

        async def fetch_one(job: Job) -> None:
            fetch = Fetch(client, job, timeout_s, kind)
            with contextlib.suppress(Exception):  # finish reads the exception
                await fetch.response
            fetch.finish(record)

        try:
            await fetch_all(jobs, concurrency, fetch_one, is_open_loop)
        finally:
            client.close()

    with asyncio.Runner(loop_factory=partial(new_event_loop, is_open_loop)) as runner:
        runner.run(main())
