"""The result of one run before it is stored. Pure."""

from dataclasses import dataclass

from bench.plan.entrants import MOST_PROCESSES
from bench.plan.experiment import PlannedRun
from bench.results.clock import ClockReading
from bench.results.conditions import Conditions
from crawlers.runtime import Runtime
from crawlers.spec import Outcome, Usage
from server.ledger import RunRecord
from server.packed_columns import Columns


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """A crawler process of a run: it has the requests whose seq leaves the remainder `ordinal`."""

    ordinal: int
    machine: str
    """Name of its machine; "" for the one of the bench."""
    concurrency: int
    requests: int
    """The requests that it was given."""
    usage: Usage | None
    runtime: Runtime | None
    """Both are None if it failed."""
    clock: ClockReading | None = None
    """How the clock of another machine differs from the server's; None for the bench's own."""

    def check(self) -> None:
        """Raise ValueError for values that no process of a run can have."""
        if not 0 <= self.ordinal < MOST_PROCESSES or self.concurrency < 1 or self.requests < 0:
            raise ValueError(f"a crawler process {self.ordinal} that cannot be")
        for part in (self.usage, self.runtime, self.clock):
            if part is not None:
                part.check()


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run.

    `failure` is "", or says in one line why there is no outcome. An interrupted crawl may have
    both; its outcome then covers what was fetched before.
    """

    planned: PlannedRun
    started_utc: str
    failure: str
    stderr_tail: str
    outcome: Outcome | None
    ledger: RunRecord | None
    conditions: Conditions
    timeout_s: float
    memory: Columns | None = None
    """The MEMORY_COLUMNS of bench.results.schema for a spider; None for other crawlers."""
    processes: tuple[ProcessResult, ...] = ()
    """Its crawler processes, in the order of their ordinals."""
    cores: int = 0
    """Number of CPUs that all of them could use and were given; 0 if the registry says it."""
