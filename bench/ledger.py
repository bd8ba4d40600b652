"""Reconciles the client's account of a run with the server's: every request, by seq. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.store import IntColumns
from server.ledger import ANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Requests that the fetches' own records do not explain."""

    what: str
    count: int
    seqs: tuple[int, ...]
    """The first of them."""

    def __str__(self) -> str:
        seqs = ", ".join(map(str, self.seqs))
        more = ", ..." if self.count > len(self.seqs) else ""
        return f"{self.count} {self.what} (seq {seqs}{more})"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How many requests, by what became of them. All but `matched` want an explanation."""

    matched: int
    """Fetched without error, and arrived at the server."""
    resent: int
    """Further arrivals of the same seq, by a crawler whose library is known to send again."""
    lost: int
    """Never arrived, whatever the client says, or were never fetched at all."""
    abandoned: int
    """Arrived, but the client gave up, or the connection broke."""
    duplicate: int
    """Further arrivals or fetches of the same seq that nobody has declared."""
    server_only: int
    """Arrivals that were never asked for: of a seq outside the run, or of none."""
    unexplained: tuple[Mismatch, ...] = ()
    """What a record of an error, or the declaration of resends, does not explain."""

    @classmethod
    def of(cls, requests: int, fetches: IntColumns, arrivals: IntColumns, resends: bool) -> Self:
        """Join both accounts of a run of `requests` requests, seq 0 to requests - 1."""
        seqs, arrived = fetches["seq"], arrivals["seq"]
        is_ours = (arrived >= 0) & (arrived < requests)
        arrivals_of = np.bincount(arrived[is_ours], minlength=requests)
        is_fetch_ours = (seqs >= 0) & (seqs < requests)
        fetches_of = np.bincount(seqs[is_fetch_ours], minlength=requests)
        has_error = np.zeros(requests, dtype=bool)
        has_error[seqs[is_fetch_ours & (fetches["error"] != 0)]] = True
        was_answered = np.zeros(requests, dtype=bool)
        was_answered[arrived[is_ours & (arrivals["outcome"] == ANSWERED)]] = True

        has_arrived, is_recorded = arrivals_of > 0, fetches_of > 0
        is_whole = is_recorded & ~has_error
        repeated = int((arrivals_of[has_arrived] - 1).sum())
        refetched = int((fetches_of[is_recorded] - 1).sum() + (~is_fetch_ours).sum())
        every_seq = np.arange(requests)
        mismatches = (
            _mismatch("never fetched", every_seq[~has_arrived & ~is_recorded]),
            _mismatch("recorded as fetched, and never arrived", every_seq[~has_arrived & is_whole]),
            _mismatch("arrived, and never recorded", every_seq[has_arrived & ~is_recorded]),
            _mismatch(
                "recorded as fetched, and never answered",
                every_seq[has_arrived & is_whole & ~was_answered],
            ),
            _mismatch(
                "sent more than once, which the crawler does not declare",
                every_seq[(arrivals_of > 1) & (not resends)],
            ),
            _mismatch("recorded more than once", every_seq[fetches_of > 1]),
            _mismatch("recorded, and never asked for", seqs[~is_fetch_ours]),
            _mismatch("arrived, and never asked for", arrived[~is_ours]),
        )
        return cls(
            matched=int((has_arrived & is_whole).sum()),
            resent=repeated if resends else 0,
            lost=int((~has_arrived).sum()),
            abandoned=int((has_arrived & ~is_whole).sum()),
            duplicate=refetched + (0 if resends else repeated),
            server_only=int((~is_ours).sum()),
            unexplained=tuple(mismatch for mismatch in mismatches if mismatch.count),
        )

    def __str__(self) -> str:
        return (
            f"{self.matched} matched, {self.resent} resent, {self.lost} lost, "
            f"{self.abandoned} abandoned, {self.duplicate} duplicate, "
            f"{self.server_only} server-only"
        )


def _mismatch(what: str, seqs: "NDArray[np.int64]") -> Mismatch:
    return Mismatch(what, len(seqs), tuple(seqs[:_SHOWN].tolist()))
