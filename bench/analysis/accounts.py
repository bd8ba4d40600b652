"""All that was recorded of one run, by both ends. Pure."""

from dataclasses import dataclass
from functools import cached_property

from bench.analysis.join import Join
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from server.request_plan import Plan


@dataclass(frozen=True)  # without slots: a cached property needs a place of its own
class Accounts:
    """The records of a run, in columns."""

    fetches: IntColumns
    arrivals: IntColumns | None
    """The server's ledger; None if the server is not ours."""
    load: IntColumns
    """Samples of the server's load; there may be none."""
    plans: tuple[Plan, ...] = ()
    """What each request asked for, in the order of seq, if that is not drawn from the run's own
    model."""

    @cached_property
    def join(self) -> Join | None:
        """Both ends joined by seq, once for all who ask; None without a ledger."""
        return Join.of(self.fetches, self.arrivals) if self.arrivals is not None else None

    def complete_join(self, run: RunRow) -> Join | None:
        """The join, or None also where the ledger had no room for all requests of the run.

        Such a ledger says nothing about the requests that are missing from it.
        """
        return None if run.unrecorded else self.join

    @property
    def is_planned(self) -> bool:
        """Whether each request asked a server of ours for what it was to do."""
        return self.arrivals is not None
