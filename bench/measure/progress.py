"""How far an experiment is: one line on stderr, where that is a terminal; nothing elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from time import monotonic

from bench.plan.delays import Delay
from bench.plan.experiment import CELL, Cell, PlannedRun, ideal_makespan_ns
from bench.printable import bare, printable
from bench.results.run_result import RunResult
from bench.wording import format_span, shorten_middle
from crawlers.work import Work

_START_S = 0.6
"""What a run costs besides its crawl, roughly: a process, its imports, the store."""
_REQUEST_S = 0.0001
"""What a request costs besides its delay, roughly: on a busy core, and in the store."""
_LIMITED = 0.5
"""A crawler that kept fewer than this share of its slots waiting has a limit of its own."""
_LEAST_NAME = 8


def expected_s(run: PlannedRun, slots: int | None = None) -> float:
    """How long a run will take, roughly, by a crawler that fetches `slots` at a time.

    By default as many as it is asked to.
    """
    at_once = min(run.cell.concurrency, slots or run.cell.concurrency)
    waiting_s = _waiting_s(run.cell.delay, run.seed, run.requests, at_once)
    return _START_S + waiting_s + run.work_s + _REQUEST_S * run.requests


@lru_cache(maxsize=10_000)
def _waiting_s(delay: Delay, seed: int, requests: int, slots: int) -> float:
    return ideal_makespan_ns(delay.drawn(seed, requests), slots) / 1e9


class Forecast:
    """How long runs will take: what is expected, corrected by the runs that are done.

    A run takes as long as the earlier trials of its cell did. Of a cell that is new, the
    expectation is corrected by how many requests at a time its crawler was seen to make (nothing
    else tells that somebody's own crawler is serial), and by how much longer than expected all runs
    have taken.
    """

    def __init__(self) -> None:
        self._taken_s: dict[tuple[Cell, Work | None], list[float]] = {}
        self._done: list[tuple[PlannedRun, float]] = []
        self._reached: dict[str, float] = {}
        """The most requests at a time that a crawler has made, by its label."""
        self._is_limited: set[str] = set()

    def learn(self, run: PlannedRun, taken_s: float) -> None:
        """A run took so long."""
        cell = run.cell
        self._taken_s.setdefault((cell, run.work), []).append(taken_s)
        self._done.append((run, taken_s))
        waited_s = cell.delay.mean_us / 1e6 * run.requests
        rest_s = taken_s - (expected_s(run) - _waiting_s_of(run))
        if waited_s > 0 and rest_s > 0:
            reached = min(waited_s / rest_s, cell.concurrency)
            if reached < _LIMITED * cell.concurrency:
                self._is_limited.add(cell.crawler)
            self._reached[cell.crawler] = max(reached, self._reached.get(cell.crawler, 1.0))

    def left_s(self, runs: Sequence[PlannedRun]) -> float:
        """How long all of these will take."""
        expected = sum(self._expected_s(run) for run, _ in self._done)
        scale = sum(taken_s for _, taken_s in self._done) / expected if expected else 1.0
        return sum(self._run_s(run, scale) for run in runs)

    def _run_s(self, run: PlannedRun, scale: float) -> float:
        taken_s = self._taken_s.get((run.cell, run.work))
        return sum(taken_s) / len(taken_s) if taken_s else scale * self._expected_s(run)

    def _expected_s(self, run: PlannedRun) -> float:
        name = run.cell.crawler
        slots = round(self._reached[name]) if name in self._is_limited else None
        return expected_s(run, slots)


def _waiting_s_of(run: PlannedRun) -> float:
    return _waiting_s(run.cell.delay, run.seed, run.requests, run.cell.concurrency)


class Progress:
    """Counts the runs of an experiment, and says in one line how far it is."""

    def __init__(self, runs: Sequence[PlannedRun], clock: Callable[[], float] = monotonic) -> None:
        self.count = 0
        self._runs = runs
        self._clock = clock
        self._forecast = Forecast()
        self._current: PlannedRun | None = None
        self._begun_s = 0.0
        self._current_s = self._later_s = 0.0
        self._has_delays = len({run.cell.delay for run in runs if run.role == CELL}) > 1

    def start(self, run: PlannedRun) -> None:
        """A run begins."""
        self._current, self._begun_s = run, self._clock()
        self._current_s = self._forecast.left_s([run])
        self._later_s = self._forecast.left_s(self._runs[self.count + 1 :])

    def done(self, result: RunResult) -> None:
        """A run has been kept."""
        self.count += 1
        self._forecast.learn(result.planned, self._clock() - self._begun_s)

    def line(self, width: int) -> str:
        """`12 of 75 runs, 1 min 20 s left, asyncio at 100, trial 2`, in at most so many columns."""
        run = self._current
        if run is None:
            return ""
        left_s = max(self._current_s - (self._clock() - self._begun_s), 0.0) + self._later_s
        before = f"{self.count} of {len(self._runs)} runs, {format_span(left_s)} left, "
        if run.role != CELL:
            return f"{before}capacity of the server"[:width]
        after = f" at {run.cell.concurrency}"
        after += f", {run.cell.delay}" if self._has_delays else ""
        after += f", {run.work.kind} {run.work.size:,}" if run.work is not None else ""
        after += f", trial {run.trial}"
        room = max(width - len(before) - len(after), _LEAST_NAME)
        return f"{before}{shorten_middle(printable(run.cell.crawler), room)}{after}"[:width]


@contextmanager
def progress_on_stderr(runs: Sequence[PlannedRun]) -> Iterator[Progress]:
    """Shows the line while runs are made, where stderr is a terminal."""
    progress = Progress(runs)
    if not sys.stderr.isatty():
        yield progress
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(file=bare(sys.stderr))
    with Live(
        get_renderable=lambda: Text(progress.line(console.width - 1)),
        console=console,
        refresh_per_second=2,  # this machine is being measured
        transient=True,
    ):
        yield progress
