"""The experiment that is measured: a process, the events on its stderr, and its end.

The process has a session of its own. It is stopped as by Ctrl-C, so that its finished runs are
kept, and killed only if that does not help.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from bench.exit_codes import EXIT_INTERRUPTED, EXIT_REQUESTS_FAILED, signal_name
from bench.measure.events import Begun, Ended, Event, RunDone, RunStarted, Tick, parse_event
from bench.plan.experiment import CELL
from bench.printable import printable
from bench.ui.lines import Lines
from bench.ui.listing import Entry, Listing, NoResultsError

BENCH = (sys.executable, "-P", "-m", "bench")
"""The command of `crawlbench` in this environment, whatever the current folder holds."""

NOTHING, RUNNING, DRAWING, ENDED = "nothing", "running", "drawing", "ended"

_MOST_LINE_BYTES = 65_536
_MOST_RUNS = 20_000
_MOST_MESSAGES = 30
_MOST_MESSAGE = 500
_MOST_MOMENTS = 240
"""A minute of four ticks a second."""
_AGAIN_S = 10.0
_KILL_S = 20.0
_DRAIN_S = 5.0
"""How long a process whose parent has died may keep the stderr open that it inherited."""


class BusyError(RuntimeError):
    """Something is measured already; the text says what."""


@dataclass(slots=True)
class State:
    """What a page needs to show the experiment, whenever it is opened."""

    number: int = 0
    """Tells one experiment of this server, or one that goes on, from those before it."""
    state: str = NOTHING
    """NOTHING, RUNNING, DRAWING or ENDED."""
    command: str = ""
    """The command that does the same."""
    folder: str = ""
    """Name of its results in the list; "" until it is known."""
    runs_before: int = 0
    """How many of its runs had been made before, if it is one that goes on."""
    runs_done: int = 0
    """How many runs its results have, with those made before."""
    runs_planned: int | None = None
    """How many they will have; None if it is not known."""
    begun: dict[str, Any] | None = None
    run: dict[str, Any] | None = None
    """The run_started of the run that goes on."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    """Every run_done; the last _MOST_RUNS."""
    tick: dict[str, Any] | None = None
    """The last one."""
    last_minute: list[dict[str, Any]] = field(default_factory=list)
    """The `elapsed_s` and `live` of the last ticks."""
    messages: list[str] = field(default_factory=list)
    """The last lines on stderr that are no events."""
    is_stopping: bool = False
    ending: str = ""
    """`done`, `runs failed`, `interrupted`, `failed` or `killed`; "" until it has ended."""
    problem: str = ""
    """What went wrong, in one line."""
    can_resume: bool = False

    @property
    def is_measuring(self) -> bool:
        """Whether what else this machine does disturbs a measurement."""
        return self.state == RUNNING


class Experiment:
    """The one experiment that is measured at a time, or the last one that was."""

    def __init__(
        self,
        listing: Listing,
        tell: Callable[[str, bool], None],
        bench: Sequence[str] = BENCH,
    ) -> None:
        """`tell` gets each message for the pages that watch, and whether it is a tick."""
        self.state = State()
        self._listing = listing
        self._tell = tell
        self._bench = tuple(bench)
        self._process: Process | None = None
        self._following: asyncio.Task[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.state.state in (RUNNING, DRAWING)

    def check_idle(self) -> None:
        """Raise BusyError if its process runs."""
        if self.is_running:
            what = "is being measured" if self.state.is_measuring else "is drawing its figures"
            raise BusyError(f"{self.state.command} {what}: wait for it, or stop it")

    def message(self) -> str:
        """Return the message with the whole state, as JSON."""
        known = asdict(self.state) | {"is_measuring": self.state.is_measuring}
        return _json({"state": known})

    async def start(self, words: Sequence[str], command: str, results: Entry | None = None) -> None:
        """Begin an experiment, or go on with one that has `results`.

        `command` is what the pages show. Raises BusyError, and OSError if there can be no further
        process.
        """
        self.check_idle()
        self.state = State(self.state.number + 1, RUNNING, command)
        if results is not None:
            self.state.folder = results.name
            self.state.runs_before = results.runs_done
            self._note_runs(results)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._bench,
                *words,
                stdin=DEVNULL,
                stdout=DEVNULL,
                stderr=PIPE,
                start_new_session=True,
            )
        except OSError as error:
            self.state.state, self.state.ending, self.state.problem = ENDED, "failed", str(error)
            raise
        self._process = process
        self._following = asyncio.create_task(self._follow(process))
        self._tell(self.message(), False)
        if self.state.is_stopping:  # meanwhile
            self._interrupt()

    def stop(self) -> None:
        """Stop it as Ctrl-C does, if it runs."""
        if not self.is_running or self.state.is_stopping:
            return
        self.state.is_stopping = True
        self._interrupt()
        loop = asyncio.get_running_loop()
        self._timers = [
            loop.call_later(_AGAIN_S, self._interrupt),
            loop.call_later(_KILL_S, self.kill),
        ]
        self._tell(self.message(), False)

    def kill(self) -> None:
        """End its process at once, with those in its session."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def close(self) -> None:
        """Stop it, and wait for its end."""
        self.stop()
        await self.ended()

    async def ended(self) -> None:
        """Wait for the end of the experiment that goes on, if one does."""
        if self._following is not None:
            await asyncio.wait([self._following])

    def _interrupt(self) -> None:
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.send_signal(signal.SIGINT)

    async def _follow(self, process: Process) -> None:
        reading = asyncio.create_task(self._read(process))
        code = await process.wait()
        await asyncio.wait([reading], timeout=_DRAIN_S)
        reading.cancel()
        for timer in self._timers:
            timer.cancel()
        state = self.state
        if not state.ending:
            state.ending = self._ending(code)
        state.problem = self._problem(code)
        try:
            if state.folder:
                entry = await asyncio.to_thread(self._listing.entry, state.folder)
                state.can_resume = entry.can_resume
                self._note_runs(entry)
        except NoResultsError as error:  # its folder has been deleted
            state.problem, state.folder = str(error), ""
        state.state, state.run, state.is_stopping = ENDED, None, False
        self._process = None
        self._tell(self.message(), False)

    def _note_runs(self, entry: Entry) -> None:
        self.state.runs_done, self.state.runs_planned = entry.runs_done, entry.runs_planned

    def _ending(self, code: int) -> str:
        """Return how a process ended that did not say it."""
        if code < 0 and not (self.state.is_stopping and -code == signal.SIGINT):
            return "killed"
        return "interrupted" if code < 0 or code == EXIT_INTERRUPTED else "failed"

    def _problem(self, code: int) -> str:
        """Return what went wrong, in one line; "" if nothing did."""
        state = self.state
        if state.ending == "killed":
            return f"the process that measures died of {signal_name(-code)}"
        if code < 0 and state.state == DRAWING:
            return f"not all figures are drawn: {signal_name(-code)} ended the process"
        if state.ending == "failed" or (state.state == DRAWING and code > EXIT_REQUESTS_FAILED):
            said = [one for one in state.messages if one.startswith("crawlbench")]
            last = next(reversed(said or state.messages), f": it ended with exit code {code}")
            return last.partition(": ")[2].removeprefix("error: ") or last
        return ""

    async def _read(self, process: Process) -> None:
        assert process.stderr is not None
        lines = Lines(_MOST_LINE_BYTES)
        while chunk := await process.stderr.read(65_536):
            for line in lines.feed(chunk):
                self._said(line)
        for line in lines.rest():
            self._said(line)

    def _said(self, line: bytes) -> None:
        """Note a line on stderr: an event, or a message for people."""
        if line.startswith(b"{"):
            with suppress(ValueError):
                self._happened(parse_event(line))
                return
        if text := printable(line.decode(errors="replace").strip())[:_MOST_MESSAGE]:
            self.state.messages.append(text)
            del self.state.messages[:-_MOST_MESSAGES]
            self._tell(_json({"event": "message", "text": text}), False)

    def _happened(self, event: Event) -> None:
        state, plain = self.state, msgspec.to_builtins(event)
        match event:
            case Begun():
                state.begun, state.folder = plain, Path(event.folder).name
                if event.runs is not None:
                    state.runs_planned = state.runs_before + event.runs
            case RunStarted():
                state.run = plain
            case Tick():
                state.tick = plain
                # Measuring what the server can do is so quick that nothing else would be seen.
                is_cell = state.run is None or state.run["role"] == CELL
                live = plain["live"] if is_cell else None
                state.last_minute.append({"elapsed_s": event.elapsed_s, "live": live})
                del state.last_minute[:-_MOST_MOMENTS]
            case RunDone():
                state.runs_done += 1
                state.runs.append(plain)
                del state.runs[:-_MOST_RUNS]
            case Ended():
                state.ending, state.run = event.ending, None
                state.state = DRAWING if event.ending in ("done", "runs failed") else state.state
        self._tell(_json(plain), isinstance(event, Tick))
        if isinstance(event, Begun | Ended):
            self._tell(self.message(), False)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
