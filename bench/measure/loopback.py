"""Keeps a sweep from loading a server of other people by mistake."""

import socket
from collections.abc import Iterable
from ipaddress import ip_address
from urllib.parse import urlsplit

from bench.errors import UsageError

MAY_LOAD = "--i-may-load-this-host"
"""The option by which a user says that a server on another host may be swept."""


class HostError(UsageError):
    """A host that a sweep must not load, or that has no address; the text names it."""


def check_loopback(urls: Iterable[str]) -> None:
    """Check that the hosts of all URLs resolve to loopback addresses only. Raises HostError."""
    for host in dict.fromkeys(urlsplit(url).hostname or "" for url in urls):
        for address in _addresses(host):
            if not ip_address(address).is_loopback:
                shown = host if host == address else f"{host} ({address})"
                raise HostError(
                    f"{shown} is not this machine, and a sweep loads a server as hard as it can: "
                    f"if you may do that, add {MAY_LOAD}"
                )


def _addresses(host: str) -> list[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise HostError(f"{host!r} has no address: {reason}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))
