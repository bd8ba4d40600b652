"""One client connection: HTTP/1.x framing, answers in order, limits and timeouts.

A Tornado IOStream whose bytes are parsed as they are read. `read_from_fd` is the method that
IOStream gives subclasses to override: ours hands what it received to the parser and keeps nothing,
so that a request costs no Future, no task switch and no second `recv` that only finds the socket
empty. That doubles the requests a second of `await stream.read_bytes(partial=True)`. IOStream
still owns the socket's life: readiness, closing, and the buffered writing of what the kernel did
not take.
"""

import asyncio
import math
import socket
from collections import deque
from time import monotonic_ns
from typing import NamedTuple, Protocol

import httptools
from tornado.iostream import IOStream, StreamClosedError

from server.ledger import ANSWERED, CLIENT_GONE, RunLedger
from server.responses import CONTINUE, Heads

SECOND_NS = 1_000_000_000
READ_BYTES = 16_384
_HELD_BACK_BYTES = 4_096
_SMALL_BYTES = 65_536


class Limits(NamedTuple):
    """What a client may ask of a connection before it is cut."""

    head_bytes: int = 32_768
    body_bytes: int = 16 * 1024 * 1024
    pipelined: int = 64
    idle_ns: int = 75 * SECOND_NS
    """Without any request."""
    head_ns: int = 10 * SECOND_NS
    """From the first byte of a request to the end of its headers."""
    request_ns: int = 60 * SECOND_NS
    """From the first byte of a request to the end of its body."""
    stall_ns: int = 30 * SECOND_NS
    """Without reading a byte of an answer."""
    linger_ns: int = 2 * SECOND_NS
    """From a refusal to the close, for the client to read the refusal."""


class Reply(NamedTuple):
    """What to answer, and when: not before `due_ns` of CLOCK_MONOTONIC."""

    due_ns: int
    status: int
    body: bytes | memoryview
    extra: str = ""
    """Further header lines, each ended by CRLF."""
    run: RunLedger | None = None
    row: int = -1


class Service(Protocol):
    """What a connection needs of the port that accepted it."""

    limits: Limits
    heads: Heads

    def reply_to(
        self, method: str, target: str, arrived_ns: int, connection: "Connection"
    ) -> Reply:
        """Decide what a request read to its end gets; it is in flight from now on."""

    def refuse(self, status: int, reason: str) -> Reply:
        """Word a refusal; it is in flight from now on."""

    def allows_host(self, host: str) -> bool:
        """Whether requests with this Host header are let in."""

    def settle(self, reply: Reply, outcome: int, replied_ns: int) -> None:
        """A reply is in flight no longer: ANSWERED or CLIENT_GONE."""

    def forget(self, connection: "Connection") -> None:
        """A connection has closed."""


