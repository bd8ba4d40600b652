"""Lays out tables and sentences for a terminal, and formats numbers in them."""

import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from bench.printable import bare, printable
from bench.wording import shorten_middle

if TYPE_CHECKING:
    from rich.console import Console

LEVEL_COLOURS = {"VALID": "green", "UNCHECKED": "blue", "SUSPECT": "yellow", "INVALID": "red"}
"""Colours by the name of a level of bench.analysis.validity, which is not imported here."""

UNLIMITED = 1_000_000
"""The width of a console that is not limited by a terminal."""
_INDENT = 2
_GAP = 2
_STACKED_INDENT = 6
_LEAST_NAME = 8
_NAME_SHARE = 3
"""If a table is too wide, names are shortened to width / _NAME_SHARE before columns go."""
_WHOLE = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|MB|µs)(?:\W|$))")
"""A space between a number and its unit, at which no line is broken."""
_AS_ASCII = str.maketrans({"─": "-", "µ": "u", "×": "x", "…": "~"})

Row = TypeVar("Row")


@dataclass(frozen=True)  # in Python 3.11, Column[Row]() fails for a generic class with slots
class Column(Generic[Row]):
    """One column of a table: its heading, and the function that formats the value of a row."""

    title: str
    value: Callable[[Row], str]
    unit: str = ""
    """Unit of all values, which is the second line of the heading."""
    priority: int = 0
    """Columns of priority 0 are always shown. Those of the highest priority are left out first."""
    is_text: bool = False
    """Whether values are aligned to the left, as text is, and not to the right."""
    may_stack: bool = False
    """Whether the text may go below the row if the table is too wide."""
    style: Callable[[Row], str | None] | None = None
    about: str = ""
    """A sentence about the column for the caption, if the column is shown."""

    @property
    def heading(self) -> str:
        """The heading in one line, as in `p50 ms`."""
        return f"{self.title} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """Rows of any type, and the columns in which they are shown. The first column names the row."""

    title: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    caption: str = ""
    """Text in addition to the explanations of the columns."""

    def cells(self) -> list[list[str]]:
        """Return every value as text, row by row, for Markdown or HTML."""
        return [[column.value(row) for column in self.columns] for row in self.rows]

    def notes(self, shown: Iterable[Column[Row]] | None = None) -> str:
        """Return the caption and the explanations of these columns, by default of all columns."""
        columns = self.columns if shown is None else shown
        return " ".join(
            text for text in (*(column.about for column in columns), self.caption) if text
        )


class Span(NamedTuple):
    """A part of a line with one style."""

    text: str
    style: str | None = None


Line = tuple[Span, ...]


def make_console(to_stderr: bool = False, *, is_wide: bool = False) -> "Console":
    """Return a rich console, which uses colours only on a terminal and never with NO_COLOR.

    Its width, for which lines are laid out, is that of the terminal, or UNLIMITED without one or if
    `is_wide`. It prints no control characters from text.
    """
    from rich.console import Console
    from rich.text import Text

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            """Let the command line handle it, because rich would exit with 1."""
            raise BrokenPipeError

        def render_str(self, text: str, **options: Any) -> Text:
            """Remove control characters. All text with markup passes through this method."""
            return super().render_str("\n".join(map(printable, text.split("\n"))), **options)

    stream = sys.stderr if to_stderr else sys.stdout
    console = QuietConsole(file=bare(stream), highlight=False, soft_wrap=False, emoji=False)
    if is_wide or not stream.isatty():
        console.width = UNLIMITED
    return console


def print_table(table: Table[Any], console: "Console", *, is_last: bool = False) -> None:
    """Print as many columns as fit, and below them the names of those that were left out.

    A blank line follows, unless the table is the last.
    """
    lines = lay_out(table, console.width)
    for line in lines[:-1] if is_last else lines:
        _print_line(line, console)


def print_markdown(table: Table[Any]) -> None:
    """Print the title and all columns as Markdown on stdout."""
    if table.title:
        print(f"{table.title}\n")
    print(f"| {' | '.join(column.heading for column in table.columns)} |")
    aligned = ("---" if at == 0 or one.is_text else "--:" for at, one in enumerate(table.columns))
    print(f"|{'|'.join(aligned)}|")
    for row in table.cells():
        print(f"| {' | '.join(row)} |")


def print_text(text: str, console: "Console", *, indent: int = 4, style: str | None = None) -> None:
    """Print a paragraph wrapped to the console's width, with continuation lines indented."""
    for line in wrap(printable(text), console.width, indent):
        _print_line((Span(line, style),), console)


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """Wrap text to lines of at most `width`, except for longer words such as paths."""
    kept = _WHOLE.sub("\N{NO-BREAK SPACE}", text)
    lines = textwrap.wrap(
        kept,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines] or [""]


