"""Makes the runs of an advice: one search for each crawler in turn, then the confirmation."""

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count

from bench.advice.analysis import objectives_of
from bench.advice.boxes import Box, box_of
from bench.advice.objectives import Objective, bounds_times
from bench.advice.points import Point, points_of
from bench.advice.recommendation import Recommendation, recommend
from bench.advice.search import search, settle, to_confirm
from bench.analysis.analyse import load_run
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import judge
from bench.measure.progress import SearchProgress
from bench.plan.advice import SEARCH, AdviceExperiment, box_s
from bench.plan.entrants import Entrant
from bench.plan.experiment import PlannedRun
from bench.results.store import Store

FIXED_CONFIRMATIONS, CONFIRMATIONS, MOST_CONFIRMATIONS = 1, 2, 3
"""How often the recommendation and its neighbours are measured again: with a fixed delay; with
others, which have more noise; and at most, as long as that moves the recommendation."""
_RUN_S = 0.9
"""Rough time of a run beyond its time box: starting a process, and the last requests."""
_SEARCH_RUNS, _SEARCH_RUNS_OF_OTHERS = 10, 13
"""About how many runs a search takes; servers of others are approached more slowly."""
_CONFIRMATION_RUNS = 3
_TRIES = 2
"""How often a box is measured whose run failed or is INVALID, before the search is given up."""
_LONGEST_BOX_S = 30.0


@dataclass(eq=False)
class _Crawler:
    """The search of one crawler, so far."""

    entrant: Entrant
    most: int
    objectives: Sequence[Objective]
    boxes: list[Box] = field(default_factory=list)
    points: dict[int, Point] = field(default_factory=dict)
    has_failed: bool = False
    """Whether a concurrency could not be measured, so that the search was given up."""

    def learn(self, box: Box) -> None:
        """Note a box that was measured."""
        self.boxes.append(box)
        self.points.clear()
        self.points.update(points_of(self.boxes, self.objectives))

    def answer(self) -> Recommendation | None:
        """Return what would be recommended now."""
        return recommend(self.points, bounds_times=bounds_times(self.objectives))


