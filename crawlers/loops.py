"""The event loops that crawlers of the asyncio family can run on, by name.

Imports none of them, nor asyncio, before it is asked for. Standard library only.
"""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from crawlers.installed import command_to_install
from crawlers.registry import (
    REGISTRY,
    CrawlerInfo,
    CrawlerNotInstalledError,
    UnknownCrawlerError,
)

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

ASYNCIO = "asyncio"
LOOPS = (ASYNCIO, "uvloop", "rloop", "winloop")
"""Names of event loops. All but asyncio's own are modules that have a `new_event_loop`, and
distributions of the same name."""

_chosen = ""


class UnknownLoopError(UnknownCrawlerError):
    """There is no such event loop, or the crawler cannot run on it."""


def installed_loops() -> tuple[str, ...]:
    """Return the names of the event loops that can be imported here."""
    return tuple(name for name in LOOPS if find_spec(name) is not None)


def check_loop(infos: Sequence[CrawlerInfo], name: str) -> None:
    """Raise UnknownLoopError unless these crawlers can run on the event loop of this name."""
    if name not in LOOPS:
        raise UnknownLoopError(f"there is no event loop {name!r}; {_meant(name)}")
    unable = ", ".join(dict.fromkeys(info.name for info in infos if not info.takes_loop))
    if unable:
        able = ", ".join(info.name for info in REGISTRY if info.takes_loop)
        raise UnknownLoopError(f"{unable} cannot run on {name}; the crawlers that can are {able}")


def check_installed(name: str) -> None:
    """Raise CrawlerNotInstalledError unless the event loop of this name can be imported here."""
    if find_spec(name) is None:
        raise CrawlerNotInstalledError(
            f"event loop {name!r} is not installed: {command_to_install(name)}"
        )


def distributions_of(name: str) -> tuple[str, ...]:
    """Return the distributions that the event loop of this name is in."""
    return (name,) if name not in ("", ASYNCIO) else ()


def choose(name: str) -> None:
    """Set the event loop that crawlers of this process run on; "" leaves each on its own.

    Raises CrawlerNotInstalledError.
    """
    global _chosen
    if name:
        check_installed(name)
        import_module(name)
    _chosen = name


def chosen(
    own: "Callable[[], asyncio.AbstractEventLoop] | None" = None,
) -> "Callable[[], asyncio.AbstractEventLoop] | None":
    """Return what makes the event loop to run on, if it is another than asyncio's.

    `own` is what a crawler runs on if no loop was chosen.
    """
    if not _chosen:
        return own
    make: Callable[[], asyncio.AbstractEventLoop] = import_module(_chosen).new_event_loop
    return make if _chosen != ASYNCIO else None


def _meant(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, LOOPS, 1)
    return f"did you mean {near[0]!r}?" if near else f"the loops are {', '.join(LOOPS)}"
