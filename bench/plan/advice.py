"""The plan of `crawlbench advise`: time boxes whose concurrencies are found on the way. Pure."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, Experiment, PlannedRun, seed_of_trial
from bench.plan.load import Load, most_requests
from bench.program import PROGRAM

ADVICE = "advice"
"""The name of the kind."""

MOST = 4096
"""The largest concurrency that is tried, unless another is asked for."""

WARM_UP_SHARE = 0.2
LEAST_BOX_S = 3.0
_MEAN_DELAYS = 30
_FIXED_DELAYS = 10
"""A fixed delay has no tail whose ends could decide, so that fewer are enough."""

MOST_OBJECTIVES = 100
SEARCH, CONFIRMATION = 1, 2
"""The trial of a run: SEARCH for the search, CONFIRMATION and more for the fresh runs after it."""


@dataclass(frozen=True, slots=True)
class AdviceExperiment(Experiment):
    """A search for each crawler: which concurrency is the smallest that is enough?

    `duration_s` is the length of a time box; its first WARM_UP_SHARE does not count.
    `concurrencies` has the largest that is tried, alone.
    """

    kind: str = ADVICE
    objectives: tuple[str, ...] = ()
    """What each concurrency must keep, as bench.advice.objectives reads it."""

    @property
    def most(self) -> int:
        """The largest concurrency that is tried."""
        return self.concurrencies[0]

    def box(
        self, number: int, trial: int, entrant: Entrant, concurrency: int, span_s: float
    ) -> PlannedRun:
        """Return a run of one time box of `span_s` seconds.

        Each has its own seed, so that it is a fresh sample.
        """
        delay = self.delays[0]
        # A time box is shorter than what the burst of a rate limit hides.
        service = replace(self.service, is_spent=bool(self.service.rate_limit_per_s))
        most = most_requests(concurrency, delay.mean_us, span_s, may_refuse=service.refuses)
        return PlannedRun(
            number,
            trial,
            Cell(entrant.label, concurrency, delay, self.sizes[0]),
            most,
            entrant,
            seed_of_trial(self.seed, number),
            load=Load(duration_s=span_s, warm_up_s=WARM_UP_SHARE * span_s),
            service=service,
            body=self.body,
        )

    def ceiling_runs(self) -> tuple[PlannedRun, ...]:
        """Return the run that measures how fast the server is; none for other servers."""
        return tuple(self._ceiling_run(1))

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """Raise TypeError: how many runs are needed is only known at the end."""
        raise TypeError("the runs of a search are not known in advance")

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """Raise TypeError: each run depends on those before it."""
        raise TypeError("the runs of a search are not known in advance")

    @property
    def is_repeated(self) -> bool:
        """Its cells have different numbers of runs, so that they are not compared as trials."""
        return False

    def format_plan(self) -> str:
        """Return `delay 100 ms; capacity 50; boxes of 3 s, up to 4096 at a time`."""
        delay = f"delay {self.delays[0]}" if self.knows_delays else ""
        kept = ", ".join(self.objectives)
        parts = (
            self.format_source(),
            delay,
            *(clause for clause in self.format_load() if "do not count" not in clause),
            f"keeping {kept}" if kept else "",
            f"boxes of {self.duration_s:g} s, up to {self.most:,} at a time",
        )
        return "; ".join(filter(None, parts))

    def command(self) -> str:
        """Return the command that asks for the same experiment."""
        words = [PROGRAM, "advise", ",".join(str(entrant) for entrant in self.entrants)]
        words += self.source_words()
        if self.knows_delays:
            words += ["--delay", self.delays[0].text]
        words += self.load_options()
        words += ["--slo", ",".join(self.objectives)] if self.objectives else []
        words += ["--most", str(self.most)]
        words += ["--seed", str(self.seed), "--timeout", f"{self.timeout_s:g}"]
        return shlex.join(words)

    def check(self) -> None:
        """Raise ValueError for values of the right types that cannot have been asked for."""
        Experiment.check(self)
        if self.kind != ADVICE:
            raise ValueError(f"its kind is {self.kind!r}, not {ADVICE!r}")
        if self.rates or len(self.concurrencies) != 1 or not self.duration_s:
            raise ValueError("it does not ask for time boxes up to one concurrency")
        if len(self.delays) != 1 or len(self.sizes) != 1:
            raise ValueError("it asks for more than one delay or size")
        if self.trials != 1 or len(self.objectives) > MOST_OBJECTIVES:
            raise ValueError("it asks for trials, or for too many objectives")


def box_s(mean_us: float, *, is_fixed: bool) -> float:
    """Return the length of a time box in s for a mean delay.

    A box is a time and not a number of waves: with ten waves of a heavy tail, the ragged end
    decides. 30 mean delays are enough for the concurrencies beyond the first few.
    """
    delays = _FIXED_DELAYS if is_fixed else _MEAN_DELAYS
    return round(max(LEAST_BOX_S, delays * mean_us / 1e6), 1)
