"""The live view fits any terminal, obeys no text from elsewhere, and leaves a clean terminal."""

import io
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from bench.measure.events import Begun, Ended, Event, Live, RunDone, RunStarted, Tick
from bench.measure.live_drawing import Drawing
from bench.measure.live_state import HISTORY_S, LiveState, sparkline
from bench.measure.live_view import LiveView
from bench.plan.experiment import CEILING, CELL
from bench.printable import PrintableStream

HEIGHTS = "▁▂▃▄▅▆▇█"
NOW = Live(983.8, 100, 2, 100.84, 116.6)


def begun(
    crawlers: Sequence[str] = ("asyncio", "threads"), runs: int | None = 12, why: str = ""
) -> Begun:
    return Begun("/results/x", "sweep", "", [*crawlers], [1, 100], False, ["100 ms"], runs, why)


def tick(
    elapsed_s: float, live: Live | None = NOW, *, done: int | None = 420, runs: int = 1
) -> Tick:
    line = f"{runs} of 12 runs, 1 min 20 s left, asyncio at 100, trial 2"
    return Tick(elapsed_s, 80.0, runs, "12", line, done, 1000, live)


def run_done(
    crawler: str = "asyncio",
    level: int = 100,
    rate: float | None = 983.8,
    *,
    trial: int = 1,
    failed: int = 0,
    role: str = CELL,
    failure: str = "",
) -> RunDone:
    numbers = (rate, None if rate is None else 100.84, None if rate is None else 116.6)
    text = f"C={level}"
    return RunDone(
        1, crawler, role, trial, level, level, text, "100 ms", 1000, 990, failed, *numbers, failure
    )


def state_of(*events: Event) -> LiveState:
    state = LiveState()
    for event in events:
        state.note(event)
    return state


def lines_of(
    *events: Event, width: int = 80, height: int = 23, encoding: str = "utf-8"
) -> list[str]:
    drawn = Drawing(state_of(*events), encoding).lines(width, height)
    return ["".join(segment.text for segment in line) for line in drawn]


class Terminal(io.StringIO):
    """As much of a terminal as rich makes use of."""

    encoding = "utf-8"

    def screen(self) -> list[str]:
        """Return its lines, from the first one on."""
        lines, row, column = [""], 0, 0
        for code, plain in re.findall(r"\x1b\[([\d;?]*[A-Za-z])|([^\x1b])", self.getvalue()):
            if code.endswith("A"):
                row = max(row - int(code[:-1]), 0)
            elif code == "2K":
                lines[row] = ""
            elif plain == "\r":
                column = 0
            elif plain == "\n":
                row, column = row + 1, 0
                lines += [""] * (row == len(lines))
            elif plain:
                lines[row] = lines[row][:column].ljust(column) + plain + lines[row][column + 1 :]
                column += 1
        return [line.rstrip() for line in lines]


def console(file: io.StringIO, **options: object) -> Console:
    return Console(file=file, width=80, height=24, force_terminal=True, _environ={}, **options)  # type: ignore[arg-type]


@contextmanager
def stderr_is_a_terminal() -> Iterator[Terminal]:
    """At the end, it must have its cursor, and be stderr again."""
    terminal = Terminal()
    with pytest.MonkeyPatch.context() as patch:
        stderr = PrintableStream(terminal)
        patch.setattr(sys, "stderr", stderr)
        yield terminal
        assert sys.stderr is stderr
    assert terminal.getvalue().rfind("\x1b[?25h") > terminal.getvalue().rfind("\x1b[?25l")


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from((1, 10)), st.none() | st.floats(0, 1e5)),
        min_size=1,
        max_size=20,
    )
)
def test_a_cell_has_the_median_of_its_trials(made: list[tuple[str, int, float | None]]) -> None:
    state = state_of(begun("ab"), *(run_done(*one, failed=3) for one in made))
    assert state.cells == len(state.cells_in_order()) == len({one[:2] for one in made})
    for cell in state.cells_in_order():
        rates = [rate for *key, rate in made if key == [cell.crawler, cell.level]]
        assert (cell.trials, cell.failed) == (len(rates), 3 * len(rates))
        known = np.array([np.nan if rate is None else rate for rate in rates])
        wanted = None if np.isnan(known).all() else pytest.approx(np.nanmedian(known))
        assert cell.requests_per_s == wanted
    newest = list(dict.fromkeys(one[:2] for one in reversed(made)))[:3]
    assert [(cell.crawler, cell.level) for cell in state.newest_cells(3)] == newest


def test_the_ceiling_is_a_run_and_no_cell() -> None:
    state = state_of(begun(), run_done(role=CEILING))
    assert (state.runs_done, state.cells) == (1, 0)


