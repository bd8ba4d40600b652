"""What came of one run, before it is kept. Pure."""

from dataclasses import dataclass

from bench.plan.experiment import PlannedRun
from bench.results.conditions import Conditions
from crawlers.spec import Outcome
from server.ledger import RunRecord


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run.

    `failure` is "" or why there is no outcome, in one line. An interrupted crawl may have both: the
    outcome is then of what was fetched before.
    """

    planned: PlannedRun
    started_utc: str
    failure: str
    stderr_tail: str
    outcome: Outcome | None
    ledger: RunRecord | None
    conditions: Conditions
    timeout_s: float
