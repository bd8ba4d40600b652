"""Watches an experiment while it is measured: tells a view what happens, four times a second.

What happens at the server is asked of its control port, so that neither the crawlers nor the
requests have anything to do with it.
"""

import sys
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Flag
from threading import Lock, Thread
from time import monotonic

import msgspec

from bench.measure.events import Begun, Ended, Event, Live, RunDone, RunStarted, Tick
from bench.measure.progress import Progress
from bench.measure.runner import Target
from bench.measure.views import AUTO, View, view_of
from bench.plan.experiment import CELL, Asked, Experiment, PlannedRun
from bench.results.run_result import RunResult
from server.control_client import ControlError, LiveClient, LiveCounts
from server.log_histogram import quantile_ns

_EVERY_S = 0.25
"""Time between two looks. They are few, because they load the machine and the server."""
_WINDOW = round(1 / _EVERY_S) + 1
"""Looks that are kept: the first and the last of them are a second apart."""
_LINE_WIDTH = 79


def live_between(earlier: LiveCounts, later: LiveCounts, errors_before: int) -> Live:
    """Return what happened between two looks at a server.

    `errors_before` are the errors since the start of the server that the run has no part in.
    """
    span_ns = max(1, later.monotonic_ns - earlier.monotonic_ns)
    times = {
        bucket: count - earlier.times.get(bucket, 0)
        for bucket, count in later.times.items()
        if count > earlier.times.get(bucket, 0)
    }
    p50_ns, p99_ns = (quantile_ns(times, q) if times else None for q in (0.5, 0.99))
    return Live(
        requests_per_s=max(0, later.ended - earlier.ended) / span_ns * 1e9,
        in_flight=later.in_flight,
        errors=max(0, later.errors - errors_before),
        p50_ms=p50_ns / 1e6 if p50_ns is not None else None,
        p99_ms=p99_ns / 1e6 if p99_ns is not None else None,
    )


class Feed:
    """What a crawlbench server counts, from the start of a run on."""

    def __init__(self, control_url: str) -> None:
        self._client = LiveClient(control_url) if control_url else None
        self._looks: deque[LiveCounts] = deque(maxlen=_WINDOW)
        self._start: LiveCounts | None = None

    def begin(self) -> None:
        """Begin a run: what was counted before is not of it."""
        self._looks.clear()
        self._start = self._look()

    def now(self) -> tuple[int | None, Live | None]:
        """Return how many requests of the run have ended, and the numbers of the last second.

        Both are None if the server does not say them.
        """
        if self._look() is None or self._start is None:
            return None, None
        if self._looks[-1].requests == self._start.requests:  # the second begins with a request
            self._looks = deque([self._looks[-1]], maxlen=_WINDOW)
        first, last = self._looks[0], self._looks[-1]
        done = max(0, last.ended - self._start.ended)
        return done, live_between(first, last, self._start.errors)

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()

    def _look(self) -> LiveCounts | None:
        if self._client is None:
            return None
        try:
            counts = self._client.counts()
        except ControlError:  # the runner notices a server that has gone
            return None
        self._looks.append(counts)
        return counts


