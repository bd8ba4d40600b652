"""How far an experiment is, and how long it still takes. Pure but for the clock."""

from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import monotonic
from typing import Protocol

from bench.plan.experiment import CELL, Cell, PlannedRun
from bench.plan.ideal import expected_ns
from bench.plan.load import Load
from bench.printable import printable
from bench.results.run_result import RunResult
from bench.wording import format_span, shorten_middle
from crawlers.work import Work
from server.service import Service

START_S = 0.6
"""Rough time of a run without its crawl: starting a process, imports, the store."""
_REQUEST_S = 0.0001
"""Rough time of a request without its delay, on a busy core and with the store."""
_LIMITED = 0.5
"""A crawler that reached less than this share of its slots limits its own concurrency."""
_LEAST_NAME = 8


def expected_s(run: PlannedRun, slots: int | None = None) -> float:
    """Return roughly how long a run will take with `slots` requests at a time.

    By default, these are as many as it is asked to make.
    """
    at_once = min(run.cell.concurrency, slots or run.cell.concurrency)
    waiting_s = _waiting_s(run, at_once)
    requests = 0 if run.load.ends_by_time else run.requests  # it has more than it makes
    return START_S + waiting_s + run.work_s + _REQUEST_S * requests


@lru_cache(maxsize=10_000)
def _waiting_s(run: PlannedRun, slots: int) -> float:
    return expected_ns(run, slots) / 1e9


class Forecast:
    """Predicts how long the remaining runs of an experiment take, from the runs that are done.

    A run is expected to take as long as earlier trials of its cell. For a new cell, the rough
    estimate is corrected by the concurrency that its crawler has reached (only this shows that a
    user's own crawler is serial) and by how much longer than estimated all runs have taken. A
    prediction takes time proportional to the number of cells, because it is made before every run.
    """

    def __init__(self, runs: Sequence[PlannedRun]) -> None:
        self._left = Counter(map(_key_of, runs))
        self._example = {_key_of(run): run for run in runs}
        self._taken_s: dict[_Key, list[float]] = {}
        self._reached: dict[str, float] = {}
        """Highest concurrency that each crawler has reached, by its label."""
        self._is_limited: set[str] = set()

    def learn(self, run: PlannedRun, taken_s: float) -> None:
        """Note that a run is done and how long it took."""
        cell = run.cell
        self._left[_key_of(run)] -= 1
        self._taken_s.setdefault(_key_of(run), []).append(taken_s)
        if run.load.is_open or run.load.ends_by_time:
            return  # its time says nothing about how many it has in flight
        waited_s = cell.delay.mean_us / 1e6 * run.requests
        rest_s = taken_s - (expected_s(run) - _waiting_s_of(run))
        if waited_s > 0 and rest_s > 0:
            reached = min(waited_s / rest_s, cell.concurrency)
            if reached < _LIMITED * cell.concurrency:
                self._is_limited.add(cell.crawler)
            self._reached[cell.crawler] = max(reached, self._reached.get(cell.crawler, 1.0))

    def left_s(self) -> float:
        """Return how long the remaining runs take."""
        scale = self._scale()
        return sum(count * self._run_s(key, scale) for key, count in self._left.items() if count)

    def run_s(self, run: PlannedRun) -> float:
        """Return how long one of the runs takes."""
        return self._run_s(_key_of(run), self._scale())

    def _scale(self) -> float:
        """Return the actual duration of the runs that are done, as a multiple of the estimate."""
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


_Key = tuple[str, Cell, Work | None, Load, Service]
"""Key of runs that take the same time in every trial."""


def _key_of(run: PlannedRun) -> _Key:
    return run.role, run.cell, run.work, run.load, run.service


def _waiting_s_of(run: PlannedRun) -> float:
    return _waiting_s(run, run.cell.concurrency)


class Progress(Protocol):
    """Counts the runs of an experiment, and describes its progress in one line."""

    count: int
    """How many runs have been kept."""

    @property
    def total(self) -> str:
        """How many runs there will be, as in `75`, or `about 17`."""

    def start(self, run: PlannedRun) -> None:
        """Note that a run begins."""

    def done(self, result: RunResult) -> None:
        """Note that a run has been kept."""

    def note_requests(self, done: int | None) -> None:
        """Note how many requests of the present run have ended; None if nobody knows."""

    def left_s(self) -> float | None:
        """Return about how long all of it still takes; None if nobody knows."""

    def line(self, width: int) -> str:
        """Return the progress in one line, cut to `width`."""


