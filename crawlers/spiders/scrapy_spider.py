"""Scrapy, as its documentation has a spider for a whole site: a CrawlSpider that follows each link.

Set, because the task asks for it:

- concurrency: CONCURRENT_REQUESTS, and CONCURRENT_REQUESTS_PER_DOMAIN, which is the task's limit of
  a host, or else the same. A domain is an address, whatever the port.
- DOWNLOAD_TIMEOUT, DEPTH_LIMIT, allowed_domains.
- DOWNLOAD_DELAY, with a DOWNLOAD_DELAY_JITTER of 0: by default half of the delays are too short.
- ROBOTSTXT_OBEY. Scrapy itself does not keep Crawl-delay.
- breadth first, as its FAQ says how to. By default the link that was found last is followed first:
  pages near the start are met far from it, and what only they link to is lost to DEPTH_LIMIT.

Set, because a crawl must leave no traces and depend on nothing around it: no log, telnet console,
remote control, cookies, or proxies of the environment.

Everything else is at its default: retries (2 after a 5xx, 408, 429 or a lost connection), redirects
(up to 20), the filter of duplicates (w3lib's canonical URL), the parser (lxml), the file extensions
that are not followed, compression.

Each request that is sent is recorded by a download handler, Scrapy's own otherwise: robots.txt,
each hop of a redirect and each retry are fetches of their own. There a request has a free slot.
Scrapy does not tell the status of a response whose body breaks off.
"""

import asyncio
from time import monotonic_ns

from scrapy import Request
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import AsyncCrawlerProcess, Crawler
from scrapy.exceptions import DownloadTimeoutError, IgnoreRequest
from scrapy.http import Response
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

from crawlers.contract import Recorder
from crawlers.spiders.contract import Frontier, Visit
from crawlers.twisted_errors import error_word


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl the site; Scrapy finds the links itself."""
    task = frontier.task
    process = AsyncCrawlerProcess(
        {
            "CONCURRENT_REQUESTS": concurrency,
            "CONCURRENT_REQUESTS_PER_DOMAIN": task.per_host or concurrency,
            "DOWNLOAD_TIMEOUT": timeout_s,
            "DOWNLOAD_DELAY": task.host_delay_s,
            "DOWNLOAD_DELAY_JITTER": 0,
            "DEPTH_LIMIT": task.max_depth,
            "DEPTH_PRIORITY": 1,
            "SCHEDULER_MEMORY_QUEUE": "scrapy.squeues.FifoMemoryQueue",
            "ROBOTSTXT_OBEY": True,
            "COOKIES_ENABLED": False,
            "HTTPPROXY_ENABLED": False,
            "LOG_ENABLED": False,
            "TELNETCONSOLE_ENABLED": False,
            "REMOTE_CONTROL_ENABLED": False,
            "DOWNLOAD_HANDLERS": {"http": RecordingHandler},
        }
    )
    crawl = process.crawl(SiteSpider, frontier=frontier, record=record)
    process.start(install_signal_handlers=False)
    crawl.result()  # raises what stopped it


class SiteSpider(CrawlSpider):
    """Follows each link of each page."""

    name = "site"
    rules = (Rule(LinkExtractor()),)

    def __init__(self, frontier: Frontier, record: Recorder) -> None:
        super().__init__(
            start_urls=[frontier.start_url],
            allowed_domains=[host.partition(":")[0] for host in frontier.hosts],
        )
        self.frontier = frontier
        self.record = record


class RecordingHandler(HTTP11DownloadHandler):
    """Scrapy's own handler, that takes and records each request."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        assert isinstance(crawler.spider, SiteSpider)
        self._frontier, self._record = crawler.spider.frontier, crawler.spider.record
        self._left = self._frontier.task.max_fetches
        self._hosts = frozenset(self._frontier.hosts)
        self._stop: asyncio.Task[None] | None = None

    async def download_request(self, request: Request) -> Response:
        """Download, unless the budget is spent or another port is asked for."""
        if self._left == 0 or request.url.split("/", 3)[2] not in self._hosts:
            raise IgnoreRequest
        self._left -= 1
        if self._left == 0:
            self._stop = asyncio.create_task(self.crawler.stop_async())
        job = self._frontier.take(request.url.partition("#")[0], request.meta.get("depth", 0))
        status = size_bytes = 0
        error = ""
        start_ns = monotonic_ns()
        try:
            response = await super().download_request(request)
            status, size_bytes = response.status, len(response.body)
        except BaseException as exception:
            error = _error_word(exception)
            raise
        finally:
            self._record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
        return response


def _error_word(exception: BaseException) -> str:
    if isinstance(exception, DownloadTimeoutError):
        return "timeout"
    return error_word(exception.__cause__ or exception)