def test_the_history_has_one_number_for_each_second_and_gaps_where_nobody_looked() -> None:
    state = state_of(begun())
    for elapsed_s, rate in ((0.25, 1.0), (0.75, 2.0), (1.0, 3.0), (3.5, 4.0)):
        state.note(tick(elapsed_s, Live(rate, 0, 0, None, None)))
    state.note(tick(3.75, None))  # the run is over
    assert state.history(lambda live: live.requests_per_s) == [2.0, 3.0, None, 4.0]
    state.note(RunStarted(2, "protocol", CEILING, 1, 100, 100, "C=100", "0 ms", 5000))
    state.note(tick(1000.0))
    assert state.history(lambda live: live.requests_per_s) == [None] * HISTORY_S


def test_the_share_that_is_done_includes_a_part_of_a_run() -> None:
    assert state_of(begun()).share_done() == 0
    assert state_of(begun(), run_done(), tick(1.0)).share_done() == pytest.approx(1.42 / 12)
    assert state_of(begun(runs=1), tick(1.0, done=None)).share_done() is None
    assert state_of(begun(), run_done(), tick(1.0, done=None)).share_done() == pytest.approx(1 / 12)


def test_a_curve_reaches_from_zero_to_the_largest() -> None:
    assert sparkline([0, 1, None, 7, 3.4], HEIGHTS) == "▁▂ █▄"
    assert sparkline([0, 0, None], HEIGHTS) == "▁▁ "
    assert sparkline([None], HEIGHTS) == " "


EVENTS: tuple[Event, ...] = (
    begun(),
    *(tick(at / 4, Live(900 + 2.5 * at, 100, 2, 100.84, 116.6)) for at in range(40)),
    run_done("threads", 1, 9.94),
    run_done("asyncio", 1, 9.91),
    run_done("asyncio", 100, 980.0),
    run_done("asyncio", 100, 990.0, trial=2, failed=10),
    run_done("threads", 100, None, failure="timed out after 30 s"),
)


AT_80X23 = """\
━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━──────────────────────────────────────────  45%
1 of 12 runs, 1 min 20 s left, asyncio at 100, trial 2

at the server  last second  last 30 s, from 0                     highest
requests/s             998                      ▇▇████████            998
in flight              100                      ██████████            100
p50 ms               100.8                      ██████████          100.8
p99 ms               116.6                      ██████████          116.6
errors                   2  in this run; client-side errors come when it is done

not checked yet: what the crawlers recorded
crawler    C  requests/s  p50 ms  p99 ms  failed  trials
asyncio    1         9.9   100.8   116.6       0       1
asyncio  100         985   100.8   116.6      10       2
threads    1         9.9   100.8   116.6       0       1
threads  100           -       -       -       0       1
1 run failed: threads at 100, trial 1: timed out after 30 s
"""


def test_eighty_columns() -> None:
    lines = lines_of(*EVENTS)
    assert "\n".join(lines) == AT_80X23


AT_40X17 = """\
###############--------------------  45%
1 of 12 runs, 1 min 20 s left, asyncio
at 100, trial 2

at the server  last second
requests/s             998    **########
in flight              100    ##########
p50 ms               100.8    ##########
p99 ms               116.6    ##########
errors                   2

not checked yet: what the crawlers recor
crawler    C  requests/s  p99 ms  failed
threads  100           -       -       0
... and 3 more cells
1 run failed: thread~imed out after 30 s
"""


def test_forty_columns_in_ascii() -> None:
    lines = lines_of(*EVENTS, width=40, height=17, encoding="ascii")
    assert "\n".join(lines) == AT_40X17


def test_without_numbers_of_the_server_the_reason_is_said() -> None:
    why = "http://[::1]/ is not a crawlbench server: it has no numbers"
    lines = lines_of(begun(runs=1, why=why), tick(1.0, None, done=None))
    assert lines == ["1 of 12 runs, 1 min 20 s left, asyncio at 100, trial 2", "", why, ""]


def test_the_newest_cells_are_shown_if_there_are_too_many() -> None:
    many = [run_done("asyncio", level) for level in range(1, 61)]
    lines = lines_of(begun(), *many)
    assert len(lines) == 23
    assert [line.split()[1] for line in lines if line.startswith("asyncio ")] == [
        str(level) for level in range(60, 51, -1)
    ]
    assert lines[-2] == "... and 51 more cells"
    assert "... and 31 more cells" in lines_of(begun(), *many, height=43)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)


