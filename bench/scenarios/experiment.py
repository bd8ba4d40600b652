"""The plan of `run --scenario all`: every entrant in every scenario, in trials. Pure."""

import random
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from bench.plan.entrants import Entrant, command_words
from bench.plan.experiment import Experiment, PlannedRun, check_counts, seed_of_trial
from bench.plan.scenarios import ALL, Scenario
from bench.program import PROGRAM

NAME = "scenarios"
"""The name of this kind of experiment."""
MOST_REQUESTS = 2_000_000
"""Most requests of the ideal client in all scenarios: it is simulated at some thirty concurrencies,
in about 3 us for each request, whenever results are read."""


@dataclass(frozen=True, slots=True)
class ScenariosExperiment:
    """The plan: every scenario, with every entrant, at its concurrencies, in every trial."""

    scenarios: tuple[Scenario, ...]
    """They are kept in full, because the table of this version may change."""
    entrants: tuple[Entrant, ...]
    adaptive: tuple[str, ...]
    """The labels of entrants that choose themselves how many are in flight. They are measured at
    the largest concurrency only, as the most that they may have."""
    concurrencies: tuple[int, ...]
    trials: int
    seed: int
    timeout_s: float
    kind: str = NAME

    def sweeps(self) -> Iterator[Experiment]:
        """Yield the sweeps that it consists of: of adaptive and fixed entrants, by scenario."""
        groups = (
            (tuple(one for one in self.entrants if one.label in self.adaptive), (self.most,)),
            (
                tuple(one for one in self.entrants if one.label not in self.adaptive),
                self.concurrencies,
            ),
        )
        for scenario in self.scenarios:
            for entrants, concurrencies in groups:
                if entrants:
                    yield Experiment(
                        entrants=entrants,
                        concurrencies=concurrencies,
                        delays=(scenario.delay,),
                        trials=self.trials,
                        waves=1,
                        seed=self.seed,
                        timeout_s=self.timeout_s,
                        duration_s=scenario.duration_s,
                        warm_up_s=scenario.warm_up_s,
                        service=scenario.service,
                    )

    @property
    def most(self) -> int:
        """The largest concurrency."""
        return max(self.concurrencies)

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """Return the number of runs without making them."""
        return sum(sweep.count(max_concurrency) for sweep in self.sweeps())

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """Return all runs: each trial has all scenarios in a new order, drawn from the seed."""
        planned = [run for sweep in self.sweeps() for run in sweep.order(max_concurrency)]
        runs: list[PlannedRun] = []
        for trial in range(1, self.trials + 1):
            of_trial = [run for run in planned if run.trial == trial]
            random.Random(seed_of_trial(self.seed, trial)).shuffle(of_trial)  # noqa: S311 - not for secrets
            runs += [replace(run, number=len(runs) + n) for n, run in enumerate(of_trial, 1)]
        return tuple(runs)

    def format_plan(self) -> str:
        """Return `8 scenarios; concurrency 10, 50, 200; 1 trial`."""
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        at = ", ".join(map(str, self.concurrencies))
        return f"{len(self.scenarios)} scenarios; concurrency {at}; {trials}"

    def command(self) -> str:
        """Return the command that asks for the same experiment."""
        words = [PROGRAM, "run", "--scenario", ALL]
        words += ["--crawlers", *command_words(self.entrants)]
        words += ["--concurrency", ",".join(str(at) for at in self.concurrencies)]
        words += ["--trials", str(self.trials)]
        words += ["--seed", str(self.seed), "--timeout", f"{self.timeout_s:g}"]
        return shlex.join(words)

    def check(self) -> None:
        """Raise ValueError for values of the right types that cannot have been asked for."""
        if self.kind != NAME:
            raise ValueError(f"its kind is {self.kind!r}, not {NAME!r}")
        for name in ("scenarios", "entrants", "concurrencies"):
            if not getattr(self, name):
                raise ValueError(f"it asks for no {name}")
        for scenario in self.scenarios:
            scenario.check()
        requests = sum(scenario.most_requests(self.most) for scenario in self.scenarios)
        if requests > MOST_REQUESTS:
            raise ValueError(
                f"at a concurrency of {self.most:,} it may have {requests:,} requests in a trial, "
                f"but the ideal client is simulated with at most {MOST_REQUESTS:,}: ask for a "
                "smaller concurrency"
            )
        # A run is kept with what was asked of the server, and not with the name of its scenario.
        asked = {(one.delay, one.service, one.load) for one in self.scenarios}
        if not len(self.scenarios) == len({one.name for one in self.scenarios}) == len(asked):
            raise ValueError("it asks for a scenario twice")
        check_counts(
            {
                "concurrency": min(self.concurrencies),
                "trials": self.trials,
                "timeout": self.timeout_s,
            },
            len(self.scenarios) * len(self.entrants) * len(self.concurrencies) * self.trials,
        )