class PlannedProgress:
    """The progress of an experiment whose runs are known."""

    def __init__(self, runs: Sequence[PlannedRun], clock: Callable[[], float] = monotonic) -> None:
        self.count = 0
        self._runs = runs
        self._clock = clock
        self._forecast = Forecast(runs)
        self._current: PlannedRun | None = None
        self._begun_s = 0.0
        self._current_s = self._later_s = 0.0
        self._has_delays = len({run.cell.request for run in runs if run.role == CELL}) > 1

    @property
    def total(self) -> str:
        """How many runs there are."""
        return str(len(self._runs))

    def start(self, run: PlannedRun) -> None:
        """Note that a run begins."""
        self._current, self._begun_s = run, self._clock()
        self._current_s = self._forecast.run_s(run)
        self._later_s = self._forecast.left_s() - self._current_s

    def done(self, result: RunResult) -> None:
        """Note that a run has been kept."""
        self.count += 1
        self._forecast.learn(result.planned, self._clock() - self._begun_s)

    def note_requests(self, done: int | None) -> None:
        """Do nothing: runs are many, and short."""

    def left_s(self) -> float:
        """Return how long the present run and those after it still take."""
        return max(self._current_s - (self._clock() - self._begun_s), 0.0) + self._later_s

    def line(self, width: int) -> str:
        """Return `12 of 75 runs, 1 min 20 s left, asyncio at 100, trial 2`, cut to `width`."""
        run = self._current
        if run is None:
            return ""
        before = f"{self.count} of {self.total} runs, {format_span(self.left_s())} left, "
        if run.role != CELL:
            return f"{before}capacity of the server"[:width]
        after = f" at {run.cell.format_level().removeprefix('C=')}"
        after += f", {run.cell.request}" if self._has_delays else ""
        after += f", {run.work.kind} {run.work.size:,}" if run.work is not None else ""
        after += f", trial {run.trial}"
        room = max(width - len(before) - len(after), _LEAST_NAME)
        return f"{before}{shorten_middle(printable(run.cell.crawler), room)}{after}"[:width]


class SearchProgress:
    """The progress of a search, whose runs depend on each other: about how many there will be."""

    def __init__(self, runs: int, run_s: float, clock: Callable[[], float] = monotonic) -> None:
        """Begin a search of about this many runs, each of which takes about `run_s` seconds."""
        self.count = 0
        self._expected = runs
        self._run_s = run_s
        self._clock = clock
        self._current: PlannedRun | None = None
        self._first_s = self._begun_s = clock()

    @property
    def total(self) -> str:
        """About how many runs there will be."""
        return f"about {max(self._expected, self.count + 1)}"

    def expect(self, runs_left: int) -> None:
        """Expect at least this many more runs."""
        self._expected = max(self._expected, self.count + runs_left)

    def start(self, run: PlannedRun) -> None:
        """Note that a run begins."""
        if not self.count:
            self._first_s = self._clock()
        self._current, self._begun_s = run, self._clock()

    def done(self, result: RunResult) -> None:
        """Note that a run has been kept."""
        self.count += 1
        self._run_s = (self._clock() - self._first_s) / self.count

    def note_requests(self, done: int | None) -> None:
        """Do nothing: runs are many, and short."""

    def left_s(self) -> float:
        """Return about how long the search still takes."""
        runs_left = max(self._expected - self.count, 1)
        return max(runs_left * self._run_s - (self._clock() - self._begun_s), 0.0)

    def line(self, width: int) -> str:
        """Return `7 of about 17 runs, about 36 s left, asyncio at 48`, cut to `width`."""
        run = self._current
        if run is None:
            return ""
        before = f"{self.count} of {self.total} runs, about {format_span(self.left_s())} left, "
        if run.role != CELL:
            return f"{before}capacity of the server"[:width]
        after = f" at {run.cell.concurrency}"
        room = max(width - len(before) - len(after), _LEAST_NAME)
        return f"{before}{shorten_middle(printable(run.cell.crawler), room)}{after}"[:width]


class CrawlProgress:
    """The progress of a single crawl, by the requests that have ended."""

    total = "1"

    def __init__(self, limit_s: float, clock: Callable[[], float] = monotonic) -> None:
        """Begin; a crawl is killed after `limit_s` seconds, which is all that is known at first."""
        self.count = 0
        self._limit_s = limit_s
        self._clock = clock
        self._run: PlannedRun | None = None
        self._done: int | None = None
        self._begun_s = self._fetching_from_s = 0.0

    def start(self, run: PlannedRun) -> None:
        """Note that the crawl begins."""
        self._run = run
        self._begun_s = self._fetching_from_s = self._clock()

    def done(self, result: RunResult) -> None:
        """Note that the crawl has been kept."""
        self.count = 1

    def note_requests(self, done: int | None) -> None:
        """Note how many requests have ended; None if the server does not say it."""
        self._done = done
        if not done:  # the crawler's process is still starting
            self._fetching_from_s = self._clock()

    def left_s(self) -> float | None:
        """Return how long the requests that are left take at the rate of those before."""
        if self._run is None or not self._done:
            return None
        if self._run.load.duration_s:
            return max(0.0, self._run.load.duration_s - (self._clock() - self._fetching_from_s))
        fetching_s = self._clock() - self._fetching_from_s
        return fetching_s * max(0, self._run.requests - self._done) / self._done

    def line(self, width: int) -> str:
        """Return `420 of 1000 requests, 3 s, about 4 s left`, cut to `width`.

        If nobody knows how many have ended, the time limit is shown instead.
        """
        if self._run is None:
            return ""
        requests, elapsed_s = self._run.requests, self._clock() - self._begun_s
        if self._done is None:
            limit = f"{requests} requests, {elapsed_s:.0f} s; the limit is {self._limit_s:.0f} s"
            return limit[:width]
        of = "" if self._run.load.ends_by_time else f" of {requests}"
        done = self._done if self._run.load.ends_by_time else min(self._done, requests)
        shown = f"{done}{of} requests, {elapsed_s:.0f} s"
        left_s = self.left_s()
        return (f"{shown}, about {left_s:.0f} s left" if left_s is not None else shown)[:width]
