"""Callbacks on futures, with any of Tornado's HTTP clients.

This is what remained when Tornado 6 removed `fetch(url, callback=...)`: a slot takes its next job
in the callback of the previous job's future.
"""

import asyncio
import functools
from collections.abc import Iterator

from tornado.ioloop import IOLoop

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
        loop = IOLoop.current()
        client = make_client(concurrency, kind)
        all_done: asyncio.Future[None] = asyncio.Future()
        busy = concurrency

        def start_next() -> None:
            nonlocal busy
            job = next(jobs, None)
            if job is not None:
                fetch = Fetch(client, job, timeout_s, kind)
                loop.add_future(fetch.response, functools.partial(finished, fetch))
                return
            busy -= 1
            if not busy and not all_done.done():
                all_done.set_result(None)

        def finished(fetch: Fetch, _: object) -> None:
            try:
                fetch.finish(record)
                start_next()
            except (
                Exception
            ) as error:  # in a callback it would only be logged, and the crawl would hang
                if not all_done.done():
                    all_done.set_exception(error)

        for _ in range(concurrency):
            start_next()
        try:
            await all_done
        finally:
            client.close()

    asyncio.run(main())
