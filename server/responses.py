"""The bytes of responses: status line, headers, and bodies of any planned size without a copy."""

import time
from email.utils import formatdate
from http import HTTPStatus

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REASONS = {int(status): status.phrase for status in HTTPStatus}
_REMEMBERED = 256


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
                "Content-Type: text/plain\r\n"
                f"Content-Length: {content_length}\r\n"
                f"{extra}\r\n"
            ).encode("ascii")
            if len(self._kept) < _REMEMBERED:
                self._kept[key] = head
        return head


class Dots:
    """Bodies of dots, all slices of one block, so that a slow reader costs no memory."""

    def __init__(self) -> None:
        self._block = memoryview(b"." * 4096)

    def body(self, size_bytes: int) -> memoryview:
        """Return `size_bytes` dots."""
        if size_bytes > len(self._block):
            # With powers of two, all outgrown blocks that responses still hold take less memory
            # than the newest.
            self._block = memoryview(b"." * (1 << (size_bytes - 1).bit_length()))
        return self._block[:size_bytes]


def error_body(reason: str) -> bytes:
    """Return a reason as a body of one line; characters that do not fit are escaped."""
    return reason.encode("ascii", "backslashreplace").replace(b"\n", b" ") + b"\n"
