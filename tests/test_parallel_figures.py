"""What the figures of several processes, interpreters and machines are made of."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from bench.analysis.analyse import Analysis, analyse, load_accounts
from bench.analysis.clocks import MachineClock
from bench.analysis.parallel import by_interpreter, by_processes
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Reason, Verdict
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.report.export import export_runs
from bench.results.clock import ClockOffset, ClockReading
from bench.results.run_result import ProcessResult
from bench.results.store import FILE_NAME, Store
from crawlers.runtime import Runtime
from plots.figures import interpreters, processes, timeline
from plots.scenes import DelayScene, Drawn, RunScene, SweepScene
from plots.words import format_clocks
from tests.factories import MS, experiment, planned, result
from tests.test_figures import boxes

ENTRANTS = (
    Entrant("asyncio", "asyncio"),
    Entrant("asyncio*2", "asyncio", processes=2),
    Entrant("asyncio@free", "asyncio", python="/free/bin/python"),
)
RUNTIMES = (
    Runtime("CPython", "3.11.7", False, True, None),
    Runtime("CPython", "3.11.7", False, True, None),
    Runtime("CPython", "3.14.2", True, False, True),
)
OVERHEAD_MS = {0: (10, 6, 5), 100: (5, 5, 5)}
"""Of a wave of ten requests, by delay in ms, of each entrant."""
ABOUT = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y", "pinning": "none"}


def reading(offset_ms: float) -> ClockReading:
    offset_ns, bound_ns = round(offset_ms * MS), 110_000
    return ClockReading(ClockOffset(1, offset_ns, bound_ns), ClockOffset(2, offset_ns, bound_ns))


def process(
    ordinal: int, runtime: Runtime, machine: str = "", clock: ClockReading | None = None
) -> ProcessResult:
    return ProcessResult(ordinal, machine, 5, 50, None, runtime, clock)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Three trials of each entrant; those of two processes are on two machines."""
    delays = tuple(Delay.fixed(1000 * delay_ms) for delay_ms in OVERHEAD_MS)
    asked = experiment(concurrencies=(10,), delays=delays, trials=3)
    asked = replace(asked, entrants=ENTRANTS)
    path = Path(tmp_path_factory.mktemp("parallel")) / FILE_NAME
    store = Store.create(path, asked, 18, ABOUT, "2026", is_in_memory=True)
    number = 0
    for trial in (1, 2, 3):
        for delay_ms, overheads_ms in OVERHEAD_MS.items():
            for entrant, runtime, overhead_ms in zip(ENTRANTS, RUNTIMES, overheads_ms, strict=True):
                number += 1
                run = planned(entrant.label, 10, number, trial, delay_us=1000 * delay_ms)
                found = result(replace(run, entrant=entrant), overhead_ms + trial / 10)
                clocks = [("worker-1", reading(37.5)), ("worker-2", reading(-2))]
                by = [("", None)] if entrant.processes == 1 else clocks
                shared = tuple(process(i, runtime, *machine) for i, machine in enumerate(by))
                store.append(replace(found, processes=shared))
    return store


@pytest.fixture(scope="module")
def analysis(store: Store) -> Analysis:
    return analyse(store)


def drawn_processes(analysis: Analysis) -> Drawn:
    drawn = processes.draw(SweepScene(analysis, "small print"))
    assert drawn is not None
    return drawn


def line(axes: Axes, gid: str) -> Line2D:
    (found,) = [one for one in axes.lines if one.get_gid() == gid]
    return found


def heights(axes: Axes, gid: str) -> list[float]:
    return [float(y) for y in np.asarray(line(axes, gid).get_ydata())]


def bar_of(figure: Figure, panel: int, gid: str) -> Rectangle:
    (found,) = [one for one in figure.axes[panel].patches if one.get_gid() == gid]
    assert isinstance(found, Rectangle)
    return found


