"""One client connection: it reads requests, answers each in order when it is due, and times out.

A Tornado IOStream whose bytes are parsed as they are read. `read_from_fd` is the method that
IOStream lets subclasses override. Ours hands the received bytes to the parser and keeps nothing, so
that a request costs no Future, no task switch and no second `recv` that only finds the socket
empty, as `await stream.read_bytes(partial=True)` would. IOStream still owns the socket's life:
readiness, closing, and the buffered writing of what the kernel did not take.
"""

import asyncio
import functools
import socket
import struct
from collections import deque
from collections.abc import Iterator
from time import monotonic_ns
from typing import NamedTuple, Protocol

from tornado.iostream import IOStream, StreamClosedError

from server.faults import RESET, Piece, script_of
from server.ledger import ANSWERED, CLIENT_GONE, MISBEHAVED, RunLedger
from server.request_reader import Limits, RefusalError, RequestReader
from server.responses import CONTINUE, Heads
from server.sites import host_index

READ_BYTES = 16_384
_CORK_BYTES = 1
_SMALL_BYTES = 65_536

# What one connection may do in one turn, before it goes to the back of the queue:
_READ_SHARE_BYTES = 1_024
"""Bytes of requests to parse in one turn. A longer request is parsed to its end, as it costs
little."""
_ANSWERS_SHARE = 4
_WRITE_SHARE_BYTES = 262_144


class Reply(NamedTuple):
    """The response to one request; it is sent at `due_ns` of CLOCK_MONOTONIC or later."""

    due_ns: int
    status: int
    body: bytes | memoryview
    extra: str = ""
    """Further header lines, each with CRLF at its end."""
    run: RunLedger | None = None
    row: int = -1
    fault: str = ""
    """The fault to play instead of a response; "" for none."""
    outcome: int = ANSWERED
    """What to record once the response is written: ANSWERED or REFUSED."""


class Service(Protocol):
    """What a connection needs from the port that accepted it."""

    limits: Limits
    heads: Heads
    least_wait_s: float

    def reply_to(
        self, method: str, target: str, arrived_ns: int, connection: "Connection"
    ) -> Reply:
        """Decide the reply to a request that has been read; it is in flight from now on."""

    def refuse(self, status: int, reason: str) -> Reply:
        """Return the reply that refuses a request; the request is in flight from now on."""

    def allows_host(self, host: str) -> bool:
        """Return whether requests with this Host header are accepted."""

    def settle(self, reply: Reply, outcome: int, replied_ns: int) -> None:
        """Record that a request is no longer in flight, with its outcome in the ledger."""

    def await_turn(self, connection: "Connection") -> None:
        """Call the connection's `take_turn` later: it has more to do than its share."""

    def forget(self, connection: "Connection") -> None:
        """Forget a connection that has closed."""


class _Pending(NamedTuple):
    reply: Reply
    is_head: bool
    is_last: bool


