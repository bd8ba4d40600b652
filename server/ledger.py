"""What the server saw of every request: columns in memory, a row for each.

Standard library only.
"""

import base64
import io
from array import array
from collections.abc import Iterator
from typing import NamedTuple, Self

from server.packed_columns import Columns, pack, read_packed

WAITING = 0
ANSWERED = 1
CLIENT_GONE = 2
MISBEHAVED = 3

COLUMNS: tuple[tuple[str, str], ...] = (
    ("seq", "q"),
    ("connection", "I"),
    ("arrived_ns", "q"),
    ("replied_ns", "q"),
    ("delay_us", "I"),
    ("status", "H"),
    ("outcome", "B"),
)
"""Name and `array` type code of each column, in the order in which they are packed.

- seq: which request of the run, -1 if the URL did not say.
- connection: number of the connection, in the order of acceptance, from 1.
- arrived_ns: CLOCK_MONOTONIC when the request had been read and parsed to its end.
- replied_ns: CLOCK_MONOTONIC just before the first byte of the answer was written; for
  CLIENT_GONE, when the server noticed; 0 while WAITING.
- delay_us: the delay asked for, in microseconds.
- status: of the answer.
- outcome: WAITING, ANSWERED (the whole answer was handed to the kernel), CLIENT_GONE (the client
  closed the connection before that), or MISBEHAVED (as the request asked; replied_ns is when that
  began).
"""


_LOAD = "load."
_FAULT = "fault."

FAULT_COLUMNS: tuple[tuple[str, str], ...] = (("row", "q"), ("ended_ns", "q"))
"""Of each MISBEHAVED request whose connection has closed: its row, counted from 0, and
CLOCK_MONOTONIC when it closed, by either side."""


class RunLedger:
    """The arrivals of one run, a row each, in the order in which they arrived."""

    __slots__ = (
        "arrived_ns",
        "connection",
        "delay_us",
        "fault_ended_ns",
        "fault_row",
        "first_request_head",
        "outcome",
        "replied_ns",
        "seq",
        "status",
        "unrecorded",
    )

    def __init__(self, first_request_head: bytes) -> None:
        self.first_request_head = first_request_head
        self.unrecorded = 0
        self.seq = array("q")
        self.connection = array("I")
        self.arrived_ns = array("q")
        self.replied_ns = array("q")
        self.delay_us = array("I")
        self.status = array("H")
        self.outcome = array("B")
        self.fault_row = array("q")
        self.fault_ended_ns = array("q")

    def __len__(self) -> int:
        return len(self.seq)

    def arrive(self, seq: int, connection: int, arrived_ns: int, delay_us: int, status: int) -> int:
        """Append a WAITING row; its number is what `close_row` wants."""
        self.seq.append(seq)
        self.connection.append(connection)
        self.arrived_ns.append(arrived_ns)
        self.replied_ns.append(0)
        self.delay_us.append(delay_us)
        self.status.append(status)
        self.outcome.append(WAITING)
        return len(self.seq) - 1

    def close_row(self, row: int, outcome: int, replied_ns: int) -> None:
        """Say how a row ended."""
        self.replied_ns[row] = replied_ns
        self.outcome[row] = outcome

    def end_fault(self, row: int, ended_ns: int) -> None:
        """Say when the connection of a MISBEHAVED row closed."""
        self.fault_row.append(row)
        self.fault_ended_ns.append(ended_ns)

    def pack(self, name: str, load: Columns) -> Iterator[bytes]:
        """The run in its travelling form: packed columns with the header of `RunRecord`.

        Rows that arrive while the pieces are taken are left out; a row may still be closed.
        `load` are samples of the server's load.
        """
        header = {
            "name": name,
            "rows": len(self),
            "unrecorded": self.unrecorded,
            "first_request_head": base64.b64encode(self.first_request_head).decode("ascii"),
        }
        columns = {column: getattr(self, column) for column, _ in COLUMNS}
        samples = {f"{_LOAD}{column}": values for column, values in load.items()}
        faults = {f"{_FAULT}row": self.fault_row, f"{_FAULT}ended_ns": self.fault_ended_ns}
        return pack(header, {**columns, **samples, **faults})


class Ledger:
    """All runs, bounded in rows and in names.

    A request beyond a bound is counted as unrecorded: in its run where the run is known, and
    in `unrecorded` always.
    """

    def __init__(self, max_rows: int = 4_000_000, max_runs: int = 1_000) -> None:
        self.runs: dict[str, RunLedger] = {}
        self.rows = 0
        self.unrecorded = 0
        self._max_rows = max_rows
        self._max_runs = max_runs

    def begin(self, name: str, first_request_head: bytes) -> RunLedger | None:
        """Begin a run; None if there are too many already, and the request goes unrecorded."""
        if len(self.runs) >= self._max_runs:
            self.unrecorded += 1
            return None
        return self.runs.setdefault(name, RunLedger(first_request_head))

    def take_row(self, run: RunLedger) -> bool:
        """Take a row of the bound; if none is left, count one request of `run` as unrecorded."""
        if self.rows >= self._max_rows:
            run.unrecorded += 1
            self.unrecorded += 1
            return False
        self.rows += 1
        return True

    def delete(self, name: str) -> bool:
        """Forget a run and free its rows; False if there is none of that name."""
        run = self.runs.pop(name, None)
        if run is None:
            return False
        self.rows -= len(run)
        return True


class RunRecord(NamedTuple):
    """A run as it came over the control port.

    `columns` maps COLUMNS' names to arrays, `load` those of server.loop_lag.LOAD_COLUMNS, `faults`
    those of FAULT_COLUMNS.
    """

    name: str
    rows: int
    unrecorded: int
    first_request_head: bytes
    columns: "dict[str, array[int]]"
    load: "dict[str, array[int]]"
    faults: "dict[str, array[int]]"

    @classmethod
    def empty(cls, name: str) -> Self:
        """A run of which nothing has arrived."""
        columns = {column: array(typecode) for column, typecode in COLUMNS}
        return cls(name, 0, 0, b"", columns, {}, {})


def unpack(packed: bytes) -> RunRecord:
    """The run in what `RunLedger.pack` yielded. Raises ValueError if it is cut short."""
    header, columns = read_packed(io.BytesIO(packed))
    head = base64.b64decode(header["first_request_head"])
    load, faults = (
        {
            name.removeprefix(prefix): columns.pop(name)
            for name in list(columns)
            if name.startswith(prefix)
        }
        for prefix in (_LOAD, _FAULT)
    )
    rows, unrecorded = header["rows"], header["unrecorded"]
    return RunRecord(header["name"], rows, unrecorded, head, columns, load, faults)
