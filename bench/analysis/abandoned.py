"""Finds what the service still did for requests that the client had given up. Pure."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bench.results.columns import IntColumns
from server.ledger import CLIENT_GONE


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The requests that clients gave up, and what they cost the service from then on."""

    requests: int
    service_ns: int
    """Time in which they held a place in the service although the client had gone."""

    @classmethod
    def of(cls, arrivals: IntColumns) -> Self:
        """Count in the arrivals of a run. A place is held until the planned end, as in services."""
        has_gone = arrivals["outcome"] == CLIENT_GONE
        gone_ns = arrivals["replied_ns"][has_gone]
        from_ns = np.maximum(gone_ns, arrivals["begin_ns"][has_gone])
        left_ns = np.maximum(arrivals["due_ns"][has_gone] - from_ns, 0)
        return cls(int(has_gone.sum()), int(left_ns.sum()))