def test_processes_have_their_medians_trials_and_ideal(analysis: Analysis) -> None:
    figure = drawn_processes(analysis).figure
    at_0, costs, at_100, _ = figure.axes
    assert [one.get_title("left") for one in (at_0, at_100)] == [
        "delay 0 ms: throughput",
        "delay 100 ms: throughput",
    ]
    level = level_of(analysis, "asyncio*2")
    assert heights(at_0, f"asyncio*2 {level}") == pytest.approx([10 / 0.0062])
    assert heights(at_0, "asyncio*2 trials") == pytest.approx(
        [10 / 0.0061, 10 / 0.0062, 10 / 0.0063]
    )
    assert f"{10 / 0.0062:,.0f}\n× {10.2 / 6.2:.2f}" in {one.get_text() for one in at_0.texts}
    # The ideal client needs 100 ms for ten requests: no line at P times the rate of one.
    ideal = [one for one in at_100.collections if isinstance(one, LineCollection)]
    assert [float(one.get_segments()[0][0][1]) for one in ideal] == pytest.approx([100, 100])
    assert [one.get_linestyle() for one in at_0.lines].count(":") == 1
    assert ":" not in [one.get_linestyle() for one in at_100.lines]
    # 0.1 s of CPU for 100 requests.
    assert bar_of(figure, 1, "asyncio*2 client").get_height() == pytest.approx(1000)
    assert [one.get_text() for one in costs.get_xticklabels()] == ["1", "2"]


def level_of(analysis: Analysis, label: str) -> str:
    return next(one.level.name for one in analysis.cells if one.cell.crawler == label)


def test_what_processes_gain_is_said_for_each_delay(analysis: Analysis) -> None:
    said = drawn_processes(analysis).finding
    assert said == (
        "Delay 0 ms: asyncio is 1.65 times as fast with 2 processes as with one; one process "
        "computes for 98 % of the time. Delay 100 ms: further processes of asyncio make no clear "
        "difference (1.00 times the rate of one process); one process computes for 10 % of the "
        "time."
    )


def test_of_several_crawlers_the_least_and_the_most_gain_is_said(analysis: Analysis) -> None:
    at_0, at_100 = by_processes(analysis)
    # Only what is said of it has another name: its cells are those of asyncio.
    point = replace(at_0.points[1], rate=3 * at_0.points[0].rate)
    other = replace(at_0, name="other", points=(at_0.points[0], point))
    said = processes.findings(analysis, [at_0, other, at_100, replace(at_100, name="other")])
    busy = "2 processes; one process computes for 98 % of the time"
    assert said == (
        f"Delay 0 ms: with further processes the rate is from 1.65 times (asyncio, {busy}) to 3.00 "
        f"times (other, {busy}) that of the fewest. Delay 100 ms: further processes make no clear "
        "difference for any crawler (at best 1.00 times the rate)."
    )


def test_what_is_not_so_in_each_trial_is_no_clear_gain(analysis: Analysis) -> None:
    cells = tuple(
        replace(
            cell,
            trials=tuple(
                replace(one, summary=replace(one.summary, requests_per_s=rate))
                for one, rate in zip(cell.trials, (900, 1500, 1600), strict=True)
                if one.summary is not None
            ),
        )
        if cell.cell.crawler == "asyncio*2" and cell.cell.delay.is_none
        else cell
        for cell in analysis.cells
    )
    said = drawn_processes(replace(analysis, cells=cells)).finding
    assert "Delay 0 ms: further processes of asyncio make no clear difference (1.53 times" in said


@pytest.mark.thorough
def test_no_text_of_the_two_figures_is_cut(store: Store, analysis: Analysis) -> None:
    by_loop = interpreters.draw(DelayScene(store, analysis, "small print", "", "", ()))
    assert by_loop is not None
    for figure in (drawn_processes(analysis).figure, by_loop.figure):
        for text, box in boxes(figure):
            assert 8 <= box.x0 <= box.x1 <= figure.bbox.width - 8, text
            assert 0 <= box.y0 <= box.y1 <= figure.bbox.height, text


def test_an_invalid_number_of_processes_is_a_cross_and_says_nothing(analysis: Analysis) -> None:
    verdict = Verdict((Reason(Level.INVALID, "a check", "a reason"),))
    cells = tuple(
        replace(cell, trials=tuple(replace(one, verdict=verdict) for one in cell.trials))
        if cell.cell.crawler == "asyncio*2" and cell.cell.delay.is_none
        else cell
        for cell in analysis.cells
    )
    drawn = drawn_processes(replace(analysis, cells=cells))
    assert line(drawn.figure.axes[0], "asyncio*2 INVALID").get_marker() == "x"
    assert "Delay 0 ms" not in drawn.finding
    assert "cross: INVALID" in drawn.figure.texts[-1].get_text()


