"""Who may ask this server for what. Pure.

A page of another origin must not reach it, whatever a browser sends on that page's behalf: neither
under a name of its own that leads to 127.0.0.1 (DNS rebinding), nor with a form, an image or a
WebSocket. Other users of this machine must not either: they do not know the token.
"""

import hmac
import re
from dataclasses import dataclass

from bench.program import PROGRAM
from server.host_rule import FOREIGN_PAGE, is_of_foreign_page

_NAME = PROGRAM if PROGRAM.isascii() else "crawlbench"  # a status line has no other letters
_NOT_LET_IN = f"open the address that {_NAME} ui has printed: its token is missing"
_READING = ("GET", "HEAD")
_WITH_TOKEN = re.compile(r"([?&])token=[^&]*&?")

POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of every page: no inline scripts, no eval, nothing from elsewhere.

Icons of Bokeh's toolbar are data: URLs."""

PAGE_OF_RESULTS_POLICY = (
    "sandbox allow-scripts; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data:; font-src data:"
)
"""That of a report.html, which may be somebody else's: it has no origin and no network."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request says about itself. Headers that are missing are ""."""

    method: str
    host: str
    origin: str = ""
    fetch_site: str = ""
    """The header Sec-Fetch-Site."""
    token: str = ""
    """The token in its URL, or in its cookie."""
    is_websocket: bool = False
    is_page: bool = False
    """Whether it asks for a page, to which a link on any page may lead."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules of a server on a port of 127.0.0.1."""

    port: int
    token: str

    @property
    def cookie(self) -> str:
        """The name of its cookie. Browsers send cookies to all ports of a host."""
        return f"crawlbench-{self.port}"

    @property
    def url(self) -> str:
        """The address that lets a browser in."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"

    def refusal(self, asked: Asked) -> str:
        """Return why a request is refused, in one line; "" if it is not."""
        if asked.host not in (f"127.0.0.1:{self.port}", f"localhost:{self.port}"):
            return f"Host must be 127.0.0.1:{self.port} or localhost:{self.port}"
        is_reading = asked.method in _READING and not asked.is_websocket
        if not is_reading and not asked.origin:
            return "a request that changes something must say its Origin"
        site = "" if is_reading and asked.is_page else asked.fetch_site
        if is_of_foreign_page(asked.host, asked.origin, site):
            return FOREIGN_PAGE
        if not hmac.compare_digest(asked.token.encode(), self.token.encode()):
            return _NOT_LET_IN
        return ""


def without_token(uri: str) -> str:
    """Return the path and query of a request without its token."""
    return _WITH_TOKEN.sub(r"\1", uri).rstrip("?&")
