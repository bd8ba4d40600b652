"""The two lines that announce the server: one on stdout, one as the response to `GET /`.

Both are written and parsed here, so that the two ends agree. Standard library only.
"""

import re
from typing import NamedTuple

from server import __version__

_LISTENING = re.compile(r"listening on (http://\S+) control (http://\S+)")
_GREETING = re.compile(r"crawlbench (\S+) control (http://\S+)")


class Addresses(NamedTuple):
    """Where a server listens, as URLs without a trailing slash."""

    data_url: str
    control_url: str


def url_of(host: str, port: int) -> str:
    """Return `http://HOST:PORT`, with an IPv6 address in brackets."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def listening_line(addresses: Addresses) -> str:
    """Return the line that the server prints once it listens."""
    return f"listening on {addresses.data_url} control {addresses.control_url}"


def parse_listening_line(line: str) -> Addresses | None:
    """Return the addresses in a line that the server printed; None if it is another line."""
    match = _LISTENING.fullmatch(line.strip())
    return Addresses(match[1], match[2]) if match else None


def greeting(control_url: str) -> str:
    """Return the body of the response to `GET /` on the data port."""
    return f"crawlbench {__version__} control {control_url}\n"


def parse_greeting(body: str) -> tuple[str, str] | None:
    """Return version and control URL from a response to `GET /`; None if it is not our server's."""
    match = _GREETING.fullmatch(body.strip())
    return (match[1], match[2]) if match else None
