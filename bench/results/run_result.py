"""The result of one run before it is stored. Pure."""

from dataclasses import dataclass

from bench.plan.experiment import PlannedRun
from bench.results.conditions import Conditions
from crawlers.spec import Outcome
from server.ledger import RunRecord
from server.packed_columns import Columns


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
