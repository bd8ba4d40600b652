"""How the clock of another machine differs from the server's. Pure.

Times of the fetches of such a machine are stored on the server's clock. What was added to them is
an estimate, which these classes keep with its bound.
"""

from dataclasses import dataclass

from server.packed_columns import HUGE

_DRIFT_SHARE = 1e-3
"""Twice the 500 ppm by which Linux slews a monotonic clock at most (adjtimex(2)): one clock may be
slewed up and the other down."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The offset at one instant, by the shortest of several round trips."""

    at_ns: int
    """When it was measured, on the machine's own monotonic clock."""
    offset_ns: int
    """What is added to the machine's clock to get the server's, if the path is symmetric: if the
    request takes as long as the response."""
    bound_ns: int
    """Half the round trip, without the time that the server took to answer. Whatever the path is
    like, the offset is wrong by no more."""


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The offsets before and after a run. Between them it is interpolated linearly."""

    before: ClockOffset
    after: ClockOffset

    @property
    def bound_ns(self) -> int:
        """The larger of both bounds."""
        return max(self.before.bound_ns, self.after.bound_ns)

    @property
    def offset_ns(self) -> int:
        """The mean of both offsets."""
        return (self.before.offset_ns + self.after.offset_ns) // 2

    @property
    def step_ns(self) -> int:
        """How far the offset went during the run, if that is no drift of two sound clocks, else 0.

        Such a clock was stopped or set, at an instant that is not known.
        """
        went_ns = self.after.offset_ns - self.before.offset_ns
        drift_ns = _DRIFT_SHARE * abs(self.after.at_ns - self.before.at_ns)
        is_drift = abs(went_ns) <= drift_ns + self.before.bound_ns + self.after.bound_ns
        return 0 if is_drift else went_ns

    def to_server_ns(self, at_ns: int) -> int:
        """Return an instant of the machine's clock on the server's."""
        span_ns = self.after.at_ns - self.before.at_ns
        drift_ns = self.after.offset_ns - self.before.offset_ns
        passed_ns = at_ns - self.before.at_ns
        return at_ns + self.before.offset_ns + (drift_ns * passed_ns // span_ns if span_ns else 0)

    def check(self) -> None:
        """Raise ValueError for a reading that cannot have been made."""
        for one in (self.before, self.after):
            is_possible = abs(one.offset_ns) < HUGE and 0 <= one.at_ns < HUGE
            if not is_possible or not 0 <= one.bound_ns < HUGE:
                raise ValueError(f"a clock offset with a bound of {one.bound_ns} ns")