class Watch:
    """Tells a view what happens. Without a view, it costs nothing."""

    def __init__(self, progress: Progress, view: View | None, target: Target) -> None:
        self._progress = progress
        self._view = view
        self._feed = Feed(target.control_url if view is not None else "")
        self._lock = Lock()
        self._is_over = Flag()
        self._begun_s = monotonic()
        self._run: PlannedRun | None = None
        self._is_quiet = False
        self._thread = Thread(target=self._tick_on, name="watch", daemon=True)

    def begin(self, begun: Begun) -> None:
        """Begin to watch."""
        if self._view is not None:
            self._view.show(begun)
            self._thread.start()

    def started(self, planned: PlannedRun) -> None:
        """Note that a run begins."""
        with self._lock:
            self._progress.start(planned)
            if self._view is None:
                return
            self._feed.begin()
            self._run = planned
            self._show(run_started(planned))

    def kept(self, result: RunResult) -> None:
        """Note that a run has been made and kept."""
        with self._lock:
            self._progress.done(result)
            if self._view is not None:
                self._run = None
                self._show(run_done(result))

    def make_room(self) -> None:
        """Leave the terminal to what is printed from now on; other programs still get events."""
        if self._view is not None:
            with self._lock:
                self._view.close()
                self._is_quiet = True

    def end(self, ending: str, folder: Path) -> None:
        """Show how it ended, and leave the terminal as it was."""
        if self._view is None or self._is_over.is_set():
            return
        self._is_over.set()
        with self._lock:
            self._view.show(Ended(ending, str(folder.resolve())))
            self._view.close()
        self._thread.join(2 * _EVERY_S)  # it may be waiting for a server that does not respond
        self._feed.close()

    def _show(self, event: Event) -> None:
        if self._view is not None and not self._is_over.is_set():
            self._view.show(event)

    def _tick_on(self) -> None:
        while not self._is_over.wait(_EVERY_S):
            with self._lock:
                if not self._is_over.is_set() and not self._is_quiet:
                    self._show(self._tick())

    def _tick(self) -> Tick:
        now_s, run, progress = monotonic(), self._run, self._progress
        done, live = self._feed.now() if run is not None else (None, None)
        progress.note_requests(done)
        return Tick(
            elapsed_s=now_s - self._begun_s,
            left_s=progress.left_s(),
            runs_done=progress.count,
            runs_total=progress.total,
            line=progress.line(_LINE_WIDTH),
            run_done=done,
            run_requests=run.requests if run is not None else 0,
            live=live,
        )


@contextmanager
def watched(
    asked: Asked,
    runs: Sequence[PlannedRun],
    target: Target,
    folder: Path,
    progress: Progress,
    shown: str = AUTO,
) -> Iterator[Watch]:
    """Watch an experiment during the block, by the view of that name in bench.measure.views.

    `runs` are those that will be made, or the largest of them if the others are not known.
    """
    watch = Watch(progress, view_of(shown, sys.stderr), target)
    watch.begin(_begun(asked, runs, target, folder, progress))
    try:
        yield watch
    except KeyboardInterrupt:
        watch.end("interrupted", folder)
        raise
    finally:
        watch.end("failed", folder)  # nothing, if it has ended otherwise


def _begun(
    asked: Asked, runs: Sequence[PlannedRun], target: Target, folder: Path, progress: Progress
) -> Begun:
    cells = [run.cell for run in runs if run.role == CELL]
    is_known = progress.total.isdigit()
    return Begun(
        folder=str(folder.resolve()),
        kind=asked.kind,
        command=asked.command() if isinstance(asked, Experiment) else "",
        crawlers=[one.label for one in asked.entrants],
        levels=sorted({cell.level for cell in cells}) if is_known else [],
        is_open=any(run.load.is_open for run in runs),
        delays=list(dict.fromkeys(str(cell.request) for cell in cells)),
        runs=len(runs) if is_known else None,
        why_no_live=""
        if target.is_ours
        else f"{target.url} is not a crawlbench server: it has no numbers while a run goes on.",
    )


def run_started(planned: PlannedRun) -> RunStarted:
    """Return the event of a run that begins."""
    cell = planned.cell
    return RunStarted(
        number=planned.number,
        crawler=cell.crawler,
        role=planned.role,
        trial=planned.trial,
        concurrency=cell.concurrency,
        level=cell.level,
        level_text=cell.format_level(),
        delay=str(cell.request),
        requests=planned.requests,
    )


def run_done(result: RunResult) -> RunDone:
    """Return the event of a run that was made."""
    from bench.analysis.first_look import FirstLook  # numpy, where somebody watches

    look = FirstLook.of(result)
    return RunDone(
        **msgspec.structs.asdict(run_started(result.planned)),
        ok=look.ok if look else 0,
        failed=look.failed if look else result.planned.requests,
        requests_per_s=look.requests_per_s if look else None,
        p50_ms=look.p50_ns / 1e6 if look and look.p50_ns is not None else None,
        p99_ms=look.p99_ns / 1e6 if look and look.p99_ns is not None else None,
        failure=result.failure,
    )