class Connection(IOStream):
    """One accepted socket. `begin` starts it; it closes itself."""

    def __init__(self, accepted: socket.socket, number: int, service: Service) -> None:
        super().__init__(accepted, read_chunk_size=_CORK_BYTES)
        self.number = number
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(self, service.limits, service.allows_host)
        self._pending: deque[_Pending] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._is_discarding = False
        self._has_discarded = False
        self._rest = b""  # received, but not yet parsed
        self._has_read = False  # whether a request was read since the share began
        self._awaits_turn = False
        self._played: Reply | None = None
        # The response that the kernel has not yet taken completely:
        self._unfinished: _Pending | None = None
        self._unfinished_since_ns = 0
        # Instants of CLOCK_MONOTONIC; 0 for none:
        self._active_ns = monotonic_ns()
        self._write_deadline_ns = 0
        self._has_written_share = False
        self._linger_until_ns = 0

    def begin(self) -> None:
        """Start reading."""
        self.set_nodelay(True)
        # With a close callback, IOStream listens for reads all the time.
        self.set_close_callback(self._on_close)

    def local_host(self) -> str:
        """Return the local address that the client connected to; "" once it is closed."""
        return str(self.socket.getsockname()[0]) if not self.closed() else ""

    @functools.cached_property
    def host_index(self) -> int:
        """Which host of a site the client connected to."""
        return host_index(self.local_host())

    @property
    def is_receiving(self) -> bool:
        """Whether part of a request has been read."""
        return self._reader.began_ns > 0

    def reading(self) -> bool:
        """Tell IOStream to watch for reads always, even while a response is being written."""
        return not self._rest

    def cut_if_overdue(self, now_ns: int) -> None:
        """Close the connection, or refuse with 408, if a time limit has passed."""
        if self.closed():
            return
        limits = self._service.limits
        # uvloop does not report a reset that came together with data, and no loop reports one
        # while nothing is read.
        if self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.close()
        elif self._unfinished is not None:
            if now_ns > self._write_deadline_ns:
                self.close()
        elif self._linger_until_ns:
            if now_ns > self._linger_until_ns:
                self.close()
        elif self._pending or self._rest:
            return  # the server has to act next, and may not even be reading
        elif self._reader.began_ns:
            is_in_head = self._reader.is_in_head
            limit_ns = limits.head_ns if is_in_head else limits.request_ns
            if now_ns > self._reader.began_ns + limit_ns:
                part = "headers" if is_in_head else "request"
                self._refuse(408, f"the {part} took longer than {limit_ns / 1e9:g} s")
        elif now_ns > self._active_ns + limits.idle_ns:
            self.close()

    # Reading ---------------------------------------------------------------------------------

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Receive once and parse, now or in a later turn. Fills `buf` only to make IOStream stop
        reading."""
        if self._rest:
            return None
        try:
            data = self.socket.recv(READ_BYTES)
        except BlockingIOError:
            return None
        if not data:
            return 0
        is_short = len(data) <= _READ_SHARE_BYTES
        if is_short and not self._pending:  # the usual case
            self._feed(data)
            return None
        is_held_back = len(self._pending) >= self._service.limits.pipelined
        if self._is_discarding or (is_short and not is_held_back):
            self._feed(data)
            return None
        # A body costs little and need not wait for a turn; what follows it must.
        is_body = self._reader.is_in_body and not is_held_back
        self._rest = self._parse_share(data) if is_body else data
        if not self._rest or self.closed():
            return None
        self._go_on()
        # IOStream stops reading while its buffer is not empty, so we give it one byte.
        return _CORK_BYTES

    def _go_on(self) -> None:
        """Wait for a turn to parse what has been received, unless too many requests are waiting."""
        if self._rest and len(self._pending) < self._service.limits.pipelined:
            self._await_turn()

    def _await_turn(self) -> None:
        if not self._awaits_turn:
            self._awaits_turn = True
            self._service.await_turn(self)

    def take_turn(self) -> None:
        """Answer or parse a share, and go to the back of the queue if there is more to do."""
        self._awaits_turn = False
        if self.closed():
            return
        if self._pending and self._timer is None and self._unfinished is None:
            self._answer_what_is_due()
            return
        rest, self._rest = self._rest, b""
        self._rest = self._parse_share(rest)
        if self.closed():
            return
        if not self._rest:
            self.read_bytes(_CORK_BYTES)  # makes IOStream read again
        self._go_on()

    def _parse_share(self, data: bytes) -> bytes:
        """Parse to the end of the share in which a request ends; return the rest."""
        self._has_read = False
        for start in range(0, len(data), _READ_SHARE_BYTES):
            if self._has_read and not self._is_discarding:
                return data[start:]
            self._feed(data[start : start + _READ_SHARE_BYTES])
        return b""

    def _feed(self, data: bytes) -> None:
        if self._is_discarding:
            self._has_discarded = True
            return
        try:
            self._reader.feed(data)
        except RefusalError as refusal:
            self._refuse(refusal.status, str(refusal))

    def body_awaited(self) -> None:
        """Send 100 Continue when its turn comes."""
        self._enqueue(_Pending(Reply(0, 100, b""), is_head=False, is_last=False))

    def request_read(self, reader: RequestReader) -> None:
        """Decide and queue the reply to a request that has been read to its end."""
        if self._is_discarding:
            return  # it followed a request that ends the connection, in the same chunk
        self._has_read = True
        reply = self._service.reply_to(reader.method, reader.target, monotonic_ns(), self)
        if reader.is_last:
            self._is_discarding = True
            reply = reply._replace(extra=reply.extra + "Connection: close\r\n")
        elif reader.wants_keep_alive_said:
            reply = reply._replace(extra=reply.extra + "Connection: keep-alive\r\n")
        self._enqueue(_Pending(reply, reader.method == "HEAD", reader.is_last))

    def request_head(self) -> bytes:
        """Return the request line and headers of the last request, as they came."""
        return self._reader.request_head()

    # Answering -------------------------------------------------------------------------------

    def _refuse(self, status: int, reason: str) -> None:
        self._is_discarding = self._has_discarded = True
        self._reader.began_ns = 0
        reply = self._service.refuse(status, reason)
        reply = reply._replace(extra="Connection: close\r\n")
        self._enqueue(_Pending(reply, self._reader.method == "HEAD", is_last=True))

    def _enqueue(self, pending: _Pending) -> None:
        self._pending.append(pending)
        if len(self._pending) == 1 and self._unfinished is None:
            self._answer_what_is_due()

    def _answer_what_is_due(self) -> None:
        """Answer in order, up to the first request that is not due or cannot be sent at once."""
        self._timer = None
        left = _ANSWERS_SHARE
        while self._pending:
            if self.closed():
                return
            pending = self._pending[0]
            now_ns = monotonic_ns()
            early_ns = pending.reply.due_ns - now_ns
            if early_ns > 0:
                # This also covers timers that fire early: libuv's may, by up to a millisecond. A
                # wait that is shorter than the loop can wait would turn into a busy loop.
                wait_s = max(early_ns / 1e9, self._service.least_wait_s)
                self._timer = self._loop.call_later(wait_s, self._answer_what_is_due)
                return
            if not left:
                self._await_turn()
                return
            left -= 1
            self._pending.popleft()
            if pending.reply.fault:
                self._misbehave(pending.reply, now_ns)
                return
            if not self._write_answer(pending, now_ns):
                return
            self._finish(pending, now_ns)
        if self._reader.began_ns:
            self._reader.began_ns = (
                monotonic_ns()
            )  # the client's time limit starts when ours is over
        if self._rest:
            self._go_on()

    def _misbehave(self, reply: Reply, now_ns: int) -> None:
        """Play the fault that the request asks for; the connection ends with it."""
        self._service.settle(reply, MISBEHAVED, now_ns)
        self._played = reply
        self._is_discarding = True
        self._reader.began_ns = 0
        self._active_ns = now_ns
        self._play(*script_of(reply.fault))

    def _play(self, pieces: Iterator[Piece], end: str) -> None:
        piece = next(pieces, None)
        if piece is not None:
            play = functools.partial(self._play_piece, piece.data, pieces, end)
            self._timer = self._loop.call_later(piece.wait_s, play)
            return
        if end == RESET:
            # Closing with a linger time of 0 sends a reset.
            linger = struct.pack("ii", 1, 0)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.close()

    def _play_piece(self, data: bytes, pieces: Iterator[Piece], end: str) -> None:
        if self.closed():
            return
        try:
            if data:
                self.socket.send(data)
        except BlockingIOError:
            pass  # a client that reads nothing misses this piece
        except OSError:
            self.close()
            return
        self._play(pieces, end)

    def _write_answer(self, pending: _Pending, now_ns: int) -> bool:
        """Write a response; False if the kernel did not take all of it, or the client has gone."""
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
        """Write what the kernel did not take at first; called by IOStream."""
        if self._has_written_share:
            self._has_written_share = False
            return 0  # IOStream would go on now; with 0 it tries again in our next turn
        count = super().write_to_fd(data[:_WRITE_SHARE_BYTES])
        self._has_written_share = count < len(data)
        if count:
            self._write_deadline_ns = monotonic_ns() + self._service.limits.stall_ns
        return count

    def _on_written(self, written: "asyncio.Future[None]") -> None:
        pending = self._unfinished
        if pending is None or self.closed():
            return
        self._unfinished = None
        self._finish(pending, self._unfinished_since_ns)
        self._active_ns = monotonic_ns()
        self._answer_what_is_due()

    def _finish(self, pending: _Pending, replied_ns: int) -> None:
        self._active_ns = replied_ns
        if pending.reply.status != 100:
            self._service.settle(pending.reply, pending.reply.outcome, replied_ns)
        if not pending.is_last:
            return
        if not self._has_discarded and not self._has_unread():
            self.close()
            return
        # Closing a socket with unread data resets the connection, and the client may lose the
        # response. So we end our side only, and keep reading for a while.
        self._linger_until_ns = monotonic_ns() + self._service.limits.linger_ns
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()

    def _has_unread(self) -> bool:
        try:
            return bool(self.socket.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

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
        if self._played is not None and self._played.run is not None:
            self._played.run.end_fault(self._played.row, now_ns)
        self._reader.close()
        self._service.forget(self)
