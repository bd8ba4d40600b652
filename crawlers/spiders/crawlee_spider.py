"""Crawlee, as its tutorial has it: a ParselCrawler whose default handler enqueues all links.

Set, because the task asks for it:

- concurrency: a lower, desired and upper concurrency of the same number, so that nothing scales.
  Crawlee has no limit of a host, so that the task's limit of a host becomes one of all.
- max_tasks_per_minute, by the task's delay between requests: of all hosts together, too. The hops
  of a redirect, and robots.txt, do not wait for it.
- navigation_timeout, which bounds all hops of a redirect together; max_crawl_depth.
- strategy="all" and the site's hosts as patterns: the default, the same hostname, would stay on the
  first host.
- respect_robots_txt_file. Crawl-delay is not kept without a ThrottlingRequestManager.

Set, because a crawl must leave no traces and depend on nothing around it: storage in memory, no
log, no cookies, no proxies of the environment.

Everything else is at its default: retries (3 after a 5xx, a timeout or a lost connection),
redirects (up to 20), the order (first found, first followed), the filter of duplicates (a URL
without its fragment and last slash, in lower case, with its query sorted), sessions, statistics,
the client (impit, which presents itself as Firefox), the parser (Parsel, which is lxml).

Each request that the client sends is recorded: robots.txt, each hop of a redirect and each retry
are fetches of their own. Crawlee parses in a thread, while others fetch.
"""

import asyncio
import logging
import math
import os
import re
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from datetime import timedelta
from functools import partial
from time import monotonic_ns
from types import SimpleNamespace
from typing import Any

import impit
from crawlee import ConcurrencySettings, Request
from crawlee.crawlers import ParselCrawler, ParselCrawlingContext
from crawlee.http_clients import HttpCrawlingResult, ImpitHttpClient
from crawlee.storage_clients import MemoryStorageClient
from w3lib.url import safe_url_string

from crawlers.contract import Recorder
from crawlers.spiders.contract import Frontier, Visit


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl the site; Crawlee finds the links itself."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):  # impit takes them from there, and can do nothing else
            del os.environ[name]
    logging.getLogger().addHandler(logging.NullHandler())  # or warnings would go to stderr
    asyncio.run(_crawl(frontier, concurrency, timeout_s, record))


async def _crawl(frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder) -> None:
    task = frontier.task
    of_site = [re.compile(rf"http://{re.escape(host)}/") for host in frontier.hosts]

    async def follow(context: ParselCrawlingContext) -> None:
        await context.enqueue_links(strategy="all", include=of_site)

    most = min(concurrency, task.per_host or concurrency)
    client = RecordingClient(frontier, record)
    crawler = ParselCrawler(
        request_handler=follow,
        http_client=client,
        storage_client=MemoryStorageClient(),
        concurrency_settings=ConcurrencySettings(
            min_concurrency=most,
            desired_concurrency=most,
            max_concurrency=most,
            max_tasks_per_minute=60 / task.host_delay_s if task.host_delay_s else math.inf,
        ),
        navigation_timeout=timedelta(seconds=timeout_s),
        max_crawl_depth=task.max_depth,
        respect_robots_txt_file=True,
        configure_logging=False,
    )
    client.when_spent = crawler.stop
    await crawler.run([frontier.start_url])


class NotFetchedError(Exception):
    """A request that is not sent: of another host, or after the budget was spent."""


_depth: ContextVar[int] = ContextVar("depth", default=0)
"""Of the page that is being fetched; robots.txt has none."""


class RecordingClient(ImpitHttpClient):
    """Crawlee's own client, that takes and records each request."""

    def __init__(self, frontier: Frontier, record: Recorder) -> None:
        super().__init__(persist_cookies_per_session=False)
        self.when_spent: Callable[[], None] | None = None
        self._frontier = frontier
        self._record = record
        self._left = frontier.task.max_fetches
        self._hosts = frozenset(frontier.hosts)

    async def crawl(self, request: Request, **options: Any) -> HttpCrawlingResult:
        """Fetch a page, and all hops on the way to it."""
        _depth.set(request.crawl_depth)  # of this task, which fetches nothing else
        return await super().crawl(request, **options)

    def _get_client(self, proxy_url: str | None) -> Any:
        """Return what stands for impit's client, from which nothing can inherit."""
        client = super()._get_client(proxy_url)
        return SimpleNamespace(request=partial(self._fetch, client.request))

    async def _fetch(
        self, send: Callable[..., Awaitable[impit.Response]], url: str, **options: Any
    ) -> impit.Response:
        if self._left == 0 or url.split("/", 3)[2] not in self._hosts:
            raise NotFetchedError
        self._left -= 1
        if self._left == 0 and self.when_spent is not None:
            self.when_spent()
        # impit encodes what is not ASCII, in UTF-8, and drops the fragment.
        job = self._frontier.take(safe_url_string(url).partition("#")[0], _depth.get())
        status = size_bytes = 0
        error = ""
        start_ns = monotonic_ns()
        try:
            response = await send(url=url, **options)
            status, size_bytes = response.status_code, len(response.content)
        except BaseException as exception:
            error = _error_word(exception)
            raise
        finally:
            self._record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
        return response


def _error_word(exception: BaseException) -> str:
    match exception:
        # A fetch is only cancelled when its time is over.
        case impit.TimeoutException() | asyncio.CancelledError():
            return "timeout"
        case impit.ConnectError():
            return "connect"
        case impit.RemoteProtocolError():
            return "closed"
    # Everything else is an HTTPError, and only its text has the reason.
    text = str(exception)
    if "ConnectionReset" in text:
        return "reset"
    return "malformed" if "Parse(" in text or "Invalid chunk" in text else "failed"
