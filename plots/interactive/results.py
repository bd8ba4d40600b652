"""The figures of a result, of any kind: which there are, and in which order they come."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any

from bench.advice.analysis import AdviceAnalysis
from bench.advice.words import answer
from bench.analysis.analyse import MAX_NS, Analysis
from bench.analysis.cells import CellSummary
from bench.analysis.comparison import METRICS
from bench.analysis.validity import Level
from bench.errors import StoreError
from bench.kinds import ReportOptions, kind_of
from bench.plan.advice import ADVICE
from bench.plan.crawl import CRAWL
from bench.plan.experiment import CALIBRATION, CELL, SWEEP, Experiment
from bench.plan.site import SITE
from bench.primes.experiment import NAME as PRIMES
from bench.report.comparison import Comparison, NotComparableError, compare_stores, comparison_table
from bench.report.tables import make_console
from bench.results.folder import find_file
from bench.results.reader import Outline
from bench.results.schema import RunRow
from bench.results.store import Store
from bench.scenarios.experiment import NAME as SCENARIOS
from plots.interactive.drawing import Drawn, draw_lines
from plots.interactive.others import primes_figures, scenarios_figures, site_figures
from plots.interactive.runs import Times, distribution, over_time, timeline, times_of
from plots.interactive.sweeps import (
    checked_figures,
    checked_lines,
    level_label,
    metrics_of,
    rate_per_s,
    unchecked_figures,
)
from plots.looks import styles_of
from plots.scenes import chosen_cells

_SHOWN_CONCURRENCY = 100
"""As in plots.scenes."""
_MANY_REQUESTS = 300_000
"""Reading so many takes about a second."""
_OF_CRAWLERS = (SWEEP, CALIBRATION, CRAWL, ADVICE)
_OTHERS: Mapping[str, Callable[[Any], Iterator[Drawn]]] = {
    SITE: site_figures,
    PRIMES: primes_figures,
    SCENARIOS: scenarios_figures,
}
_KEPT = 8
"""How many analyses are kept. Each is small, and takes seconds to compute."""


def figures_of(folder: Path) -> Iterator[Drawn]:
    """Yield the figures of a result: those from raw data first. Raises StoreError."""
    with Store.open(find_file(folder)) as store:
        kind = kind_of(store).name
        if kind not in _OF_CRAWLERS:
            yield from checked(store, analysed(store))
            return
        asked = store.experiment()
        runs, outlines = store.runs(), _believable(store.outlines())
        if _has_cells(asked):
            yield from unchecked_figures(asked, runs, outlines)
        if kind == ADVICE:  # what it recommends decides which runs are shown
            yield from checked(store, analysed(store))
            return
        chosen = _nearest_runs(asked, runs, outlines)
        lines = (timeline(store, run, outlines[run.number]) for run in chosen)
        # What is there soonest comes first; where it makes no difference, what is read first.
        if sum(run.requests for run in chosen) > _MANY_REQUESTS:
            yield from lines
        times, windows = _read_runs(store, asked, chosen)
        yield from _some(distribution(times, is_open=asked.is_open), windows)
        yield from lines
        analysis: Analysis = analysed(store)
        if _has_cells(asked):
            yield from checked_figures(analysis)
        yield from _some(distribution(_judged(times, analysis), is_open=asked.is_open))


def checked(store: Store, analysis: Any) -> Iterator[Drawn]:
    """Yield the figures of a result that has been analysed, each once. Raises StoreError."""
    kind = kind_of(store).name
    if kind not in _OF_CRAWLERS:
        yield from _OTHERS[kind](analysis)
        return
    if kind == ADVICE:
        of_crawlers, chosen = analysis.analysis, _recommended_runs(analysis)
        yield from _of_advice(analysis)
    else:
        of_crawlers, chosen = analysis, _chosen_runs(analysis)
        if _has_cells(analysis.experiment):
            yield from checked_figures(analysis)
    asked, outlines = of_crawlers.experiment, store.outlines()
    times, windows = _read_runs(store, asked, chosen)
    yield from _some(distribution(_judged(times, of_crawlers), is_open=asked.is_open), windows)
    yield from (timeline(store, run, outlines[run.number]) for run in chosen)


def tables_of(folder: Path) -> str:
    """Return what `crawlbench report --all` prints of a result. Raises StoreError.

    A process of its own would compute the analysis once more, and hold as much memory at a time.
    """
    console = make_console(is_wide=True)
    console.file = printed = StringIO()
    with Store.open(find_file(folder)) as store:
        kind_of(store).print_report(store, analysed(store), console, ReportOptions(show_all=True))
    return printed.getvalue()


def timeline_of(folder: Path) -> Iterator[Drawn]:
    """Yield the timeline of the first run of a result. Raises StoreError."""
    with Store.open(find_file(folder)) as store:
        outlines = store.outlines()
        runs = [run for run in store.runs() if run.role == CELL and run.number in outlines]
        if not runs:
            raise StoreError(f"{store.path} has no run with requests")
        yield timeline(store, runs[0], outlines[runs[0].number])


@dataclass(frozen=True, slots=True)
class Compared:
    """What `crawlbench compare A B` says of two results."""

    table: Mapping[str, Any]
    warnings: Sequence[str]
    problem: str = ""
    """Why they cannot be compared; "" if they can."""

    def as_json(self) -> Mapping[str, Any]:
        """Return it as a value that can be written as JSON."""
        return {"table": self.table, "warnings": list(self.warnings), "problem": self.problem}


def compare(folders: Sequence[Path]) -> Iterator[Drawn | Compared]:
    """Yield figures with two results, called A and B, and what the comparison says.

    Raises StoreError.
    """
    with ExitStack() as stack:
        stores = [stack.enter_context(Store.open(find_file(folder))) for folder in folders]
        for store in stores:
            if kind_of(store).name not in _OF_CRAWLERS or kind_of(store).name == ADVICE:
                raise StoreError(
                    f"{store.path.parent} is of kind {kind_of(store).name}: sweeps and crawls can "
                    "be compared"
                )
        analyses = [analysed(store) for store in stores]
        yield from _both(stores, analyses)
        one, other = stores
        names = [store.path.parent.name for store in stores]
        try:
            comparison = compare_stores(
                names[0], one, names[1], other, METRICS["throughput"], Level.SUSPECT, analysed
            )
        except NotComparableError as error:
            yield Compared({}, (), str(error))
        else:
            yield _said(comparison)


def _said(comparison: Comparison) -> Compared:
    table = comparison_table(comparison)
    return Compared(
        {
            "title": table.title,
            "columns": [column.heading for column in table.columns],
            "rows": [list(row) for row in table.cells()],
            "notes": table.notes(),
        },
        comparison.warnings,
    )


def _both(stores: Sequence[Store], analyses: Sequence[Analysis]) -> Iterator[Drawn]:
    asked = [one.experiment for one in analyses]
    styles = styles_of(list(dict.fromkeys(name for one in asked for name in one.crawlers)))
    names = "; ".join(
        f"{letter} is {store.path.parent.name}" for letter, store in zip("AB", stores, strict=True)
    )
    looks = [
        {name: replace(look, line=line) for name, look in styles.items()} for line in ("-", "--")
    ]
    if asked[0].is_open == asked[1].is_open:
        lines = [
            line
            for letter, analysis, of in zip("AB", analyses, looks, strict=True)
            for line in checked_lines(analysis, f", {letter}", of)
        ]
        drawn = draw_lines(
            "cells",
            "Both results",
            lines,
            metrics_of(asked[0]),
            level_label(asked[0]),
            ticks=sorted({point.x for line in lines for point in line.points}),
            x_name="rate" if asked[0].is_open else "concurrency",
            how_to_read="Lines of A are solid, and those of B are dashed.",
            finding=names,
        )
        yield from [drawn] if drawn else []
    times = [
        time
        for letter, store, analysis, of in zip("AB", stores, analyses, looks, strict=True)
        for time in _judged(
            (
                times_of(run, store.fetches(run.number), of[run.crawler], f", {letter}")
                for run in _chosen_runs(analysis)
            ),
            analysis,
        )
    ]
    drawn = distribution(times, is_open=asked[0].is_open)
    yield from [replace(drawn, finding=names)] if drawn else []


def analysed(store: Store) -> Any:
    """Return the analysis of a result, which is kept as long as its file stays as it is."""
    about = store.path.stat()
    return _analysed(store.path, about.st_ino, about.st_mtime_ns, len(store.runs()))


@lru_cache(maxsize=_KEPT)
def _analysed(path: Path, *_: int) -> Any:
    with Store.open(path) as store:
        return kind_of(store).analyse(store)


def _has_cells(asked: Experiment) -> bool:
    """Return whether there is more than one cell to draw."""
    return asked.is_repeated or asked.kind == ADVICE


def _believable(outlines: Mapping[int, Outline]) -> dict[int, Outline]:
    """Return the outlines without those of times that the analysis would not believe either."""
    return {
        number: one
        for number, one in outlines.items()
        if 0 <= one.first_ns <= one.last_ns <= MAX_NS
    }


def _of_advice(advice: AdviceAnalysis) -> Iterator[Drawn]:
    """Yield the figure of cells, which has the answer."""
    point = advice.chosen.recommended if advice.chosen is not None else None
    for one in checked_figures(advice.analysis, point.concurrency if point is not None else None):
        yield replace(one, finding=answer(advice))


def _some(*drawn: Drawn | None) -> Iterator[Drawn]:
    yield from (one for one in drawn if one is not None)


def _read_runs(
    store: Store, asked: Experiment, chosen: Iterable[RunRow]
) -> tuple[list[Times], Drawn | None]:
    """Read all requests of the chosen runs, and draw what they did over time."""
    styles = styles_of(asked.crawlers)
    every = [(run, store.fetches(run.number)) for run in chosen]
    times = [times_of(run, fetches, styles[run.crawler]) for run, fetches in every]
    return times, over_time(every, styles)


def _judged(times: Iterable[Times], analysis: Analysis) -> list[Times]:
    """Return the times with the verdicts of their runs."""
    trials = (trial for cell in analysis.cells for trial in cell.trials)
    verdicts = {trial.run.number: trial.verdict.level.name for trial in trials}
    return [replace(one, verdict=verdicts.get(one.number, one.verdict)) for one in times]


def _chosen_runs(analysis: Analysis) -> list[RunRow]:
    return _median_runs(chosen_cells(analysis).values())


def _recommended_runs(advice: AdviceAnalysis) -> list[RunRow]:
    """Return a run of what is recommended for each crawler, or else as for a sweep."""
    points = {one.crawler: one.recommended for one in advice.crawlers}
    chosen = chosen_cells(advice.analysis)
    for cell in advice.analysis.cells:
        point = points.get(cell.cell.crawler)
        if point is not None and cell.cell.concurrency == point.concurrency:
            chosen[cell.cell.crawler] = cell
    return _median_runs(chosen.values())


def _median_runs(cells: Iterable[CellSummary]) -> list[RunRow]:
    trials = [cell.median_trial() for cell in cells]
    return [trial.run for trial in trials if trial is not None]


def _nearest_runs(
    asked: Experiment, runs: Sequence[RunRow], outlines: Mapping[int, Outline]
) -> list[RunRow]:
    """Return one run of each crawler, much as plots.scenes.chosen_cells does of what is checked."""
    own: dict[str, list[RunRow]] = {name: [] for name in asked.crawlers}
    for run in runs:
        if run.role == CELL and run.number in outlines and run.crawler in own:
            own[run.crawler].append(run)
    chosen = []
    for found in filter(None, own.values()):
        nearest = min(found, key=_distance).cell
        trials = [run for run in found if run.cell == nearest]
        trials.sort(key=lambda run: rate_per_s(outlines[run.number]))
        chosen.append(trials[(len(trials) - 1) // 2])
    return chosen


def _distance(run: RunRow) -> tuple[bool, float]:
    return run.delay.is_none, abs(run.concurrency - _SHOWN_CONCURRENCY)
