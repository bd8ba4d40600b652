"""Every crawler, and what is declared of it, in one table. Imports no crawler."""

from dataclasses import dataclass, replace

from crawlers.crawler_file import is_file_name, with_absolute_path

ANY = 2**31
"""A limit above every concurrency that can be asked for."""

NOT_DECLARED = "not declared"
"""What tables show for a crawler outside the registry."""

UNBOUNDED = "unbounded"
"""Stands in place of a `timeout` if no time limit ends the fetch."""

ON_ANY_CONNECTION, ON_A_KEPT_CONNECTION = "any", "kept"
RESEND_CONDITIONS = {
    ON_ANY_CONNECTION: "a connection dropped before an answer",
    ON_A_KEPT_CONNECTION: "a kept connection dropped before an answer",
}
"""When a library sends a request again by itself, by the words that results files have."""


class UnknownCrawlerError(LookupError):
    """There is no crawler of that name; the text lists the names."""


class CrawlerNotInstalledError(RuntimeError):
    """A crawler's library is missing; the text says how to install it."""


@dataclass(frozen=True, slots=True)
class CrawlerInfo:
    """One crawler: a row of the table."""

    name: str
    module: str
    function: str
    libraries: tuple[str, ...]
    """Distributions whose versions are stored with a result; the first is the client."""
    style: str
    keep_alive: bool = True
    """Whether a connection is used for more than one request."""
    max_concurrency: int = ANY
    cores: int = 1
    """How many cores the crawler can use where Python has a GIL; ANY for as many as there are."""
    cores_without_gil: int = 1
    """The same where Python has none, if they are more."""
    resends: int = 0
    """How often the library itself sends one request again, at most."""
    resend_condition: str = ""
    """When the library sends a request again: a key of RESEND_CONDITIONS, or "" for never."""
    timeout: str = "whole fetch"
    """What `timeout_s` bounds."""
    said_instead: tuple[tuple[str, str], ...] = ()
    """For faults of server.request_plan that its library cannot recognise: the word that it reports
    instead, "" for a good response, or UNBOUNDED."""
    is_of_chapter: bool = False
    """Whether the chapter of the book has a crawler of this style."""
    is_pattern: bool = False
    """Whether it is a way in which people write crawlers: one of the group PATTERNS."""
    takes_all: bool = False
    """Whether it takes all jobs at once, so that they wait inside it, and not in the iterator."""
    queues: bool = False
    """Whether its requests wait for a connection while their clocks run, so that their times hold
    that wait. The time limit must then bound only what comes after it."""
    open_loop: bool = False
    """Whether it keeps the contract in an open loop: it starts each job when it is due."""
    adapts: bool = False
    """Whether it chooses itself how many are in flight, and records that limit."""
    takes_loop: bool = False
    """Whether it runs on any event loop of crawlers.loops that is asked for."""
    extra: str = ""
    """The extra of this project that installs it, also where its library is no dependency of this
    project; "" if it is always installed."""
    is_declared: bool = True
    """Whether the fields above are declared; they are not for a crawler outside the registry."""

    def cores_on(self, *, has_gil: bool) -> int:
        """How many cores the crawler can use on an interpreter; ANY for as many as there are."""
        return self.cores if has_gil else max(self.cores, self.cores_without_gil)

    @property
    def resends_in_words(self) -> str:
        """The declaration of resends, in words."""
        if not self.is_declared:
            return NOT_DECLARED
        condition = RESEND_CONDITIONS.get(self.resend_condition)
        return f"{self.resends}, if {condition}" if self.resends else "none"


# http.client, and so requests and urllib3, ignores a bad Content-Length, so that the body ends with
# the connection, and takes a bad chunk for an early end of the body.
_OF_HTTP_CLIENT = (("bad-length", ""), ("bad-chunk", "closed"))

# Tornado's own client reports "closed" for everything that is not HTTP, and keeps waiting after a
# reset in the middle of a body.
_OF_TORNADO = (
    ("reset-body", "timeout"),
    ("bad-length", "closed"),
    ("bad-status", "closed"),
    ("bad-chunk", "closed"),
)

