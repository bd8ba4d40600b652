"""Shows an experiment on a terminal while it is measured: progress, the last second, cells.

This machine is being measured. One redraw at 80x24 takes 0.6 ms of CPU when rich is given finished
segments; it took 2 ms with a rich Text for each line, and 10 ms with rich's own tables.
"""

import sys
from collections.abc import Sequence
from threading import RLock
from typing import TextIO, cast

from rich.console import Console, ConsoleOptions, RenderResult
from rich.control import Control
from rich.live import Live
from rich.segment import ControlType, Segment

from bench.measure.events import Begun, Ended, Event, RunDone, Tick
from bench.measure.live_drawing import Drawing, Line, format_run
from bench.measure.live_state import LiveState
from bench.printable import PrintableStream, bare
from bench.wording import format_count, format_span

_TICKS = 2
"""Ticks for each redraw: twice a second is enough for eyes."""


class LiveView:
    """Draws an experiment from its events, and erases the drawing when it is closed.

    What is printed on stderr meanwhile stands above it. Where the cursor cannot be moved, as with
    TERM=dumb, one line is printed for each finished run instead.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lock = RLock()
        """Messages may come from other threads than events."""
        self._state = LiveState()
        self._drawing = Drawing(self._state, console.encoding)
        self._drawn = _Lines([])
        self._width = console.width
        self._live: Live | None = None
        self._ticks = 0
        self._stderr: TextIO | None = None
        self._message = ""

    def show(self, event: Event) -> None:
        """Take in an event, and draw it if that is due."""
        with self._lock:
            self._state.note(event)
            if isinstance(event, RunDone) and not self._console.is_interactive:
                self._print(format_run(event))
            elif isinstance(event, Begun) and self._console.is_interactive:
                self._start()
            elif isinstance(event, Tick) and self._live is not None:
                self._ticks += 1
                if self._ticks % _TICKS == 0:
                    self._draw(self._live)
            elif isinstance(event, Ended):
                self._end(event)

    def write(self, message: str) -> None:
        """Print the whole lines of messages above the drawing."""
        with self._lock:
            *lines, self._message = (self._message + message).split("\n")
            for line in lines:
                self._print(line)

    def close(self) -> None:
        """Erase the drawing."""
        with self._lock:
            live, self._live = self._live, None
            if live is None:
                return
            self._erase_further_lines()
            live.stop()
            if self._stderr is not None:
                sys.stderr, self._stderr = self._stderr, None
            if self._message:
                self._print(self._message)

    def _start(self) -> None:
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,  # rich would obey the escape sequences in messages
        )
        self._live.start()
        # If this process is killed or suspended, nobody shows it again. It stands below the lines.
        self._console.show_cursor(True)
        if bare(sys.stderr) is self._console.file:
            self._stderr = sys.stderr
            sys.stderr = cast(TextIO, PrintableStream(cast(TextIO, _Messages(self._stderr, self))))
        self._draw(self._live)

    def _draw(self, live: Live) -> None:
        self._erase_further_lines()
        self._width, height = self._console.size
        self._drawn = _Lines(self._drawing.lines(self._width, height - 1))
        live.update(self._drawn, refresh=True)

    def _erase_further_lines(self) -> None:
        """Erase what a terminal has wrapped of the lines, if it has become narrower."""
        width = self._console.width
        if width < self._width:
            further = sum(
                max(Segment.get_line_length(one) - 1, 0) // width for one in self._drawn.lines
            )
            erase_and_go_up = [(ControlType.ERASE_IN_LINE, 2), (ControlType.CURSOR_UP, 1)] * further
            self._console.control(Control(*erase_and_go_up))

    def _end(self, ended: Ended) -> None:
        self.close()
        tick, runs = self._state.tick, self._state.runs_done
        if ended.ending in ("done", "runs failed") and tick is not None and runs > 1:
            self._print(f"{format_count(runs, 'run')} in {format_span(tick.elapsed_s)}")

    def _print(self, line: str) -> None:
        self._console.out(line, highlight=False)


class _Lines:
    """Lines for rich."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in self.lines:
            yield from line
            yield Segment.line()


class _Messages:
    """A stream whose lines stand above the drawing."""

    def __init__(self, stream: TextIO, view: LiveView) -> None:
        self._stream = stream
        self._view = view

    def write(self, text: str) -> int:
        self._view.write(text)
        return len(text)

    def flush(self) -> None:
        """Do nothing: whole lines are printed at once."""

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)
