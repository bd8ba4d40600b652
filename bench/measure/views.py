"""The views of an experiment while it is measured, in one table: `--progress` names them."""

import os
import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TextIO

from bench.printable import bare

if TYPE_CHECKING:
    from rich.live import Live

    from bench.measure.events import Event

AUTO = "auto"
"""The live view on a terminal, and none anywhere else."""


class View(Protocol):
    """Shows what goes on. Its methods are called one at a time, but by several threads."""

    def show(self, event: "Event") -> None:
        """Show an event."""

    def close(self) -> None:
        """Leave the terminal as it was."""


class LineView:
    """Shows how far an experiment is in the last line of a terminal."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live: Live | None = None

    def show(self, event: "Event") -> None:
        """Replace the line, twice a second at most."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        from bench.measure.events import Tick

        if not isinstance(event, Tick):
            return
        if self._live is None:
            console = Console(file=bare(self._stream))
            self._live = Live(console=console, auto_refresh=False, transient=True)
            self._live.start()
        width = self._live.console.width - 1
        self._live.update(Text(event.line[:width]), refresh=True)

    def close(self) -> None:
        """Erase the line."""
        if self._live is not None:
            self._live.stop()
            self._live = None


class JsonView:
    """Writes each event as a line of JSON, for another program.

    If that program goes away, the experiment stops as after Ctrl-C, and finished runs are kept:
    nobody would stop it otherwise.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._has_reader = True

    def show(self, event: "Event") -> None:
        """Write an event."""
        from bench.measure.events import format_event

        if not self._has_reader:
            return
        self._stream.flush()
        line = format_event(event)
        try:
            # Not through the stream, which drops what nobody reads.
            while line:
                line = line[os.write(self._stream.fileno(), line) :]
        except OSError:
            self._has_reader = False
            os.kill(os.getpid(), signal.SIGINT)

    def close(self) -> None:
        """Do nothing."""


def _live_view(stream: TextIO) -> View:
    from rich.console import Console

    from bench.measure.live_view import LiveView

    return LiveView(Console(file=bare(stream)))


VIEWS: dict[str, tuple[Callable[[TextIO], View] | None, str]] = {
    "live": (_live_view, "numbers of the last second, and finished cells"),
    "line": (LineView, "one line"),
    "json": (JsonView, "events as lines of JSON"),
    "none": (None, "nothing"),
}
"""For each view its maker, and what it shows. docs/watching.md describes them."""


def view_of(name: str, stream: TextIO) -> View | None:
    """Return a view of that name which writes to the stream; None if it shows nothing."""
    if name == AUTO:
        name = "live" if stream.isatty() else "none"
    make, _ = VIEWS[name]
    return make(stream) if make is not None else None
