"""Computes how the slots of a run spent their time. Pure."""

from dataclasses import dataclass
from typing import Self

from bench.analysis.split import Split


@dataclass(frozen=True, slots=True)
class SlotTime:
    """Shares of the total time of all slots, which is slots x makespan. They add up to 1, but for
    `added`, which is a part of another. Of a crawler that adapts, slots are its mean limit."""

    delay: float
    """Share in which the service worked on a request, or stood still while it did."""
    added: float
    """The part of it beyond the delays asked for: the service slowed down, or stood still."""
    service_wait: float
    """Share in which requests waited in the service's queue."""
    late: float
    """Share in which the server was late."""
    opening: float
    """Share on the way to the server of first requests, which includes opening a connection."""
    under_way: float
    """Share on the way to the server of other requests, and on the way back of all."""
    unavoidable: float
    """Share without a request that the ideal schedule also has, because its last wave is ragged."""
    idle: float
    """Share without a request beyond that: between requests, before the first, after the last."""

    @classmethod
    def of(cls, split: Split, slots: float, makespan_ns: int, ideal_ns: int) -> Self:
        """Compute the shares from the parts of the good requests of a run."""
        whole = max(1.0, slots * makespan_ns)
        delay = float(split.delay.sum()) / whole
        added = float((split.delay - split.asked_delay).sum()) / whole
        service_wait = float(split.service_wait.sum()) / whole
        late = float(split.late.sum()) / whole
        opening = float(split.to_server[split.is_first].sum()) / whole
        to_server, back = float(split.to_server.sum()) / whole, float(split.back.sum()) / whole
        under_way = to_server - opening + back
        unavoidable = max(0.0, slots * ideal_ns / whole - delay - service_wait)
        idle = 1 - delay - service_wait - late - opening - under_way - unavoidable
        return cls(delay, added, service_wait, late, opening, under_way, unavoidable, idle)
