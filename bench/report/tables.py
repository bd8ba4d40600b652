"""How tables and sentences are laid out for a terminal, and how numbers are shown in them."""

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
"""By the name of a level of bench.analysis.validity, which is not imported for it."""

UNLIMITED = 1_000_000
"""The width of a console where no terminal limits it: lines are as long as they are."""
_INDENT = 2
_GAP = 2
_STACKED_INDENT = 6
_LEAST_NAME = 8
_NAME_SHARE = 3
"""Where a table does not fit, names keep this part of the width, 1 / 3, before columns go."""
_WHOLE = re.compile(r"(?<=\d) (?=(?:%|ms|s|min|MB|µs)(?:\W|$))")
"""Between a number and its unit no line ends."""
_AS_ASCII = str.maketrans({"─": "-", "µ": "u", "×": "x", "…": "~"})

Row = TypeVar("Row")


@dataclass(frozen=True)  # of a generic with slots Python 3.11 makes no Column[Row]()
class Column(Generic[Row]):
    """One column of a table: its heading, and how the value of a row is written in it."""

    title: str
    value: Callable[[Row], str]
    unit: str = ""
    """Of all its values; the second line of the heading."""
    priority: int = 0
    """0 is always shown; the higher it is, the sooner the column is left out."""
    is_text: bool = False
    """Aligned to the left. Numbers are aligned to the right."""
    may_stack: bool = False
    """Whether its text goes below the row where the table is too wide otherwise."""
    style: Callable[[Row], str | None] | None = None
    about: str = ""
    """What the caption says of it, where it is shown: a sentence."""

    @property
    def heading(self) -> str:
        """In one line: `p50 ms`."""
        return f"{self.title} {self.unit}".strip()


@dataclass(frozen=True, slots=True)
class Table(Generic[Row]):
    """Rows of anything, and the columns that they are shown in; the first one names the row."""

    title: str
    columns: Sequence[Column[Row]]
    rows: Sequence[Row]
    caption: str = ""
    """What is to be said besides what the columns say about themselves."""

    def cells(self) -> list[list[str]]:
        """Every value as text, row by row: what a table of Markdown or HTML has."""
        return [[column.value(row) for column in self.columns] for row in self.rows]

    def notes(self, shown: Iterable[Column[Row]] | None = None) -> str:
        """The caption, with what these columns (all by default) say about themselves."""
        columns = self.columns if shown is None else shown
        return " ".join(
            text for text in (*(column.about for column in columns), self.caption) if text
        )


class Span(NamedTuple):
    """A part of a line, in one style."""

    text: str
    style: str | None = None


Line = tuple[Span, ...]


def make_console(to_stderr: bool = False, *, is_wide: bool = False) -> "Console":
    """A rich console: colours on a terminal only and never under NO_COLOR.

    Its width is what lines are laid out for: that of the terminal; UNLIMITED without one, or if
    `is_wide`. The only control characters that it prints are its own.
    """
    from rich.console import Console
    from rich.text import Text

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command line: rich would exit with 1."""
            raise BrokenPipeError

        def render_str(self, text: str, **options: Any) -> Text:
            """All text with markup passes here."""
            return super().render_str("\n".join(map(printable, text.split("\n"))), **options)

    stream = sys.stderr if to_stderr else sys.stdout
    console = QuietConsole(file=bare(stream), highlight=False, soft_wrap=False, emoji=False)
    if is_wide or not stream.isatty():
        console.width = UNLIMITED
    return console


def print_table(table: Table[Any], console: "Console") -> None:
    """As much of it as the console is wide; what was left out is named below it."""
    for line in lay_out(table, console.width):
        _print_line(line, console)


def print_markdown(table: Table[Any]) -> None:
    """The title, and all columns in full, on stdout."""
    if table.title:
        print(f"{table.title}\n")
    print(f"| {' | '.join(column.heading for column in table.columns)} |")
    aligned = ("---" if at == 0 or one.is_text else "--:" for at, one in enumerate(table.columns))
    print(f"|{'|'.join(aligned)}|")
    for row in table.cells():
        print(f"| {' | '.join(row)} |")


def print_text(text: str, console: "Console", *, indent: int = 4, style: str | None = None) -> None:
    """A paragraph, wrapped to the width of the console; lines after the first are indented."""
    for line in wrap(printable(text), console.width, indent):
        _print_line((Span(line, style),), console)


def wrap(text: str, width: int, indent: int = 0) -> list[str]:
    """Lines of at most `width`, but for words that are longer, such as paths."""
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
    """The lines of a table of at most `width` columns. No value is ever broken into two lines.

    Where it does not fit, long texts go below their rows, names are shortened in the middle, and
    columns are left out, those of the highest priority first.
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
    """A table while it is being laid out: texts, and which columns stand in the rows."""

    columns: Sequence[Column[Any]]
    names: list[str]
    """Of the rows, in full."""
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
        """Stack, shorten names, leave out: each only as far as is needed."""
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
        for at in list(self.stacked):  # what was left out may have made room for it
            if self.width_of([*chosen, at]) <= width:
                self.stacked.remove(at)
                chosen.append(at)
        self.inline = sorted(chosen)
        room = self.column_width(0) + width - self.width_of(self.inline)
        self.shorten_names(room, room)

    def shorten_names(self, width: int, most: int) -> None:
        """In the middle, to `width`; to at most `most` where different names were alike then."""
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
        """One row; no blanks after its last text."""
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
    """How wide it is on a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def shown(value: float | None, form: str, unit: float = 1) -> str:
    """A number in its unit, `-` for None."""
    if value is None:
        return "-"
    return format(value if unit == 1 else value / unit, form)


def format_errors(errors: dict[str, int]) -> str:
    """`timeout 3, status 500 1`, or `0`."""
    return ", ".join(f"{word} {count}" for word, count in errors.items()) or "0"
