"""Greenlets over one iterator, in the closed loop and in the open one."""

from collections.abc import Callable, Iterator

import gevent
from gevent.pool import Pool

from crawlers.contract import Job
from crawlers.dispatch import look_ahead, when_due


def fetch_all(jobs: Iterator[Job], concurrency: int, fetch: Callable[[Job], object]) -> None:
    """Fetch each job: when it is due, or as soon as one of C greenlets is free."""
    jobs, is_open_loop = look_ahead(jobs)
    if is_open_loop:
        _fetch_when_due(jobs, concurrency, fetch)
        return

    def work() -> None:
        for job in jobs:
            fetch(job)

    gevent.joinall([gevent.spawn(work) for _ in range(concurrency)], raise_error=True)


def _fetch_when_due(jobs: Iterator[Job], concurrency: int, fetch: Callable[[Job], object]) -> None:
    slots, due = Pool(concurrency), when_due(jobs, gevent.sleep)
    failed: list[gevent.Greenlet[..., object]] = []
    while slots.wait_available() and not failed and (job := next(due, None)) is not None:
        slots.spawn(fetch, job).link_exception(failed.append)
    slots.join()
    for one in failed:
        one.get()  # raises its exception
