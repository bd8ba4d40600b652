"""The bytes of responses: status line, headers, and bodies of any planned size without a copy."""

import time
from email.utils import formatdate
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {int(status): status.phrase for status in HTTPStatus}
_REMEMBERED = 256
_PLAIN = "Content-Type: text/plain\r\n"
JSON_LINE = "Content-Type: application/json\r\n"
"""A header line; as the first of `extra` of Heads.head, it replaces the type of plain text."""


class Heads:
    """A cache of response heads, each kept for as long as its Date is current."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int, str], bytes] = {}
        self._date = formatdate(time.time(), usegmt=True)

    def refresh_date(self) -> None:
        """Update the Date; call this once a second."""
        self._date = formatdate(time.time(), usegmt=True)
        self._kept.clear()

    def head(self, status: int, content_length: int, extra: str = "") -> bytes:
        """Return a response head; `extra` is whole header lines, each with CRLF at its end."""
        key = (status, content_length, extra)
        head = self._kept.get(key)
        if head is None:
            head = (
                f"HTTP/1.1 {status} {_REASONS[status]}\r\n"
                f"Date: {self._date}\r\n"
                f"{'' if extra.startswith('Content-Type:') else _PLAIN}"
                f"Content-Length: {content_length}\r\n"
                f"{extra}\r\n"
            ).encode("ascii")
            if len(self._kept) < _REMEMBERED:
                self._kept[key] = head
        return head


class Bodies:
    """Bodies of any size, all slices of one block, so that a slow reader costs no memory.

    A body is `first`, of one byte, and then `more` of another. The default is dots.
    """

    def __init__(self, first: bytes = b".", more: bytes = b".") -> None:
        self._first, self._more = first, more
        self._block = self._made(4096)

    def body(self, size_bytes: int) -> memoryview:
        """Return a body of `size_bytes`."""
        if size_bytes > len(self._block):
            # With powers of two, all outgrown blocks that responses still hold take less memory
            # than the newest.
            self._block = self._made(1 << (size_bytes - 1).bit_length())
        return self._block[:size_bytes]

    def _made(self, size_bytes: int) -> memoryview:
        return memoryview(self._first + self._more * (size_bytes - 1))


def error_body(reason: str) -> bytes:
    """Return a reason as a body of one line; characters that do not fit are escaped."""
    return reason.encode("ascii", "backslashreplace").replace(b"\n", b" ") + b"\n"
