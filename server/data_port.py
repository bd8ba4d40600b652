"""The data port: it delays each response by what the URL asks for, and keeps the ledger."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from time import monotonic_ns

from tornado.iostream import IOStream
from tornado.tcpserver import TCPServer

from server.announcement import greeting, url_of
from server.connection import Connection, Reply
from server.faults import EXTRA_LINES, STATUSES
from server.host_rule import HostRule, host_refused
from server.ledger import CLIENT_GONE, MISBEHAVED, REFUSED, Ledger, RunLedger
from server.log_histogram import MASKS
from server.request_plan import NO_SEQ, PATH, Plan, PlanError, parse_query
from server.request_reader import Limits
from server.responses import JSON_LINE, Bodies, Heads, error_body
from server.service import SERVED, TOO_MANY_REQUESTS, Admission
from server.site.site import Answer
from server.site.targets import ROBOTS_TARGET, SITE_PATH
from server.sites import UNKNOWN_SITE, Sites

BACKLOG = 4096
"""Length of the accept queue. With Tornado's default of 128, SYNs are dropped when a thousand
clients connect at once. A dropped SYN is sent again after a second and shows up as a latency of 1
s."""

_READING = ("GET", "HEAD")
_METHODS = (*_READING, "POST")
_TICK_S = 1.0
_SLICE = 200
"""Connections checked in one go, which takes about half a millisecond."""
_TURNS_NS = 1_000_000
"""Time for connections that have more to do than their share, before the loop continues."""


class DataPort(TCPServer):
    """Accepts connections and decides the reply to each request.

    `max_connections` limits the open connections: a further client is closed at once, because
    running out of file descriptors would make the accept loop spin. `least_wait_s` is the shortest
    time that the event loop can wait.
    """

    def __init__(
        self,
        ledger: Ledger,
        host_rule: HostRule,
        control_port: int,
        max_connections: int,
        limits: Limits | None = None,
        least_wait_s: float = 0.001,
        sites: Sites | None = None,
    ) -> None:
        super().__init__()
        self.ledger = ledger
        self.sites = sites or Sites()
        self.limits = limits or Limits()
        self.least_wait_s = least_wait_s
        self.heads = Heads()
        self.accepted = 0
        self.turned_away = 0
        self.in_flight = 0
        self.in_flight_peak = 0
        self.requests = 0
        self.unanswered = 0
        self.faults_played = 0
        self.times: defaultdict[int, int] = defaultdict(int)
        """A server.log_histogram of arrival to reply, or to when the client was gone, of the
        requests in runs."""
        # A Counter would take three times as long to count: it stores by a method in Python.
        self.answered_by_status: defaultdict[int, int] = defaultdict(int)
        self.connections: set[Connection] = set()
        self._service = ledger.default_service.begun()
        """The service of all requests without a run."""
        self.allows_host = host_rule.allows
        self._control_port = control_port
        self.max_connections = max_connections
        self._dots = Bodies()
        self._json = Bodies(b"1", b" ")
        """A number and white space, the JSON that can have any size from 1 byte on."""
        self._turns: deque[Connection] = deque()
        self._is_giving_turns = False

    def keep_ticking(self) -> None:
        """Refresh the Date header and check the connections' time limits every second."""
        self.heads.refresh_date()
        self._sweep_on(tuple(self.connections), 0)

    def _sweep_on(self, connections: Sequence[Connection], start: int) -> None:
        """Check a slice of the connections now and the next later: requests must not wait."""
        end = start + _SLICE
        _cut_overdue(connections[start:end], monotonic_ns())
        wait_s = _TICK_S / max(1, -(-len(connections) // _SLICE))
        loop = asyncio.get_running_loop()
        if end < len(connections):
            loop.call_later(wait_s, self._sweep_on, connections, end)
        else:
            loop.call_later(wait_s, self.keep_ticking)

    def sweep(self, now_ns: int) -> None:
        """Close all connections that have passed a time limit."""
        _cut_overdue(tuple(self.connections), now_ns)

    def await_turn(self, connection: Connection) -> None:
        """Give a connection that has more to do than its share a turn, after the others."""
        self._turns.append(connection)
        if not self._is_giving_turns:
            self._is_giving_turns = True
            asyncio.get_running_loop().call_soon(self._give_turns)

    def _give_turns(self) -> None:
        end_ns = monotonic_ns() + _TURNS_NS
        try:
            while self._turns:
                self._turns.popleft().take_turn()
                if monotonic_ns() > end_ns:
                    break
        finally:
            self._is_giving_turns = bool(self._turns)
            if self._turns:
                asyncio.get_running_loop().call_soon(self._give_turns)

    def handle_stream(self, stream: IOStream, address: object) -> None:
        """Take a connection that Tornado has accepted."""
        if len(self.connections) >= self.max_connections:
            self.turned_away += 1
            stream.close()
            return
        self.accepted += 1
        # Tornado wraps the socket in a plain IOStream; that one has not been started yet.
        connection = Connection(stream.socket, self.accepted, self)
        self.connections.add(connection)
        connection.begin()

    def forget(self, connection: Connection) -> None:
        """Forget a connection that has closed."""
        self.connections.discard(connection)

    def settle(self, reply: Reply, outcome: int, replied_ns: int) -> None:
        """Record that a request is no longer in flight, with its outcome in the ledger."""
        self.in_flight -= 1
        if outcome == CLIENT_GONE:
            self.unanswered += 1
        else:
            self.answered_by_status[reply.status] += 1
            if outcome == MISBEHAVED:
                self.faults_played += 1
        if reply.run is not None:
            time_ns = reply.run.close_row(reply.row, outcome, replied_ns)
            # This is bucket_of, without a call: it is done for each request.
            self.times[time_ns & MASKS[time_ns.bit_length()]] += 1

    def refuse(self, status: int, reason: str) -> Reply:
        """Return the reply to something that cannot or must not be read as a request."""
        self._count()
        return _error(0, status, reason)

    def reply_to(self, method: str, target: str, arrived_ns: int, connection: Connection) -> Reply:
        """Decide the reply to a request, and enter the request in the ledger."""
        self._count()
        path, _, query = target.partition("?")
        if not path.startswith("/"):
            path, refusal = self._path_of_absolute_form(path)
            if refusal is not None:
                return refusal._replace(due_ns=arrived_ns)
        if path == PATH:
            try:
                plan = parse_query(query)
            except PlanError as error:
                return _error(arrived_ns, 400, str(error))
            return self._serve(plan, method, arrived_ns, connection)
        if path.startswith(SITE_PATH) or path == ROBOTS_TARGET:
            site = self.sites.find(path)
            if site is None:
                return _error(arrived_ns, 404, UNKNOWN_SITE)
            answer = site.answer(connection.host_index, f"{path}?{query}" if query else path)
            # NO_RESOURCE is NO_SEQ, too.
            plan = Plan(site.key, answer.number, answer.delay_us, len(answer.body))
            return self._serve(plan, method, arrived_ns, connection, answer)
        if path == "/":
            if method not in _READING:
                return _method_not_allowed(arrived_ns, _READING)
            control_url = url_of(connection.local_host(), self._control_port)
            return Reply(arrived_ns, 200, greeting(control_url).encode("ascii"))
        return _error(
            arrived_ns,
            404,
            f"there is no such page: the paths of this server are /, {PATH} and {SITE_PATH}",
        )

    def _serve(
        self,
        plan: Plan,
        method: str,
        arrived_ns: int,
        connection: Connection,
        answer: Answer | None = None,
    ) -> Reply:
        """Do what a plan asks for, by the service of its run; `answer` is that of a site."""
        run = self._run_of(plan.name, connection)
        allowed = _METHODS if answer is None else _READING
        if method not in allowed:
            at_once = plan._replace(delay_us=0)
            run, row = self._record(run, at_once, 405, arrived_ns, connection)
            return _method_not_allowed(arrived_ns, allowed)._replace(run=run, row=row)
        service = self._service if run is None else run.service
        admission, fault, due_ns = None, plan.fault, arrived_ns + plan.delay_us * 1000
        if service is not None:
            admission = service.admit(arrived_ns, plan.delay_us)
            if admission.status != SERVED:
                run, row = self._record(
                    run, plan, admission.status, arrived_ns, connection, admission
                )
                return _refusal(admission)._replace(run=run, row=row)
            due_ns = admission.due_ns
            seq = plan.seq if plan.seq != NO_SEQ else self.requests
            fault = fault or service.service.fault_of(seq)
        if answer is not None and fault not in STATUSES:
            run, row = self._record(run, plan, answer.status, arrived_ns, connection, admission)
            return Reply(due_ns, answer.status, answer.body, answer.extra, run, row, fault)
        status = STATUSES.get(fault, 200) if fault else 200
        run, row = self._record(run, plan, status, arrived_ns, connection, admission)
        bodies, extra = self._dots, EXTRA_LINES.get(status, "")
        if method == "POST":
            bodies, extra = self._json, JSON_LINE + extra
        body = bodies.body(plan.size_bytes)
        return Reply(due_ns, status, body, extra, run, row, fault if status == 200 else "")

    def _run_of(self, name: str, connection: Connection) -> RunLedger | None:
        """Return the run of a request; None if it names none, or if there are too many."""
        if not name:
            return None
        run = self.ledger.runs.get(name)
        return run if run is not None else self.ledger.begin(name, connection.request_head())

    def _record(
        self,
        run: RunLedger | None,
        plan: Plan,
        status: int,
        arrived_ns: int,
        connection: Connection,
        admission: Admission | None = None,
    ) -> tuple[RunLedger | None, int]:
        """Enter a request in the ledger; return its run and row, or (None, -1) if it gets none."""
        if run is None or not self.ledger.take_row(run):
            return None, -1
        return run, run.arrive(
            plan.seq, connection.number, arrived_ns, plan.delay_us, status, admission
        )

    def _count(self) -> None:
        self.requests += 1
        self.in_flight += 1
        if self.in_flight > self.in_flight_peak:
            self.in_flight_peak = self.in_flight

    def _path_of_absolute_form(self, target: str) -> tuple[str, Reply | None]:
        """Return the path in `http://host/path`, or a refusal of any other target."""
        scheme, separator, rest = target.partition("://")
        host, slash, path = rest.partition("/")
        if not separator or scheme.lower() != "http" or not host:
            return "", _error(0, 400, "the request target is not a path")
        if not self.allows_host(host):
            return "", _error(0, 403, host_refused(host))
        return slash + path or "/", None


def _cut_overdue(connections: Sequence[Connection], now_ns: int) -> None:
    for connection in connections:
        connection.cut_if_overdue(now_ns)


def _error(due_ns: int, status: int, reason: str) -> Reply:
    return Reply(due_ns, status, error_body(reason))


def _method_not_allowed(due_ns: int, methods: Sequence[str]) -> Reply:
    allowed = ", ".join(methods)
    reply = _error(due_ns, 405, f"this method is not allowed here: use {allowed}")
    return reply._replace(extra=f"Allow: {allowed}\r\n")


def _refusal(admission: Admission) -> Reply:
    """Return what the service answers to a request beyond one of its limits."""
    is_rate = admission.status == TOO_MANY_REQUESTS
    limit = "the rate limit is exceeded" if is_rate else "the queue is full"
    after = f"Retry-After: {admission.retry_after_s}\r\n"
    reason = f"{limit}: try again after {admission.retry_after_s} s"
    return _error(admission.due_ns, admission.status, reason)._replace(extra=after, outcome=REFUSED)
