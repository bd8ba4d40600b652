"""All records of one run, from the client and from the server. Pure."""

from dataclasses import dataclass, field
from functools import cached_property

from bench.analysis.join import Join
from bench.analysis.limits import NO_LIMITS, Limits
from bench.results.columns import IntColumns
from bench.results.run_result import ProcessResult
from bench.results.schema import RunRow
from server.request_plan import Plan


@dataclass(frozen=True)  # no slots, because a cached property is stored in __dict__
class Accounts:
    """The records of a run as columns."""

    fetches: IntColumns
    arrivals: IntColumns | None
    """The server's ledger. None if the server is not a crawlbench server."""
    load: IntColumns
    """Samples of the server's load, possibly empty."""
    plans: tuple[Plan, ...] = ()
    """The plan of each request, in the order of seq. Empty if plans follow from the run's delay
    model."""
    limits: IntColumns = field(default_factory=lambda: NO_LIMITS)
    """What the crawler recorded as its own limit, as LIMIT_COLUMNS in the order of time."""

    processes: tuple[ProcessResult, ...] = ()
    """The crawler processes of the run, in the order of their ordinals; empty if not known."""

    def limits_of(self, run: RunRow) -> Limits:
        """Return how many may be in flight: the recorded limits count if the crawler adapts."""
        is_own = run.conditions.adapts and run.processes == 1
        return Limits.of(self.limits if is_own else NO_LIMITS, run.slots)

    @cached_property
    def join(self) -> Join | None:
        """Fetches and arrivals joined by seq; None without a ledger. It is computed once."""
        return Join.of(self.fetches, self.arrivals) if self.arrivals is not None else None

    def complete_join(self, run: RunRow) -> Join | None:
        """Return the join, or None if there is no ledger or it had no room for the whole run.

        A ledger that was full says nothing about the requests that it lacks.
        """
        return None if run.unrecorded else self.join

    @property
    def is_planned(self) -> bool:
        """Whether each request had a plan in its URL that a crawlbench server followed."""
        return self.arrivals is not None
