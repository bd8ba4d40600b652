"""Reconciles the client's account of a run with the server's: every request, by seq. Pure."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bench.store import IntColumns


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How many requests, by what became of them. All but `matched` want an explanation."""

    matched: int
    """Fetched without error, and arrived at the server."""
    abandoned: int
    """Arrived, but the client gave up, or the connection broke."""
    lost: int
    """Never arrived, whatever the client says, or were never fetched at all."""
    resent: int
    """Further arrivals of the same seq, by a crawler whose library is known to send again."""
    duplicate: int
    """Further arrivals or fetches of the same seq that nobody has declared."""
    unasked: int
    """Arrivals that were never asked for: of a seq outside the run, or of none."""

    @property
    def is_clean(self) -> bool:
        """Whether each request was fetched once, and arrived once."""
        return self == Reconciliation(self.matched, 0, 0, 0, 0, 0)

    @classmethod
    def of(cls, requests: int, fetches: IntColumns, arrivals: IntColumns, resends: bool) -> Self:
        """Join both accounts of a run of `requests` requests, seq 0 to requests - 1."""
        seqs, arrived = fetches["seq"], arrivals["seq"]
        ours = (arrived >= 0) & (arrived < requests)
        arrivals_of = np.bincount(arrived[ours], minlength=requests)
        fetched = (seqs >= 0) & (seqs < requests)
        fetches_of = np.bincount(seqs[fetched], minlength=requests)
        has_error = np.zeros(requests, dtype=bool)
        has_error[seqs[fetched & (fetches["error"] != 0)]] = True
        has_arrived = arrivals_of > 0
        is_whole = (fetches_of > 0) & ~has_error
        repeated = int((arrivals_of[has_arrived] - 1).sum())
        refetched = int((fetches_of[fetches_of > 0] - 1).sum() + (~fetched).sum())
        return cls(
            matched=int((has_arrived & is_whole).sum()),
            abandoned=int((has_arrived & ~is_whole).sum()),
            lost=int((~has_arrived).sum()),
            resent=repeated if resends else 0,
            duplicate=refetched + (0 if resends else repeated),
            unasked=int((~ours).sum()),
        )

    def __str__(self) -> str:
        counts = {
            "matched": self.matched,
            "resent": self.resent,
            "lost": self.lost,
            "abandoned": self.abandoned,
            "duplicate": self.duplicate,
            "unasked": self.unasked,
        }
        shown = [f"{count} {word}" for word, count in counts.items() if count or word != "unasked"]
        return ", ".join(shown)
