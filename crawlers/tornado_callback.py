"""Callbacks on futures, with any of Tornado's HTTP clients.

This is what remained when Tornado 6 removed `fetch(url, callback=...)`: a slot takes its next job
in the callback of the previous job's future. In an open loop that callback gives the slot back.
"""

import asyncio
from collections.abc import Iterator
from functools import partial

from tornado.ioloop import IOLoop

from crawlers.asyncio_dispatch import FreeSlots, new_event_loop
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
        loop = IOLoop.current()
        client = make_client(concurrency, kind)
        all_done: asyncio.Future[None] = asyncio.Future()
        busy = concurrency
        free = FreeSlots(range(concurrency))

        def start(slot: int, job: Job) -> None:
            fetch = Fetch(client, job, timeout_s, kind)
            loop.add_future(fetch.response, partial(finished, slot, fetch))

        def start_next(slot: int) -> None:
            nonlocal busy
            job = next(jobs, None)
            if job is not None:
                start(slot, job)
                return
            busy -= 1
            if not busy and not all_done.done():
                all_done.set_result(None)

        def finished(slot: int, fetch: Fetch, _: object) -> None:
            try:
                fetch.finish(record)
                when_free(slot)
            except (
                Exception
            ) as error:  # in a callback it would only be logged, and the crawl would hang
                if not all_done.done():
                    all_done.set_exception(error)

        async def start_when_due() -> None:
            await free.start_when_due(jobs, start)
            all_done.set_result(None)

        when_free = free.put_nowait if is_open_loop else start_next
        try:
            if is_open_loop:
                await asyncio.gather(all_done, start_when_due())
            else:
                for slot in range(concurrency):
                    start_next(slot)
                await all_done
        finally:
            client.close()

    with asyncio.Runner(loop_factory=partial(new_event_loop, is_open_loop)) as runner:
        runner.run(main())
