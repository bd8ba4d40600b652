"""Lays out what a live view shows, for a terminal of any size. Pure."""

from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from bench.measure.events import Live, RunDone
from bench.measure.live_state import HISTORY_S, CellSoFar, LiveState, sparkline
from bench.plan.experiment import CELL
from bench.printable import printable
from bench.wording import format_rate, shorten_middle

Line = list[Segment]

_STRONG = Style(bold=True)
_WEAK = Style(dim=True)
_BAR = Style(color="cyan")
_WRONG = Style(color="red", bold=True)
_LABEL = 13
_NUMBER = 13
_GAP = "  "
_LEAST_NAME = 8
_LEAST_CURVE = 8
_LEAST_TABLE = 4
"""Fewer lines than this are not worth a table: its title, its head, a cell and how many more."""


class Marks(NamedTuple):
    """The characters of bars and curves."""

    done: str
    left: str
    heights: str
    ellipsis: str


_UNICODE = Marks("━", "─", "▁▂▃▄▅▆▇█", "…")
_ASCII = Marks("#", "-", "_.:-=+*#", "~")


class Drawing:
    """The lines that show an experiment.

    The table is laid out when a run is done or the size changes, the other lines each time.
    """

    def __init__(self, state: LiveState, encoding: str) -> None:
        """Draw the state with the characters of an encoding."""
        self._state = state
        self._encoding = encoding
        self._marks = _UNICODE if _has(encoding, "".join(_UNICODE)) else _ASCII
        self._table: list[Line] = []
        self._table_of = (-1, 0, 0)

    def lines(self, width: int, height: int) -> list[Line]:
        """Return at most so many lines, each of at most `width` characters; the last one is empty.

        What matters most comes first.
        """
        state = self._state
        begun = state.begun
        assert begun is not None
        lines = [*self._progress(width), []]
        if begun.why_no_live:
            lines += [[Segment(line)] for line in wrap(self._shown(begun.why_no_live), width)]
        else:
            lines += self._last_second(width)
        room = height - len(lines) - 2
        if begun.runs != 1 and state.cells and room >= _LEAST_TABLE:
            lines += [[], *self._cells(width, room)]
        return [*lines[: max(height - 1, 1)], []]

    def _progress(self, width: int) -> list[Line]:
        text = self._shown(self._state.tick.line) if self._state.tick is not None else ""
        lines = [[Segment(line)] for line in wrap(text, width)[:2] or [""]]
        share = self._state.share_done()
        if share is None:
            return lines
        percent = f" {share:4.0%}"
        length = max(width - len(percent), 0)
        done = int(length * share)
        left = self._marks.left * (length - done)
        return [
            [Segment(self._marks.done * done, _BAR), Segment(left, _WEAK), Segment(percent)],
            *lines,
        ]

    def _last_second(self, width: int) -> list[Line]:
        live = self._state.tick.live if self._state.tick is not None else None
        room = width - _LABEL - _NUMBER - len(_GAP)
        has_highest = room >= _LEAST_CURVE + len(_GAP) + _NUMBER
        length = min(room - has_highest * (len(_GAP) + _NUMBER), HISTORY_S)
        head = f"{'at the server':<{_LABEL}}{'last second':>{_NUMBER}}"
        if has_highest:
            head += f"{_GAP}{f'last {length} s, from 0':<{length}}{_GAP}{'highest':>{_NUMBER}}"
        lines = [[Segment(head, _WEAK)]]
        for label, number, form in _NUMBERS:
            line = _number(label, number(live) if live is not None else None, form)
            if length >= _LEAST_CURVE:
                values = self._state.history(number)[-length:]
                line.append(
                    Segment(f"{_GAP}{sparkline(values, self._marks.heights):>{length}}", _BAR)
                )
            if has_highest:
                known = [value for value in values if value is not None]
                highest = _or_dash(max(known, default=None), form)
                line.append(Segment(f"{_GAP}{highest:>{_NUMBER}}"))
            lines.append(line)
        errors = _number("errors", live.errors if live is not None else None, _count)
        about = "in this run; client-side errors come when it is done"
        if len(about) <= room:
            errors.append(Segment(_GAP + about, _WEAK))
        lines.append(errors)
        return [Segment.adjust_line_length(line, width, pad=False) for line in lines]

    def _cells(self, width: int, room: int) -> list[Line]:
        table_of = self._state.runs_done, width, room
        if self._table_of != table_of:
            self._table_of = table_of
            self._table = self._laid_out(width, room)
        return self._table

    def _laid_out(self, width: int, room: int) -> list[Line]:
        state = self._state
        failure = state.last_failure
        room -= 2 + (failure is not None)
        title = "not checked yet: what the crawlers recorded"
        below: list[Line] = []
        if state.cells <= room:
            cells = state.cells_in_order()
        else:
            cells = state.newest_cells(room - 1)
            title += "; newest first"
            more = state.cells - len(cells)
            below.append([Segment(f"... and {more} more cell{'s' if more > 1 else ''}", _WEAK)])
        if failure is not None:
            runs = "1 run" if state.runs_failed == 1 else f"{state.runs_failed} runs"
            text = f"{runs} failed: {format_failure(failure)}"
            below.append([Segment(self._shortened(self._shown(text), width), _WRONG)])
        lines = [[Segment(title, _WEAK)], *self._rows(cells, width), *below]
        return [Segment.adjust_line_length(line, width, pad=False) for line in lines]

    def _rows(self, cells: Sequence[CellSoFar], width: int) -> list[Line]:
        begun = self._state.begun
        assert begun is not None
        columns = [
            _Column("rate" if begun.is_open else "C", lambda cell: _level(cell.level_text)),
            _Column("delay", lambda cell: self._shown(cell.delay)),
            _Column("requests/s", lambda cell: _or_dash(cell.requests_per_s, format_rate)),
            _Column("p50 ms", lambda cell: _or_dash(cell.p50_ms, _ms)),
            _Column("p99 ms", lambda cell: _or_dash(cell.p99_ms, _ms)),
            _Column("failed", lambda cell: f"{cell.failed:,}"),
            _Column("trials", lambda cell: f"{cell.trials}"),
        ]
        if len(begun.delays) < 2:
            del columns[1]
        texts = {one.head: [one.head, *map(one.text, cells)] for one in columns}
        widths = {head: len(_GAP) + max(map(cell_len, column)) for head, column in texts.items()}
        longest = max(
            cell_len(self._shown(name)) for name in ("crawler", *(c.crawler for c in cells))
        )
        least = min(longest, _LEAST_NAME)
        for head in _LEFT_OUT_FIRST:
            if least + sum(widths.values()) > width:
                widths.pop(head, None)
        room = max(width - sum(widths.values()), least)
        names = ["crawler", *(self._shortened(self._shown(one.crawler), room) for one in cells)]
        name_width = max(map(cell_len, names))
        lines = []
        for row, name in enumerate(names):
            line = [Segment(set_cell_size(name, name_width), None if row else _WEAK)]
            for head, column_width in widths.items():
                text = texts[head][row]
                style = _WEAK if not row else _WRONG if head == "failed" and text != "0" else None
                line.append(Segment(" " * (column_width - cell_len(text)) + text, style))
            lines.append(line)
        return lines

    def _shown(self, text: str) -> str:
        """Return a text that a terminal of this encoding shows as it is."""
        text = printable(text)
        return text.encode(self._encoding, "backslashreplace").decode(self._encoding)

    def _shortened(self, text: str, width: int) -> str:
        while cell_len(shorter := shorten_middle(text, width)) > width:  # wide characters
            text = shorter[: len(shorter) // 2] + shorter[len(shorter) // 2 + 1 :]
        return shorter.replace("…", self._marks.ellipsis)


class _Column(NamedTuple):
    head: str
    text: Callable[[CellSoFar], str]


_LEFT_OUT_FIRST = ("trials", "p50 ms", "delay", "p99 ms", "failed")
"""Columns, in the order in which a narrow terminal lacks them."""


def format_run(run: RunDone) -> str:
    """Return what is known of a finished run, in one line."""
    if run.failure:
        return printable(format_failure(run))
    return printable(
        f"{_name_of(run)}: {_or_dash(run.requests_per_s, format_rate)} requests/s, "
        f"p50 {_or_dash(run.p50_ms, _ms)} ms, p99 {_or_dash(run.p99_ms, _ms)} ms, "
        f"{run.failed:,} failed"
    )


def format_failure(run: RunDone) -> str:
    """Return which run failed, and why."""
    return f"{_name_of(run)}: {run.failure}"


def _name_of(run: RunDone) -> str:
    if run.role != CELL:
        return "capacity of the server"
    return f"{run.crawler} at {_level(run.level_text)}, trial {run.trial}"


def _number(label: str, value: float | None, form: Callable[[float], str]) -> Line:
    return [
        Segment(f"{label:<{_LABEL}}"),
        Segment(f"{_or_dash(value, form):>{_NUMBER}}", _STRONG),
    ]


def _level(text: str) -> str:
    return text.removeprefix("C=")


def _ms(value: float) -> str:
    return f"{value:,.1f}" if value < 1000 else f"{value:,.0f}"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _or_dash(value: float | None, form: Callable[[float], str]) -> str:
    return "-" if value is None else form(value)


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


_Number = tuple[str, Callable[[Live], float | None], Callable[[float], str]]
_NUMBERS: tuple[_Number, ...] = (
    ("requests/s", lambda live: live.requests_per_s, format_rate),
    ("in flight", lambda live: live.in_flight, _count),
    ("p50 ms", lambda live: live.p50_ms, _ms),
    ("p99 ms", lambda live: live.p99_ms, _ms),
)
