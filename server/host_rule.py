"""Which Host headers are let in: a page on the web must not reach this server by DNS rebinding.

In that attack a name of the attacker's resolves to 127.0.0.1, so that a browser takes this server
for the attacker's site. An IP address in the Host header cannot be rebound; a name can.
"""

import ipaddress

_REMEMBERED = 256


class HostRule:
    """Lets in loopback hosts; if bound to another address on purpose, also any IP address."""

    def __init__(self, bind: str) -> None:
        self._bind = bind.lower()
        self._is_bound_to_loopback = _is_loopback(self._bind)
        self._let_in: set[str] = set()

    def allows(self, host: str) -> bool:
        """Whether a request with this Host header (with or without a port) is let in."""
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
