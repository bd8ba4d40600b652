"""The ledger: what the server saw of every request, as columns in memory with one row each.

Standard library only.
"""

import base64
from array import array
from collections.abc import Iterator
from typing import IO, NamedTuple, Self

from server.packed_columns import HUGE, Columns, check_range, pack, read_packed
from server.service import PLAIN, Admission, Service, ServiceState

WAITING = 0
ANSWERED = 1
CLIENT_GONE = 2
MISBEHAVED = 3
REFUSED = 4

COLUMNS: tuple[tuple[str, str], ...] = (
    ("seq", "q"),
    ("connection", "I"),
    ("arrived_ns", "q"),
    ("begin_ns", "q"),
    ("due_ns", "q"),
    ("replied_ns", "q"),
    ("delay_us", "I"),
    ("status", "H"),
    ("outcome", "B"),
)
"""The name and `array` type code of each column, in the order in which they are packed.

- seq: which request of the run; -1 if the URL has no seq.
- connection: number of the connection, in the order of acceptance, from 1.
- arrived_ns: CLOCK_MONOTONIC when the request had been read and parsed to its end.
- begin_ns: CLOCK_MONOTONIC when the service had a place for it: `arrived_ns`, unless it waited.
- due_ns: CLOCK_MONOTONIC when the response was due.
- replied_ns: CLOCK_MONOTONIC just before the first byte of the response was written; for
  CLIENT_GONE, when the server noticed; 0 while WAITING.
- delay_us: the delay asked for, in microseconds.
- status: HTTP status of the response.
- outcome: WAITING, ANSWERED (the kernel took the whole response), CLIENT_GONE (the client
  closed the connection before that), MISBEHAVED (as the request asked; replied_ns is when that
  began), or REFUSED (the kernel took the whole refusal of the run's service; the status says which
  limit it was).
"""

LOAD_COLUMNS = ("at_ns", "cpu_ns", "waited_ns", "late_ns", "process")
"""Columns of the samples of the server's load, which are sent with a run.

- at_ns: CLOCK_MONOTONIC.
- cpu_ns: CPU time of the process so far, user and system.
- waited_ns: time so far in which the main thread could have run, but another thread ran on its
  CPU; -1 where the system does not report it.
- late_ns: how late the sample was taken; a request may have waited that long to be read.
- process: which of the server's processes it is of, counted from 0.
"""

MOST_ROWS = 4_000_000
"""The most requests that a server records by default."""

_LOAD = "load."
_FAULT = "fault."

FAULT_COLUMNS: tuple[tuple[str, str], ...] = (("row", "q"), ("ended_ns", "q"))
"""Columns of each MISBEHAVED request whose connection has closed: its row, counted from 0, and
CLOCK_MONOTONIC when either side closed it."""

_LAYOUT = dict(
    (
        *COLUMNS,
        *((f"{_LOAD}{name}", "q") for name in LOAD_COLUMNS),
        *((f"{_FAULT}{name}", typecode) for name, typecode in FAULT_COLUMNS),
    )
)
_MOST_SAMPLES = 1_000_000
MOST_PROCESSES = 64
"""The most processes that a server may have."""