def test_one_number_of_processes_and_one_interpreter_have_no_figure(
    store: Store, analysis: Analysis
) -> None:
    alone = replace(
        analysis,
        cells=tuple(one for one in analysis.cells if one.cell.crawler == "asyncio"),
    )
    assert processes.draw(SweepScene(alone, "")) is None
    assert interpreters.draw(DelayScene(store, alone, "", "", "", ())) is None


def test_each_interpreter_is_named_by_what_it_is(store: Store, analysis: Analysis) -> None:
    request = analysis.experiment.requests_asked[0]
    scene = DelayScene(store, analysis.of_request(request), "", "-0ms", ", delay 0 ms", ())
    drawn = interpreters.draw(scene)
    assert drawn is not None
    rates, _ = drawn.figure.axes
    names = [one.get_text() for one in rates.get_yticklabels()]
    assert names == ["3.11.7", "3.14.2t, no GIL, JIT"]
    assert "asyncio" in {one.get_text() for one in rates.texts}
    free = line(rates, f"asyncio@free {level_of(analysis, 'asyncio@free')}")
    assert [float(x) for x in np.asarray(free.get_xdata())] == pytest.approx([10 / 0.0052])
    assert bar_of(drawn.figure, 1, "asyncio@free client").get_width() == pytest.approx(1000)
    assert drawn.finding == (
        "asyncio on 3.14.2t, no GIL, JIT: 1.96 × the throughput on 3.11.7, with 1,000 against "
        "1,000 µs of CPU per request."
    )


def test_interpreters_of_the_same_version_have_their_labels(analysis: Analysis) -> None:
    series = by_interpreter(analysis)[0]
    first, second = series.points
    same = replace(series, points=(first, replace(first, label=second.label)))
    assert interpreters.runs_on(same) == ["asyncio", "asyncio@free"]
    loops = replace(series, points=(first, replace(first, loop="uvloop")))
    assert interpreters.runs_on(loops) == ["3.11.7, its own loop", "3.11.7, uvloop"]


def test_clocks_are_told_with_their_bounds(analysis: Analysis) -> None:
    summary = analysis.cells[0].measured[0]

    def of(*clocks: tuple[str, float, float]) -> RunSummary:
        told = (MachineClock(name, round(ms * MS), round(bound * MS)) for name, ms, bound in clocks)
        return replace(summary, clocks=tuple(told))

    assert format_clocks([of()]) == ""
    # Of several runs, the clock of a machine that is known the least.
    assert format_clocks([of(("worker-1", 37.5, 0.11)), of(("worker-1", 37.6, 0.05))]) == (
        "clocks of other machines: worker-1 +37.500 ms ± 0.110 ms "
        "(± is half the shortest round trip)"
    )
    assert format_clocks([of(*((f"w{i}", i - 1, 0.1 * i) for i in range(16)))]) == (
        "clocks of other machines: 16 from -1.000 to +14.000 ms, each ± 1.500 ms at most "
        "(± is half the shortest round trip)"
    )


def test_clocks_are_exported_as_json(store: Store) -> None:
    stream = io.StringIO()
    export_runs(store, "csv", stream)
    rows = csv.DictReader(io.StringIO(stream.getvalue()))
    cell = next(row["summary.clocks"] for row in rows if row["processes"] == "2")
    first = json.loads(cell.split("; ")[0])
    assert (first["machine"], first["offset_ns"]) == ("worker-1", 37.5 * MS)


def test_a_timeline_has_the_calls_of_each_process_together(
    store: Store, analysis: Analysis
) -> None:
    (cell,) = [
        one
        for one in analysis.cells
        if one.cell.crawler == "asyncio*2" and not one.cell.delay.is_none
    ]
    trial = cell.trials[0]
    drawn = timeline.draw(RunScene(trial, load_accounts(store, trial.run), "small print"))
    assert drawn is not None
    figure = drawn.figure
    axes = figure.axes[0]
    client = next(one for one in axes.collections if one.get_gid() == "client")
    assert isinstance(client, LineCollection)
    rows = np.array([segment[0][1] for segment in client.get_segments()])
    assert set(rows[0::2]) == set(range(50))
    assert set(rows[1::2]) == set(range(50, 100))
    assert [float(y) for y in np.asarray(line(axes, "process").get_ydata())] == [49.5, 49.5]
    assert {"process 1\nworker-1", "process 2\nworker-2"} <= {one.get_text() for one in axes.texts}
    assert "worker-1 +37.500 ms ± 0.110 ms, worker-2 -2.000 ms" in figure.texts[-1].get_text()
