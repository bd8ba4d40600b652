"""What is known of the clocks of other machines on which a run was crawled. Pure.

Times of their fetches are kept on the server's clock, by an estimate with a bound. What compares
times of both ends allows for the largest bound of the run, so that an honest run is not accused of
what only the clocks did.
"""

from collections.abc import Sequence
from dataclasses import dataclass

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

    def __str__(self) -> str:
        return f"{self.machine} {self.offset_ns / 1e6:+,.3f} ms ± {format_bound(self.bound_ns)}"


def clocks_of(processes: Sequence[ProcessResult]) -> tuple[MachineClock, ...]:
    """Return the clock of each other machine, once, with the largest bound of its processes."""
    found: dict[str, MachineClock] = {}
    for one in processes:
        if one.clock is not None:
            known = found.get(one.machine)
            if known is None or known.bound_ns < one.clock.bound_ns:
                found[one.machine] = MachineClock(
                    one.machine, one.clock.offset_ns, one.clock.bound_ns
                )
    return tuple(found.values())


def format_bound(bound_ns: int) -> str:
    """Return `0.120 ms`."""
    return f"{bound_ns / 1e6:,.3f} ms"
