"""The colours, markers and line styles of crawlers, for every kind of figure. Pure.

Colours are Okabe and Ito's (2008) and some of Tol's (2021), which colour-blind readers can
distinguish. Markers and line styles distinguish the lines in print without colour. Markers and line
styles are named as matplotlib names them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

LineDashes = str | tuple[int, tuple[int, ...]]
_DOTS: LineDashes = (0, (1, 1))
_LONG: LineDashes = (0, (7, 2))
_DASH_DOTS: LineDashes = (0, (5, 1, 1, 1, 1, 1))

_OWN: dict[str, tuple[str, str, LineDashes]] = {
    "serial": ("#882255", ">", "-"),
    "gevent": ("#009E73", "^", "--"),
    "grequests": ("#117733", "v", "-."),
    "tornado": ("#D55E00", "s", "-"),
    "tornado-callback": ("#E69F00", "d", _DOTS),
    "asyncio": ("#0072B2", "o", "-"),
    "asyncio-uvloop": ("#332288", "D", "--"),
    "twisted": ("#CC79A7", "p", "-"),
    "threads": ("#56B4E9", "<", "-."),
    "tornado-simple": ("#8C6D31", "P", _LONG),
    "tornado-simple-callback": ("#661100", "X", _DOTS),
    "geventhttpclient": ("#44AA99", "h", _DASH_DOTS),
    "httpx": ("#999933", "8", _LONG),
    "protocol": ("#777777", "H", "-"),
    "protocol-uvloop": ("#000000", "*", "--"),
    "asyncio-semaphore": ("#BB5566", "s", "--"),
    "asyncio-taskgroup": ("#DDAA33", "X", "-"),
    "asyncio-chunks": ("#AA4499", "D", _DASH_DOTS),
    "asyncio-queue": ("#004488", "v", "-."),
    "gevent-pool": ("#228833", "P", _LONG),
    "threads-map": ("#6699CC", "*", "-"),
    "scrapy": ("#D55E00", "P", _LONG),
    "crawlee": ("#E69F00", "h", _DASH_DOTS),
    # Savers of bench.primes have the colours of the crawlers that they are made from.
    "no-io": ("#777777", "P", "-"),
    "file-io": ("#999933", "8", _DASH_DOTS),
    "batches": ("#117733", "v", "-."),
    "batches-aiohttp": ("#44AA99", "h", _LONG),
    "async": ("#0072B2", "o", "-"),
    "async-uvloop": ("#332288", "D", "--"),
    "async-sleep": ("#CC79A7", "p", "-"),
    "async-sleep-uvloop": ("#AA3377", "d", _DOTS),
    "processes": ("#D55E00", "X", _LONG),
}
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C6D31", "#882255")
MARKERS = ("o", "s", "^", "D", "v", "P", "*", "<", ">", "h", "p", "d")
_LINES: tuple[LineDashes, ...] = ("-", "--", "-.", _DOTS, _DASH_DOTS)

GREY = "#555555"
CLIENT = "#E69F00"
SERVER = "#0072B2"
FAILED = "#B22222"


@dataclass(frozen=True, slots=True)
class LineStyle:
    """Colour, line style and marker of one crawler."""

    colour: str
    marker: str
    line: LineDashes


def styles_of(crawlers: Sequence[str]) -> dict[str, LineStyle]:
    """Return a style for each crawler: a fixed one if it is built in, else the next free one."""
    taken = {_OWN[name][:2] for name in crawlers if name in _OWN}
    free = (
        look
        for i in count()
        if (
            look := (
                _COLOURS[i % len(_COLOURS)],
                MARKERS[i % len(MARKERS)],
                _LINES[i % len(_LINES)],
            )
        )[:2]
        not in taken
    )
    return {name: LineStyle(*(_OWN.get(name) or next(free))) for name in crawlers}
