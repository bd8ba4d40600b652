"""Which requests are accepted: a page on the web must not reach this server.

DNS rebinding is one way: a name of the attacker's resolves to 127.0.0.1, so that a browser takes
this server for the attacker's site. An IP address in the Host header cannot be rebound; a name can.

The other way is a request that a browser sends to any address on behalf of a page, although the
page may not read the response. Browsers say where such a request comes from.
"""

import ipaddress

from server.request_plan import quoted

_REMEMBERED = 256

FOREIGN_PAGE = "a web page of another origin may not send requests to this server"


def is_of_foreign_page(host: str, origin: str, fetch_site: str) -> bool:
    """Return whether a browser sent a request for a page that did not come from this very port.

    `origin` and `fetch_site` are the headers Origin and Sec-Fetch-Site, or "" if absent: only
    browsers send them. `same-site` is refused too, because it means the same host on another port.
    """
    return (
        bool(origin) and origin.lower() != f"http://{host.lower()}"
    ) or fetch_site.lower() not in ("", "none", "same-origin")


def host_refused(host: str) -> str:
    """Return why a request is refused and what would be accepted, in ASCII."""
    return f"Host {quoted(host)} is refused: use an IP address, or localhost"


class HostRule:
    """Accepts loopback hosts; if bound to another address on purpose, also any IP address."""

    def __init__(self, bind: str) -> None:
        self._bind = bind.lower()
        self._is_bound_to_loopback = _is_loopback(self._bind)
        self._let_in: set[str] = set()

    def allows(self, host: str) -> bool:
        """Return whether a request with this Host header (with or without a port) is accepted."""
        if host in self._let_in:
            return True
        allowed = self._decide(host)
        if allowed and len(self._let_in) < _REMEMBERED:
            self._let_in.add(host)
        return allowed

    def _decide(self, host: str) -> bool:
        name = _without_port(host.lower())
        if name is None:
            return False
        if _is_loopback(name):
            return True
        return not self._is_bound_to_loopback and (name == self._bind or _is_ip_address(name))


def _without_port(host: str) -> str | None:
    if host.startswith("["):
        name, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        port = rest[1:]
    else:
        name, _, port = host.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return None
    return name


def _is_loopback(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _is_ip_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
