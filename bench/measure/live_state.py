"""What a live view shows of an experiment: its progress, the last seconds, finished cells. Pure."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from statistics import median

from bench.measure.events import Begun, Event, Live, RunDone, RunStarted, Tick
from bench.plan.experiment import CELL

HISTORY_S = 30
"""For so many seconds, the numbers of each second are kept."""


@dataclass(frozen=True, slots=True)
class CellSoFar:
    """What a crawler recorded in the trials of a cell that are done. Nothing has been checked."""

    crawler: str
    level: float
    """The concurrency, or the rate in open loop."""
    level_text: str
    delay: str
    requests_per_s: float | None
    """The median over the trials; None if no trial has it. So are the next two."""
    p50_ms: float | None
    p99_ms: float | None
    failed: int
    """Requests that failed, of all trials."""
    trials: int
    """How many trials are done, including those that failed."""


class LiveState:
    """An experiment as its events have described it so far."""

    def __init__(self) -> None:
        self.begun: Begun | None = None
        self.tick: Tick | None = None
        """The newest."""
        self.runs_done = 0
        self.runs_failed = 0
        self.last_failure: RunDone | None = None
        self._seconds: deque[Live | None] = deque(maxlen=HISTORY_S)
        self._second = -1
        self._is_cell = True
        self._runs: dict[_Key, list[RunDone]] = {}
        """Those of each cell; the cell with the newest run is the last."""

    def note(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, Tick):
            self._note_tick(event)
        elif isinstance(event, RunDone):
            self._note_run(event)
        elif isinstance(event, RunStarted):
            self._is_cell = event.role == CELL
        elif isinstance(event, Begun):
            self.begun = event

    def share_done(self) -> float | None:
        """Return how much of the experiment is done, from 0 to 1, including a part of a run.

        None if there is only one run, and nobody knows how far it is.
        """
        begun, tick = self.begun, self.tick
        of_run = tick.run_done if tick is not None else 0
        if of_run is None and begun is not None and begun.runs == 1:
            return None
        if tick is None:
            return 0.0
        total = int(tick.runs_total.rpartition(" ")[2])  # `75` or `about 17`
        share_of_run = min((of_run or 0) / max(tick.run_requests, 1), 1.0)
        return min((self.runs_done + share_of_run) / max(total, 1), 1.0)

    def history(self, number: Callable[[Live], float | None]) -> list[float | None]:
        """Return a number of each of the last seconds, the newest last; None if there is none."""
        return [None if live is None else number(live) for live in self._seconds]

    @property
    def cells(self) -> int:
        """Of how many cells a run is done."""
        return len(self._runs)

    def cells_in_order(self) -> list[CellSoFar]:
        """Return all cells, by crawler, delay and level."""
        begun = self.begun
        assert begun is not None
        crawlers = {name: place for place, name in enumerate(begun.crawlers)}
        delays = {delay: place for place, delay in enumerate(begun.delays)}

        def place(key: _Key) -> tuple[int, int, float]:
            crawler, delay, level = key
            return crawlers.get(crawler, len(crawlers)), delays.get(delay, len(delays)), level

        return [_summary(self._runs[key]) for key in sorted(self._runs, key=place)]

    def newest_cells(self, most: int) -> list[CellSoFar]:
        """Return the cells of the newest runs, at most so many, the newest first."""
        return [_summary(runs) for runs in islice(reversed(self._runs.values()), most)]

    def _note_tick(self, tick: Tick) -> None:
        self.tick = tick
        second = int(tick.elapsed_s)
        live = tick.live if self._is_cell else None  # curves would be flat next to the ceiling
        if second == self._second:
            before = self._seconds.pop()
            live = live or before  # a run that has just ended was part of this second
        else:  # seconds without a tick have no numbers
            self._seconds.extend([None] * min(second - self._second - 1, HISTORY_S))
        self._second = second
        self._seconds.append(live)

    def _note_run(self, run: RunDone) -> None:
        self.runs_done += 1
        if run.failure:
            self.runs_failed += 1
            self.last_failure = run
        if run.role == CELL:
            key = run.crawler, run.delay, run.level
            self._runs[key] = [*self._runs.pop(key, ()), run]


_Key = tuple[str, str, float]
"""Crawler, delay and level."""


def _summary(runs: Sequence[RunDone]) -> CellSoFar:
    newest = runs[-1]
    return CellSoFar(
        newest.crawler,
        newest.level,
        newest.level_text,
        newest.delay,
        _median([run.requests_per_s for run in runs]),
        _median([run.p50_ms for run in runs]),
        _median([run.p99_ms for run in runs]),
        sum(run.failed for run in runs),
        len(runs),
    )


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def sparkline(values: Sequence[float | None], marks: str) -> str:
    """Return a mark for each value: the last one for the largest, the first one for 0.

    Values are not negative. There is a space for None.
    """
    largest = max((value for value in values if value is not None), default=0) or 1
    steps = len(marks) - 1
    return "".join(
        " " if value is None else marks[round(value / largest * steps)] for value in values
    )
