"""Scores the runs of `run --scenario all` against the ideal client. Pure.

The score of a run is its goodput within the objective, less what was refused, over the same of the
ideal client at its best fixed concurrency. docs/scenarios.md explains it.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean, median
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import load_run
from bench.analysis.cells import CellSummary, Trial
from bench.analysis.good import GoodRequests
from bench.analysis.summary import summarise
from bench.analysis.validity import Level, judge
from bench.errors import StoreError
from bench.plan.experiment import seed_of_trial
from bench.plan.ideal import GOOD, ceilings, simulate
from bench.plan.scenarios import Scenario
from bench.results.schema import RunRow
from bench.scenarios.experiment import ScenariosExperiment
from server.service import CapacityStep

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.results.store import Store

LOWEST_SCORE = -1.0
"""A lower score counts as this in the total, so that one scenario cannot decide it alone: there is
no limit to how much a client can be refused."""
CONVERGED_SHARE = 0.9
_WINDOW_S, _MOVE_S = 1.0, 0.1
_STEADY_S = 3.0
"""For how long the ideal client is simulated to know its goodput at one capacity."""
_COARSE = 1.5
"""Ratio of neighbouring concurrencies in the first look for the best one."""
_FINE = 10
"""About how many concurrencies are tried around the best one of the first look."""


class Entry(NamedTuple):
    """One column of the table: an entrant, at one concurrency if it does not adapt."""

    crawler: str
    concurrency: int
    """What it was allowed, if it adapts."""
    adapts: bool

    def __str__(self) -> str:
        return self.crawler if self.adapts else f"{self.crawler} at {self.concurrency}"


class Goodput(NamedTuple):
    """What a run achieved in the time that counts."""

    good_per_s: float
    """Good answers per second that came within the objective."""
    refused_per_s: float

    @property
    def net_per_s(self) -> float:
        """What is scored."""
        return self.good_per_s - self.refused_per_s


class BestFixed(NamedTuple):
    """The ideal client at its best fixed concurrency."""

    concurrency: int
    good_per_s: float


@dataclass(frozen=True, slots=True)
class ScoredRun:
    """A run with its score."""

    trial: Trial
    goodput: Goodput | None
    """None without results."""
    score: float | None
    """None without results, and for an INVALID run."""
    converged_s: tuple[float | None, ...]
    """For each step of the capacity, the seconds to converge after it; None for never."""


@dataclass(frozen=True, slots=True)
class ScoredCell:
    """All trials of an entry in a scenario."""

    scenario: Scenario
    entry: Entry
    runs: tuple[ScoredRun, ...]

    @property
    def score(self) -> float | None:
        """The median over the trials; None if a run has no score."""
        scores = [run.score for run in self.runs if run.score is not None]
        return median(scores) if len(scores) == len(self.runs) else None

    @property
    def goodput(self) -> Goodput | None:
        """The medians over the trials that have results."""
        known = [run.goodput for run in self.runs if run.goodput is not None]
        if not known:
            return None
        return Goodput(
            good_per_s=median(one.good_per_s for one in known),
            refused_per_s=median(one.refused_per_s for one in known),
        )

    @property
    def summary(self) -> CellSummary:
        """Its trials as those of a cell of a sweep."""
        trials = tuple(run.trial for run in self.runs)
        return CellSummary(trials[0].run.cell, trials)

    @property
    def level(self) -> Level:
        """The worst verdict of its runs."""
        return max(run.trial.verdict.level for run in self.runs)

    def converged_s(self, step: int) -> float | None:
        """Return the median of the seconds to converge after a step; None if that is never."""
        spans = [run.converged_s[step] for run in self.runs if run.goodput is not None]
        if not spans:
            return None
        middle = median(float("inf") if span is None else span for span in spans)
        return middle if middle < float("inf") else None


class Ranked(NamedTuple):
    """The scores of an entry, or of a crawler at its best concurrency of each scenario."""

    name: str
    entry: Entry
    scores: tuple[float | None, ...]
    """In the order of the scenarios."""
    total: float | None
    """None if a score is missing."""


@dataclass(frozen=True, slots=True)
class ScenariosAnalysis:
    """The analysis of a whole experiment."""

    experiment: ScenariosExperiment
    cells: tuple[ScoredCell, ...]
    """Those that were measured, in the order of scenarios, then of entries."""
    best: tuple[BestFixed, ...]
    """The ideal client in the first trial of each scenario."""

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All that were measured, in the order of the command."""
        asked = [entrant.label for entrant in self.experiment.entrants]
        known = {cell.entry for cell in self.cells}
        return tuple(sorted(known, key=lambda one: (asked.index(one.crawler), one.concurrency)))

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """All runs."""
        return tuple(run.trial.run for cell in self.cells for run in cell.runs)

    @property
    def is_sound(self) -> bool:
        """Whether no run is INVALID, and no request failed that was not planned to."""
        return all(
            run.trial.verdict.level is not Level.INVALID
            and (
                (summary := run.trial.summary) is None
                or sum(summary.errors.values()) <= summary.planned_failures
            )
            for cell in self.cells
            for run in cell.runs
        )

    def cell(self, scenario: Scenario, entry: Entry) -> ScoredCell | None:
        """Return what was measured of an entry in a scenario."""
        wanted = (scenario, entry)
        return next((cell for cell in self.cells if (cell.scenario, cell.entry) == wanted), None)

    def of(self, entry: Entry) -> tuple[ScoredCell, ...]:
        """Return what was measured of an entry."""
        return tuple(cell for cell in self.cells if cell.entry == entry)

    def scores(self, entry: Entry) -> tuple[float | None, ...]:
        """Return the score of an entry in each scenario."""
        cells = [self.cell(scenario, entry) for scenario in self.experiment.scenarios]
        return tuple(cell.score if cell is not None else None for cell in cells)

    def ranking(self) -> tuple[Ranked, ...]:
        """Return all entries, the best total first, those without one last."""
        found = (
            Ranked(str(entry), entry, scores, total(scores))
            for entry in self.entries
            for scores in [self.scores(entry)]
        )
        return tuple(
            sorted(found, key=lambda one: (one.total is None, -(one.total or 0.0), one.name))
        )

    def with_hindsight(self) -> Iterator[Ranked]:
        """Yield each crawler that does not adapt with its best concurrency of each scenario.

        It is no entry: nobody knows that concurrency before.
        """
        fixed: dict[str, list[Entry]] = {}
        for entry in self.entries:
            if not entry.adapts:
                fixed.setdefault(entry.crawler, []).append(entry)
        for crawler, entries in fixed.items():
            if len(entries) > 1:
                best = tuple(
                    max((one for one in scores if one is not None), default=None)
                    for scores in zip(*map(self.scores, entries), strict=True)
                )
                yield Ranked(f"{crawler} at its best", entries[0], best, total(best))

    def best_of(self, one: Ranked) -> tuple[Scenario, float] | None:
        """Return the scenario with the best score, and the score; None without any."""
        return max(self._scored(one), key=lambda pair: pair[1], default=None)

    def worst_of(self, one: Ranked) -> tuple[Scenario, float] | None:
        """Return the scenario with the worst score, and the score; None without any."""
        return min(self._scored(one), key=lambda pair: pair[1], default=None)

    def _scored(self, one: Ranked) -> Iterator[tuple[Scenario, float]]:
        for scenario, score in zip(self.experiment.scenarios, one.scores, strict=True):
            if score is not None:
                yield scenario, score


