"""Compares the client's records of a run with the server's, request by request. Pure."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.join import Join
from crawlers.registry import ON_A_KEPT_CONNECTION, RESEND_CONDITIONS
from server.ledger import ANSWERED, REFUSED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ANSWERS = (ANSWERED, REFUSED)
"""Outcomes with a whole response."""
_SHOWN = 5
MAX_RESENDS = 2**31
"""Higher than any possible number of resends."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Requests for which neither an error record nor a declared resend explains the difference."""

    what: str
    count: int
    seqs: tuple[int, ...]
    """The first few seqs."""

    def __str__(self) -> str:
        seqs = ", ".join(map(str, self.seqs))
        more = ", ..." if self.count > len(self.seqs) else ""
        return f"{self.count} {self.what} (seq {seqs}{more})"


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Numbers of requests by outcome. docs/results.md defines the words."""

    matched: int
    """Requests that were fetched without error and arrived at the server."""
    resent: int
    """Further arrivals of the same seq, within the declared resends of the crawler's library."""
    lost: int
    """Requests that never arrived, even if the client reports success, or were never fetched."""
    abandoned: int
    """Requests that arrived, but the client gave up or the connection broke."""
    duplicate: int
    """Further arrivals or fetches of the same seq beyond the declared resends."""
    server_only: int
    """Arrivals without a seq, or with one outside the run."""
    unexplained: tuple[Mismatch, ...] = ()
    """Differences that neither error records nor declared resends explain."""

    @classmethod
    def of(
        cls,
        requests: int,
        join: Join,
        resends: int = 0,
        resend_condition: str = "",
        was_begun: "NDArray[np.bool_] | None" = None,
    ) -> Self:
        """Count the requests of a run with seq 0 to requests - 1.

        `resends` and `resend_condition` are declared in crawlers.registry. Results of earlier
        versions have no condition: 1 then means any number of resends for any reason. `was_begun`
        says of each request whether it was its turn before the run was interrupted; None means all.
        """
        fetches, arrivals = join.fetches, join.arrivals
        seqs, arrived = fetches["seq"], arrivals["seq"]
        is_ours = (arrived >= 0) & (arrived < requests)
        arrivals_of = np.bincount(arrived[is_ours], minlength=requests)
        is_fetch_ours = (seqs >= 0) & (seqs < requests)
        fetches_of = np.bincount(seqs[is_fetch_ours], minlength=requests)
        has_error = np.zeros(requests, dtype=bool)
        has_error[seqs[is_fetch_ours & (fetches["error"] != 0)]] = True
        was_answered = np.zeros(requests, dtype=bool)
        was_answered[arrived[is_ours & np.isin(arrivals["outcome"], _ANSWERS)]] = True

        has_arrived, is_recorded = arrivals_of > 0, fetches_of > 0
        is_lost = ~has_arrived if was_begun is None else ~has_arrived & was_begun
        is_whole = is_recorded & ~has_error
        repeats_of = np.maximum(arrivals_of - 1, 0)
        most = _most_resends(resends, resend_condition)
        resent = int(np.minimum(repeats_of, most).sum())
        refetched = int((fetches_of[is_recorded] - 1).sum() + (~is_fetch_ours).sum())
        every_seq = np.arange(requests)
        mismatches = (
            _mismatch("never fetched", every_seq[is_lost & ~is_recorded]),
            _mismatch("recorded as fetched, and never arrived", every_seq[~has_arrived & is_whole]),
            _mismatch("arrived, and never recorded", every_seq[has_arrived & ~is_recorded]),
            _mismatch(
                "recorded as fetched, and never answered",
                every_seq[has_arrived & is_whole & ~was_answered],
            ),
            *_resend_mismatches(requests, join, resends, resend_condition),
            _mismatch("recorded more than once", every_seq[fetches_of > 1]),
            _mismatch("recorded, and never asked for", seqs[~is_fetch_ours]),
            _mismatch("arrived, and never asked for", arrived[~is_ours]),
        )
        return cls(
            matched=int((has_arrived & is_whole).sum()),
            resent=resent,
            lost=int(is_lost.sum()),
            abandoned=int((has_arrived & ~is_whole).sum()),
            duplicate=refetched + int(repeats_of.sum()) - resent,
            server_only=int((~is_ours).sum()),
            unexplained=tuple(mismatch for mismatch in mismatches if mismatch.count),
        )

    def __str__(self) -> str:
        return (
            f"{self.matched} matched, {self.resent} resent, {self.lost} lost, "
            f"{self.abandoned} abandoned, {self.duplicate} duplicate, "
            f"{self.server_only} server-only"
        )


def resend_mismatches(
    requests: int, join: Join, resends: int, condition: str
) -> tuple[Mismatch, ...]:
    """Return requests that were resent more often than declared, or without the declared reason.

    `resends` and `condition` are those of Reconciliation.of.
    """
    return tuple(one for one in _resend_mismatches(requests, join, resends, condition) if one.count)


def _resend_mismatches(
    requests: int, join: Join, resends: int, condition: str
) -> tuple[Mismatch, ...]:
    arrivals = join.arrivals
    seqs = arrivals["seq"]
    is_ours = (seqs >= 0) & (seqs < requests)
    most = _most_resends(resends, condition)
    too_often = np.arange(requests)[np.bincount(seqs[is_ours], minlength=requests) > most + 1]
    if not resends:
        return (_mismatch("sent more than once, which the crawler does not declare", too_often),)
    again = join.is_sent_again & is_ours & bool(condition)
    answered = again & np.isin(arrivals["outcome"], _ANSWERS)
    fresh = again & join.is_first_on_connection & (condition == ON_A_KEPT_CONNECTION)
    declared = f"and the crawler declares it only if {RESEND_CONDITIONS.get(condition)}"
    return (
        _mismatch(f"sent more than {most + 1} times, as the crawler declares at most", too_often),
        _mismatch(f"sent again after an answer, {declared}", np.unique(seqs[answered])),
        _mismatch(f"sent again from a fresh connection, {declared}", np.unique(seqs[fresh])),
    )


def _most_resends(resends: int, condition: str) -> int:
    return resends if condition or not resends else MAX_RESENDS


def _mismatch(what: str, seqs: "NDArray[np.int64]") -> Mismatch:
    return Mismatch(what, len(seqs), tuple(seqs[:_SHOWN].tolist()))
