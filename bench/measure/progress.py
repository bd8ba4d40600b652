"""How far a sweep is, on stderr: a bar with the time left on a terminal, nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from bench.plan.experiment import CELL, PlannedRun, ideal_makespan_ns
from bench.printable import bare, printable
from bench.results.run_result import RunResult

_START_S = 0.6
"""What a run costs beside its crawl, roughly: a process, its imports, the store."""
_REQUEST_S = 0.0001
"""What a request costs beside its delay, roughly: on a busy core, and in the store."""


def expected_s(run: PlannedRun) -> float:
    """How long a run will take, roughly."""
    cell = run.cell
    waiting_s = ideal_makespan_ns(run.delays_us(), cell.concurrency) / 1e9
    return _START_S + waiting_s + run.work_s + _REQUEST_S * run.requests


def span_shown(seconds: float) -> str:
    """`75 s` or `12 min`."""
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


class Progress:
    """Counts runs; `show` is told of every change."""

    def __init__(self, show: Callable[[str, float], None]) -> None:
        self.count = 0
        self._show = show

    def start(self, run: PlannedRun) -> None:
        """A run begins."""
        cell = run.cell
        what = f"trial {run.trial}" if run.role == CELL else "the server's ceiling"
        work = f", {run.work.kind} {run.work.size:,}" if run.work is not None else ""
        where = f"{printable(cell.crawler)} at {cell.concurrency}"
        self._show(f"{what}: {where}, {cell.delay}{work}", 0.0)

    def done(self, result: RunResult) -> None:
        """A run has been kept."""
        self.count += 1
        self._show("", expected_s(result.planned))


@contextmanager
def progress_on_stderr(runs: Sequence[PlannedRun]) -> Iterator[Progress]:
    """A bar over the expected time of all runs, where stderr is a terminal."""
    if not sys.stderr.isatty():
        yield Progress(lambda *_: None)
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    bar = RichProgress(
        TextColumn("{task.percentage:>3.0f} %"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=Console(file=bare(sys.stderr)),
        refresh_per_second=2,  # this machine is being measured
        transient=True,
    )
    with bar:
        task = bar.add_task("", total=sum(expected_s(run) for run in runs))

        def show(description: str, seconds: float) -> None:
            if description:
                bar.update(task, description=description)
            bar.advance(task, seconds)

        yield Progress(show)
