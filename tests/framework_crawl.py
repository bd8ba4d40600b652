"""Runs one framework's spider, in a process of its own: a Twisted reactor cannot be started twice.

    python -m tests.framework_crawl NAME START_URL HOST,HOST MAX_DEPTH MAX_FETCHES TIMEOUT_S

The last line on stdout is JSON: for each fetch its URL, depth, status, size, and error word.
"""

import json
import sys
from collections.abc import Iterable
from importlib import import_module

from crawlers.contract import ERROR_WORDS, Job, Recorder
from crawlers.spiders.registry import find_spider
from crawlers.spiders.task import SiteTask


class TakenJobs:
    """The part of a frontier that frameworks use: URLs that are taken, and never handed out."""

    def __init__(self, start_url: str, hosts: tuple[str, ...], task: SiteTask) -> None:
        self.start_url = start_url
        self.hosts = hosts
        self.task = task
        self.taken: list[tuple[str, int]] = []

    def take(self, url: str, depth: int = 0) -> Job:
        self.taken.append((url, depth))
        return Job(len(self.taken) - 1, url)


def main(name: str, start_url: str, hosts: str, *limits: str) -> None:
    max_depth, max_fetches, timeout_s = limits
    info = find_spider(name)
    assert info is not None
    module, _, function = info.program.partition(":")
    spider = getattr(import_module(module), function)
    task = SiteTask(site="", max_depth=int(max_depth), max_fetches=int(max_fetches))
    jobs, record = TakenJobs(start_url, tuple(hosts.split(",")), task), Recorder()
    spider(jobs, 8, float(timeout_s), record, None)
    columns = record.columns()
    rows: Iterable[tuple[int, int, int, int]] = zip(
        *(columns[one] for one in ("seq", "status", "size_bytes", "error")), strict=True
    )
    print(
        json.dumps([(*jobs.taken[s], status, size, ERROR_WORDS[e]) for s, status, size, e in rows])
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
