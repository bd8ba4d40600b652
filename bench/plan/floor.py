"""The floor crawlers: as little as a client can do, which others are measured by. Pure."""

from collections.abc import Callable, Container

FLOORS = ("protocol", "protocol-uvloop")
"""On asyncio's own event loop, the unit of what crawlers cost; and on libuv, which is faster."""


def cost_unit(measured: Container[str]) -> str | None:
    """The floor crawler that costs are multiples of, among those measured; None if none was."""
    return next((name for name in FLOORS if name in measured), None)


def fastest_floor(is_installed: Callable[[str], bool]) -> str:
    """The floor crawler that measures how fast a server can answer."""
    return next((name for name in reversed(FLOORS) if is_installed(name)), FLOORS[0])
