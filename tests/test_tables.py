"""Tables and sentences fit the terminal, and are in full where there is none."""

import io
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from bench.report.tables import UNLIMITED, Column, Table, lay_out, wrap
from bench.results.store import FILE_NAME
from bench.wording import format_percent, format_span, shorten_middle
from tests.test_command_line import BENCH, call
from tests.this_process import bench

if sys.platform != "win32":
    import fcntl
    import pty
    import termios

DATA = Path(__file__).parent / "data" / "schema-4"
WIDTHS = (80, 100, 140)

Row = Sequence[str]
_ = Column[Row]


def lines_of(table: Table[Row], width: int) -> list[str]:
    return ["".join(span.text for span in line) for line in lay_out(table, width)]


def table_of(names: Sequence[str], *, numbers: int = 12) -> Table[Row]:
    """Names, many numbers, and a text that is long."""

    def value(at: int) -> Column[Row]:
        return _(f"number {at}", lambda row: f"{row[0]}.{at}", "ms", priority=at)

    return Table(
        "A title that is longer than what a terminal of eighty columns has room for in a line",
        (
            _("crawler", lambda row: row[0]),
            *map(value, range(1, numbers + 1)),
            _("evidence", lambda row: " ".join(["because"] * 30), is_text=True, may_stack=True),
            _("verdict", lambda row: "SUSPECT", is_text=True, about="verdict: what it is worth."),
        ),
        [(name,) for name in names],
        "A caption.",
    )


NAMES = ("asyncio", "package.subpackage.of_mine:" + "crawl_" * 20, "other.module:" + "f" * 60)


@pytest.mark.parametrize("width", WIDTHS)
def test_no_line_of_a_table_is_longer_than_the_terminal_is_wide(width: int) -> None:
    lines = lines_of(table_of(NAMES), width)
    assert max(map(len, lines)) <= width
    assert not [line for line in lines if line != line.rstrip()]
    # Every row is one line, in which nothing was broken, and its long text is below it.
    rows = [line for line in lines if line.endswith("SUSPECT")]
    assert len(rows) == len(NAMES)
    assert rows[0].split()[0] == "asyncio"
    assert "…" in rows[1]
    assert " ".join("\n".join(lines).split()).count("because") == 30 * len(NAMES)


def test_a_line_says_which_columns_were_left_out_and_how_to_see_them() -> None:
    text = " ".join(" ".join(lines_of(table_of(["asyncio"]), 80)).split())
    heading, _, rest = text.partition("Left out at 80 columns: ")
    assert "number 1 " in heading
    assert "number 12" not in heading
    assert "number 12 ms" in rest
    assert rest.endswith("--wide shows all.")


def test_columns_go_by_their_priority_and_what_they_say_of_themselves_goes_with_them() -> None:
    table = Table(
        "",
        (
            _("name", lambda row: row[0]),
            _("first", lambda row: "1", priority=2, about="first: it goes."),
            _("second", lambda row: "2", priority=1, about="second: it stays."),
        ),
        [("x",)],
    )
    assert "first: it goes. second: it stays." in lines_of(table, UNLIMITED)
    narrow = "\n".join(lines_of(table, 16))
    assert "second: it stays." in " ".join(narrow.split())
    assert "it goes" not in narrow


def test_without_a_limit_every_value_is_in_its_row_and_no_name_is_shortened() -> None:
    lines = lines_of(table_of(NAMES), UNLIMITED)
    for name in NAMES:
        (row,) = [line for line in lines if line.split()[:1] == [name]]
        assert f"{name}.12" in row.split()
        assert row.count("because") == 30
    assert "Left out" not in "\n".join(lines)


def test_names_that_differ_in_the_middle_alone_stay_different() -> None:
    names = ["a" * 25 + str(number) + "z" * 25 for number in range(3)]
    rows = [line for line in lines_of(table_of(names, numbers=1), 80) if line.endswith("SUSPECT")]
    assert len({row.split()[0] for row in rows}) == 3


