"""Runs a spider for the rules of its contract: in a fresh process, on a small site of ours."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.contract.runs import GRACE_S, NoOutcomeError
from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.plan.entrants import Entrant
from bench.plan.experiment import PlannedRun
from bench.plan.site import SiteExperiment
from bench.plan.sizes import Size
from bench.results.columns import IntColumns
from bench.results.run_result import RunResult
from bench.results.store import Store
from bench.sites.analysis import SiteSummary, analyse_site
from crawlers.registry import CrawlerInfo
from crawlers.spiders.registry import SpiderInfo, find_spider
from crawlers.spiders.task import LOOP
from server.process import ServerProcess
from server.site.spec import SiteSpec

MOST_HOSTS = 4
"""The most hosts of a site that rules are tried on."""
PATIENT_S = 5.0


class Crawled(NamedTuple):
    """A site that was crawled."""

    summary: SiteSummary
    result: RunResult
    fetches: IntColumns
    arrivals: IntColumns
    jobs: IntColumns


@dataclass(frozen=True, slots=True)
class SiteRunner:
    """Runs one spider."""

    entrant: Entrant
    info: CrawlerInfo
    server: ServerProcess

    @property
    def declared(self) -> SpiderInfo | None:
        """What is declared of the spider; None of a user's own."""
        return find_spider(self.entrant.crawler)

    def slots(self, wanted: int) -> int:
        """Return the wanted number of slots, or as many as the spider can use."""
        return min(wanted, self.info.max_concurrency)

    def crawl(
        self,
        site: str,
        concurrency: int,
        *,
        per_host: int = 0,
        host_delay_s: float = 0.0,
        timeout_s: float = PATIENT_S,
    ) -> Crawled:
        """Crawl a site. Raises NoOutcomeError."""
        asked = self._asked(site, concurrency, timeout_s, per_host, host_delay_s)
        (planned,) = asked.order({self.entrant.label: self.info.max_concurrency})
        target = Target(*self.server.addresses)
        result = self._run(target, planned, timeout_s)
        assert result.outcome is not None
        assert result.outcome.site is not None
        assert result.ledger is not None
        with Store.create(Path("memory"), asked, 1, {}, "", is_in_memory=True) as store:
            store.append(result)
            ((trial,),) = (cell.trials for cell in analyse_site(store).cells)
        if trial.summary is None:
            said = "; ".join(reason.text for reason in trial.verdict.reasons)
            raise NoOutcomeError(replace(result, failure=result.failure or said))
        return Crawled(
            trial.summary,
            result,
            _columns(result.outcome.fetches),
            _columns(result.ledger.columns),
            _columns(result.outcome.site.jobs),
        )

    def crawl_nothing(self, url: str) -> RunResult:
        """Crawl a site at an address where nobody listens. Raises NoOutcomeError."""
        asked = self._asked(SiteSpec(pages=10, links=2).text, 2, PATIENT_S)
        (planned,) = asked.order({self.entrant.label: self.info.max_concurrency})
        return self._run(Target(url, ""), planned, PATIENT_S)

    def _run(self, target: Target, planned: PlannedRun, timeout_s: float) -> RunResult:
        runner = ProcessRunner(target, timeout_s, UNPINNED, grace_s=GRACE_S)
        result = runner.run(planned)
        if result.outcome is None:
            raise NoOutcomeError(result)
        return result

    def _asked(
        self,
        site: str,
        concurrency: int,
        timeout_s: float,
        per_host: int = 0,
        host_delay_s: float = 0.0,
    ) -> SiteExperiment:
        spec = SiteSpec.parse(site)
        asked = SiteExperiment(
            entrants=(self.entrant,),
            parses=(LOOP,),
            concurrencies=(concurrency,),
            sizes=(Size(spec.size),),
            site=spec.text,
            trials=1,
            seed=1,
            timeout_s=timeout_s,
            per_host=per_host,
            host_delay_s=host_delay_s,
        )
        asked.check()
        return asked


def _columns(columns: Mapping[str, object]) -> IntColumns:
    return {name: np.array(column, dtype=np.int64) for name, column in columns.items()}
