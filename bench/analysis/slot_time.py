"""Where the time of the slots of a run went, in shares. Pure."""

from dataclasses import dataclass
from typing import Self

from bench.analysis.split import Split


@dataclass(frozen=True, slots=True)
class SlotTime:
    """Shares of the time that all slots have together, slots x makespan. They add up to 1."""

    delay: float
    late: float
    """The server's lateness."""
    opening: float
    """To the server, of the first request of each connection."""
    under_way: float
    """To the server of all others, and back."""
    unavoidable: float
    """No request, as the ideal schedule has slots without one too: its last wave is ragged."""
    idle: float
    """No request beyond that: between two, before the first, after the last."""

    @classmethod
    def of(cls, split: Split, slots: int, makespan_ns: int, ideal_ns: int) -> Self:
        """From the parts of the good requests of a run."""
        whole = max(1, slots * makespan_ns)
        delay = float(split.delay.sum()) / whole
        late = float(split.late.sum()) / whole
        opening = float(split.to_server[split.is_first].sum()) / whole
        to_server, back = float(split.to_server.sum()) / whole, float(split.back.sum()) / whole
        under_way = to_server - opening + back
        unavoidable = max(0.0, slots * ideal_ns / whole - delay)
        idle = 1 - delay - late - opening - under_way - unavoidable
        return cls(delay, late, opening, under_way, unavoidable, idle)
