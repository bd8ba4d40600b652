"""Runs a crawler for the rules of the contract: in a fresh process, against a server of ours."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.plan.load import CLOSED, Load
from bench.plan.sizes import Size
from bench.results.columns import IntColumns
from bench.results.run_result import RunResult
from crawlers.registry import CrawlerInfo
from crawlers.work import Work
from server.process import ServerProcess

PATIENT_S = 10.0
GRACE_S = 10.0
"""Time to start a process, and for everything else beyond the crawl."""
_PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
"""Proxies where nobody listens: a crawler that obeys the environment's proxies fails."""


class BrokenError(Exception):
    """A rule is broken; the text is the evidence."""


class UnknownError(Exception):
    """It cannot be decided whether a rule is kept; the text says why."""


class NoOutcomeError(BrokenError):
    """A run left no outcome: the crawler crashed, or was killed because it did not end."""

    def __init__(self, result: RunResult) -> None:
        super().__init__(": ".join([result.failure, *result.stderr_tail.splitlines()[-1:]]))
        self.span_s = result.conditions.span_ns / 1e9


@dataclass(slots=True)
class ContractRunner:
    """Runs one crawler against a server."""

    entrant: Entrant
    info: CrawlerInfo
    server: ServerProcess
    environment: Mapping[str, str]
    number: int = field(default=0)

    def run(
        self,
        requests: int,
        concurrency: int,
        delay_ms: int = 0,
        *,
        url: str = "",
        timeout_s: float = PATIENT_S,
        faults: Mapping[int, str] | None = None,
        has_proxy: bool = False,
        grace_s: float | None = None,
        work: Work | None = None,
        load: Load = CLOSED,
        body: Size | None = None,
    ) -> RunResult:
        """Do one run, with `faults` by seq. Raises NoOutcomeError."""
        self.number += 1
        target = Target(url, "") if url else Target(*self.server.addresses)
        cell = Cell(self.entrant.label, concurrency, Delay.fixed(delay_ms * 1000))
        planned = PlannedRun(
            self.number,
            1,
            cell,
            requests,
            self.entrant,
            faults=tuple((faults or {}).items()),
            work=work,
            load=load,
            body=body,
        )
        environment = {**self.environment, **(_PROXIES if has_proxy else {})}
        runner = ProcessRunner(target, timeout_s, UNPINNED, environment, grace_s or GRACE_S)
        result = runner.run(planned)
        if result.outcome is None:
            raise NoOutcomeError(result)
        return result

    def slots(self, wanted: int) -> int:
        """Return the wanted number of slots, or as many as the crawler can use."""
        return min(wanted, self.info.max_concurrency)


def accounts_of(result: RunResult) -> tuple[IntColumns, IntColumns]:
    """Return the fetches of a run, and its arrivals if there is a ledger."""
    assert result.outcome is not None
    ledger = result.ledger.columns if result.ledger is not None else {}
    return (
        {name: np.array(column, dtype=np.int64) for name, column in result.outcome.fetches.items()},
        {name: np.array(column, dtype=np.int64) for name, column in ledger.items()},
    )
