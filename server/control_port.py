"""The control port: health, statistics and ledgers, away from the measured traffic."""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import Iterator
from typing import Any, Protocol

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError

from server import __version__
from server.control_token import TOKEN_VARIABLE, is_authorized
from server.host_rule import FOREIGN_PAGE, HostRule, host_refused, is_of_foreign_page
from server.live_counts import LiveCounts
from server.request_plan import quoted
from server.request_reader import SECOND_NS
from server.service import Service, ServiceError
from server.site.spec import SiteError, SiteSpec

_TICK_S = 1.0
_STALL_NS = 30 * SECOND_NS
"""How long a client may take no byte of its response, as on the data port."""


class ControlledServer(Protocol):
    """What a control port reads and changes: one process, or several that are one server.

    All that cannot be done raises tornado.web.HTTPError.
    """

    def pids(self) -> list[int]:
        """Return the ids of the processes that answer the data port."""

    async def stats(self) -> dict[str, Any]:
        """Return the counters since the start, which docs/server.md describes."""

    async def live(self) -> LiveCounts:
        """Return the few counters that are asked for several times a second."""

    async def packed_run(self, name: str, load_from_ns: int | None) -> Iterator[bytes]:
        """Return the pieces of a run's ledger, as RunLedger.pack yields them.

        With samples of the load from the last one before `load_from_ns` on, or before the first
        arrival.
        """

    async def announce(self, name: str, rows: int, service: Service, site: SiteSpec | None) -> None:
        """Announce a run, its service and its site, and reserve rows for it."""

    async def delete(self, name: str) -> None:
        """Forget a run, and its site."""


class WatchedStream(IOStream):
    """A stream that knows when it last received or sent something."""

    def __init__(self, accepted: socket.socket) -> None:
        self.active_ns = time.monotonic_ns()
        self.read_ns = self.written_ns = 0
        """Just after something was last received, and just before something was last sent."""
        super().__init__(accepted)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read as IOStream does, and note the time."""
        count = super().read_from_fd(buf)
        if count:
            self.active_ns = self.read_ns = time.monotonic_ns()
        return count

    def write_to_fd(self, data: memoryview) -> int:
        """Write as IOStream does, and note the time."""
        begun_ns = time.monotonic_ns()
        count = super().write_to_fd(data)
        if count:
            self.active_ns, self.written_ns = time.monotonic_ns(), begun_ns
        return count


class ControlServer(HTTPServer):
    """A server with a bounded number of connections, so that the spare descriptors suffice.

    When it is full, a new client replaces the one that has been silent for longest. Clients that
    send no request, or do not read, therefore keep nobody out.
    """

    most_connections = 32

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Set up the server: Tornado calls this instead of __init__."""
        kwargs |= {"idle_connection_timeout": 30, "body_timeout": 10, "max_body_size": 65_536}
        super().initialize(*args, **kwargs)
        self.streams: list[WatchedStream] = []

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve a connection."""
        self.streams = [other for other in self.streams if not other.closed()]
        if len(self.streams) >= self.most_connections:
            silent = min(self.streams, key=lambda other: other.active_ns)
            self.streams.remove(silent)
            silent.close()
        # Tornado wraps the socket in a plain IOStream; that one has not been started yet.
        watched = WatchedStream(stream.socket)
        self.streams.append(watched)
        super().handle_stream(watched, address)

    def keep_ticking(self) -> None:
        """Look once a second for clients that do not read."""
        self.sweep(time.monotonic_ns())
        asyncio.get_running_loop().call_later(_TICK_S, self.keep_ticking)

    def sweep(self, now_ns: int) -> None:
        """Close clients that have taken no byte of their response for too long."""
        for stream in self.streams:
            if stream.writing() and now_ns > stream.active_ns + _STALL_NS:
                stream.close()


class _Handler(web.RequestHandler):
    """A request handler that reports every error as one line of plain text."""

    allowed = "GET"

    def initialize(self, server: ControlledServer, host_rule: HostRule, token: str) -> None:
        self.server = server
        self.host_rule = host_rule
        self.token = token

    def prepare(self) -> None:
        headers = self.request.headers
        host = headers.get("Host", "")
        if not self.host_rule.allows(host):
            raise web.HTTPError(403, reason=host_refused(host))
        page = headers.get("Origin", ""), headers.get("Sec-Fetch-Site", "")
        if is_of_foreign_page(host, *page):
            raise web.HTTPError(403, reason=FOREIGN_PAGE)
        if self.token and not is_authorized(headers.get("Authorization", ""), self.token):
            raise web.HTTPError(401, reason=f"this server requires its token: set {TOKEN_VARIABLE}")

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log a defect of the server, but not a client's mistake or departure."""
        if not isinstance(value, web.HTTPError | StreamClosedError):
            super().log_exception(kind, value, trace)

    def write_error(self, status_code: int, **kwargs: object) -> None:
        self.set_header("Content-Type", "text/plain")
        if status_code == 401:
            self.set_header("WWW-Authenticate", "Bearer")
        if status_code == 405:
            self.set_header("Allow", self.allowed)
        self.finish(f"{self._reason}\n")


