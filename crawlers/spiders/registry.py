"""Every spider, and what is declared of it, in one table. Imports no spider."""

from dataclasses import dataclass

from crawlers.spiders.task import LOOP, PARSES, PROCESSES


@dataclass(frozen=True, slots=True)
class SpiderInfo:
    """One spider: a row of the table."""

    name: str
    program: str
    """`package.module:function`."""
    declared_as: str
    """The row of crawlers.registry whose libraries and behaviour it shares."""
    style: str
    parses: tuple[str, ...] = (LOOP,)
    """Where it can parse pages: some of crawlers.spiders.task.PARSES."""
    omits: tuple[str, ...] = ()
    """Difficulties of server.site.spec that it leaves out by design: their pages are not missed."""
    retries: int = 0
    """How often it fetches a page again that was answered 500, at most."""
    keeps_host_limits: bool = True
    """Whether it can limit how many fetches one host has at a time, and the delay between them."""


SPIDERS = (
    SpiderInfo(
        name="serial",
        program="crawlers.spiders.serial_requests:spider",
        declared_as="serial",
        style="one page after another",
    ),
    SpiderInfo(
        name="threads",
        program="crawlers.spiders.threads_urllib3:spider",
        declared_as="threads",
        style="threads over one frontier",
        parses=(LOOP, PROCESSES),
    ),
    SpiderInfo(
        name="gevent",
        program="crawlers.spiders.gevent_urllib3:spider",
        declared_as="gevent",
        style="greenlets over one frontier",
    ),
    SpiderInfo(
        name="asyncio",
        program="crawlers.spiders.asyncio_aiohttp:spider",
        declared_as="asyncio",
        style="coroutines over one frontier",
        parses=PARSES,
    ),
    SpiderInfo(
        name="asyncio-uvloop",
        program="crawlers.spiders.uvloop_aiohttp:spider",
        declared_as="asyncio-uvloop",
        style="the same, on libuv",
        parses=PARSES,
    ),
    SpiderInfo(
        name="scrapy",
        program="crawlers.spiders.scrapy_spider:spider",
        declared_as="scrapy",
        style="Scrapy's CrawlSpider, as its documentation has it",
        omits=("sitemap",),
        retries=2,
    ),
    SpiderInfo(
        name="crawlee",
        program="crawlers.spiders.crawlee_spider:spider",
        declared_as="crawlee",
        style="Crawlee's ParselCrawler, as its tutorial has it",
        omits=("sitemap",),
        retries=3,
        keeps_host_limits=False,
    ),
)


def find_spider(name: str) -> SpiderInfo | None:
    """Return the row of a spider by its name or its program; None for one of a user."""
    return next((one for one in SPIDERS if name in (one.name, one.program)), None)