def total(scores: Sequence[float | None]) -> float | None:
    """Return the mean of the scores, where one below LOWEST_SCORE counts as that.

    Returns None if a score is missing.
    """
    known = [max(LOWEST_SCORE, score) for score in scores if score is not None]
    return fmean(known) if known and len(known) == len(scores) else None


def analyse_scenarios(store: "Store") -> ScenariosAnalysis:
    """Analyse a results file of this kind. Raises StoreError."""
    asked = store.read_asked(ScenariosExperiment)
    scenario_of = {(one.delay, one.service, one.load): one for one in asked.scenarios}
    labels = [entrant.label for entrant in asked.entrants]
    runs: dict[tuple[Scenario, Entry], list[ScoredRun]] = {}
    for kept in store.runs():
        scenario = scenario_of.get((kept.delay, kept.service, kept.load))
        if scenario is None or kept.crawler not in labels:
            raise StoreError(f"cannot read {store.path}: run {kept.number} is not in the plan")
        run, accounts = load_run(store, kept)
        entry = Entry(run.crawler, run.concurrency, run.crawler in asked.adaptive)
        best = best_fixed(scenario, asked.most, seed_of_trial(asked.seed, run.trial))
        scored = scored_run(run, accounts, scenario, best, asked.most)
        runs.setdefault((scenario, entry), []).append(scored)
    rank = {scenario: n for n, scenario in enumerate(asked.scenarios)}
    cells = (ScoredCell(scenario, entry, tuple(of)) for (scenario, entry), of in runs.items())
    ordered = sorted(
        cells,
        key=lambda one: (
            rank[one.scenario],
            labels.index(one.entry.crawler),
            one.entry.concurrency,
        ),
    )
    first = seed_of_trial(asked.seed, 1)
    ideals = tuple(best_fixed(scenario, asked.most, first) for scenario in asked.scenarios)
    return ScenariosAnalysis(asked, tuple(ordered), ideals)


