"""What is crawled: a server of our own for as long as it is needed, or any URL."""

import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection
from time import monotonic
from urllib.parse import urlsplit

from bench.experiment import PlannedRun
from bench.pinning import Pinning, pin
from bench.runner import Target, ledger_rows
from crawlers.checked import checked_url
from server.announcement import parse_greeting
from server.process import ServerProcess

_RECOGNISE_TIMEOUT_S = 5.0
_RECOGNISE_BYTES = 10_000


@contextmanager
def private_server(pinning: Pinning, runs: Sequence[PlannedRun]) -> Iterator[Target]:
    """A delay server on free ports, with room for the largest of the runs in its ledger.

    Raises server.process.ServerStartError.
    """
    rows = max(ledger_rows(run) for run in runs)
    with ServerProcess("--ledger-rows", str(rows)) as server:
        pin(server.pid, pinning.server)
        yield Target(server.addresses.data_url, server.addresses.control_url)


def recognise(url: str) -> Target:
    """Whether a URL is of a delay server: its `GET /` says so. Others are fetched as they are."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query:
        return Target(url, "")
    deadline = monotonic() + _RECOGNISE_TIMEOUT_S
    answer = b""
    try:
        with create_connection((parts.hostname or "", parts.port or 80), _RECOGNISE_TIMEOUT_S) as s:
            s.sendall(f"GET / HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode("latin-1"))
            while (left_s := deadline - monotonic()) > 0 and len(answer) < _RECOGNISE_BYTES:
                s.settimeout(left_s)
                piece = s.recv(4096)
                if not piece:
                    break
                answer += piece
    except (OSError, ValueError):
        return Target(url, "")
    greeting = parse_greeting(answer.partition(b"\r\n\r\n")[2].decode("latin-1"))
    return Target(url, greeting[1] if greeting else "")


class UrlsError(ValueError):
    """A list of URLs that cannot be used; the text names the line."""


def read_urls(path: str) -> tuple[str, ...]:
    """The URLs of a file, one a line; `-` is stdin. Lines that are empty or begin with # are none.

    Raises UrlsError.
    """
    name = "stdin" if path == "-" else path
    try:
        data = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise UrlsError(f"cannot read the URLs of {name}: {error.strerror}") from None
    text = data.decode("utf-8-sig", errors="replace")
    urls = []
    for number, line in enumerate(text.splitlines(), 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        try:
            urls.append(checked_url(url))
        except ArgumentTypeError as error:
            raise UrlsError(f"{name}, line {number}: {error}") from None
    if not urls:
        raise UrlsError(f"{name} has no URL")
    return tuple(urls)
