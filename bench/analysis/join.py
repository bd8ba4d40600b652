"""Joins the fetches and the arrivals of a run by seq. Pure.

Only this module does so. bench.analysis.reconciliation derives what the join says about a run.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.results.columns import IntColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)  # no slots, because a cached property is stored in __dict__
class Join:
    """The fetches and the arrivals of a run, and which rows belong to the same request."""

    fetches: IntColumns
    arrivals: IntColumns
    arrival_of: "NDArray[np.int64]"
    """For each fetch, the row of the last arrival of its seq, or -1. A library that resends a
    request abandons the earlier ones, so the last one is the one that was answered."""
    is_sent_again: "NDArray[np.bool_]"
    """For each arrival, whether another arrival of its seq followed it."""

    @classmethod
    def of(cls, fetches: IntColumns, arrivals: IntColumns) -> Self:
        """Join by seq. Values outside the run are joined, too."""
        seq = arrivals["seq"]
        order = np.argsort(seq, kind="stable")
        ordered = seq[order]
        is_sent_again = np.zeros(len(seq), dtype=bool)
        is_sent_again[order[:-1]] = ordered[:-1] == ordered[1:]
        return cls(fetches, arrivals, _last_rows(fetches["seq"], ordered, order), is_sent_again)

    @property
    def has_arrived(self) -> "NDArray[np.bool_]":
        """For each fetch, whether a request of its seq reached the server."""
        return self.arrival_of >= 0

    @property
    def replied_ns(self) -> "NDArray[np.int64]":
        """For each fetch, `replied_ns` of its arrival; 0 without one."""
        replied = np.append(self.arrivals["replied_ns"], 0)
        return replied[self.arrival_of]

    @cached_property
    def is_first_on_connection(self) -> "NDArray[np.bool_]":
        """For each arrival, whether it is the first request of the run on its connection."""
        connection = self.arrivals["connection"]
        found = np.zeros(len(connection), dtype=bool)
        found[np.unique(connection, return_index=True)[1]] = True
        return found

    def fetch_of(self) -> "NDArray[np.int64]":
        """Return for each arrival the row of the last fetch of its seq, or -1."""
        seq = self.fetches["seq"]
        order = np.argsort(seq, kind="stable")
        return _last_rows(self.arrivals["seq"], seq[order], order)

    def left_over(self) -> "NDArray[np.int64]":
        """Return the rows of the arrivals that belong to no fetch or that were resent later."""
        is_taken = np.zeros(len(self.arrivals["seq"]), dtype=bool)
        is_taken[self.arrival_of[self.has_arrived]] = True
        return np.flatnonzero(~is_taken)


def _last_rows(
    seqs: "NDArray[np.int64]", ordered: "NDArray[np.int64]", order: "NDArray[np.int64]"
) -> "NDArray[np.int64]":
    """Return the last row for each of `seqs`, or -1. `order` sorts the rows into `ordered`."""
    at = np.searchsorted(ordered, seqs, side="right") - 1
    is_found = at >= 0
    is_found[is_found] = ordered[at[is_found]] == seqs[is_found]
    rows = np.full(len(seqs), -1, dtype=np.int64)
    rows[is_found] = order[at[is_found]]
    return rows
