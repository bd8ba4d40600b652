"""Computes the advice from a results file."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.advice.boxes import Box, box_of
from bench.advice.limits import UNFINISHED, Limit, limit_of
from bench.advice.objectives import Objective, ObjectiveError, bounds_times
from bench.advice.points import Point, points_of
from bench.advice.recommendation import Recommendation, recommend
from bench.advice.scalability import ScalabilityLaw, fit
from bench.analysis.analyse import Analysis, analyse, load_run
from bench.analysis.cells import Trial
from bench.errors import StoreError
from bench.plan.advice import SEARCH, AdviceExperiment

if TYPE_CHECKING:
    from bench.results.store import Store


@dataclass(frozen=True, slots=True)
class CrawlerAdvice:
    """The advice for one crawler."""

    crawler: str
    points: tuple[Point, ...]
    """What was measured, in ascending order of concurrency."""
    recommendation: Recommendation | None
    """None if no concurrency meets the objectives, or if the search did not come to its end."""
    limit: Limit
    law: ScalabilityLaw | None
    """The universal scalability law, if it holds."""
    searched: int | None
    """What the search alone would recommend, without the fresh runs that confirm it."""

    def at(self, concurrency: int) -> Point:
        """Return the point of a concurrency. Raises StopIteration if it was not measured."""
        return next(point for point in self.points if point.concurrency == concurrency)

    @property
    def recommended(self) -> Point | None:
        """The point of the recommended concurrency."""
        return self.at(self.recommendation.concurrency) if self.recommendation else None


@dataclass(frozen=True, slots=True)
class AdviceAnalysis:
    """The analysis of all runs of `crawlbench advise`."""

    experiment: AdviceExperiment
    analysis: Analysis
    """The same runs as a sweep, with their verdicts."""
    crawlers: tuple[CrawlerAdvice, ...]
    """In the order of the command. A crawler without results is left out."""

    @property
    def chosen(self) -> CrawlerAdvice | None:
        """The crawler to use: of those that have enough of the best goodput, the cheapest in CPU.

        None if no crawler meets the objectives.
        """
        able = self.reaching()
        return min(able, key=_cpu_us) if able else None

    def reaching(self) -> list[CrawlerAdvice]:
        """Return the crawlers whose recommended concurrency has enough of the best goodput."""
        answered = [one for one in self.crawlers if one.recommendation is not None]
        best = max(
            (one.recommendation.best_per_s for one in answered if one.recommendation), default=0
        )
        return [
            one
            for one in answered
            if one.recommendation and one.recommendation.best_per_s >= SAME_SHARE * best
        ]

    @property
    def trials(self) -> list[Trial]:
        """All runs with their verdicts."""
        return [
            *self.analysis.ceilings,
            *(trial for cell in self.analysis.cells for trial in cell.trials),
        ]

    @property
    def is_sound(self) -> bool:
        """Whether no run is INVALID. Errors and refusals are a part of the answer."""
        return self.analysis.has_no_invalid


SAME_SHARE = 0.95
"""Crawlers with this share of the best one's goodput reach it, too."""


def analyse_advice(store: "Store") -> AdviceAnalysis:
    """Analyse all runs of a results file. Raises StoreError."""
    asked = store.read_asked(AdviceExperiment)
    objectives = objectives_of(asked, store)
    analysis = analyse(store)
    boxes: dict[str, list[Box]] = {label: [] for label in asked.crawlers}
    for cell in analysis.cells:
        for trial in cell.trials:
            box = _box(store, trial)
            if box is not None and cell.cell.crawler in boxes:
                boxes[cell.cell.crawler].append(box)
    advices = (advice_of(label, found, asked, objectives) for label, found in boxes.items())
    return AdviceAnalysis(asked, analysis, tuple(one for one in advices if one.points))


def objectives_of(asked: AdviceExperiment, store: "Store") -> tuple[Objective, ...]:
    """Return the objectives of an experiment that is stored. Raises StoreError."""
    try:
        return tuple(map(Objective.parse, asked.objectives))
    except ObjectiveError as error:
        raise StoreError(f"cannot read {store.path}: {error}") from error


def advice_of(
    crawler: str,
    boxes: Sequence[Box],
    asked: AdviceExperiment,
    objectives: Sequence[Objective],
) -> CrawlerAdvice:
    """Return the advice that follows from the boxes of one crawler."""
    is_bound = bounds_times(objectives)
    points = points_of(boxes, objectives)
    answer = recommend(points, bounds_times=is_bound)
    of_search = points_of((box for box in boxes if box.trial == SEARCH), objectives)
    searched = recommend(of_search, bounds_times=is_bound)
    known = [point for point in points.values() if point.is_steady]
    law = fit([one.concurrency for one in known], [one.good_per_s for one in known])
    limit = limit_of(points, answer, asked.most)
    # No fresh run: the search was interrupted, or given up because its runs failed.
    if answer is not None and not any(point.is_confirmed for point in points.values()):
        answer, limit = None, Limit(UNFINISHED, max(points), "the search did not come to its end")
    return CrawlerAdvice(
        crawler,
        tuple(points.values()),
        answer,
        limit,
        law,
        searched.concurrency if searched is not None else None,
    )


def _box(store: "Store", trial: Trial) -> Box | None:
    if trial.summary is None:
        return None
    if not trial.run.load.ends_by_time or trial.run.load.warm_up_s >= trial.run.load.duration_s:
        raise StoreError(f"cannot read {store.path}: its run {trial.run.number} is no time box")
    run, accounts = load_run(store, trial.run)
    return box_of(run, accounts, trial.summary, trial.verdict)


def _cpu_us(one: CrawlerAdvice) -> float:
    point = one.recommended
    return point.cpu_us_per_request if point is not None else float("inf")