class RunLedger:
    """The arrivals of one run, one row each, in the order in which they arrived."""

    __slots__ = (
        "arrived_ns",
        "begin_ns",
        "connection",
        "delay_us",
        "due_ns",
        "fault_ended_ns",
        "fault_row",
        "first_request_head",
        "outcome",
        "replied_ns",
        "reserved",
        "seq",
        "service",
        "status",
        "unrecorded",
    )

    def __init__(
        self, first_request_head: bytes, reserved: int = 0, service: ServiceState | None = None
    ) -> None:
        """Create an empty ledger; `reserved` rows are kept for this run alone.

        `service` is what the server does with the run's requests together; None serves each at
        once.
        """
        self.first_request_head = first_request_head
        self.reserved = reserved
        self.service = service
        self.unrecorded = 0
        self.seq = array("q")
        self.connection = array("I")
        self.arrived_ns = array("q")
        self.begin_ns = array("q")
        self.due_ns = array("q")
        self.replied_ns = array("q")
        self.delay_us = array("I")
        self.status = array("H")
        self.outcome = array("B")
        self.fault_row = array("q")
        self.fault_ended_ns = array("q")

    def __len__(self) -> int:
        return len(self.seq)

    def arrive(
        self,
        seq: int,
        connection: int,
        arrived_ns: int,
        delay_us: int,
        status: int,
        admission: Admission | None = None,
    ) -> int:
        """Append a WAITING row; return its number, which `close_row` takes.

        `admission` is what the service decided; None for a request that is served at once.
        """
        self.seq.append(seq)
        self.connection.append(connection)
        self.arrived_ns.append(arrived_ns)
        if admission is None:
            self.begin_ns.append(arrived_ns)
            self.due_ns.append(arrived_ns + delay_us * 1000)
        else:
            self.begin_ns.append(admission.begin_ns)
            self.due_ns.append(admission.due_ns)
        self.replied_ns.append(0)
        self.delay_us.append(delay_us)
        self.status.append(status)
        self.outcome.append(WAITING)
        return len(self.seq) - 1

    def close_row(self, row: int, outcome: int, replied_ns: int) -> int:
        """Record how a request ended; return the time since its arrival, in ns."""
        self.replied_ns[row] = replied_ns
        self.outcome[row] = outcome
        return replied_ns - self.arrived_ns[row]

    def end_fault(self, row: int, ended_ns: int) -> None:
        """Record when the connection of a MISBEHAVED request closed."""
        self.fault_row.append(row)
        self.fault_ended_ns.append(ended_ns)

    def pack(self, name: str, load: Columns) -> Iterator[bytes]:
        """Yield the run in packed form: columns with the header of `RunRecord`.

        Rows that arrive while the pieces are taken are left out; a row may still be closed. `load`
        holds samples of the server's load.
        """
        return _pack(
            name,
            self.unrecorded,
            self.first_request_head,
            {column: getattr(self, column) for column, _ in COLUMNS},
            load,
            {"row": self.fault_row, "ended_ns": self.fault_ended_ns},
        )


def _pack(
    name: str,
    unrecorded: int,
    first_request_head: bytes,
    columns: Columns,
    load: Columns,
    faults: Columns,
    processes: int = 1,
) -> Iterator[bytes]:
    header = {
        "name": name,
        "rows": len(columns["seq"]),
        "unrecorded": unrecorded,
        "first_request_head": base64.b64encode(first_request_head).decode("ascii"),
        "processes": processes,
    }
    samples = {f"{_LOAD}{column}": values for column, values in load.items()}
    ends = {f"{_FAULT}{column}": values for column, values in faults.items()}
    return pack(header, {**columns, **samples, **ends})


class _Announced(NamedTuple):
    reserved: int
    service: Service


class Ledger:
    """The ledgers of all runs, with a limit on rows and on names.

    Announced runs have their own rows and names: `max_rows` together, and `max_runs`. All other
    runs share as many again, so that strangers who use those up take nothing from an announced run.
    A request beyond a limit is counted as unrecorded: in its run (for the first `max_runs` names
    without a run), and always in `unrecorded`.

    An announced run has the service that it was announced with, and every other run one of its own
    like `default_service`.
    """

    def __init__(
        self,
        max_rows: int = MOST_ROWS,
        max_runs: int = 1_000,
        default_service: Service = PLAIN,
    ) -> None:
        self.runs: dict[str, RunLedger] = {}
        self.unrecorded = 0
        self.default_service = default_service
        self._max_runs = max_runs
        self._unreserved = max_rows
        self._shared = max_rows
        self._shared_names = max_runs
        self._announced: dict[str, _Announced] = {}
        self._without_run: dict[str, int] = {}

    @property
    def rows(self) -> int:
        """The number of rows in memory."""
        return sum(map(len, self.runs.values()))

    def announce(self, name: str, rows: int, service: Service = PLAIN) -> bool:
        """Reserve a name and up to `rows` rows for a run to come; False if that is not possible.

        A run that needs more rows shares those of the other runs.
        """
        if self.find(name) is not None or len(self._announced) >= self._max_runs:
            return False
        reserved = min(rows, self._unreserved)
        self._unreserved -= reserved
        self._announced[name] = _Announced(reserved, service)
        return True

    def begin(self, name: str, first_request_head: bytes) -> RunLedger | None:
        """Begin a run; None if there are too many already, and the request is not recorded."""
        announced = self._announced.get(name)
        if announced is None:
            if not self._shared_names:
                self.unrecorded += 1
                if name in self._without_run or len(self._without_run) < self._max_runs:
                    self._without_run[name] = self._without_run.get(name, 0) + 1
                return None
            self._shared_names -= 1
            announced = _Announced(0, self.default_service)
        run = RunLedger(first_request_head, announced.reserved, announced.service.begun())
        return self.runs.setdefault(name, run)

    def take_row(self, run: RunLedger) -> bool:
        """Take one row; if none is left, count one request of `run` as unrecorded."""
        if len(run.seq) >= run.reserved:
            if not self._shared:
                run.unrecorded += 1
                self.unrecorded += 1
                return False
            self._shared -= 1
        return True

    def find(self, name: str) -> RunLedger | None:
        """Return the run of a name; without rows if only its count is known, None if nothing is."""
        run = self.runs.get(name)
        if run is None and (name in self._announced or name in self._without_run):
            run = RunLedger(b"")
            run.unrecorded = self._without_run.get(name, 0)
        return run

    def delete(self, name: str) -> bool:
        """Delete a run and free its rows; False if there is none of that name."""
        if self.find(name) is None:
            return False
        run = self.runs.pop(name, None)
        announced = self._announced.pop(name, None)
        self._without_run.pop(name, None)
        self._unreserved += announced.reserved if announced is not None else 0
        if run is not None:
            self._shared += max(0, len(run) - run.reserved)
            self._shared_names += announced is None
        return True


