"""What is known of the clocks of other machines on which a run was crawled. Pure.

Times of their fetches are kept on the server's clock, by an estimate with a bound. What compares
times of both ends allows for the largest bound of the run, so that an honest run is not accused of
what only the clocks did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bench.results.run_result import ProcessResult


@dataclass(frozen=True, slots=True)
class MachineClock:
    """The clock of one machine, compared with the server's."""

    machine: str
    offset_ns: int
    """What was added to its times, in the mean over the run: the estimate, which assumes a
    symmetric path."""
    bound_ns: int
    """By how much this is wrong at most, whatever the path is like: half the round trip."""
    step_ns: int = 0
    """How far the clock was set, or stood still, during the run."""

    def __str__(self) -> str:
        return f"{self.machine} {self.offset_ns / 1e6:+,.3f} ms ± {format_bound(self.bound_ns)}"


def clocks_of(processes: Sequence[ProcessResult]) -> tuple[MachineClock, ...]:
    """Return the clock of each other machine, once, with the largest bound of its processes."""
    found: dict[str, MachineClock] = {}
    for one in processes:
        if one.clock is not None:
            clock = one.clock
            known = found.get(one.machine)
            steps_ns = (clock.step_ns, known.step_ns if known is not None else 0)
            if known is None or known.bound_ns < clock.bound_ns:
                known = MachineClock(one.machine, clock.offset_ns, clock.bound_ns)
            found[one.machine] = replace(known, step_ns=max(steps_ns, key=abs))
    return tuple(found.values())


def format_bound(bound_ns: int) -> str:
    """Return `0.120 ms`."""
    return f"{bound_ns / 1e6:,.3f} ms"
