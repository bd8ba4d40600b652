"""Crawlers of `crawlers` with one setting changed each: what does tuning bring?

    ./benchmark.sh run --crawlers asyncio-uvloop,frozen=scripts.tuned_crawlers:frozen

docs/crawlers.md has the table of what was measured.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import uvloop

from crawlers import asyncio_aiohttp, asyncio_patterns, uvloop_aiohttp
from crawlers.asyncio_aiohttp import fetch_each, open_session
from crawlers.contract import Job, Recorder
from crawlers.threads_urllib3 import fetch_one
from crawlers.urllib3_pools import open_pools


def frozen(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """`asyncio-uvloop`; the collector does not scan what was there before the crawl."""
    gc.collect()
    gc.freeze()
    uvloop_aiohttp.crawl(jobs, concurrency, timeout_s, record)


def raised(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """`asyncio-uvloop`; young objects are collected every 50 000 and not every 700."""
    gc.set_threshold(50_000, 10, 10)
    uvloop_aiohttp.crawl(jobs, concurrency, timeout_s, record)


def frozen_and_raised(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`asyncio-uvloop`, with both."""
    gc.set_threshold(50_000, 10, 10)
    frozen(jobs, concurrency, timeout_s, record)


def collector_off(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`asyncio-uvloop` without the collector: cycles are never freed."""
    gc.disable()
    uvloop_aiohttp.crawl(jobs, concurrency, timeout_s, record)


def eager(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """`asyncio-uvloop`; a task runs at once until its first wait. Needs Python 3.12."""
    asyncio_aiohttp.crawl_on(_eager(uvloop.new_event_loop), jobs, concurrency, timeout_s, record)


def eager_asyncio(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`asyncio`; a task runs at once until its first wait. Needs Python 3.12."""
    asyncio_aiohttp.crawl_on(_eager(asyncio.new_event_loop), jobs, concurrency, timeout_s, record)


def pool_of_100(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """`asyncio-uvloop` with aiohttp's default pool, whatever the concurrency."""
    _with_pool(100, jobs, concurrency, timeout_s, record)


def pool_without_limit(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`asyncio-uvloop` with a pool that never waits."""
    _with_pool(0, jobs, concurrency, timeout_s, record)


def threads_pool_of_10(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`threads` with a pool of the size that requests has by default."""
    pools = open_pools(10)

    def work() -> None:
        for job in jobs:
            fetch_one(job, pools, timeout_s, record)

    with ThreadPoolExecutor(concurrency) as executor:
        for worker in [executor.submit(work) for _ in range(concurrency)]:
            worker.result()


def taskgroup_frozen(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`asyncio-taskgroup`; the collector does not scan what was there before the crawl."""
    gc.collect()
    gc.freeze()
    asyncio_patterns.taskgroup(jobs, concurrency, timeout_s, record)


def taskgroup_without_collector(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """`asyncio-taskgroup` without the collector."""
    gc.disable()
    asyncio_patterns.taskgroup(jobs, concurrency, timeout_s, record)


def _with_pool(
    limit: int, jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    async def crawl() -> None:
        async with open_session(limit, timeout_s) as session, asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(fetch_each(jobs, session, record))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(crawl())


def _eager(
    loop_factory: Callable[[], asyncio.AbstractEventLoop],
) -> Callable[[], asyncio.AbstractEventLoop]:
    def eager_loop() -> asyncio.AbstractEventLoop:
        if sys.version_info < (3, 12):
            raise RuntimeError("eager tasks need Python 3.12: name one as LABEL=NAME@PYTHON")
        loop = loop_factory()
        loop.set_task_factory(asyncio.eager_task_factory)
        return loop

    return eager_loop