def scored_run(
    run: RunRow, accounts: Accounts, scenario: Scenario, best: BestFixed, most: int
) -> ScoredRun:
    """Score a run of a scenario against the ideal client, which has up to `most` in flight."""
    summary = summarise(run, accounts)
    trial = Trial(run, summary, judge(run, summary, None))
    never: tuple[float | None, ...] = (None,) * len(scenario.steps)
    if summary is None:
        return ScoredRun(trial, None, None, never)
    fetches = accounts.fetches
    requests = GoodRequests.of(run, accounts)
    origin_ns = int(fetches["start_ns"].min())
    goodput, in_time_ns = goodput_of(
        fetches["start_ns"] - origin_ns,
        fetches["end_ns"] - origin_ns,
        requests.is_good,
        requests.is_refused,
        scenario,
    )
    is_valid = trial.verdict.level is not Level.INVALID
    return ScoredRun(
        trial,
        goodput,
        goodput.net_per_s / best.good_per_s if is_valid and best.good_per_s else None,
        tuple(seconds_to_converge(in_time_ns, scenario, most)),
    )


def goodput_of(
    start_ns: "NDArray[np.int64]",
    end_ns: "NDArray[np.int64]",
    is_good: "NDArray[np.bool_]",
    is_refused: "NDArray[np.bool_]",
    scenario: Scenario,
) -> "tuple[Goodput, NDArray[np.int64]]":
    """Return the goodput of requests, and the ends of all that are good within the objective.

    Times count from the first start. Only what ends after the warm-up and within the duration
    counts, as in the throughput of a run.
    """
    from_ns, to_ns = round(scenario.warm_up_s * 1e9), round(scenario.duration_s * 1e9)
    in_time_ns = end_ns[is_good & (end_ns - start_ns <= scenario.objective_ns)]

    def per_s(ends_ns: "NDArray[np.int64]") -> float:
        return int(((ends_ns > from_ns) & (ends_ns <= to_ns)).sum()) / (to_ns - from_ns) * 1e9

    return Goodput(per_s(in_time_ns), per_s(end_ns[is_refused])), in_time_ns


