"""How far an experiment is: one line on stderr, where that is a terminal; nothing elsewhere."""

import sys
from collections import Counter
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
    """How long the runs of an experiment still take: as expected, corrected by those that are done.

    A run takes as long as the earlier trials of its cell did. Of a cell that is new, the
    expectation is corrected by how many requests at a time its crawler was seen to make (nothing
    else tells that somebody's own crawler is serial), and by how much longer than expected all runs
    have taken. What it costs is of the number of cells: it is asked before every run.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self._left = Counter(map(_key_of, runs))
        self._example = {_key_of(run): run for run in runs}
        self._taken_s: dict[_Key, list[float]] = {}
        self._reached: dict[str, float] = {}
        """The most requests at a time that a crawler has made, by its label."""
        self._is_limited: set[str] = set()

    def learn(self, run: PlannedRun, taken_s: float) -> None:
        """One of the runs is done, and took so long."""
        cell = run.cell
        self._left[_key_of(run)] -= 1
        self._taken_s.setdefault(_key_of(run), []).append(taken_s)
        waited_s = cell.delay.mean_us / 1e6 * run.requests
        rest_s = taken_s - (expected_s(run) - _waiting_s_of(run))
        if waited_s > 0 and rest_s > 0:
            reached = min(waited_s / rest_s, cell.concurrency)
            if reached < _LIMITED * cell.concurrency:
                self._is_limited.add(cell.crawler)
            self._reached[cell.crawler] = max(reached, self._reached.get(cell.crawler, 1.0))

    def left_s(self) -> float:
        """How long all runs take that are not done."""
        scale = self._scale()
        return sum(count * self._run_s(key, scale) for key, count in self._left.items() if count)

    def run_s(self, run: PlannedRun) -> float:
        """How long one of them takes."""
        return self._run_s(_key_of(run), self._scale())

    def _scale(self) -> float:
        """How much longer than expected the runs have taken that are done."""
        taken_s = sum(map(sum, self._taken_s.values()))
        expected = sum(len(taken) * self._expected_s(key) for key, taken in self._taken_s.items())
        return taken_s / expected if expected else 1.0

    def _run_s(self, key: "_Key", scale: float) -> float:
        taken_s = self._taken_s.get(key)
        return sum(taken_s) / len(taken_s) if taken_s else scale * self._expected_s(key)

    def _expected_s(self, key: "_Key") -> float:
        run = self._example[key]
        name = run.cell.crawler
        slots = round(self._reached[name]) if name in self._is_limited else None
        return expected_s(run, slots)


_Key = tuple[str, Cell, Work | None]
"""What takes as long in every trial."""


def _key_of(run: PlannedRun) -> _Key:
    return run.role, run.cell, run.work


def _waiting_s_of(run: PlannedRun) -> float:
    return _waiting_s(run.cell.delay, run.seed, run.requests, run.cell.concurrency)


class Progress:
    """Counts the runs of an experiment, and says in one line how far it is."""

    def __init__(self, runs: Sequence[PlannedRun], clock: Callable[[], float] = monotonic) -> None:
        self.count = 0
        self._runs = runs
        self._clock = clock
        self._forecast = Forecast(runs)
        self._current: PlannedRun | None = None
        self._begun_s = 0.0
        self._current_s = self._later_s = 0.0
        self._has_delays = len({run.cell.delay for run in runs if run.role == CELL}) > 1

    def start(self, run: PlannedRun) -> None:
        """A run begins."""
        self._current, self._begun_s = run, self._clock()
        self._current_s = self._forecast.run_s(run)
        self._later_s = self._forecast.left_s() - self._current_s

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