REGISTRY: tuple[CrawlerInfo, ...] = (
    CrawlerInfo(
        name="serial",
        module="crawlers.serial_requests",
        function="crawl",
        libraries=("requests", "urllib3"),
        style="one request after another",
        is_of_chapter=True,
        max_concurrency=1,
        timeout="connecting, each read of the headers, whole body",
        said_instead=(("drip-headers", UNBOUNDED), *_OF_HTTP_CLIENT),
        open_loop=True,
    ),
    CrawlerInfo(
        name="gevent",
        module="crawlers.gevent_urllib3",
        function="crawl",
        libraries=("urllib3", "gevent"),
        style="greenlets",
        is_of_chapter=True,
        said_instead=_OF_HTTP_CLIENT,
        open_loop=True,
    ),
    CrawlerInfo(
        name="grequests",
        module="crawlers.grequests_imap",
        function="crawl",
        libraries=(
            "grequests",
            "requests",
            "gevent",
        ),
        style="requests on greenlets",
        is_of_chapter=True,
        said_instead=_OF_HTTP_CLIENT,
        open_loop=True,
    ),
    CrawlerInfo(
        name="tornado",
        module="crawlers.tornado_curl",
        function="crawl",
        libraries=(
            "pycurl",
            "tornado",
        ),
        style="coroutines, on libcurl",
        is_of_chapter=True,
        resends=5,
        resend_condition=ON_A_KEPT_CONNECTION,
        extra="curl",
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="tornado-callback",
        module="crawlers.tornado_curl",
        function="crawl_by_callbacks",
        libraries=(
            "pycurl",
            "tornado",
        ),
        style="callbacks on futures, on libcurl",
        is_of_chapter=True,
        resends=5,
        resend_condition=ON_A_KEPT_CONNECTION,
        extra="curl",
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio",
        module="crawlers.asyncio_aiohttp",
        function="crawl",
        libraries=("aiohttp",),
        style="coroutines",
        is_of_chapter=True,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio-uvloop",
        module="crawlers.uvloop_aiohttp",
        function="crawl",
        libraries=("aiohttp", "uvloop"),
        style="coroutines, on libuv",
        is_of_chapter=True,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="twisted",
        module="crawlers.twisted_agent",
        function="crawl",
        libraries=("twisted",),
        style="deferreds",
        is_of_chapter=True,
        extra="twisted",
        open_loop=True,
    ),
    CrawlerInfo(
        name="threads",
        module="crawlers.threads_urllib3",
        function="crawl",
        libraries=("urllib3",),
        style="threads",
        timeout="connecting, each read of the headers, whole body",
        said_instead=(("drip-headers", UNBOUNDED), *_OF_HTTP_CLIENT),
        open_loop=True,
        cores_without_gil=ANY,
    ),
    CrawlerInfo(
        name="asyncio-threads",
        module="crawlers.asyncio_threads",
        function="crawl",
        libraries=("aiohttp",),
        style="coroutines, event loops in threads",
        cores_without_gil=ANY,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="tornado-simple",
        module="crawlers.tornado_simple",
        function="crawl",
        libraries=("tornado",),
        style="coroutines",
        keep_alive=False,
        said_instead=_OF_TORNADO,
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="tornado-simple-callback",
        module="crawlers.tornado_simple",
        function="crawl_by_callbacks",
        libraries=("tornado",),
        style="callbacks on futures",
        keep_alive=False,
        said_instead=_OF_TORNADO,
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="geventhttpclient",
        module="crawlers.gevent_geventhttpclient",
        function="crawl",
        libraries=(
            "geventhttpclient",
            "gevent",
        ),
        style="greenlets",
        extra="geventhttpclient",
        open_loop=True,
    ),
    CrawlerInfo(
        name="httpx",
        module="crawlers.httpx_asyncio",
        function="crawl",
        libraries=("httpx2",),
        style="coroutines",
        extra="httpx",
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="protocol",
        module="crawlers.asyncio_protocol",
        function="crawl",
        libraries=("httptools",),
        style="the floor: callbacks of asyncio's transports",
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="protocol-uvloop",
        module="crawlers.uvloop_protocol",
        function="crawl",
        libraries=("httptools", "uvloop"),
        style="the floor, on libuv",
        open_loop=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio-semaphore",
        module="crawlers.asyncio_patterns",
        function="semaphore",
        libraries=("aiohttp",),
        style="a task for each job, behind a semaphore",
        is_pattern=True,
        takes_all=True,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio-taskgroup",
        module="crawlers.asyncio_patterns",
        function="taskgroup",
        libraries=("aiohttp",),
        style="a task for each job, in a TaskGroup",
        is_pattern=True,
        takes_all=True,
        queues=True,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        timeout="connecting, each read",
        said_instead=(("drip-body", UNBOUNDED), ("drip-headers", UNBOUNDED)),
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio-chunks",
        module="crawlers.asyncio_patterns",
        function="chunks",
        libraries=("aiohttp",),
        style="gather by chunks of C",
        is_pattern=True,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio-queue",
        module="crawlers.asyncio_patterns",
        function="queue",
        libraries=("aiohttp",),
        style="workers that a queue feeds",
        is_pattern=True,
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="gevent-pool",
        module="crawlers.gevent_pool",
        function="crawl",
        libraries=("urllib3", "gevent"),
        style="greenlets, in a pool's imap_unordered",
        is_pattern=True,
        said_instead=_OF_HTTP_CLIENT,
        open_loop=True,
    ),
    CrawlerInfo(
        name="threads-map",
        module="crawlers.threads_map",
        function="crawl",
        libraries=("urllib3",),
        style="threads, in an executor's map",
        is_pattern=True,
        takes_all=True,
        timeout="connecting, each read of the headers, whole body",
        said_instead=(("drip-headers", UNBOUNDED), *_OF_HTTP_CLIENT),
        cores_without_gil=ANY,
    ),
    CrawlerInfo(
        name="asyncio-aimd",
        module="crawlers.asyncio_adaptive",
        function="aimd",
        libraries=("aiohttp",),
        style="coroutines, as many as AIMD finds",
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        adapts=True,
        takes_loop=True,
    ),
    CrawlerInfo(
        name="asyncio-vegas",
        module="crawlers.asyncio_adaptive",
        function="vegas",
        libraries=("aiohttp",),
        style="coroutines, as many as Vegas finds",
        resends=1,
        resend_condition=ON_ANY_CONNECTION,
        adapts=True,
        takes_loop=True,
    ),
)


