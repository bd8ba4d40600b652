"""Profiles a spider on 1,000 pages of a generated site: python scripts/profile_spider.py scrapy.

Only the main thread is profiled.
"""

import cProfile
import importlib
import pstats
import sys

from crawlers.contract import Recorder
from crawlers.spiders.frontier import Frontier
from crawlers.spiders.registry import SPIDERS, find_spider
from crawlers.spiders.task import SiteTask
from crawlers.spiders.visit import Visit
from server.control_client import announce_run
from server.process import ServerProcess
from server.site.site import Site
from server.site.spec import SiteSpec

_SITE = "seed=1;pages=1000"
_CONCURRENCY, _TIMEOUT_S = 16, 10.0
_SHOWN = 40


def main() -> int:
    """Crawl and print the functions that took the most time, with what they called."""
    info = find_spider(sys.argv[1]) if len(sys.argv) == 2 else None
    if info is None:
        names = ", ".join(one.name for one in SPIDERS)
        print(f"usage: profile_spider.py SPIDER, one of {names}", file=sys.stderr)
        return 2
    module, _, function = info.program.partition(":")
    spider = getattr(importlib.import_module(module), function)
    site = Site(SiteSpec.parse(_SITE))
    task = SiteTask(_SITE, max_depth=site.depth_limit, max_fetches=10_000)
    with ServerProcess() as server:
        announce_run(server.addresses.control_url, site.key, rows=10_000, site=_SITE)
        host = server.addresses.data_url.removeprefix("http://")
        frontier = Frontier(f"http://{host}{site.start_target}", [host], task)
        profile = cProfile.Profile()
        profile.runcall(spider, frontier, _CONCURRENCY, _TIMEOUT_S, Recorder(), Visit(frontier))
    pstats.Stats(profile).sort_stats("cumulative").print_stats(_SHOWN)
    return 0


if __name__ == "__main__":
    sys.exit(main())
