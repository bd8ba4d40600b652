"""The figures of a result, of any kind: which there are, and in which order they come."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analysis.analyse import analyse
from bench.kinds import kind_of
from bench.plan.crawl import CRAWL
from bench.plan.experiment import CALIBRATION, CELL, SWEEP, Experiment
from bench.results.folder import find_file
from bench.results.reader import Outline
from bench.results.schema import RunRow
from bench.results.store import Store
from plots.interactive.drawing import Drawn
from plots.interactive.runs import distribution, over_time, timeline, times_of
from plots.interactive.sweeps import checked_figures, rate_per_s, unchecked_figures
from plots.looks import styles_of

_OF_CRAWLERS = (SWEEP, CALIBRATION, CRAWL)


def figures_of(folder: Path) -> Iterator[Drawn]:
    """Yield the figures of a result: those from raw data first. Raises StoreError."""
    with Store.open(find_file(folder)) as store:
        if kind_of(store).name not in _OF_CRAWLERS:
            return
        asked = store.experiment()
        runs, outlines = store.runs(), store.outlines()
        if asked.is_repeated:
            yield from unchecked_figures(asked, runs, outlines)
        chosen = _nearest_runs(asked, runs, outlines)
        for run in chosen:
            yield timeline(store, run, outlines[run.number])
        yield from of_chosen(store, asked, chosen)
        analysis = analyse(store)
        if asked.is_repeated:
            yield from checked_figures(analysis)


def of_chosen(store: Store, asked: Experiment, chosen: Sequence[RunRow]) -> Iterator[Drawn]:
    """Yield the figures that need all requests of the chosen runs."""
    styles = styles_of(asked.crawlers)
    times, windows = [], []
    for run in chosen:
        fetches = store.fetches(run.number)
        times.append(times_of(run, fetches, styles[run.crawler]))
        windows.append((run, fetches))
    drawn = distribution(times, is_open=asked.is_open), over_time(windows, styles)
    yield from (one for one in drawn if one is not None)


def _nearest_runs(
    asked: Experiment, runs: Sequence[RunRow], outlines: dict[int, Outline]
) -> list[RunRow]:
    """Return one run of each crawler, as plots.scenes.chosen_cells does where all is checked."""
    found: dict[str, list[RunRow]] = {}
    for run in runs:
        if run.role == CELL and run.number in outlines and run.crawler in asked.crawlers:
            found.setdefault(run.crawler, []).append(run)
    chosen = []
    for name in asked.crawlers:
        own = found.get(name, [])
        if own:
            nearest = min(own, key=lambda run: (run.delay.is_none, abs(run.concurrency - 100))).cell
            trials = sorted(
                (run for run in own if run.cell == nearest),
                key=lambda run: rate_per_s(outlines[run.number]),
            )
            chosen.append(trials[(len(trials) - 1) // 2])
    return chosen
