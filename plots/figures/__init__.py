"""All figures, in the order in which they are drawn.

Each module of this package is one figure: how it is drawn, how to read it and what it shows. A new
figure needs a new module with a function `draw`, and an entry in one of the tables below.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TypeVar

from bench.advice.analysis import AdviceAnalysis
from bench.analysis.analyse import Analysis, load_accounts
from bench.analysis.comparison import compare_neighbours
from bench.plan.experiment import Experiment
from bench.primes.analysis import PrimesAnalysis, SavedCell, key_of
from bench.primes.experiment import BCRYPT, PRIMES
from bench.primes.report import format_work
from bench.results.store import Store
from bench.scenarios.analysis import ScenariosAnalysis
from bench.sites.analysis import SiteAnalysis
from plots.figures import (
    advice,
    async_callgraph,
    cost,
    delays,
    efficiency,
    hosts,
    in_flight,
    interpreters,
    latency_split,
    latency_vs_load,
    limit_over_time,
    over_time,
    overlap,
    primes,
    processes,
    scenarios,
    service_time,
    site_coverage,
    site_memory,
    site_parse,
    site_throughput,
    throughput,
    time_vs_concurrency,
    timeline,
    workload,
    workload_bcrypt,
)
from plots.scenes import (
    AdviceScene,
    DelayScene,
    Drawn,
    PrimesScene,
    RunScene,
    SaverScene,
    ScenariosScene,
    SiteScene,
    SweepScene,
    chosen_cells,
    file_name,
    small_print_of,
    small_print_of_primes,
    small_print_of_runs,
    small_print_of_site,
)

_Scene = TypeVar("_Scene")
CALLGRAPH_COST = 12
"""The cost of bcrypt in the call graph, as published; the nearest one is drawn if it is missing."""

OF_SWEEP: tuple[Callable[[SweepScene], Drawn | None], ...] = (
    processes.draw,
    time_vs_concurrency.draw,
)
OF_DELAY: tuple[Callable[[DelayScene], Drawn | None], ...] = (
    throughput.draw,
    efficiency.draw,
    service_time.draw,
    latency_split.draw,
    cost.draw,
    interpreters.draw,
)
"""Figures of a closed loop that are drawn once for each delay."""
OF_CRAWL = (service_time.draw, latency_split.draw)
"""Figures from OF_DELAY that are useful for a single cell."""
OF_DELAY_OPEN: tuple[Callable[[DelayScene], Drawn | None], ...] = (latency_vs_load.draw,)
"""Figures of an open loop that are drawn once for each delay. Those of a closed loop are against
concurrency, which is only a limit here."""
OF_REQUESTS: tuple[Callable[[DelayScene], Drawn | None], ...] = (delays.draw,)
"""Figures that are drawn once for each delay, whatever the load."""
OF_RUN: tuple[Callable[[RunScene], Drawn | None], ...] = (
    timeline.draw,
    over_time.draw,
    limit_over_time.draw,
)
"""Figures of one run, drawn once for each crawler."""
OF_RUN_CLOSED: tuple[Callable[[RunScene], Drawn | None], ...] = (in_flight.draw,)
"""The same, in closed loop only: in open loop, the concurrency is no more than a limit."""
OF_ADVICE: tuple[Callable[[AdviceScene], Drawn | None], ...] = (advice.draw,)
OF_PRIMES: tuple[Callable[[PrimesScene], Drawn | None], ...] = (
    primes.draw,
    workload.draw,
    workload_bcrypt.draw,
)
OF_SAVER: tuple[Callable[[SaverScene], Drawn | None], ...] = (overlap.draw,)
"""Figures of one run, drawn once for each saver."""
OF_ASYNC: tuple[Callable[[SaverScene], Drawn | None], ...] = (async_callgraph.draw,)
"""Figures of one run of bcrypt by the asynchronous saver."""
OF_SCENARIOS: tuple[Callable[[ScenariosScene], Drawn | None], ...] = (scenarios.draw,)
OF_SITES: tuple[Callable[[SiteScene], Drawn | None], ...] = (site_throughput.draw, site_parse.draw)
"""Figures of the sites of all sizes of pages."""
OF_SITE: tuple[Callable[[SiteScene], Drawn | None], ...] = (
    site_coverage.draw,
    hosts.draw,
    site_memory.draw,
)
"""Figures that are drawn once for each size of pages."""
OF_STEPS: tuple[Callable[[RunScene], Drawn | None], ...] = (limit_over_time.draw, over_time.draw)
"""Figures of OF_RUN that are drawn for each crawler that adapts, where the capacity changes."""
ON_REQUEST = ("compare", "faults")
"""Modules whose figures are drawn by separate programs, `python -m plots.NAME`."""


def figures_of(
    store: Store, analysis: Analysis, timeline_at: Sequence[int] = ()
) -> Iterator[Drawn]:
    """Yield all figures of a sweep, one at a time, so that only one is held in memory.

    If there are several delays, the figures of a single delay are drawn for each of them, with the
    delay in their names. For each N of `timeline_at` there is one more timeline of each crawler,
    with its first N calls, if its run has so many. Raises StoreError.
    """
    if not any(cell.measured for cell in analysis.cells):
        return
    small_print = small_print_of(store, analysis)
    sweep = SweepScene(analysis, small_print)
    neighbours = compare_neighbours(analysis.cells)
    asked = analysis.experiment
    several = len(asked.requests_asked) > 1
    of_sweep = () if asked.is_open else OF_SWEEP
    if several:  # several delays are compared: the figure that does so comes first
        yield from _of(sweep, of_sweep)
    for request in asked.requests_asked:
        at_delay = analysis.of_request(request)
        if any(cell.measured for cell in at_delay.cells):
            suffix = f"-{file_name(str(request).replace(' ', ''))}" if several else ""
            title = f", delay {request}" if several else ""
            compared = tuple(one for one in neighbours if one.cell.request == request)
            print_here = small_print_of(store, at_delay)
            scene = DelayScene(store, at_delay, print_here, suffix, title, compared)
            yield from _of(scene, (*_of_delay(asked), *OF_REQUESTS))
    if not several and asked.is_repeated:
        yield from _of(sweep, of_sweep)
    for cell in chosen_cells(analysis).values():
        trial = cell.median_trial()
        if trial is not None:
            run = RunScene(trial, load_accounts(store, trial.run), small_print)
            yield from _of(run, OF_RUN if asked.is_open else (*OF_RUN, *OF_RUN_CLOSED))
            yield from _of(run, [partial(timeline.draw_first, first=n) for n in timeline_at])


def _of_delay(asked: Experiment) -> tuple[Callable[[DelayScene], Drawn | None], ...]:
    """Return the figures of one delay that make sense for the load that was asked for."""
    if asked.is_open:
        return OF_DELAY_OPEN
    return OF_DELAY if asked.is_repeated else OF_CRAWL


def timelines_left_out(analysis: Analysis, timeline_at: Sequence[int]) -> Iterator[str]:
    """Yield a sentence for each crawler whose run has fewer calls than a timeline is asked for."""
    for name, cell in chosen_cells(analysis).items():
        trial = cell.median_trial()
        requests = trial.run.requests if trial is not None else 0
        missing = [n for n in timeline_at if n > requests]
        if trial is not None and missing:
            at = ", ".join(f"{n:,}" for n in missing)
            yield (
                f"no timeline of {name} at {at}: its run has only {requests:,} requests "
                f"(measure it with --requests {max(missing)})"
            )


def advice_figures(store: Store, analysis: AdviceAnalysis) -> Iterator[Drawn]:
    """Yield all figures of `crawlbench advise`. Raises StoreError."""
    yield from _of(AdviceScene(analysis, small_print_of(store, analysis.analysis)), OF_ADVICE)


def primes_figures(store: Store, analysis: PrimesAnalysis) -> Iterator[Drawn]:
    """Yield all figures of `crawlbench primes`, one at a time. Raises StoreError."""
    small_print = small_print_of_primes(store, analysis)
    yield from _of(PrimesScene(analysis, small_print), OF_PRIMES)
    shown = analysis.shown_works()
    if not shown:
        return
    # Hashes are preferred, because the CPU time of each item is long enough to be visible.
    key = next((key for key in shown if key[0] != PRIMES), shown[0])
    for cell in analysis.by_work()[key].values():
        if (scene := _saver_scene(store, cell, small_print)) is not None:
            yield from _of(scene, OF_SAVER)
    called = [cell for cell in analysis.cells if cell.work.kind == BCRYPT and cell.saver == "async"]
    if called:
        nearest = min(called, key=lambda cell: abs(cell.work.cost - CALLGRAPH_COST))
        if (scene := _saver_scene(store, nearest, small_print)) is not None:
            yield from _of(scene, OF_ASYNC)


def scenarios_figures(store: Store, analysis: ScenariosAnalysis) -> Iterator[Drawn]:
    """Yield all figures of `run --scenario all`, one at a time. Raises StoreError."""
    plan = analysis.experiment.format_plan()
    scene = ScenariosScene(analysis, small_print_of_runs(store, analysis.runs, plan))
    yield from _of(scene, OF_SCENARIOS)
    for cell in analysis.cells:
        trial = cell.summary.median_trial()
        if cell.entry.adapts and cell.scenario.steps and trial is not None:
            options = f"scenario {cell.scenario.name}; closed loop"
            small_print = small_print_of_runs(store, [trial.run], options)
            yield from _of(RunScene(trial, load_accounts(store, trial.run), small_print), OF_STEPS)


def site_figures(store: Store, analysis: SiteAnalysis) -> Iterator[Drawn]:
    """Yield all figures of `crawlbench site`, one at a time. Raises StoreError.

    If there are several sizes of pages, the figures of a single site are drawn for each of them,
    with the size in their names.
    """
    yield from _of(SiteScene(analysis, small_print_of_site(store, analysis)), OF_SITES)
    asked = analysis.experiment
    several = len(asked.sizes) > 1
    for size in asked.sizes:
        cells = tuple(cell for cell in analysis.cells if cell.size == size)
        of_size = replace(analysis, experiment=replace(asked, sizes=(size,)), cells=cells)
        suffix = f"-{file_name(size.text)}" if several else ""
        title = f", pages of {size}" if several else ""
        scene = SiteScene(of_size, small_print_of_site(store, of_size), suffix, title)
        yield from _of(scene, OF_SITE)


def _saver_scene(store: Store, cell: SavedCell, small_print: str) -> SaverScene | None:
    """Return the median run of a cell, or None if no run came to an end."""
    run = cell.median_run()
    if run is None:
        return None
    accounts, work = load_accounts(store, run.run), store.work(run.run.number)
    what = format_work(key_of(cell.work))
    return SaverScene(cell.saver, run, accounts, work, what, small_print)


def _of(scene: _Scene, figures: Sequence[Callable[[_Scene], Drawn | None]]) -> Iterator[Drawn]:
    for draw in figures:
        drawn = draw(scene)
        if drawn is not None:
            yield drawn