class AdviceSearch:
    """The runs of an advice. Each depends on those before it, which the store has."""

    def __init__(self, asked: AdviceExperiment, most: Mapping[str, int], *, is_ours: bool) -> None:
        """Prepare a search; `most` is the largest concurrency of each entrant, by label."""
        self._asked = asked
        self._most = most
        self._is_ours = is_ours
        self._numbers = count(1)
        self._box_s = asked.duration_s
        self._ceiling_per_s: float | None = None
        self._confirmations = (
            FIXED_CONFIRMATIONS
            if asked.knows_delays and asked.delays[0].is_fixed
            else CONFIRMATIONS
        )
        expected = _SEARCH_RUNS if is_ours else _SEARCH_RUNS_OF_OTHERS
        expected += _CONFIRMATION_RUNS * self._confirmations
        expected *= len(asked.entrants)
        self.progress = SearchProgress(expected + bool(asked.floor), self._box_s + _RUN_S)
        self.expected_s = expected * (self._box_s + _RUN_S)
        """About how long it will take, in s."""

    @property
    def largest(self) -> tuple[PlannedRun, ...]:
        """The largest run of each crawler, and the one that measures the server."""
        boxes = (
            self._asked.box(1, SEARCH, one, self._most[one.label], self._box_s)
            for one in self._asked.entrants
        )
        return (*self._asked.ceiling_runs(), *boxes)

    def runs(self, store: Store) -> Iterator[PlannedRun]:
        """Yield each run. Those before it are in the store. Raises StoreError."""
        for planned in self._asked.ceiling_runs():
            next(self._numbers)
            yield planned
            summary = _summary(store)
            self._ceiling_per_s = summary.requests_per_s if summary is not None else None
        objectives = objectives_of(self._asked, store)
        crawlers = [
            _Crawler(one, self._most[one.label], objectives) for one in self._asked.entrants
        ]
        # In turn, so that the drift of the machine spreads over all crawlers.
        searches = [self._search(one, store) for one in crawlers]
        while searches:
            for one in tuple(searches):
                planned_run = next(one, None)
                if planned_run is None:
                    searches.remove(one)
                else:
                    self._expect(crawlers, searching=len(searches))
                    yield planned_run
        yield from self._confirmation(crawlers, store)

    def _expect(self, crawlers: Sequence[_Crawler], *, searching: int) -> None:
        """Expect each search to need two more runs at least, and the confirmation after them."""
        each = _CONFIRMATION_RUNS * self._confirmations
        self.progress.expect(2 * searching + each * len(crawlers))

    def _search(self, crawler: _Crawler, store: Store) -> Iterator[PlannedRun]:
        wanted = search(
            crawler.points,
            crawler.most,
            is_ours=self._is_ours,
            bounds_times=bounds_times(crawler.objectives),
        )
        for concurrency in wanted:
            for _ in range(_TRIES):
                yield from self._measure(crawler, SEARCH, concurrency, store)
                if concurrency in crawler.points:
                    break
            else:
                crawler.has_failed = True
                return
            self._lengthen(crawler.points)

    def _lengthen(self, points: Mapping[int, Point]) -> None:
        """Lengthen the boxes for a server whose delays only the first box shows."""
        if not self._asked.knows_delays and list(points) == [1] and points[1].p50_ns is not None:
            longer_s = box_s(points[1].p50_ns / 1e3, is_fixed=False)
            self._box_s = max(self._box_s, min(longer_s, _LONGEST_BOX_S))

    def _confirmation(self, crawlers: Sequence[_Crawler], store: Store) -> Iterator[PlannedRun]:
        order = random.Random(self._asked.seed)  # noqa: S311 - not for secrets
        unsettled = {one: one.answer() for one in crawlers if not one.has_failed}
        for confirmation in range(1, MOST_CONFIRMATIONS + 1):
            trial = SEARCH + confirmation
            if confirmation > 1:
                yield from self._settle(unsettled, trial, store)
            wanted = [
                (one, concurrency)
                for one in unsettled
                if (answer := one.answer()) is not None
                for concurrency in to_confirm(one.points, answer)
            ]
            order.shuffle(wanted)
            self.progress.expect(len(wanted))
            for one, concurrency in wanted:
                yield from self._measure(one, trial, concurrency, store)
            unsettled = {
                one: moved
                for one, answer in unsettled.items()
                if (moved := one.answer()) is not None
                and (confirmation < self._confirmations or not _agrees(answer, moved))
            }

    def _settle(
        self, crawlers: Iterable[_Crawler], trial: int, store: Store
    ) -> Iterator[PlannedRun]:
        """Close the brackets again, which fresh runs may have opened."""
        for one in crawlers:
            for concurrency in settle(one.points, bounds_times=bounds_times(one.objectives)):
                yield from self._measure(one, trial, concurrency, store)
                if concurrency not in one.points:
                    break

    def _measure(
        self, crawler: _Crawler, trial: int, concurrency: int, store: Store
    ) -> Iterator[PlannedRun]:
        """Yield one run, and note its box if there is one."""
        planned = self._box(trial, crawler.entrant, concurrency)
        yield planned
        box = self._measured(store, planned.number)
        if box is not None:
            crawler.learn(box)

    def _box(self, trial: int, entrant: Entrant, concurrency: int) -> PlannedRun:
        return self._asked.box(next(self._numbers), trial, entrant, concurrency, self._box_s)

    def _measured(self, store: Store, number: int) -> Box | None:
        kept = next(run for run in reversed(store.runs()) if run.number == number)
        run, accounts = load_run(store, kept)
        summary = summarise(run, accounts)
        if summary is None:
            return None
        return box_of(run, accounts, summary, judge(run, summary, self._ceiling_per_s))


def _agrees(answer: Recommendation | None, moved: Recommendation) -> bool:
    """Return whether an answer is still as good after fresh runs."""
    return answer is not None and moved.low <= answer.concurrency <= moved.high


def _summary(store: Store) -> RunSummary | None:
    """Return the summary of the only run."""
    (kept,) = store.runs()
    run, accounts = load_run(store, kept)
    return summarise(run, accounts)