def lay_out(table: Table[Any], width: int) -> list[Line]:
    """Return the lines of a table of at most `width` characters. Values are never broken.

    If the table does not fit, long texts go below their rows, then names are shortened in the
    middle, and then columns are left out, those of the highest priority first.
    """
    sheet = _Sheet.of(table)
    if sheet.width_of(sheet.inline) > width:
        sheet.fit(width)
    lines: list[Line] = [(Span(line),) for line in wrap(table.title, width)] if table.title else []
    is_shown = {*sheet.inline, *sheet.stacked}
    shown, left_out = (
        [column for at, column in enumerate(table.columns) if (at in is_shown) is wanted]
        for wanted in (True, False)
    )
    lines += [*sheet.heading(width), *sheet.body(width)]
    notes = table.notes(shown)
    if notes:
        lines += [(Span(line),) for line in wrap(notes, width)]
    if left_out:
        names = ", ".join(column.heading for column in left_out)
        text = f"Left out at {width} columns: {names}. --wide shows all."
        lines += [(Span(line),) for line in wrap(text, width)]
    return [*lines, ()]


@dataclass(slots=True)
class _Sheet:
    """A table during its layout: its texts, and which columns are in the rows or below them."""

    columns: Sequence[Column[Any]]
    names: list[str]
    """The full names of the rows."""
    cells: list[list[str]]
    styles: list[list[str | None]]
    inline: list[int]
    stacked: list[int]

    @classmethod
    def of(cls, table: Table[Any]) -> "_Sheet":
        cells = [[printable(text) for text in row] for row in table.cells()]
        styles = [
            [column.style(row) if column.style else None for column in table.columns]
            for row in table.rows
        ]
        names = [row[0] for row in cells]
        return cls(table.columns, names, cells, styles, list(range(len(table.columns))), [])

    def column_width(self, at: int) -> int:
        column = self.columns[at]
        return max(map(_cells, (column.title, column.unit, *(row[at] for row in self.cells))))

    def width_of(self, inline: Sequence[int]) -> int:
        return _INDENT + sum(map(self.column_width, inline)) + _GAP * (len(inline) - 1)

    def fit(self, width: int) -> None:
        """Stack columns, shorten names and leave columns out, each only as far as necessary."""
        for at in reversed(self.inline[1:]):
            if self.width_of(self.inline) > width and self.columns[at].may_stack:
                self.inline.remove(at)
                self.stacked.insert(0, at)
        if self.width_of(self.inline) <= width:
            return
        needed = [at for at in self.inline if self.columns[at].priority == 0]
        room = self.column_width(0) + width - self.width_of(needed)
        self.shorten_names(width // _NAME_SHARE, room)
        chosen = [0]
        for at in sorted(self.inline[1:], key=lambda one: self.columns[one].priority):
            if self.width_of([*chosen, at]) <= width:
                chosen.append(at)
        for at in list(self.stacked):  # there may now be room for it in the row
            if self.width_of([*chosen, at]) <= width:
                self.stacked.remove(at)
                chosen.append(at)
        self.inline = sorted(chosen)
        room = self.column_width(0) + width - self.width_of(self.inline)
        self.shorten_names(room, room)

    def shorten_names(self, width: int, most: int) -> None:
        """Shorten names in the middle to `width`, or up to `most` to keep them distinct."""
        width = max(min(width, most), _LEAST_NAME)
        different = len(set(self.names))
        while width < most and len({shorten_middle(one, width) for one in self.names}) < different:
            width += 1
        for row, name in zip(self.cells, self.names, strict=True):
            row[0] = shorten_middle(name, width)

    def heading(self, width: int) -> list[Line]:
        inline = [self.columns[at] for at in self.inline]
        lines = [self.line([column.title for column in inline])]
        if any(column.unit for column in inline):
            lines.append(self.line([column.unit for column in inline]))
        rule = "─" * (min(self.width_of(self.inline), width) - _INDENT)
        return [*lines, (Span(" " * _INDENT + rule),)]

    def body(self, width: int) -> list[Line]:
        lines = []
        for cells, styles in zip(self.cells, self.styles, strict=True):
            lines.append(
                self.line([cells[at] for at in self.inline], [styles[at] for at in self.inline])
            )
            for at in self.stacked:
                text = f"{' ' * _STACKED_INDENT}{self.columns[at].title}: {cells[at]}"
                lines += [(Span(line),) for line in wrap(text, width, _STACKED_INDENT + 2)]
        return lines

    def line(self, texts: Sequence[str], styles: Sequence[str | None] = ()) -> Line:
        """Return one row, without trailing blanks."""
        spans: list[Span] = []
        before = " " * _INDENT
        for place, (at, text) in enumerate(zip(self.inline, texts, strict=True)):
            blank = " " * (self.column_width(at) - _cells(text))
            is_left = at == 0 or self.columns[at].is_text
            style = styles[place] if styles else None
            spans += [Span(before if is_left else before + blank), Span(text, style)]
            before = (blank if is_left else "") + " " * _GAP
        while spans and not spans[-1].text.strip():
            spans.pop()
        return tuple(spans)


def _print_line(line: Line, console: "Console") -> None:
    from rich.text import Text

    text = Text()
    for span in line:
        shown = span.text if console.encoding.startswith("utf") else span.text.translate(_AS_ASCII)
        text.append(shown, span.style)
    console.print(text, soft_wrap=True)


def _cells(text: str) -> int:
    """Return the width of a text on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def format_number(value: float | None, form: str, unit: float = 1) -> str:
    """Return value / unit in the format `form`, or `-` for None."""
    if value is None:
        return "-"
    return format(value if unit == 1 else value / unit, form)


def format_errors(errors: dict[str, int]) -> str:
    """Return `timeout 3, status 500 1`, or `0` without errors."""
    return ", ".join(f"{word} {count}" for word, count in errors.items()) or "0"
