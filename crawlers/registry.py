"""Every crawler, and what is declared of it, in one table. Imports no crawler."""

from dataclasses import dataclass, replace

from crawlers.crawler_file import is_file_name, with_absolute_path

ANY = 2**31
"""More than can be asked for."""

NOT_DECLARED = "not declared"
"""What tables say of a crawler that was brought along."""

UNBOUNDED = "unbounded"
"""Instead of `timeout`: no limit of time ends it."""

ON_ANY_CONNECTION, ON_A_KEPT_CONNECTION = "any", "kept"
RESEND_CONDITIONS = {
    ON_ANY_CONNECTION: "a connection dropped before an answer",
    ON_A_KEPT_CONNECTION: "a kept connection dropped before an answer",
}
"""After what a library sends a request again by itself, by the words that results files have."""


class UnknownCrawlerError(LookupError):
    """No crawler of that name; the text lists those there are."""


class CrawlerNotInstalledError(RuntimeError):
    """A crawler's library is missing; the text says how to install it."""


@dataclass(frozen=True, slots=True)
class CrawlerInfo:
    """A row of the table."""

    name: str
    module: str
    function: str
    libraries: tuple[str, ...]
    """Distributions whose versions belong to a result; the first is the client."""
    style: str
    keep_alive: bool = True
    """Whether a connection is used for more than one request."""
    max_concurrency: int = ANY
    cores: int = 1
    """How many cores it can use."""
    resends: int = 0
    """How often the library itself sends a request again, at most."""
    resend_condition: str = ""
    """After what it does so, of RESEND_CONDITIONS; "" if it never does."""
    timeout: str = "whole fetch"
    """What `timeout_s` bounds."""
    said_instead: tuple[tuple[str, str], ...] = ()
    """Faults of server.request_plan that its library cannot tell from others, and what it says: a
    word, "" for a good answer, or UNBOUNDED."""
    is_of_chapter: bool = False
    """Whether the chapter of the book has one of its style."""
    open_loop: bool = False
    """Whether it waits for `due_ns`."""
    extra: str = ""
    """The optional dependency of this project that installs it; "": always installed."""
    is_declared: bool = True
    """Whether somebody has declared all this: nobody has of a crawler that was brought along."""

    @property
    def resends_shown(self) -> str:
        """The declaration of resends in words."""
        if not self.is_declared:
            return NOT_DECLARED
        condition = RESEND_CONDITIONS.get(self.resend_condition)
        return f"{self.resends}, if {condition}" if self.resends else "none"


# What http.client does, and with it requests and urllib3: a bad Content-Length is none, so that the
# body ends with the connection, and a bad chunk is the end of the body, too early.
_OF_HTTP_CLIENT = (("bad-length", ""), ("bad-chunk", "closed"))

# Its own client says of whatever is not HTTP that the connection was closed, and waits on after a
# reset in mid-body.
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
    ),
    CrawlerInfo(
        name="gevent",
        module="crawlers.gevent_urllib3",
        function="crawl",
        libraries=("urllib3", "gevent"),
        style="greenlets",
        is_of_chapter=True,
        said_instead=_OF_HTTP_CLIENT,
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
    ),
    CrawlerInfo(
        name="tornado",
        module="crawlers.tornado_coroutine",
        function="crawl",
        libraries=("tornado",),
        style="coroutines",
        is_of_chapter=True,
        keep_alive=False,
        said_instead=_OF_TORNADO,
    ),
    CrawlerInfo(
        name="tornado-callback",
        module="crawlers.tornado_callback",
        function="crawl",
        libraries=("tornado",),
        style="callbacks on futures",
        is_of_chapter=True,
        keep_alive=False,
        said_instead=_OF_TORNADO,
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
    ),
    CrawlerInfo(
        name="twisted",
        module="crawlers.twisted_agent",
        function="crawl",
        libraries=("twisted",),
        style="deferreds",
        is_of_chapter=True,
        extra="twisted",
    ),
    CrawlerInfo(
        name="threads",
        module="crawlers.threads_urllib3",
        function="crawl",
        libraries=("urllib3",),
        style="threads",
        timeout="connecting, each read of the headers, whole body",
        said_instead=(("drip-headers", UNBOUNDED), *_OF_HTTP_CLIENT),
    ),
    CrawlerInfo(
        name="tornado-curl",
        module="crawlers.tornado_curl",
        function="crawl",
        libraries=(
            "pycurl",
            "tornado",
        ),
        style="coroutines, on libcurl",
        resends=5,
        resend_condition=ON_A_KEPT_CONNECTION,
        extra="curl",
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
    ),
    CrawlerInfo(
        name="httpx",
        module="crawlers.httpx_asyncio",
        function="crawl",
        libraries=("httpx2",),
        style="coroutines",
        extra="httpx",
    ),
    CrawlerInfo(
        name="protocol",
        module="crawlers.asyncio_protocol",
        function="crawl",
        libraries=("httptools",),
        style="the floor: callbacks of asyncio's transports",
    ),
    CrawlerInfo(
        name="protocol-uvloop",
        module="crawlers.uvloop_protocol",
        function="crawl",
        libraries=("httptools", "uvloop"),
        style="the floor, on libuv",
    ),
)


ALL, CHAPTER = "all", "chapter"
"""Names of groups."""


def group(name: str) -> tuple[CrawlerInfo, ...]:
    """The crawlers of ALL or CHAPTER; none of another name."""
    if name == ALL:
        return REGISTRY
    return tuple(info for info in REGISTRY if name == CHAPTER and info.is_of_chapter)


def find(name: str, declared_as: str = "") -> CrawlerInfo:
    """The row of a crawler. Raises UnknownCrawlerError.

    `package.module:function` or `path/to/file.py:function` is a crawler that somebody brings along;
    nothing is declared of it, unless `declared_as` names the row whose libraries and habits are its
    own, too.
    """
    module, _, function = name.rpartition(":") if is_file_name(name) else name.partition(":")
    if module and function:
        if declared_as:
            return replace(find(declared_as), name=name, module=module, function=function)
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
    names = ", ".join(info.name for info in REGISTRY)
    raise UnknownCrawlerError(
        f"there is no crawler {name!r}; there are {names}; one of yours is ./mine.py:crawl, or "
        "package.module:function"
    )


def located(name: str) -> str:
    """The same crawler, named so that it is found from any other folder.

    `mine:crawl` is mine.py of the current folder if there is one. Raises UnknownCrawlerError.
    """
    try:
        return with_absolute_path(name)
    except ValueError as error:
        raise UnknownCrawlerError(str(error)) from None
