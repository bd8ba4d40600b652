"""How a table looks on a terminal, and how numbers are shown in it."""

import sys
from typing import TYPE_CHECKING, Any

from bench.printable import bare, printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_LEAST_WIDTH = 160

LEVEL_COLOURS = {"VALID": "green", "UNCHECKED": "blue", "SUSPECT": "yellow", "INVALID": "red"}
"""By the name of a level of bench.analysis.validity, which is not imported for it."""


def make_console(to_stderr: bool = False) -> "Console":
    """A rich console: colours on a terminal only and never under NO_COLOR.

    The only control characters that it prints are its own.
    """
    from rich.console import Console
    from rich.text import Text

    class QuietConsole(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to the command line: rich would exit with 1."""
            raise BrokenPipeError

        def render_str(self, text: str, **options: Any) -> Text:
            """All text passes here, cells and titles too."""
            return super().render_str("\n".join(map(printable, text.split("\n"))), **options)

    stream = sys.stderr if to_stderr else sys.stdout
    console = QuietConsole(file=bare(stream), highlight=False, soft_wrap=False, emoji=False)
    # A narrower terminal wraps the lines; rich would leave numbers out.
    console.width = max(console.width if stream.isatty() else 0, _LEAST_WIDTH)
    return console


def make_table(
    title: str, numbers: tuple[str, ...], words: tuple[str, ...] = (), caption: str = ""
) -> "Table":
    """A table of a first column that names the row, then columns of numbers, then of words."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title) or None,
        caption=escape(caption) or None,
        box=box.SIMPLE,
        title_justify="left",
        caption_justify="left",
    )
    table.add_column(numbers[0], justify="left", no_wrap=True)
    for name in numbers[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for name in words:
        table.add_column(name, justify="left")
    return table


def shown(value: float | None, form: str, unit: float = 1) -> str:
    """A number in its unit, `-` for None."""
    if value is None:
        return "-"
    return format(value if unit == 1 else value / unit, form)


def errors_shown(errors: dict[str, int]) -> str:
    """`timeout 3, status 500 1`, or `0`."""
    return ", ".join(f"{word} {count}" for word, count in errors.items()) or "0"