def test_sentences_wrap_between_words_and_numbers_keep_their_units() -> None:
    text = "the server waited for its CPU 31 % of the time, /a/path/that/is/longer/than/it: 20 ms"
    lines = wrap(text, 33, 2)
    assert "/a/path/that/is/longer/than/it:" in "\n".join(lines)
    assert all(len(line) <= 33 or "/" in line for line in lines)
    assert not [line for line in lines if line.strip().startswith(("%", "ms"))]


def test_numbers_are_written_the_same_everywhere() -> None:
    assert [format_percent(0.951), format_percent(0.0123, 1), format_percent(None)] == [
        *("95 %", "1.2 %", "-")
    ]
    assert [format_span(seconds) for seconds in (0.4, 59.7, 80, 600, 3599, 7500)] == [
        *("0 s", "1 min", "1 min 20 s", "10 min", "1 h", "2 h 5 min")
    ]
    assert [shorten_middle("abcdefghij", width) for width in (10, 9, 2, 1)] == [
        *("abcdefghij", "abcd…ghij", "a…", "…")
    ]


def on_a_terminal(words: Sequence[str], columns: int, **environment: str) -> str:
    """What a command prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    names = {"COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"}
    inherited = {name: value for name, value in os.environ.items() if name not in names}
    with subprocess.Popen(
        [*BENCH, *words],
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        env={**inherited, "TERM": "xterm", **environment},
    ) as process:
        os.close(theirs)
        output = io.BytesIO()
        try:
            while some := os.read(ours, 65536):
                output.write(some)
        except OSError:  # on Linux the end of a terminal
            pass
        os.close(ours)
    assert process.returncode == 0, output.getvalue()
    return output.getvalue().decode().replace("\r\n", "\n")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    found = {}
    for kind in ("sweep", "calibration", "primes"):
        found[kind] = tmp_path_factory.mktemp(kind)
        shutil.copy(DATA / f"{kind}.sqlite", found[kind] / FILE_NAME)
    found["scenarios"] = tmp_path_factory.mktemp("scenarios")
    newer = DATA.parent / "schema-7" / "scenarios.sqlite"
    shutil.copy(newer, found["scenarios"] / FILE_NAME)
    return found


def commands(folders: dict[str, Path]) -> list[list[str]]:
    return [
        ["report", "--all", "--split", "."],
        ["compare", "asyncio", "protocol", "--in", "."],
        ["report", str(folders["calibration"])],
        ["report", str(folders["primes"])],
        ["report", "--all", str(folders["scenarios"])],
        ["scenarios"],
        ["list"],
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
@pytest.mark.parametrize(
    "at", [*(pytest.param(at, marks=pytest.mark.thorough) for at in (1, 2, 3, 4, 5)), 0, 6]
)
def test_on_a_terminal_of_eighty_columns_every_line_fits(
    at: int, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folders["sweep"])
    words = commands(folders)[at]
    narrow = on_a_terminal(words, 80, NO_COLOR="1")
    assert "\x1b" not in narrow
    # A path is one word.
    assert max(len(line) for line in narrow.splitlines() if "/" not in line) <= 80
    assert not [line for line in narrow.splitlines() if line != line.rstrip()]
    wide = on_a_terminal([*words, "--wide"], 80, NO_COLOR="1")
    assert "Left out" not in wide
    # Without a terminal there is all, too.
    assert call(*BENCH, *words).stdout == wide


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals there")
def test_verdicts_have_colours_on_a_terminal_alone(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["report", str(folders["sweep"])]
    assert "\x1b[3" in on_a_terminal(words, 80)
    monkeypatch.setenv("FORCE_COLOR", "")
    assert "\x1b" not in bench(*words).stdout


def test_an_encoding_that_lacks_our_characters_gets_others(folders: dict[str, Path]) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = call(*BENCH, "report", str(folders["sweep"]), env=environment)
    assert done.returncode == 0
    assert "us/req" in done.stdout
    assert "\\" not in done.stdout
