"""Merges what several server processes recorded into what one process would have recorded.

Pure, and standard library only.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any

from server.ledger import COLUMNS, RunRecord

_MOST_CONNECTIONS = 2**32
_SUMS = ("requests", "client_gone", "in_flight", "in_flight_peak")


def merge_runs(records: Sequence[RunRecord | None], load_from_ns: int | None = None) -> RunRecord:
    """Return the run that the processes have recorded together, in the order of arrival.

    There is a record for each process, or None where no request has reached it; one at least is
    there. Of the load, there is what `RunLedger.pack` would send: the samples from the last one
    before the first arrival on, or before `load_from_ns`; those of a process are together.
    """
    present = [(process, record) for process, record in enumerate(records) if record is not None]
    arrived_ns = _concatenated("arrived_ns", "q", present, len(records)).tolist()
    # Each ledger is sorted but for few rows, and so timsort only merges them.
    order = sorted(range(len(arrived_ns)), key=arrived_ns.__getitem__)
    # All in C. For fewer than two rows itemgetter returns no tuple, and there is nothing to order.
    in_order = itemgetter(*order) if len(order) > 1 else tuple
    columns = {
        name: array(code, in_order(_concatenated(name, code, present, len(records))))
        for name, code in COLUMNS
    }
    if load_from_ns is None:
        load_from_ns = columns["arrived_ns"][0] if order else 0
    return RunRecord(
        name=present[0][1].name,
        rows=len(order),
        unrecorded=sum(record.unrecorded for _, record in present),
        first_request_head=_first_head([record for _, record in present]),
        columns=columns,
        load=_merge_load(present, load_from_ns),
        faults=_merge_faults([record for _, record in present], order),
        processes=len(records),
    )


def _concatenated(
    name: str, typecode: str, present: Sequence[tuple[int, RunRecord]], processes: int
) -> "array[int]":
    """Return one column of all records, one record after another."""
    values = array(typecode)
    for process, record in present:
        column = record.columns[name]
        if name == "connection":
            # Number n becomes (n - 1) * processes + process + 1, which the others do not have.
            numbers = range(process + 1 - processes, _MOST_CONNECTIONS, processes)
            values.extend(map(numbers.__getitem__, column))
        else:
            values += column
    return values


def _first_head(records: Sequence[RunRecord]) -> bytes:
    """Return the head of the first request to arrive; of any, if none has a row."""
    with_rows = [record for record in records if record.rows]
    if with_rows:
        first = min(with_rows, key=lambda record: record.columns["arrived_ns"][0])
        return first.first_request_head
    return next((one.first_request_head for one in records if one.first_request_head), b"")


def _merge_load(present: Sequence[tuple[int, RunRecord]], from_ns: int) -> "dict[str, array[int]]":
    merged: dict[str, array[int]] = {}
    for process, record in present:
        start = max(0, bisect_right(record.load["at_ns"], from_ns) - 1)
        for name, column in record.load.items():
            part = column[start:]
            if name == "process":
                part = array("q", [process]) * len(part)
            merged.setdefault(name, array("q")).extend(part)
    return merged


def _merge_faults(records: Sequence[RunRecord], order: Sequence[int]) -> "dict[str, array[int]]":
    """Return the ends of faults with the rows of the merged run, in the order of the ends."""
    ends: list[tuple[int, int]] = []
    start = 0
    for record in records:
        rows = (start + row for row in record.faults["row"])
        ends += zip(record.faults["ended_ns"], rows, strict=True)
        start += record.rows
    ends.sort()
    new_rows = array("q", bytes(8 * len(order))) if ends else array("q")
    for new, old in enumerate(order if ends else ()):
        new_rows[old] = new
    return {
        "row": array("q", [new_rows[row] for _, row in ends]),
        "ended_ns": array("q", [ended_ns for ended_ns, _ in ends]),
    }


def merge_stats(
    members: Sequence[Mapping[str, Any]], parent: Mapping[str, Any], now_ns: int
) -> dict[str, Any]:
    """Return the counters of the processes together, as docs/server.md describes them.

    `parent` has the CPU time and the memory of the process that holds none of the traffic.
    """

    def total(*names: str) -> Any:
        return sum(_inside(one, names) for one in members)

    by_status: Counter[str] = Counter()
    for one in members:
        by_status.update(one["answered_by_status"])
    samples = total("loop_lag", "samples")
    lag_ms = sum(one["loop_lag"]["samples"] * one["loop_lag"]["mean_ms"] for one in members)
    return {
        "monotonic_ns": now_ns,
        **{name: total(name) + used for name, used in parent.items()},
        "loop_lag": {
            "samples": samples,
            "mean_ms": lag_ms / max(1, samples),
            "max_ms": max(one["loop_lag"]["max_ms"] for one in members),
        },
        "connections": {
            **{name: total("connections", name) for name in ("accepted", "open", "turned_away")},
            # The kernel may give all connections of a client to one process.
            "most": min(one["connections"]["most"] for one in members),
        },
        "answered_by_status": dict(by_status),
        **{name: total(name) for name in _SUMS},
        "ledger": {
            "runs": max(one["ledger"]["runs"] for one in members),
            **{name: total("ledger", name) for name in ("rows", "unrecorded")},
        },
        "processes": [process for one in members for process in one["processes"]],
    }


def _inside(found: Any, names: Sequence[str]) -> Any:
    for name in names:
        found = found[name]
    return found
