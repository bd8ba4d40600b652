"""Reads the requests of one connection: HTTP/1.x framing, and what of it is refused.

The parser is httptools (llhttp), which is strict about framing; what it leaves to its caller is
decided here: versions, Host, expectations, and how long and large a request may be.
"""

from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple, Protocol

import httptools

from server.host_rule import FOREIGN_PAGE, host_refused, is_of_foreign_page

SECOND_NS = 1_000_000_000
_BEFORE_HEAD_BYTES = 16_384
"""What may stand before a head in the chunk in which it begins."""
_HEADERS = frozenset(
    (
        b"host",
        b"connection",
        b"content-length",
        b"transfer-encoding",
        b"expect",
        b"origin",
        b"sec-fetch-site",
    )
)
"""Those that are looked at."""


class Limits(NamedTuple):
    """What a client may ask of a connection before it is cut."""

    head_bytes: int = 32_768
    body_bytes: int = 16 * 1024 * 1024
    pipelined: int = 64
    """Requests that wait for their answers, before the server stops reading for a while."""
    idle_ns: int = 75 * SECOND_NS
    """Without any request."""
    head_ns: int = 10 * SECOND_NS
    """From the first byte of a request to the end of its headers."""
    request_ns: int = 60 * SECOND_NS
    """From the first byte of a request to the end of its body."""
    stall_ns: int = 30 * SECOND_NS
    """Without taking a byte of an answer."""
    linger_ns: int = 2 * SECOND_NS
    """From a refusal to the close, for the client to read the refusal."""


