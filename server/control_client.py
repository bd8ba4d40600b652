"""A client of a server's control port: health, statistics, ledgers, clock. Standard library only.

The server may be anyone's, so everything that is read has a time limit, a size limit and an exact
shape.
"""

import io
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException, HTTPResponse
from time import monotonic, monotonic_ns
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import quote, urlencode, urlsplit

from server.control_token import TokenError, authorization, token_of_environment
from server.ledger import MOST_PROCESSES, MOST_ROWS, RunRecord
from server.live_counts import LiveCounts as LiveCounts
from server.packed_columns import HUGE, parse_json
from server.service import PLAIN, Service

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_WITHIN_S = 30.0
_LEDGER_WITHIN_S = 120.0
"""Time limit for fetching a ledger, from the request to the last byte."""
_MOST_BYTES = 65_536
"""Size limit of a response that is not a ledger."""
_SHOWN_CHARACTERS = 200


class ControlError(RuntimeError):
    """The control port did not do what was asked; the text says what and why.

    `status` is the status of its response, and `said` the line in it; 0 and "" if there was none
    that could be read.
    """

    def __init__(self, reason: str, status: int = 0, said: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.said = said


class ClockEstimate(NamedTuple):
    """How a server's CLOCK_MONOTONIC differs from that of this machine."""

    at_ns: int
    """When it was measured, on this machine's clock."""
    offset_ns: int
    """To be added to this machine's clock to get the server's, if the path is symmetric."""
    bound_ns: int
    """The offset is wrong by at most this, whatever the path: half the round trip, without the time
    that the server took to answer."""


def health(control_url: str) -> dict[str, Any]:
    """Return the server's `nonce` (new at each start), `pid` and `version`. Raises ControlError."""
    with _answer(control_url, "GET", "/health", _WITHIN_S) as response:
        return _parsed(response, ("pid",), ("nonce",), ("version",))


def stats(control_url: str) -> dict[str, Any]:
    """Return the server's counters, which docs/server.md describes. Raises ControlError."""
    with _answer(control_url, "GET", "/stats", _WITHIN_S) as response:
        counters = _parsed(
            response,
            ("requests",),
            ("connections", "accepted"),
            ("connections", "turned_away"),
            ("connections", "most"),
        )
        processes = counters.get("processes")
        if not isinstance(processes, list) or not 1 <= len(processes) <= MOST_PROCESSES:
            raise ValueError("it has no processes")
        for process in processes:
            _require(process, ("pid",), ("requests",), ("accepted",))
            used = process.get("cpu_seconds")
            if not isinstance(used, int | float) or not 0 <= used < HUGE:
                raise ValueError("it has no cpu_seconds")
        return counters


class LiveClient:
    """Asks a server for its live counters, again and again on one connection.

    A connection that has ended is replaced. Only one thread may use it at a time.
    """

    def __init__(self, control_url: str, timeout_s: float = 1.0) -> None:
        """Create it, without connecting; each answer has to come within `timeout_s`."""
        self._control_url = control_url
        self._timeout_s = timeout_s
        self._connection: socket.socket | None = None

    def counts(self) -> LiveCounts:
        """Return what the server has done since its start. Raises ControlError."""
        asked = f"GET {self._control_url}/live"
        deadline_s = monotonic() + self._timeout_s
        host, port, netloc = _address(self._control_url)
        with _told_as(asked), ExitStack() as unless_kept:
            if self._connection is None or _has_input(self._connection):
                self.close()  # the server has closed it, or sends what nobody asked for
                self._connection = socket.create_connection((host, port), self._timeout_s)
            unless_kept.callback(self.close)
            self._connection.settimeout(self._timeout_s)
            head = _head("GET", "/live", netloc)
            with _Request(self._connection, asked, head, deadline_s).send() as response:
                counts = LiveCounts.parse(_parsed(response))
                is_kept = response.isclosed() and not response.will_close
            if is_kept:
                unless_kept.pop_all()
            return counts

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _has_input(connection: socket.socket) -> bool:
    """Return whether something has come, be it the end."""
    connection.setblocking(False)
    try:
        connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def clock_offset(control_url: str, tries: int) -> ClockEstimate:
    """Return the offset of the server's clock by the shortest round trip of `tries`.

    All are made on one connection. Raises ControlError.
    """
    found: list[ClockEstimate] = []
    before: tuple[int, int, int] | None = None
    with _request(control_url, "GET", "/clock", _WITHIN_S) as request:
        for _ in range(tries + 1):  # what is known of a response comes with the next one
            with request.send() as response:
                said = _parsed(response, ("received_ns",), ("sent_before_ns",))
            if before is not None:
                found.append(estimate(*before, said["sent_before_ns"]))
            before = (*request.sent_and_received_ns(), said["received_ns"])
    return min(found, key=lambda one: one.bound_ns)


def estimate(
    sent_ns: int, received_ns: int, server_received_ns: int, server_sent_ns: int
) -> ClockEstimate:
    """Return the offset by four instants of one round trip, as NTP does (RFC 5905, section 8).

    The first two are on this machine's clock, the other two on the server's. Raises ValueError if
    they cannot be.
    """
    on_the_way_ns = (received_ns - sent_ns) - (server_sent_ns - server_received_ns)
    if on_the_way_ns < 0:
        raise ValueError("it sends before it receives, or takes longer than the whole round trip")
    at_ns = (sent_ns + received_ns) // 2
    offset_ns = (server_received_ns + server_sent_ns) // 2 - at_ns
    return ClockEstimate(at_ns, offset_ns, -(-on_the_way_ns // 2))


def fetch_run(
    control_url: str, name: str, most_rows: int = MOST_ROWS, load_from_ns: int | None = None
) -> RunRecord:
    """Return the ledger of a run, of at most `most_rows` rows.

    It has samples of the server's load from the last one before `load_from_ns` on, or before the
    first arrival. Raises ControlError, also if the server knows no run of that name.
    """
    path = _run_path(name)
    if load_from_ns is not None:
        path += f"?load_from_ns={load_from_ns}"
    with _answer(control_url, "GET", path, _LEDGER_WITHIN_S) as response:
        return RunRecord.read(response, most_rows)


def announce_run(
    control_url: str, name: str, rows: int, service: Service = PLAIN, site: str = ""
) -> None:
    """Reserve rows for a run before its first request, and set its service. Raises ControlError.

    `site` is the text of the site that the run crawls, if any; its key must be the run's name.
    `delete_run` frees the rows and forgets the site, whether or not a request has arrived.
    """
    arguments = {"rows": rows, **service.flags(), **({"site": site} if site else {})}
    path = f"{_run_path(name)}?{urlencode(arguments)}"
    with _answer(control_url, "PUT", path, _WITHIN_S):
        pass


def delete_run(control_url: str, name: str) -> None:
    """Delete the ledger of a run. Raises ControlError, also if there is none of that name."""
    with _answer(control_url, "DELETE", _run_path(name), _WITHIN_S):
        pass


def _run_path(name: str) -> str:
    return f"/runs/{quote(name, safe='')}"


def _parsed(response: HTTPResponse, *needed: tuple[str, ...]) -> dict[str, Any]:
    """Return a JSON object that has the required keys. Raises ValueError."""
    body = response.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        raise ValueError(f"it is longer than {_MOST_BYTES} bytes")
    answer = parse_json(body)
    _require(answer, *needed)
    return cast("dict[str, Any]", answer)


def _require(answer: object, *needed: tuple[str, ...]) -> None:
    """Raise ValueError if an object lacks one of these texts, or numbers from 0 on."""
    for names in needed:
        value = answer
        for name in names:
            value = value.get(name) if isinstance(value, dict) else None
        is_number = type(value) is int and 0 <= value < HUGE
        if not is_number and (names[-1] not in ("nonce", "version") or type(value) is not str):
            raise ValueError(f"it has no {'.'.join(names)}")


class _Timed(io.RawIOBase):
    """A socket that receives until a deadline, however slowly the data comes."""

    def __init__(self, connection: socket.socket, deadline_s: float) -> None:
        self._connection = connection
        self._deadline_s = deadline_s
        self.received_ns = 0
        """When it last received something."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        left_s = self._deadline_s - monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left_s)
        count = self._connection.recv_into(buffer)
        self.received_ns = monotonic_ns()
        return count

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return a file object, as sockets do for http.client."""
        return io.BufferedReader(self)


class _Request:
    """A request on a connection of its own, which can be sent again until a deadline."""

    def __init__(
        self, connection: socket.socket, asked: str, head: bytes, deadline_s: float
    ) -> None:
        self._connection = connection
        self._asked = asked
        self._head = head
        self._deadline_s = deadline_s
        self._received: _Timed
        self._sent_ns = 0

    def send(self) -> HTTPResponse:
        """Send it; return a response that is no refusal. Raises ControlError for a refusal."""
        self._received = _Timed(self._connection, self._deadline_s)
        self._sent_ns = monotonic_ns()
        self._connection.sendall(self._head)
        method = self._asked.partition(" ")[0]
        response = HTTPResponse(cast("socket.socket", self._received), method=method)
        response.begin()
        if response.status >= 300:
            with response:
                said = _one_line(response.read(_MOST_BYTES).decode(errors="replace"))
            raise ControlError(f"{self._asked}: {response.status}, {said}", response.status, said)
        return response

    def sent_and_received_ns(self) -> tuple[int, int]:
        """Return when it was last sent, and when the last bytes of the response were received."""
        return self._sent_ns, self._received.received_ns


@contextmanager
def _answer(control_url: str, method: str, path: str, within_s: float) -> Iterator[HTTPResponse]:
    """Return a response that is not a refusal, to be read in this time. Raises ControlError."""
    with (
        _request(control_url, method, path, within_s, "Connection: close\r\n") as request,
        request.send() as response,
    ):
        yield response


@contextmanager
def _request(
    control_url: str, method: str, path: str, within_s: float, extra: str = ""
) -> Iterator[_Request]:
    """Return a request that can be sent in the block, where every error becomes ControlError.

    `extra` is whole header lines, each with CRLF at its end.
    """
    deadline_s = monotonic() + within_s
    host, port, netloc = _address(control_url)
    asked = f"{method} {control_url}{path}"
    with _told_as(asked), socket.create_connection((host, port), within_s) as connection:
        yield _Request(connection, asked, _head(method, path, netloc, extra), deadline_s)


def _head(method: str, path: str, netloc: str, extra: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: {netloc}\r\n{extra}"
    if token := token_of_environment():
        head += f"Authorization: {authorization(token)}\r\n"
    return f"{head}\r\n".encode("ascii")


@contextmanager
def _told_as(asked: str) -> Iterator[None]:
    """Turn each error in the block into a ControlError that says what was asked."""
    try:
        yield
    except (OSError, HTTPException, TokenError) as error:
        raise ControlError(f"{asked}: {_one_line(str(error))}") from error
    except ValueError as error:
        reason = f"cannot read the response: {_one_line(str(error))}"
        raise ControlError(f"{asked}: {reason}") from error


def _address(control_url: str) -> tuple[str, int, str]:
    """Return host, port, and both as they were written."""
    try:
        parts = urlsplit(control_url)
        host, port, netloc = parts.hostname, parts.port, parts.netloc.encode("ascii").decode()
    except ValueError:
        host, port, netloc = None, None, ""
    if not control_url.startswith("http://") or not host:
        raise ControlError(f"{control_url!r} is not a URL like http://127.0.0.1:8081")
    return host, port or 80, netloc


def _one_line(said: str) -> str:
    """Return another program's text in one short line, without control characters."""
    shown = said.strip()[:_SHOWN_CHARACTERS]
    return "".join(one if one.isprintable() else "?" for one in shown)
