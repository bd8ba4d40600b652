"""What is asked of one crawl, as `crawlbench crawl` makes it. Pure."""

import shlex
from dataclasses import dataclass
from urllib.parse import urlsplit

from bench.plan.entrants import command_words
from bench.plan.experiment import Experiment
from bench.program import PROGRAM
from server.request_plan import Plan, parse_query

CRAWL = "crawl"
"""The name of the kind."""


@dataclass(frozen=True, slots=True)
class CrawlExperiment(Experiment):
    """One run of one crawler: a sweep of a single cell in one trial."""

    kind: str = CRAWL
    has_plans: bool = False
    """Whether the list is one run of one delay server, so that the ledger has its requests."""

    @property
    def is_repeated(self) -> bool:
        """One crawl says nothing about noise."""
        return False

    def plans(self) -> tuple[Plan, ...]:
        """What each URL of the list asks of the delay server. Raises PlanError."""
        if not self.has_plans:
            return ()
        return tuple(parse_query(urlsplit(url).query) for url in self.urls)

    def format_plan(self) -> str:
        """`1000 requests, 100 at a time; delay 100 ms`, or the URL instead of the delay."""
        at_once = f"{self.concurrencies[0]} at a time" if self.concurrencies else ""
        size = ", ".join(filter(None, (self._format_requests(), at_once)))
        if self.urls:
            return f"{size}; {self.format_source()}"
        delay = f"delay {self.delays[0]}" if self.knows_delays else ""
        return "; ".join(filter(None, (size, delay, self.url, *self.format_load())))

    def _format_requests(self) -> str:
        return f"{self.requests} requests" if self.requests else self._format_length()

    def command(self) -> str:
        """The command line that makes the same crawl again."""
        words = [PROGRAM, "crawl", *command_words(self.entrants)]
        words += ["-c", str(self.concurrencies[0])] if self.concurrencies else []
        if not self.urls:
            words += ["-n", str(self.requests)] if self.requests else []
            words += ["--delay", self.delays[0].text] if self.knows_delays else []
        words += self.source_words()
        words += self.load_options()
        words += self.parallel_options()
        words += ["--seed", str(self.seed), "--timeout", f"{self.timeout_s:g}"]
        return shlex.join(words)

    def check(self) -> None:
        """Raises ValueError for what cannot have been asked for, of values of the right types."""
        Experiment.check(self)
        cells = len(self.entrants) * len(self.delays) * len(self.sizes) * self.trials
        cells *= len(self.rates or self.concurrencies)
        if cells != 1:
            raise ValueError(f"it asks for {cells} cells, and a crawl is one")
        if self.urls and len(self.urls) != self.requests:
            raise ValueError(f"it asks for {self.requests} requests, of {len(self.urls)} URLs")
        self.plans()