class _RefusalError(Exception):
    """A request whose framing cannot be trusted or borne: answered, then the connection closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class _Pending(NamedTuple):
    reply: Reply
    is_head: bool
    is_last: bool


class Connection(IOStream):
    """One accepted socket. `begin` starts it; it closes itself."""

    def __init__(self, accepted: socket.socket, number: int, service: Service) -> None:
        super().__init__(accepted, read_chunk_size=_HELD_BACK_BYTES)
        self.number = number
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._pending: deque[_Pending] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_discarding = False
        self._has_discarded = False
        self._is_parked = False
        # The answer that the kernel has not taken whole yet:
        self._unfinished: _Pending | None = None
        self._unfinished_since_ns = 0
        # The request being read:
        self._is_in_request = False
        self._is_in_head = False
        self._chunk = b""  # what is being parsed
        self._received = b""  # the chunks that hold the request's head
        self._target = b""
        self._host: bytes | None = None
        self._expect = b""
        self._has_connection_header = False
        self._is_chunked = False
        self._content_length = 0
        self._body_bytes = 0
        # Instants of CLOCK_MONOTONIC, 0 for none:
        self._active_ns = monotonic_ns()
        self._request_began_ns = 0
        self._write_deadline_ns = 0
        self._linger_until_ns = 0

    def begin(self) -> None:
        """Start reading."""
        self.set_nodelay(True)
        # With a close callback, IOStream listens for reads all the time.
        self.set_close_callback(self._on_close)

    @property
    def is_receiving(self) -> bool:
        """Whether a request has been read in part."""
        return self._request_began_ns > 0

    def cut_if_overdue(self, now_ns: int) -> None:
        """Close, or refuse with 408, where a limit of time has passed."""
        if self.closed():
            return
        limits = self._service.limits
        if self._unfinished is not None:
            if now_ns > self._write_deadline_ns:
                self.close()
        elif self._linger_until_ns:
            if now_ns > self._linger_until_ns:
                self.close()
        elif self._request_began_ns:
            limit_ns = limits.head_ns if self._is_in_head else limits.request_ns
            if now_ns > self._request_began_ns + limit_ns:
                part = "headers" if self._is_in_head else "body"
                self._refuse(408, f"the {part} took longer than {limit_ns / 1e9:g} s")
        elif not self._pending and now_ns > self._active_ns + limits.idle_ns:
            self.close()

    # Reading ---------------------------------------------------------------------------------

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Receive once and parse. Fills `buf` only to hold a client back."""
        if len(self._pending) >= self._service.limits.pipelined and not self._is_discarding:
            # IOStream stops reading while its own buffer holds something: back-pressure.
            count = super().read_from_fd(buf)
            self._is_parked = bool(count)
            return count
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            return 0
        self._feed(data)
        return None

    def _unpark(self) -> None:
        self._is_parked = False
        held_back = self.read_bytes(_HELD_BACK_BYTES, partial=True)
        assert isinstance(held_back, asyncio.Future)
        self._feed(held_back.result())

    def _feed(self, data: bytes) -> None:
        if self._is_discarding:
            self._has_discarded = True
            return
        self._chunk = data
        if self._is_in_head:
            self._received += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The client offered another protocol (h2c, websocket). Its request has been taken as
            # the HTTP/1.1 that it also is, and so is what follows.
            self._parser = httptools.HttpRequestParser(self)
            rest = data[upgrade.args[0] :]
            if rest:
                self._feed(rest)
            return
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _RefusalError):
                raise
            self._refuse(error.__context__.status, str(error.__context__))
            return
        except httptools.HttpParserError as error:
            self._refuse(400, f"not HTTP/1.x: {error}")
            return
        if not self._is_in_request:
            self._chunk = self._received = b""
            return
        limit = self._service.limits.head_bytes
        if self._is_in_head and len(self._received) > limit:
            self._refuse(431, f"the headers are longer than {limit} bytes")
        elif not self._request_began_ns:
            self._request_began_ns = monotonic_ns()

    # Callbacks of the parser -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_request = self._is_in_head = True
        self._received = self._chunk
        self._target = b""
        self._host = None
        self._expect = b""
        self._has_connection_header = False
        self._is_chunked = False
        self._content_length = 0
        self._body_bytes = 0

    def on_url(self, part: bytes) -> None:
        """The target, or a piece of it."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer, which says nothing about framing."""
        if not self._is_in_head:
            return
        name = name.lower()
        if name == b"host":
            if self._host is not None:
                raise _RefusalError(400, "two Host headers")
            self._host = value
        elif name == b"connection":
            self._has_connection_header = True
        elif name == b"content-length":
            if not value.isdigit():
                raise _RefusalError(400, "Content-Length is not a number")
            self._content_length = int(value)
        elif name == b"transfer-encoding":
            self._is_chunked = True
        elif name == b"expect":
            self._expect = value.lower()

    def on_headers_complete(self) -> None:
        """Refuse what must not be read further, invite a body that waits to be."""
        self._is_in_head = False
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _RefusalError(
                505, f"HTTP/{version} is not spoken here, HTTP/1.0 and HTTP/1.1 are"
            )
        if self._host is None:
            if version == "1.1":
                raise _RefusalError(400, "an HTTP/1.1 request needs a Host header")
        elif not self._service.allows_host(self._host.decode("latin-1")):
            raise _RefusalError(403, f"Host {ascii(self._host)[1:60]} is not loopback")
        if self._is_chunked and version == "1.0":
            raise _RefusalError(400, "HTTP/1.0 has no Transfer-Encoding")
        self._check_body_bytes(self._content_length)
        if self._expect and version == "1.1":
            if self._expect != b"100-continue":
                raise _RefusalError(417, "the only expectation met here is 100-continue")
            if self._is_chunked or self._content_length:
                self._enqueue(_Pending(Reply(0, 100, b""), is_head=False, is_last=False))

    def on_body(self, part: bytes) -> None:
        """A piece of the body, which is dropped."""
        self._body_bytes += len(part)
        self._check_body_bytes(self._body_bytes)

    def _check_body_bytes(self, count: int) -> None:
        limit = self._service.limits.body_bytes
        if count > limit:
            raise _RefusalError(413, f"the body is longer than {limit} bytes")

    def on_message_complete(self) -> None:
        """The request has been read to its end."""
        arrived_ns = monotonic_ns()
        self._is_in_request = False
        self._request_began_ns = 0
        parser = self._parser
        method = parser.get_method().decode("ascii")
        reply = self._service.reply_to(method, self._target.decode("latin-1"), arrived_ns, self)
        is_last = not parser.should_keep_alive() or method == "CONNECT"
        if is_last:
            self._is_discarding = True
            reply = reply._replace(extra=reply.extra + "Connection: close\r\n")
        elif self._has_connection_header:
            # HTTP/1.0 clients keep the connection only if they are told so.
            reply = reply._replace(extra=reply.extra + "Connection: keep-alive\r\n")
        self._enqueue(_Pending(reply, method == "HEAD", is_last))

    def request_head(self) -> bytes:
        """The request line and headers of the request just read, as they came."""
        request_line = b"%s %s " % (self._parser.get_method(), self._target)
        start = max(0, self._received.find(request_line))
        return self._received[start : self._received.find(b"\r\n\r\n", start) + 4]

    # Answering -------------------------------------------------------------------------------

    def _refuse(self, status: int, reason: str) -> None:
        self._is_discarding = self._has_discarded = True
        self._is_in_request = False
        self._request_began_ns = 0
        self._received = b""
        reply = self._service.refuse(status, reason)
        reply = reply._replace(extra="Connection: close\r\n")
        self._enqueue(_Pending(reply, is_head=False, is_last=True))

    def _enqueue(self, pending: _Pending) -> None:
        self._pending.append(pending)
        if len(self._pending) == 1 and self._unfinished is None:
            self._answer_what_is_due()

    def _answer_what_is_due(self) -> None:
        """Answer in order, up to the first request that is not due or not taken by the kernel."""
        self._timer = None
        while self._pending:
            if self.closed():
                return
            pending = self._pending[0]
            now_ns = monotonic_ns()
            early_ns = pending.reply.due_ns - now_ns
            if early_ns > 0:
                # Also when a timer woke too early: libuv's may, by up to a millisecond.
                self._timer = self._loop.call_later(
                    math.ceil(early_ns / 1e6) / 1e3, self._answer_what_is_due
                )
                return
            self._pending.popleft()
            if not self._write_answer(pending, now_ns):
                return
            self._finish(pending, now_ns)
        if self._is_parked and not self.closed():
            self._unpark()

    def _write_answer(self, pending: _Pending, now_ns: int) -> bool:
        """Write an answer; False if the kernel did not take it whole, or the client has gone."""
        reply = pending.reply
        if reply.status == 100:
            head = CONTINUE
        else:
            head = self._service.heads.head(reply.status, len(reply.body), reply.extra)
        body = b"" if pending.is_head else reply.body
        sent = 0
        if len(body) <= _SMALL_BYTES:
            head, body = head + body, b""
            try:
                sent = self.socket.send(head)
            except BlockingIOError:
                pass
            except OSError:
                self._unfinished = pending
                self.close()
                return False
            if sent == len(head):
                return True
        self._unfinished = pending
        self._unfinished_since_ns = now_ns
        self._write_deadline_ns = now_ns + self._service.limits.stall_ns
        try:
            written = self.write(memoryview(head)[sent:])
            if body:
                written = self.write(body)
        except StreamClosedError:
            return False
        written.add_done_callback(self._on_written)
        return False

    def write_to_fd(self, data: memoryview) -> int:
        """Called by IOStream for what the kernel did not take at once."""
        count = super().write_to_fd(data)
        if count:
            self._write_deadline_ns = monotonic_ns() + self._service.limits.stall_ns
        return count

    def _on_written(self, written: "asyncio.Future[None]") -> None:
        pending = self._unfinished
        if pending is None or self.closed():
            return
        self._unfinished = None
        self._finish(pending, self._unfinished_since_ns)
        self._answer_what_is_due()

    def _finish(self, pending: _Pending, replied_ns: int) -> None:
        self._active_ns = replied_ns
        if pending.reply.status != 100:
            self._service.settle(pending.reply, ANSWERED, replied_ns)
        if not pending.is_last:
            return
        if not self._has_discarded:
            self.close()
            return
        # Closing a socket with unread data resets the connection, and the client may lose the
        # answer: end our side only, and read on for a while.
        self._linger_until_ns = monotonic_ns() + self._service.limits.linger_ns
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def _on_close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._unfinished is not None:
            self._pending.appendleft(self._unfinished)
        now_ns = monotonic_ns()
        for pending in self._pending:
            if pending.reply.status != 100:
                self._service.settle(pending.reply, CLIENT_GONE, now_ns)
        self._pending.clear()
        del self._parser  # it holds our methods: a cycle that would wait for the collector
        self._service.forget(self)
