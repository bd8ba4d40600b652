"""Divides a run into the shares of its crawler processes. Pure.

Each process has every so many-th request and its part of the slots, and starts its own requests in
their order. What is said of a client - its order, its free slots, its standing still - is therefore
looked for within each share. A run of one process is one share.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.accounts import Accounts
from bench.analysis.in_flight import Levels
from bench.plan.experiment import share_of
from bench.results.columns import IntColumns
from bench.results.schema import RunRow

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Share:
    """What one process had of a run, and its records."""

    ordinal: int
    slots: int
    requests: int
    rows: "NDArray[np.int64]"
    """Which fetches of the run are its own."""
    accounts: Accounts
    """The records of its own requests, with the seq that they have in the run."""


@dataclass(frozen=True, slots=True)
class Overrun:
    """A process that had more requests at a time than its share."""

    process: int
    peak: int
    slots: int


def slots_of(run: RunRow, ordinal: int) -> int:
    """Return the slots of one process of a run."""
    return max(1, share_of(run.slots, ordinal, run.processes))


def shares_of(run: RunRow, accounts: Accounts) -> tuple[Share, ...]:
    """Return the shares of a run, in the order of the processes, without those without a fetch."""
    count, fetches, arrivals = run.processes, accounts.fetches, accounts.arrivals
    if count == 1:
        rows = np.arange(len(fetches["seq"]))
        return (Share(0, run.slots, run.requests, rows, accounts),)
    of_arrivals = dict(rows_by_process(arrivals["seq"], count)) if arrivals is not None else {}
    nothing = np.empty(0, dtype=np.int64)
    return tuple(
        Share(
            ordinal,
            slots_of(run, ordinal),
            len(range(ordinal, run.requests, count)),
            rows,
            replace(
                accounts,
                fetches=_taken(fetches, rows),
                arrivals=None
                if arrivals is None
                else _taken(arrivals, of_arrivals.get(ordinal, nothing)),
            ),
        )
        for ordinal, rows in rows_by_process(fetches["seq"], count)
    )


def overrun_of(run: RunRow, shares: tuple[Share, ...]) -> Overrun | None:
    """Return the process that exceeded its share the most; None if none did.

    Of a crawler whose clocks run while its requests wait inside it, the server's records count.
    """
    worst = None
    for share in shares if run.processes > 1 else ():
        accounts = share.accounts
        levels: Levels | None = Levels.of(accounts.fetches["start_ns"], accounts.fetches["end_ns"])
        if run.conditions.queues:
            join = accounts.complete_join(run)
            levels = Levels.at_server(join.arrivals) if join is not None else None
        peak = levels.peak if levels is not None else 0
        beyond = peak - share.slots
        if beyond > (worst.peak - worst.slots if worst is not None else 0):
            worst = Overrun(share.ordinal, peak, share.slots)
    return worst


def rows_by_process(
    seq: "NDArray[np.int64]", count: int
) -> "Iterator[tuple[int, NDArray[np.int64]]]":
    """Yield each of `count` processes that has records, and their rows in the order of records."""
    owner = seq % count
    order = np.argsort(owner, kind="stable")
    ordinals, begins = np.unique(owner[order], return_index=True)
    return zip(ordinals.tolist(), np.split(order, begins[1:]), strict=True)


def _taken(columns: IntColumns, rows: "NDArray[np.int64]") -> IntColumns:
    return {name: column[rows] for name, column in columns.items()}
