"""Every figure, in the order in which they are drawn.

A file here is a figure: how it is drawn, how to read it and what it shows. A new one is a new file
with a function `draw`, and a row of the tables below.
"""

from collections.abc import Callable, Iterator
from typing import TypeVar

from bench.analysis.analyse import Analysis, load_accounts
from bench.analysis.comparison import compare_neighbours
from bench.primes.analysis import PrimesAnalysis
from bench.primes.experiment import HASHES
from bench.primes.report import work_shown
from bench.results.store import Store
from plots.figures import (
    cost,
    efficiency,
    in_flight,
    latency_split,
    overlap,
    primes,
    service_time,
    throughput,
    time_vs_concurrency,
    timeline,
    workload,
)
from plots.scenes import (
    DelayScene,
    Drawn,
    PrimesScene,
    RunScene,
    SaverScene,
    SweepScene,
    chosen_cells,
    file_name,
    small_print_of,
    small_print_of_primes,
)

_Scene = TypeVar("_Scene")

OF_SWEEP: tuple[Callable[[SweepScene], Drawn | None], ...] = (time_vs_concurrency.draw,)
OF_DELAY: tuple[Callable[[DelayScene], Drawn | None], ...] = (
    throughput.draw,
    efficiency.draw,
    service_time.draw,
    latency_split.draw,
    cost.draw,
)
"""Drawn for each delay."""
OF_RUN: tuple[Callable[[RunScene], Drawn | None], ...] = (timeline.draw, in_flight.draw)
"""Drawn for each crawler, of one run."""
OF_PRIMES: tuple[Callable[[PrimesScene], Drawn | None], ...] = (primes.draw, workload.draw)
OF_SAVER: tuple[Callable[[SaverScene], Drawn | None], ...] = (overlap.draw,)
"""Drawn for each saver, of one run."""
ON_REQUEST = ("compare", "faults")
"""Files whose figures are drawn by programs of their own, `python -m plots.NAME`."""


def figures_of(store: Store, analysis: Analysis) -> Iterator[Drawn]:
    """All of a sweep; each can be saved and forgotten before the next is drawn.

    Where there are several delays, figures that are of one are drawn for each, with the delay in
    their name. Raises StoreError.
    """
    if not any(cell.measured for cell in analysis.cells):
        return
    small_print = small_print_of(store, analysis)
    sweep = SweepScene(analysis, small_print)
    neighbours = compare_neighbours(analysis.cells)
    several = len(analysis.experiment.delays) > 1
    if several:  # it is what they were asked for
        yield from _of(sweep, OF_SWEEP)
    for delay in analysis.experiment.delays:
        at_delay = analysis.of_delay(delay)
        if any(cell.measured for cell in at_delay.cells):
            suffix = f"-{file_name(str(delay).replace(' ', ''))}" if several else ""
            title = f", delay {delay}" if several else ""
            compared = tuple(one for one in neighbours if one.delay == delay)
            print_here = small_print_of(store, at_delay)
            scene = DelayScene(store, at_delay, print_here, suffix, title, compared)
            yield from _of(scene, OF_DELAY)
    if not several:
        yield from _of(sweep, OF_SWEEP)
    for cell in chosen_cells(analysis).values():
        trial = cell.median_trial()
        if trial is not None:
            accounts = load_accounts(store, trial.run)
            yield from _of(RunScene(trial, accounts, small_print), OF_RUN)


def primes_figures(store: Store, analysis: PrimesAnalysis) -> Iterator[Drawn]:
    """All of `crawlbench primes`, as `figures_of`. Raises StoreError."""
    small_print = small_print_of_primes(store, analysis)
    yield from _of(PrimesScene(analysis, small_print), OF_PRIMES)
    shown = analysis.shown_works()
    if not shown:
        return
    # Of hashes, where both were computed, since their CPU time can be seen.
    key = next((key for key in shown if key[0] == HASHES), shown[0])
    for saver, cell in analysis.by_work()[key].items():
        run = cell.median_run()
        if run is not None:
            accounts, work = load_accounts(store, run.run), store.work(run.run.number)
            scene = SaverScene(saver, run, accounts, work, work_shown(key), small_print)
            yield from _of(scene, OF_SAVER)


def _of(scene: _Scene, figures: tuple[Callable[[_Scene], Drawn | None], ...]) -> Iterator[Drawn]:
    for draw in figures:
        drawn = draw(scene)
        if drawn is not None:
            yield drawn
