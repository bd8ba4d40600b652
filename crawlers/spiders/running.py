"""One run of a spider on a generated site: what it is given, and what it leaves.

To be imported only after the spider, as gevent must come first.
"""

from array import array
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from crawlers.contract import Job, Recorder
from crawlers.spiders.contract import Spider
from crawlers.spiders.frontier import Frontier
from crawlers.spiders.task import BUDGET_SPENT, DONE, SiteRecords, SiteTask, SiteUsage
from crawlers.spiders.visit import Visit
from server.site.resources import NO_RESOURCE
from server.site.site import Site
from server.site.spec import SiteSpec


class SiteRun:
    """A spider, as in crawlers.spiders.contract, and a site whose host 0 is at `base_url`."""

    def __init__(self, spider: Callable[..., None], task: SiteTask, base_url: str) -> None:
        self._spider: Spider = spider
        self._site = Site(SiteSpec.parse(task.site))
        base = urlsplit(base_url)
        suffix = f":{base.port}" if base.port else ""
        # One more than the site has: an address that links lead to, and no spider should ask.
        netlocs = [f"127.0.0.{number + 1}{suffix}" for number in range(self._site.spec.hosts + 1)]
        self._numbers = {netloc: number for number, netloc in enumerate(netlocs)}
        start_url = f"{base.scheme}://{netlocs[0]}{self._site.start_target}"
        self._frontier = Frontier(start_url, netlocs[:-1], task)
        self._visit = Visit(self._frontier)

    def crawl(
        self, jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
    ) -> None:
        """Crawl the site; this is called as a crawler is, whose jobs it does not need."""
        del jobs
        left = self._spider(self._frontier, concurrency, timeout_s, record, self._visit)
        if left is not None:  # of an `async def`
            import asyncio

            asyncio.run(left)

    def close(self) -> None:
        """End the pool that parsed, which takes a moment and is no part of the crawl."""
        self._visit.close()

    def records(self) -> SiteRecords:
        """Return what there is so far. Any thread may call it; each job has a row here before its
        fetch is recorded."""
        frontier = self._frontier
        urls, added_ns, depths = frontier.queue.jobs()
        is_cut_short = frontier.queue.is_spent and frontier.queue.pending > 0
        usage = SiteUsage(
            parse_cpu_ns=self._visit.parse_cpu_ns,
            frontier_cpu_ns=frontier.cpu_ns,
            pending=frontier.queue.pending,
            ended=BUDGET_SPENT if is_cut_short else DONE,
            unended=frontier.queue.in_flight,
        )
        jobs = {
            "resource": array("q", map(self._resource, urls)),
            "added_ns": added_ns,
            "depth": depths,
        }
        return SiteRecords(jobs, usage)

    def _resource(self, url: str) -> int:
        """Return the number of what a URL names; NO_RESOURCE for what is nothing of the site."""
        # A spider of a user's may leave a fragment, which is never sent.
        _, _, rest = url.partition("#")[0].partition("://")
        netloc, _, target = rest.partition("/")
        host = self._numbers.get(netloc)
        return NO_RESOURCE if host is None else self._site.number_of(host, f"/{target}")