class RefusalError(Exception):
    """A request whose framing cannot be trusted or borne: the connection cannot go on.

    `status` is the one to answer with; the text is the reason, in one line.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Receiver(Protocol):
    """Who is told what has been read."""

    def request_read(self, reader: "RequestReader") -> None:
        """A request has been read to its end: `method` and `target` say which."""

    def body_awaited(self) -> None:
        """The client waits to be invited before it sends its body."""


class RequestReader:
    """Fed with what a connection received; tells its receiver of each request."""

    def __init__(
        self, receiver: Receiver, limits: Limits, allows_host: Callable[[str], bool]
    ) -> None:
        self.method = ""
        self.target = ""
        self.is_last = False
        """Whether the connection ends with the request just read."""
        self.wants_keep_alive_said = False
        """HTTP/1.0 clients keep the connection only if the answer says so."""
        self.is_in_head = False
        self.began_ns = 0
        """When the request that has been read in part began, on CLOCK_MONOTONIC; 0: none."""
        self._receiver = receiver
        self._limits = limits
        self._allows_host = allows_host
        self._parser = httptools.HttpRequestParser(self)
        self._chunk = b""  # what is being parsed
        self._received = b""  # the chunks that hold the request's head
        self._is_chunk_fresh = False  # whether nothing came before in this chunk
        self._is_head_known = False
        self._head_bytes = 0
        self._is_in_request = False
        self._url = b""
        self._host: bytes | None = None
        self._expect = b""
        self._origin = b""
        self._fetch_site = b""
        self._has_connection_header = False
        self._is_chunked = False
        self._content_length = 0
        self._body_bytes = 0
        self._unaccounted_bytes = 0  # fed since the last piece of body: chunk sizes, trailers

    def close(self) -> None:
        """Let go of the parser, which holds our methods: a cycle left to the collector."""
        del self._parser

    @property
    def is_in_body(self) -> bool:
        """Whether a request has been read up to somewhere in its body."""
        return self._is_in_request and not self.is_in_head

    def feed(self, data: bytes) -> None:
        """Read on. Raises RefusalError, after which there is nothing more to read."""
        while data:
            data = self._parse(data)
        if not self._is_in_request:
            self._chunk = self._received = b""
            return
        limit = self._limits.head_bytes
        if len(self._received) > limit + _BEFORE_HEAD_BYTES or self._unaccounted_bytes > limit:
            raise RefusalError(431, f"the headers are longer than {limit} bytes")
        if not self.began_ns:
            self.began_ns = monotonic_ns()

    def _parse(self, data: bytes) -> bytes:
        """Parse a chunk; returns what of it is left to be parsed, by another parser."""
        self._chunk = data
        self._is_chunk_fresh = not self._is_in_request
        if self.is_in_head:
            self._received += data
        elif self._is_in_request:
            self._unaccounted_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The client offered another protocol (h2c, websocket). Its request has been taken as
            # the HTTP/1.1 that it also is, and so is what follows.
            self._parser = httptools.HttpRequestParser(self)
            return b"" if self.is_last else data[upgrade.args[0] :]
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, RefusalError):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            if not self.is_last:  # else: bytes behind a request that ends the connection
                raise RefusalError(400, f"not HTTP/1.x: {error}") from None
        return b""

    def request_head(self) -> bytes:
        """The request line and headers of the request just read, as they came.

        Empty for a request that came in one piece with what was before it: where it begins there
        is known to the parser alone.
        """
        if not self._is_head_known:
            return b""
        request_line = b"%s %s " % (self.method.encode("ascii"), self._url)
        start = max(0, self._received.find(request_line))
        return self._received[start : self._received.find(b"\r\n\r\n", start) + 4]

    # Callbacks of the parser -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_request = self.is_in_head = True
        self._received = self._chunk
        self._is_head_known = self._is_chunk_fresh
        self._is_chunk_fresh = False
        self._head_bytes = 0
        self._url = b""
        self._host = None
        self._expect = b""
        self._origin = self._fetch_site = b""
        self._has_connection_header = self._is_chunked = False
        self._content_length = self._body_bytes = self._unaccounted_bytes = 0
        self.method = ""

    def on_url(self, part: bytes) -> None:
        """The target, or a piece of it."""
        self._url += part
        self._head_bytes += len(part)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which says nothing about framing."""
        if not self.is_in_head:
            return
        self._head_bytes += len(name) + len(value) + 4
        name = name.lower()
        if name not in _HEADERS:
            return
        value = value.rstrip(b" \t")
        if name == b"host":
            if self._host is not None:
                raise RefusalError(400, "two Host headers")
            self._host = value
        elif name == b"connection":
            self._has_connection_header = True
        elif name == b"content-length":
            if not value.isdigit() or len(value) > 18:
                raise RefusalError(400, "Content-Length is not a number of bytes")
            self._content_length = int(value)
        elif name == b"transfer-encoding":
            self._is_chunked = True
        elif name == b"expect":
            self._expect = value.lower()
        elif name == b"origin":
            # Of two, one is foreign: browsers send one.
            self._origin = b"null" if self._origin else value
        else:
            self._fetch_site = value

    def on_headers_complete(self) -> None:
        """Refuse what must not be read further, invite a body that waits to be."""
        self.is_in_head = False
        self.method = self._parser.get_method().decode("ascii")
        limit = self._limits.head_bytes
        if self._head_bytes > limit:
            raise RefusalError(431, f"the headers are longer than {limit} bytes")
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise RefusalError(505, f"HTTP/{version} is not spoken here, HTTP/1.0 and HTTP/1.1 are")
        if self._host is None:
            if version == "1.1":
                raise RefusalError(400, "an HTTP/1.1 request needs a Host header")
        elif not self._allows_host(self._host.decode("latin-1")):
            raise RefusalError(403, host_refused(self._host.decode("latin-1")))
        if self._origin or self._fetch_site:
            self._check_page()
        if self._is_chunked and version == "1.0":
            raise RefusalError(400, "HTTP/1.0 has no Transfer-Encoding")
        self._check_body_bytes(self._content_length)
        has_body = self._is_chunked or self._content_length > 0
        if has_body and self._parser.should_upgrade():
            # The parser takes what follows for the other protocol, and would obey it as requests.
            raise RefusalError(400, "a request with a body cannot ask for an upgrade here")
        if self._expect and version == "1.1":
            if self._expect != b"100-continue":
                raise RefusalError(417, "the only expectation met here is 100-continue")
            if has_body:
                self._receiver.body_awaited()

    def _check_page(self) -> None:
        host, origin, fetch_site = (
            value.decode("latin-1") for value in (self._host or b"", self._origin, self._fetch_site)
        )
        if is_of_foreign_page(host, origin, fetch_site):
            raise RefusalError(403, FOREIGN_PAGE)

    def on_body(self, part: bytes) -> None:
        """A piece of the body, which is dropped."""
        self._body_bytes += len(part)
        self._unaccounted_bytes = 0
        self._check_body_bytes(self._body_bytes)

    def _check_body_bytes(self, count: int) -> None:
        limit = self._limits.body_bytes
        if count > limit:
            raise RefusalError(413, f"the body is longer than {limit} bytes")

    def on_message_complete(self) -> None:
        """The request has been read to its end."""
        self._is_in_request = False
        self.began_ns = 0
        parser = self._parser
        self.target = self._url.decode("latin-1")
        self.is_last = not parser.should_keep_alive() or self.method == "CONNECT"
        self.wants_keep_alive_said = self._has_connection_header and not self.is_last
        self._receiver.request_read(self)
