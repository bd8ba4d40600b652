"""The control port: health, statistics and ledgers, away from the measured traffic."""

import asyncio
import contextlib
import os
import secrets
import socket
import sys
import time
from typing import Any

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamClosedError

from server import __version__
from server.control_token import TOKEN_VARIABLE, is_authorized
from server.data_port import DataPort
from server.host_rule import FOREIGN_PAGE, HostRule, host_refused, is_of_foreign_page
from server.loop_lag import LoopLag
from server.process_usage import peak_memory_bytes
from server.request_plan import quoted
from server.request_reader import SECOND_NS
from server.service import Service, ServiceError
from server.site.spec import SiteError, SiteSpec

_MAX_CONNECTIONS = 32
_TICK_S = 1.0
_STALL_NS = 30 * SECOND_NS
"""How long a client may take no byte of its response, as on the data port."""


class WatchedStream(IOStream):
    """A stream that knows when it last received or sent something."""

    def __init__(self, accepted: socket.socket) -> None:
        self.active_ns = time.monotonic_ns()
        super().__init__(accepted)

    def read_from_fd(self, buf: bytearray | memoryview) -> int | None:
        """Read as IOStream does, and note the time."""
        count = super().read_from_fd(buf)
        if count:
            self.active_ns = time.monotonic_ns()
        return count

    def write_to_fd(self, data: memoryview) -> int:
        """Write as IOStream does, and note the time."""
        count = super().write_to_fd(data)
        if count:
            self.active_ns = time.monotonic_ns()
        return count


class ControlServer(HTTPServer):
    """A server with a bounded number of connections, so that the spare descriptors suffice.

    When it is full, a new client replaces the one that has been silent for longest. Clients that
    send no request, or do not read, therefore keep nobody out.
    """

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Set up the server: Tornado calls this instead of __init__."""
        kwargs |= {"idle_connection_timeout": 30, "body_timeout": 10, "max_body_size": 65_536}
        super().initialize(*args, **kwargs)
        self.streams: list[WatchedStream] = []

    def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve a connection."""
        self.streams = [other for other in self.streams if not other.closed()]
        if len(self.streams) >= _MAX_CONNECTIONS:
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

    def initialize(
        self, data_port: DataPort, host_rule: HostRule, lag: LoopLag, token: str
    ) -> None:
        self.data_port = data_port
        self.host_rule = host_rule
        self.lag = lag
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
        self.write({"nonce": self.nonce, "pid": os.getpid(), "version": __version__})


class _Stats(_Handler):
    def get(self) -> None:
        """Send the counters since the start, which docs/server.md describes."""
        port, lag = self.data_port, self.lag
        self.write(
            {
                "monotonic_ns": time.monotonic_ns(),
                "cpu_seconds": time.process_time(),
                "peak_memory_bytes": peak_memory_bytes(),
                "allocated_blocks": sys.getallocatedblocks(),
                "loop_lag": {
                    "samples": lag.samples,
                    "mean_ms": lag.sum_ns / max(1, lag.samples) / 1e6,
                    "max_ms": lag.max_ns / 1e6,
                },
                "connections": {
                    "accepted": port.accepted,
                    "open": len(port.connections),
                    "turned_away": port.turned_away,
                    "most": port.max_connections,
                },
                "requests": port.requests,
                "answered_by_status": dict(port.answered_by_status),
                "client_gone": port.unanswered,
                "in_flight": port.in_flight,
                "in_flight_peak": port.in_flight_peak,
                "ledger": {
                    "runs": len(port.ledger.runs),
                    "rows": port.ledger.rows,
                    "unrecorded": port.ledger.unrecorded,
                },
            }
        )


class _Run(_Handler):
    allowed = "GET, PUT, DELETE"

    async def get(self, name: str) -> None:
        """Send the ledger of a run, as RunLedger.pack writes it."""
        run = self.data_port.ledger.find(name)
        if run is None:
            raise web.HTTPError(404, reason="no run of that name")
        self.set_header("Content-Type", "application/octet-stream")
        with contextlib.suppress(StreamClosedError):  # the client has left
            first_ns = run.arrived_ns[0] if len(run) else 0
            for piece in run.pack(name, self.lag.since(first_ns)):
                self.write(piece)
                await self.flush()

    def put(self, name: str) -> None:
        """Announce a run, its service and its site, and reserve `rows` rows for it."""
        rows = self.get_query_argument("rows", "")
        if not (rows.isascii() and rows.isdigit() and len(rows) <= 9):
            raise web.HTTPError(400, reason="rows must be a whole number from 0 to 999999999")
        service, site = self._service(), self._site(name)
        ledger = self.data_port.ledger
        if ledger.find(name) is not None:
            raise web.HTTPError(409, reason="a run of that name already exists")
        if not ledger.announce(name, int(rows), service):
            raise web.HTTPError(409, reason="too many runs are announced: DELETE some of them")
        if site is not None:
            self.data_port.sites.add(site)
        self.set_status(204)

    def _site(self, name: str) -> SiteSpec | None:
        """Return the site that the argument `site` describes; None without one."""
        text = self.get_query_argument("site", None)
        if text is None:
            return None
        try:
            spec = SiteSpec.parse(text)
            self.data_port.sites.check(spec)
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

    def delete(self, name: str) -> None:
        """Forget a run, and its site."""
        if not self.data_port.ledger.delete(name):
            raise web.HTTPError(404, reason="no run of that name")
        self.data_port.sites.forget(name)
        self.set_status(204)


class _NotFound(_Handler):
    def prepare(self) -> None:
        super().prepare()
        raise web.HTTPError(404, reason="the paths here are /health, /stats, /runs/NAME")


def control_application(
    data_port: DataPort, host_rule: HostRule, lag: LoopLag, token: str = ""
) -> web.Application:
    """Return the tornado.web application of the control port. A `token` of "" asks for none."""
    common = {"data_port": data_port, "host_rule": host_rule, "lag": lag, "token": token}
    return web.Application(
        [
            (r"/health", _Health, common),
            (r"/stats", _Stats, common),
            (r"/runs/([^/]+)", _Run, common),
        ],
        default_handler_class=_NotFound,
        default_handler_args=common,
        log_function=lambda handler: None,
    )
