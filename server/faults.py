"""How the server misbehaves when a request asks for it: what it sends and when. Pure."""

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import NamedTuple

from server.request_plan import LATE_S

STATUSES = {"500": 500, "503": 503, "429": 429, "302": 302}
"""Faults that are a complete, well-formed response with this status."""

EXTRA_LINES = {
    503: "Retry-After: 1\r\n",
    429: "Retry-After: 1\r\n",
    302: "Location: /\r\n",
}
"""Header lines that belong to a status."""

CLOSE = "close"
RESET = "reset"

DRIP_EVERY_S = 0.05
LONGEST_S = 60.0


class Piece(NamedTuple):
    """Bytes to send after a wait."""

    wait_s: float
    data: bytes


class Script(NamedTuple):
    """The pieces of a faulty response; the connection then ends with CLOSE or RESET."""

    pieces: Iterator[Piece]
    end: str


def script_of(fault: str) -> Script:
    """Return the script of a fault of server.request_plan.FAULTS that is not in STATUSES."""
    return _SCRIPTS[fault]()


_DRIPS = int(LONGEST_S / DRIP_EVERY_S)
_HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n....."
_LATE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n"
# The sent bytes must arrive before the connection ends, or clients could not tell the two apart.
_ARRIVES_S = 0.02


def _once(data: bytes, end: str) -> Callable[[], Script]:
    return lambda: Script(iter([Piece(0.0, data), Piece(_ARRIVES_S, b"")]), end)


def _drip(before: bytes) -> Callable[[], Script]:
    drop = Piece(DRIP_EVERY_S, b".")
    return lambda: Script(chain([Piece(0.0, before)], repeat(drop, _DRIPS)), CLOSE)


_SCRIPTS: dict[str, Callable[[], Script]] = {
    "hang": lambda: Script(iter([Piece(LONGEST_S, b"")]), CLOSE),
    "drip-body": _drip(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"),
    "drip-headers": _drip(b"HTTP/1.1 200 OK\r\nX-Drip: "),
    "reset": lambda: Script(iter([]), RESET),
    "reset-body": _once(_HALF, RESET),
    "close": lambda: Script(iter([]), CLOSE),
    "close-body": _once(_HALF, CLOSE),
    "late-body": lambda: Script(
        iter([Piece(0.0, _LATE_HEAD + b"....."), Piece(LATE_S, b"....."), Piece(_ARRIVES_S, b"")]),
        CLOSE,
    ),
    "bad-length": _once(b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n..........", CLOSE),
    "bad-status": _once(b"HTTP/1.1 2xx Fine\r\nContent-Length: 1\r\n\r\n.", CLOSE),
    "bad-chunk": _once(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n.....\r\nzz\r\n", CLOSE
    ),
}
