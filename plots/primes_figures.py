"""Every figure of `crawlbench primes`, one after another: its file, and what is drawn."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from bench.analysis.analyse import load_accounts
from bench.primes.analysis import PrimesAnalysis
from bench.primes.experiment import HASHES
from bench.primes.report import work_shown
from bench.results.environment import machine_shown, versions_shown
from bench.results.store import Store
from plots.overlap import overlap_figure
from plots.primes import primes_figure, workload_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class DrawnOfPrimes(NamedTuple):
    """A figure, and the stem of its file's name."""

    stem: str
    figure: "Figure"


def primes_figures(store: Store, analysis: PrimesAnalysis) -> Iterator[DrawnOfPrimes]:
    """All of them; each can be saved and forgotten before the next is drawn. Raises StoreError."""
    small_print = _small_print(store, analysis)
    primes = primes_figure(analysis, small_print)
    if primes is not None:
        yield DrawnOfPrimes("primes", primes)
    workload = workload_figure(analysis, small_print)
    if workload is not None:
        yield DrawnOfPrimes("workload", workload)
    shown = analysis.shown_works()
    if not shown:
        return
    # Of hashes, where both were computed, since their CPU time can be seen.
    key = next((key for key in shown if key[0] == HASHES), shown[0])
    for saver, cell in analysis.by_work()[key].items():
        run = cell.median_run()
        if run is None:
            continue
        accounts = load_accounts(store, run.run)
        work = store.work(run.run.number)
        figure = overlap_figure(run, accounts, work, work_shown(key), small_print)
        if figure is not None:
            yield DrawnOfPrimes(f"overlap-{saver}", figure)


def _small_print(store: Store, analysis: PrimesAnalysis) -> str:
    about = store.environment()
    runs = [run.run for cell in analysis.cells for run in cell.runs]
    return (
        f"{machine_shown(about)}; {about.get('pinning', '?')}; {store.created_utc()[:10]}\n"
        f"{versions_shown(runs)}; {analysis.experiment.plan_shown()}"
    )