@settings(max_examples=60)
@given(
    st.lists(NAMES, min_size=1, max_size=5),
    st.integers(20, 100),
    st.integers(1, 30),
    st.sampled_from(["utf-8", "latin-1", "ascii"]),
)
def test_any_names_fit_into_any_terminal(
    names: list[str], width: int, height: int, encoding: str
) -> None:
    runs = [run_done(name, failure=name, failed=1) for name in names]
    lines = lines_of(begun(names), tick(1.0), *runs, width=width, height=height, encoding=encoding)
    assert len(lines) <= max(height, 2)
    assert max(map(cell_len, lines)) <= width
    for line in lines:
        assert line.isprintable()
        line.encode(encoding)


def test_messages_stand_above_and_the_end_leaves_them_alone() -> None:
    with stderr_is_a_terminal() as terminal:
        view = LiveView(console(terminal))
        name = "[red]\x1b[2J"
        for event in (begun((name,)), run_done(name), tick(0.5), tick(1.0)):
            view.show(event)
        print("a [b]message[/b] \x1b[2J", file=sys.stderr)
        screen = terminal.screen()
        assert screen[0] == r"a [b]message[/b] \x1b[2J"
        assert screen[1].startswith("━")
        assert any(line.startswith(r"[red]\x1b[2J  100 ") for line in screen)
        view.show(run_done())
        print("not a whole line", end="", file=sys.stderr)
        view.show(Ended("done", "/results/x"))
        view.close()
        assert [line for line in terminal.screen() if line] == [
            r"a [b]message[/b] \x1b[2J",
            "not a whole line",
            "2 runs in 1 s",
        ]


def test_an_interruption_erases_it_too() -> None:
    with stderr_is_a_terminal() as terminal:
        view = LiveView(console(terminal))
        for event in (begun(), tick(0.25), run_done(), run_done(), tick(0.5)):
            view.show(event)
        assert len(terminal.screen()) > 8
        view.show(Ended("interrupted", "/results/x"))
        assert not any(terminal.screen())


def test_it_is_drawn_at_every_second_tick() -> None:
    with stderr_is_a_terminal() as terminal:
        view = LiveView(console(terminal))
        sizes = []
        for event in (begun(), tick(0.25), tick(0.5), tick(0.75), run_done(), tick(1.0)):
            view.show(event)
            sizes.append(len(terminal.getvalue()))
        view.close()
        grew = [after > before for before, after in pairwise(sizes)]
    assert grew == [False, True, False, False, True]


def test_a_terminal_that_becomes_narrower_wraps_lines_and_they_are_erased() -> None:
    """A line of 80 characters is two lines of 50: as many more lines are erased."""
    with stderr_is_a_terminal() as terminal:
        rich = console(terminal)
        view = LiveView(rich)
        for event in (begun(), tick(0.25), tick(0.5)):
            view.show(event)
        before = terminal.tell()
        rich.width = 50
        view.show(tick(0.75))
        view.show(tick(1.0))
        written = terminal.getvalue()[before:]
        view.close()
        drawn = lines_of(begun(), tick(0.5))
        rows = sum(max(-(-len(line) // 50), 1) for line in drawn)
        assert written.count("\x1b[1A") == rows - 1 > len(drawn) - 1


def test_no_colour_where_none_is_wanted() -> None:
    def colours(environ: dict[str, str]) -> list[str]:
        terminal = Terminal()
        rich = Console(file=terminal, width=80, height=24, force_terminal=True, _environ=environ)
        view = LiveView(rich)
        for event in EVENTS:
            view.show(event)
        view.close()
        return re.findall(r"\x1b\[(?:1;)?3\dm", terminal.getvalue())

    assert colours({"TERM": "xterm-256color"})
    assert not colours({"TERM": "xterm-256color", "NO_COLOR": "1"})


def test_a_dumb_terminal_gets_a_line_for_each_run() -> None:
    terminal = Terminal()
    rich = Console(file=terminal, width=80, force_terminal=True, _environ={"TERM": "dumb"})
    view = LiveView(rich)
    failed = run_done("\x1b[2J", rate=None, failure="timed out after 30 s")
    ceiling = run_done("protocol", rate=5000.0, role=CEILING)
    for event in (begun(), ceiling, tick(0.25), run_done(), failed, Ended("runs failed", "")):
        view.show(event)
    view.close()
    assert terminal.getvalue() == (
        "capacity of the server: 5,000 requests/s, p50 100.8 ms, p99 116.6 ms, 0 failed\n"
        "asyncio at 100, trial 1: 984 requests/s, p50 100.8 ms, p99 116.6 ms, 0 failed\n"
        "\\x1b[2J at 100, trial 1: timed out after 30 s\n"
        "3 runs in 0 s\n"
    )
