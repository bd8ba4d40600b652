"""Every crawler, and what is declared of it, in one table. Imports no crawler until asked to."""

from dataclasses import dataclass
from importlib import import_module

from crawlers.contract import Crawl

ANY = 2**31
"""More than can be asked for."""


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
    resends: bool = False
    """Whether the library itself sends a request again when a kept connection drops."""
    timeout: str = "whole fetch"
    """What `timeout_s` bounds."""
    open_loop: bool = False
    """Whether it waits for `due_ns`."""
    extra: str = ""
    """The optional dependency of this project that installs it; "": always installed."""


REGISTRY: tuple[CrawlerInfo, ...] = (
    CrawlerInfo(
        name="serial",
        module="crawlers.serial_requests",
        function="crawl",
        libraries=("requests", "urllib3"),
        style="one request after another",
        max_concurrency=1,
        timeout="connecting, each read of the headers, whole body",
    ),
    CrawlerInfo(
        name="gevent",
        module="crawlers.gevent_urllib3",
        function="crawl",
        libraries=("urllib3", "gevent"),
        style="greenlets",
    ),
    CrawlerInfo(
        name="asyncio",
        module="crawlers.asyncio_aiohttp",
        function="crawl",
        libraries=("aiohttp",),
        style="coroutines",
        resends=True,
    ),
    CrawlerInfo(
        name="asyncio-uvloop",
        module="crawlers.uvloop_aiohttp",
        function="crawl",
        libraries=("aiohttp", "uvloop"),
        style="coroutines, on libuv",
        resends=True,
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


def find(name: str) -> CrawlerInfo:
    """The row of a crawler. Raises UnknownCrawlerError.

    `package.module:function` is a crawler that somebody brings along; nothing is declared of it.
    """
    module, colon, function = name.partition(":")
    if colon and module and function:
        return CrawlerInfo(
            name, module, function, libraries=(), style="brought along", keep_alive=False
        )
    for info in REGISTRY:
        if info.name == name:
            return info
    names = ", ".join(info.name for info in REGISTRY)
    raise UnknownCrawlerError(f"there is no crawler {name!r}; there are {names}")


def load(info: CrawlerInfo) -> Crawl:
    """Import a crawler. Raises CrawlerNotInstalledError."""
    try:
        crawl: Crawl = getattr(import_module(info.module), info.function)
    except (ImportError, AttributeError) as error:
        package = f".[{info.extra}]" if info.extra else "."
        way_out = f": pip install {package!r}" if info.libraries else ""
        raise CrawlerNotInstalledError(
            f"crawler {info.name!r} cannot be imported ({error}){way_out}"
        ) from error
    return crawl