class RunRecord(NamedTuple):
    """A run as it was received from the control port.

    `columns` maps the names of COLUMNS to arrays, `load` those of LOAD_COLUMNS, `faults` those of
    FAULT_COLUMNS.
    """

    name: str
    rows: int
    unrecorded: int
    first_request_head: bytes
    columns: "dict[str, array[int]]"
    load: "dict[str, array[int]]"
    faults: "dict[str, array[int]]"
    processes: int = 1
    """How many processes the server has: of S, (connection - 1) % S is the one of a connection."""

    @classmethod
    def empty(cls, name: str) -> Self:
        """Return a run without arrivals."""
        columns = {column: array(typecode) for column, typecode in COLUMNS}
        return cls(name, 0, 0, b"", columns, {}, {})

    def pack(self) -> Iterator[bytes]:
        """Yield the run in packed form again."""
        return _pack(
            self.name,
            self.unrecorded,
            self.first_request_head,
            self.columns,
            self.load,
            self.faults,
            self.processes,
        )

    @classmethod
    def read(cls, stream: IO[bytes], most_rows: int) -> Self:
        """Read what `RunLedger.pack` yielded, from a server that may be anyone's.

        Raises ValueError if it is truncated, too long, or cannot be the ledger of a run.
        """
        header, columns = read_packed(stream, _LAYOUT, max(most_rows, _MOST_SAMPLES))
        name, rows, unrecorded, head = (
            header.get(key) for key in ("name", "rows", "unrecorded", "first_request_head")
        )
        if not isinstance(name, str) or not isinstance(head, str):
            raise ValueError("a run without a name, or without its first request")
        if type(unrecorded) is not int or not 0 <= unrecorded < HUGE:
            raise ValueError("a run without a number of unrecorded requests")
        processes = header.get("processes")
        if type(processes) is not int or not 1 <= processes <= MOST_PROCESSES:
            raise ValueError("a run without a number of server processes")
        load = {column: columns.pop(f"{_LOAD}{column}") for column in LOAD_COLUMNS}
        faults = {column: columns.pop(f"{_FAULT}{column}") for column, _ in FAULT_COLUMNS}
        if type(rows) is not int or {len(column) for column in columns.values()} != {rows}:
            raise ValueError("the columns of a run differ in length")
        if len({len(column) for column in load.values()}) != 1:
            raise ValueError("the columns of the server's load differ in length")
        if len({len(column) for column in faults.values()}) != 1:
            raise ValueError("the columns of the faults differ in length")
        check_range("seq", columns["seq"], -1, HUGE - 1)
        check_range("outcome", columns["outcome"], WAITING, REFUSED)
        for column in ("arrived_ns", "begin_ns", "due_ns", "replied_ns"):
            check_range(column, columns[column], 0, HUGE - 1)
        for column in LOAD_COLUMNS:
            check_range(column, load[column], -1, HUGE - 1)
        check_range("process", load["process"], 0, processes - 1)
        check_range("row", faults["row"], 0, rows - 1)
        check_range("ended_ns", faults["ended_ns"], 0, HUGE - 1)
        first_head = base64.b64decode(head)
        return cls(name, rows, unrecorded, first_head, columns, load, faults, processes)
