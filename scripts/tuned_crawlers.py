"""aiohttp's workers with one setting changed each: what does tuning bring?

    T=scripts.tuned_crawlers
    ./benchmark.sh run --crawlers default=$T:default,raised=$T:raised

docs/crawlers.md has the table of what was measured. All run on uvloop if they do not say otherwise.
"""

import asyncio
import gc
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import uvloop

from crawlers.asyncio_aiohttp import fetch_each, open_session
from crawlers.collector import collect_less_often
from crawlers.contract import Job, Recorder
from crawlers.threads_urllib3 import fetch_one
from crawlers.urllib3_pools import open_pools


def default(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Change nothing: the collector and the tasks are as Python has them."""
    _work(concurrency, jobs, concurrency, timeout_s, record)


def frozen(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Keep the collector from scanning what was there before the crawl."""
    gc.collect()
    gc.freeze()
    _work(concurrency, jobs, concurrency, timeout_s, record)


def raised(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Raise the thresholds of the collector, as the crawlers do."""
    collect_less_often()
    _work(concurrency, jobs, concurrency, timeout_s, record)


def frozen_and_raised(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Do both."""
    collect_less_often()
    frozen(jobs, concurrency, timeout_s, record)


def collector_off(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Switch the collector off: cycles are never freed."""
    gc.disable()
    _work(concurrency, jobs, concurrency, timeout_s, record)


def eager(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Run each new task at once until its first wait. Needs Python 3.12."""
    _work(concurrency, jobs, concurrency, timeout_s, record, _eager(uvloop.new_event_loop))


def asyncio_default(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Use asyncio's own loop instead of uvloop."""
    _work(concurrency, jobs, concurrency, timeout_s, record, asyncio.new_event_loop)


def asyncio_eager(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Use asyncio's own loop, with eager tasks. Needs Python 3.12."""
    _work(concurrency, jobs, concurrency, timeout_s, record, _eager(asyncio.new_event_loop))


def pool_of_100(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Use aiohttp's default limit of connections, whatever the concurrency."""
    _work(100, jobs, concurrency, timeout_s, record)


def pool_without_limit(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Set no limit of connections."""
    _work(0, jobs, concurrency, timeout_s, record)


def threads_pool_of_10(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Use `threads` with a pool of the size that requests has by default."""
    pools = open_pools(10)

    def work() -> None:
        for job in jobs:
            fetch_one(job, pools, timeout_s, record)

    with ThreadPoolExecutor(concurrency) as executor:
        for worker in [executor.submit(work) for _ in range(concurrency)]:
            worker.result()


def _work(
    limit: int,
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop,
) -> None:
    async def crawl() -> None:
        async with open_session(limit, timeout_s) as session, asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(fetch_each(jobs, session, record))

    with asyncio.Runner(loop_factory=loop_factory) as runner:
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