def seconds_to_converge(
    in_time_ns: "NDArray[np.int64]", scenario: Scenario, most: int
) -> Iterator[float | None]:
    """Yield how long after each step the goodput is that of the new capacity; None for never.

    It is the time from the step to the begin of the first second, tried every 0.1 s, with at least
    CONVERGED_SHARE of the goodput of the ideal client; that second ends before the next step.
    """
    ends_s = np.sort(in_time_ns) / 1e9
    instants_s = [*(step.from_s for step in scenario.steps), scenario.duration_s]
    for step, until_s in zip(scenario.steps, instants_s[1:], strict=True):
        enough = CONVERGED_SHARE * _good_at(scenario, step, most) * _WINDOW_S
        moves = round((until_s - _WINDOW_S - step.from_s) / _MOVE_S)
        begins_s = step.from_s + np.arange(max(0, moves + 1)) * _MOVE_S
        counts = np.searchsorted(ends_s, begins_s + _WINDOW_S, "right")
        counts -= np.searchsorted(ends_s, begins_s, "right")
        found = np.flatnonzero(counts >= enough)
        yield float(found[0] * _MOVE_S) if len(found) else None


def _good_at(scenario: Scenario, step: CapacityStep, most: int) -> float:
    """Return the goodput of the ideal client if the capacity is always that of a step."""
    constant = replace(scenario.service, capacity=(CapacityStep(step.capacity, 0.0),))
    duration_s = scenario.warm_up_s + _STEADY_S
    always = replace(scenario, service=constant, duration_s=duration_s)
    return best_fixed(always, most, seed=0).good_per_s


def best_fixed(scenario: Scenario, most: int, seed: int) -> BestFixed:
    """Return the concurrency up to `most` at which the ideal client has the best goodput.

    It is looked for among some from 1 to `most`, and then around the best of these. `seed` is that
    of the delays.
    """
    return _best_fixed(scenario, most, 0 if scenario.delay.is_fixed else seed)


@lru_cache(maxsize=1000)
def _best_fixed(scenario: Scenario, most: int, seed: int) -> BestFixed:
    service, mean_us = scenario.service, scenario.delay.mean_us
    delays_us = scenario.delay.drawn(seed, scenario.most_requests(most))
    known = {1, most, *(step.capacity for step in service.capacity)}
    known |= {round(ceiling.per_s * mean_us / 1e6) for ceiling in ceilings(service, mean_us)}
    at = 1.0
    while at < most:
        known.add(round(at))
        at *= _COARSE
    chosen = sorted(one for one in known if 1 <= one <= most)
    tried = {at: _ideal_good_per_s(scenario, at, delays_us) for at in chosen}
    place = chosen.index(_best_of(tried))
    low, high = chosen[max(0, place - 1)], chosen[min(place + 1, len(chosen) - 1)]
    for at in range(low, high, max(1, (high - low) // _FINE)):
        tried[at] = _ideal_good_per_s(scenario, at, delays_us)
    best = _best_of(tried)
    return BestFixed(best, tried[best])


def _best_of(tried: dict[int, float]) -> int:
    """Return the smallest concurrency with the best goodput."""
    return min(tried, key=lambda at: (-tried[at], at))


def _ideal_good_per_s(scenario: Scenario, at: int, delays_us: "array[int]") -> float:
    """Return the goodput of the ideal client within the objective; 0 if it is ever refused.

    It does not wait after a refusal, so that one slot is refused without end until there is a token
    or room. In this time of no length it would have more refusals than it ever has answers.
    """
    planned_us = delays_us[: scenario.most_requests(at)]
    duration_ns = round(scenario.duration_s * 1e9)
    ideal = simulate(planned_us, scenario.service, slots=at, duration_ns=duration_ns)
    status, start_ns, end_ns = map(np.array, (ideal.status, ideal.start_ns, ideal.end_ns))
    if (status > GOOD).any():
        return 0.0
    goodput, _ = goodput_of(start_ns, end_ns, status == GOOD, status > GOOD, scenario)
    return goodput.good_per_s