class _Health(_Handler):
    nonce = secrets.token_hex(8)

    def get(self) -> None:
        """Say which process this is: the nonce is new at every start, a pid may come again."""
        answer = {"nonce": self.nonce, "pid": os.getpid(), "version": __version__}
        self.write({**answer, "pids": self.server.pids()})


class _WithoutETag(_Handler):
    def compute_etag(self) -> None:
        """Send no ETag, because this takes time and no two responses are alike."""


class _Clock(_WithoutETag):
    def get(self) -> None:
        """Say when the request was received and the response before it sent.

        For clients on machines with another clock: parsing and making a response, which take longer
        than the way on a fast network, are thus no part of what they take for the way.
        """
        connection = self.request.connection
        assert isinstance(connection, HTTP1Connection)
        assert isinstance(connection.stream, WatchedStream)
        stream = connection.stream
        self.write({"received_ns": stream.read_ns, "sent_before_ns": stream.written_ns})


class _Stats(_Handler):
    async def get(self) -> None:
        """Send the counters since the start."""
        self.write(await self.server.stats())


class _Live(_WithoutETag):
    async def get(self) -> None:
        """Send the few counters that are asked for several times a second."""
        self.write((await self.server.live()).as_json())


class _Run(_Handler):
    allowed = "GET, PUT, DELETE"

    async def get(self, name: str) -> None:
        """Send the ledger of a run, with samples of the load from `load_from_ns` on."""
        text = self.get_query_argument("load_from_ns", None)
        load_from_ns = self._number("load_from_ns", text, 18) if text is not None else None
        pieces = await self.server.packed_run(name, load_from_ns)
        self.set_header("Content-Type", "application/octet-stream")
        with contextlib.suppress(StreamClosedError):  # the client has left
            for piece in pieces:
                self.write(piece)
                await self.flush()

    async def put(self, name: str) -> None:
        """Announce a run, its service and its site, and reserve `rows` rows for it."""
        rows = self._number("rows", self.get_query_argument("rows", ""), 9)
        await self.server.announce(name, rows, self._service(), self._site(name))
        self.set_status(204)

    @staticmethod
    def _number(name: str, text: str, most_digits: int) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= most_digits):
            reason = f"{name} must be a whole number from 0 to {10**most_digits - 1}"
            raise web.HTTPError(400, reason=reason)
        return int(text)

    def _site(self, name: str) -> SiteSpec | None:
        """Return the site that the argument `site` describes; None without one."""
        text = self.get_query_argument("site", None)
        if text is None:
            return None
        try:
            spec = SiteSpec.parse(text)
        except SiteError as error:
            raise web.HTTPError(400, reason=str(error)) from None
        if name != spec.key:
            reason = f"the run of this site must have its key as its name: {spec.key}"
            raise web.HTTPError(400, reason=reason)
        return spec

    def _service(self) -> Service:
        """Return the service that the arguments other than `rows` and `site` describe."""
        flags = {}
        for flag in self.request.query_arguments:
            values = self.get_query_arguments(flag)
            if len(values) > 1:
                raise web.HTTPError(400, reason=f"{quoted(flag)} is given twice")
            flags[flag] = values[0]
        flags.pop("rows", None)
        flags.pop("site", None)
        try:
            return Service.parse(flags)
        except ServiceError as error:
            raise web.HTTPError(400, reason=str(error)) from None

    async def delete(self, name: str) -> None:
        """Forget a run, and its site."""
        await self.server.delete(name)
        self.set_status(204)


class _NotFound(_Handler):
    def prepare(self) -> None:
        super().prepare()
        raise web.HTTPError(
            404, reason="the paths here are /health, /clock, /live, /stats, /runs/NAME"
        )


def control_application(
    server: ControlledServer, host_rule: HostRule, token: str = ""
) -> web.Application:
    """Return the tornado.web application of the control port. A `token` of "" asks for none."""
    common = {"server": server, "host_rule": host_rule, "token": token}
    return web.Application(
        [
            (r"/health", _Health, common),
            (r"/clock", _Clock, common),
            (r"/live", _Live, common),
            (r"/stats", _Stats, common),
            (r"/runs/([^/]+)", _Run, common),
        ],
        default_handler_class=_NotFound,
        default_handler_args=common,
        log_function=lambda handler: None,
    )