ONLY_SPIDERS: tuple[CrawlerInfo, ...] = (
    CrawlerInfo(
        name="scrapy",
        module="crawlers.spiders.scrapy_spider",
        function="spider",
        libraries=("scrapy", "twisted"),
        style="a framework on Twisted's reactor",
        extra="scrapy",
    ),
    CrawlerInfo(
        name="crawlee",
        module="crawlers.spiders.crawlee_spider",
        function="spider",
        # impit has threads of its own (tokio), but they used 3 % of the CPU time of a crawl.
        libraries=("crawlee", "impit"),
        style="a framework on asyncio",
        extra="crawlee",
    ),
)
"""Rows that no crawler has, but spiders of crawlers.spiders.registry."""


FORMER_NAMES = {"tornado-curl": "tornado"}
"""Names that crawlers had in earlier versions, and the names that they have now."""

ALL, CHAPTER, PATTERNS = GROUPS = "all", "chapter", "patterns"
"""Names of groups of crawlers."""


def group(name: str) -> tuple[CrawlerInfo, ...]:
    """Return the crawlers of a group; none for another name."""
    return tuple(
        info
        for info in REGISTRY
        if name == ALL
        or (name == CHAPTER and info.is_of_chapter)
        or (name == PATTERNS and info.is_pattern)
    )


def find(name: str, declared_as: str = "") -> CrawlerInfo:
    """Return the row of a crawler. Raises UnknownCrawlerError.

    `package.module:function` and `path/to/file.py:function` name a crawler outside the registry.
    Nothing is declared for it, unless `declared_as` names the row whose libraries and behaviour it
    shares.
    """
    module, _, function = name.rpartition(":") if is_file_name(name) else name.partition(":")
    if module and function:
        if declared_as:
            return replace(_row(declared_as), name=name, module=module, function=function)
        return CrawlerInfo(
            name,
            module,
            function,
            libraries=(),
            style="brought along",
            keep_alive=False,
            is_declared=False,
        )
    for info in REGISTRY:
        if info.name == name:
            return info
    raise UnknownCrawlerError(f"there is no crawler {name!r}; {_meant(name)}")


def _row(name: str) -> CrawlerInfo:
    spider = next((info for info in ONLY_SPIDERS if info.name == name), None)
    return spider or find(name)


def _meant(name: str) -> str:
    """Return a hint at the crawler that may have been meant by an unknown name."""
    from difflib import get_close_matches  # a crawler that runs needs it no more

    if name in [info.name for info in ONLY_SPIDERS]:
        return "it is a spider, which follows links: see the verb site"
    names = [info.name for info in REGISTRY]
    if near := get_close_matches(name, (*names, *GROUPS), 1):
        return f"did you mean {near[0]!r}?"
    return (
        f"the crawlers are {', '.join(names)}; name your own as ./mine.py:crawl or "
        "package.module:function"
    )


def located(name: str) -> str:
    """Return the name under which a crawler is found from any other folder.

    `mine:crawl` is mine.py of the current folder if there is one. A former name is replaced by the
    present one. Raises UnknownCrawlerError.
    """
    if name in FORMER_NAMES:
        return FORMER_NAMES[name]
    try:
        return with_absolute_path(name)
    except ValueError as error:
        raise UnknownCrawlerError(str(error)) from None
