"""Figures by what they are made of, not by their pixels."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import IO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.analyse import analyse
from bench.analysis.cells import CellSummary
from bench.analysis.in_flight import Levels
from bench.analysis.validity import Level, Reason, Verdict
from bench.results.store import FILE_NAME, Store
from crawlers.contract import Recorder
from crawlers.registry import REGISTRY
from plots.__main__ import draw_all, main
from plots.figures.in_flight import binned, in_flight_figure
from plots.figures.latency_split import latency_split_figure
from plots.figures.throughput import throughput_figure
from plots.figures.timeline import findings_of_first, timeline_figure
from plots.looks import styles_of
from plots.style import spread_labels
from tests.conftest import UNDRAWN
from tests.factories import experiment, planned, result

ASKED = experiment(("serial", "asyncio"), trials=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Three trials: overheads of 5, 10 and 15 ms a wave for asyncio, none for serial."""
    environment = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y"}
    store = Store.create(
        tmp_path / FILE_NAME, ASKED, 9, environment | {"pinning": "none"}, "2026-01-01T00:00:00"
    )
    number = 0
    for trial in (1, 2, 3):
        for crawler, concurrency in (("serial", 1), ("asyncio", 1), ("asyncio", 10)):
            number += 1
            overhead_ms = 0 if crawler == "serial" else 5 * trial
            store.append(result(planned(crawler, concurrency, number, trial), overhead_ms))
    yield store
    store.close()


def line(figure: Figure, gid: str) -> Line2D:
    (found,) = [line for line in figure.axes[0].lines if line.get_gid() == gid]
    return found


def test_each_crawler_is_a_line_of_its_medians(store: Store) -> None:
    figure = throughput_figure(analyse(store), "small print")
    asyncio = line(figure, "asyncio")
    assert list(np.asarray(asyncio.get_xdata())) == [1, 10]
    assert list(np.asarray(asyncio.get_ydata())) == pytest.approx([1 / 0.110, 10 / 0.110])
    assert list(np.asarray(line(figure, "serial").get_ydata())) == pytest.approx([10])
    # Told apart without colours.
    asyncio_marks = line(figure, "asyncio VALID")
    assert asyncio_marks.get_marker() != line(figure, "serial VALID").get_marker()
    assert asyncio_marks.get_markerfacecolor() != "white"


def test_the_bars_go_from_the_least_to_the_most(store: Store) -> None:
    figure = throughput_figure(analyse(store), "")
    bars = [c for c in figure.axes[0].collections if isinstance(c, LineCollection)]
    ends = {
        round(float(x), 3): sorted([float(low), float(high)])
        for collection in bars
        for (x, low), (_, high) in collection.get_segments()
        if x == 10
    }
    assert ends[10] == pytest.approx([10 / 0.115, 10 / 0.105])


def test_the_ideal_is_c_over_delay(store: Store) -> None:
    figure = throughput_figure(analyse(store), "")
    ideal = line(figure, "ideal")
    assert list(np.asarray(ideal.get_xdata())) == [0, 10]
    assert list(np.asarray(ideal.get_ydata())) == pytest.approx([0, 100])
    assert ideal.get_linestyle() == "--"


def test_titles_and_labels_have_units_and_say_what_was_asked(store: Store) -> None:
    axes = throughput_figure(analyse(store), "").axes[0]
    title = axes.get_title(loc="left")
    for said in ("delay 100 ms", "10 × C requests", "3 trials"):
        assert said in title
    assert "requests / s" in axes.get_ylabel()
    assert "in flight" in axes.get_xlabel()
    names = {text.get_text() for text in axes.texts}
    assert {"asyncio", "serial (up to 1)", "ideal: C / delay"} <= names


def test_what_is_not_valid_is_marked(store: Store) -> None:
    analysis = analyse(store)

    def levelled(cell: CellSummary, level: Level) -> CellSummary:
        verdict = Verdict((Reason(level, "a check", "a reason"),))
        return replace(cell, trials=tuple(replace(one, verdict=verdict) for one in cell.trials))

    serial, first, second = analysis.cells
    cells = (serial, levelled(first, Level.SUSPECT), levelled(second, Level.INVALID))
    figure = throughput_figure(replace(analysis, cells=cells), "")
    assert list(np.asarray(line(figure, "asyncio SUSPECT").get_xdata())) == [1]
    assert line(figure, "asyncio SUSPECT").get_markerfacecolor() == "white"
    assert list(np.asarray(line(figure, "asyncio INVALID").get_xdata())) == [10]
    assert line(figure, "asyncio INVALID").get_marker() == "x"
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert len(legend.get_texts()) >= 2
    unchecked = replace(analysis, cells=(serial, levelled(first, Level.UNCHECKED), second))
    figure = throughput_figure(unchecked, "")
    assert line(figure, "asyncio UNCHECKED").get_fillstyle() == "bottom"
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert any("UNCHECKED" in text.get_text() for text in legend.get_texts())
    legend = throughput_figure(analysis, "").axes[0].get_legend()
    assert legend is None or "hollow" not in str([one.get_text() for one in legend.get_texts()])


def test_the_server_ceiling_is_drawn_or_said_to_be_off_the_scale(store: Store) -> None:
    analysis = analyse(store)

    def with_ceiling(per_s: float) -> Figure:
        trial = analysis.cells[0].trials[0]
        assert trial.summary is not None
        ceiling = replace(trial, summary=replace(trial.summary, requests_per_s=per_s))
        return throughput_figure(replace(analysis, ceilings=(ceiling,)), "")

    assert list(np.asarray(line(with_ceiling(120), "server ceiling").get_ydata())) == [120, 120]
    far = {text.get_text() for text in with_ceiling(50_000).axes[0].texts}
    assert "off the scale: the server ceiling, 50,000 requests/s" in far


def test_the_split_has_a_line_for_each_part_and_quantile(store: Store) -> None:
    figure = latency_split_figure(analyse(store), "")
    assert figure is not None
    lines = {str(one.get_gid()): one for panel in figure.axes for one in panel.lines}
    # Of 15 ms, a fifth on the way there; the median trial has 10 ms.
    parts = ("to_server", "late", "back")
    there, late, back = (lines[f"asyncio {part} p50"] for part in parts)
    assert list(np.asarray(there.get_xdata())) == pytest.approx([1.01, 10.1])  # side by side
    assert list(np.asarray(there.get_ydata())) == pytest.approx([2.0, 2.0])
    assert list(np.asarray(late.get_ydata())) == [0.01, 0.01]  # the foot of the axis
    assert list(np.asarray(back.get_ydata())) == pytest.approx([8.0, 8.0])


def test_a_timeline_is_one_collection_for_each_end(store: Store) -> None:
    trial = analyse(store).cells[-1].trials[0]
    run = trial.run
    figure = timeline_figure(trial, store.fetches(run.number), store.arrivals(run.number), "")
    assert figure is not None
    ends = {
        collection.get_gid(): collection
        for collection in figure.axes[0].collections
        if isinstance(collection, LineCollection)
    }
    assert set(ends) == {"client", "server"}
    client, server = (np.array(ends[end].get_segments()) for end in ("client", "server"))
    assert client.shape == server.shape == (100, 2, 2)
    # In seconds since the first start; the server's span is within the client's, on the same row.
    assert client[0].tolist() == [[0, 0], [pytest.approx(0.105), 0]]
    assert server[0].tolist() == [[pytest.approx(0.001), 0], [pytest.approx(0.101), 0]]
    assert (client[:, 0, 1] == server[:, 0, 1]).all()
    assert (client[:, 0, 0] <= server[:, 0, 0]).all()
    assert (server[:, 1, 0] <= client[:, 1, 0]).all()


def test_what_was_in_flight_is_drawn_beside_what_was_asked_for(store: Store) -> None:
    trial = analyse(store).cells[-1].trials[0]
    figure = in_flight_figure(trial, store.arrivals(trial.run.number), "")
    assert figure is not None
    # Ten waves of 100 ms, with 5 ms between them in which there is nothing.
    level = line(figure, "level")
    seconds, levels = np.asarray(level.get_xdata()), np.asarray(level.get_ydata())
    assert (levels.max(), levels.min()) == (10, 0)
    area = float((np.diff(seconds) * levels[:-1]).sum())
    assert area / seconds[-1] == pytest.approx(10 * 1000 / 1045)
    assert list(np.asarray(line(figure, "asked").get_ydata())) == [10, 10]
    nothing = {name: column[:0] for name, column in store.arrivals(1).items()}
    assert in_flight_figure(trial, nothing, "") is None


@given(st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 900)), min_size=1, max_size=40))
def test_the_mean_drawn_is_the_mean(stays: list[tuple[int, int]]) -> None:
    starts = np.array([at for at, _ in stays], dtype=np.int64)
    levels = Levels.of(starts, starts + np.array([stay for _, stay in stays]))
    _, mean, least, most = binned(levels)
    assert mean.mean() == pytest.approx(levels.mean)
    assert most.max() == levels.peak
    assert (least <= mean + 1e-9).all()
    assert (mean <= most + 1e-9).all()


def test_a_timeline_without_a_ledger_shows_the_client_alone(store: Store) -> None:
    trial = analyse(store).cells[0].trials[0]
    figure = timeline_figure(trial, store.fetches(trial.run.number), None, "")
    assert figure is not None
    assert [collection.get_gid() for collection in figure.axes[0].collections] == ["client"]


@pytest.mark.usefixtures("undrawn")
def test_all_figures_are_written_beside_the_results(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = store.path.parent
    assert main([str(folder)]) == 0
    names = {
        "throughput.png",
        "efficiency.png",
        "service-time.png",
        "cost.png",
        "time-vs-concurrency.png",
        "latency-split.png",
        "timeline-serial.png",
        "timeline-asyncio.png",
        "in-flight-serial.png",
        "in-flight-asyncio.png",
    }
    assert {path.name for path in folder.glob("*.png")} == names
    said = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert sorted(said) == sorted([*names, "report.html"])
    assert (folder / "throughput.png").read_bytes() == UNDRAWN


def test_results_without_a_good_run_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y"}
    with Store.create(
        tmp_path / FILE_NAME, ASKED, 9, environment | {"pinning": "none"}, "2026"
    ) as store:
        store.append(result(planned(), failure="crashed with exit code 1"))
    assert main([str(tmp_path)]) == 3
    assert "nothing to draw" in capsys.readouterr().err
    assert main([str(tmp_path / "elsewhere")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.usefixtures("undrawn")
def test_a_crawler_that_was_brought_along_cannot_name_a_file_elsewhere(tmp_path: Path) -> None:
    name = "../../evil.module:crawl"
    environment = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y"}
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with Store.create(
        folder / FILE_NAME, experiment((name,)), 1, environment | {"pinning": "none"}, "2026"
    ) as store:
        store.append(result(planned(name)))
    assert list(draw_all(folder))
    assert {path.parent for path in tmp_path.rglob("*.png")} == {folder}


def test_styles_stay_apart_for_many_crawlers() -> None:
    styles = styles_of([f"crawler {i}" for i in range(14)])
    assert len({(style.colour, style.marker, style.line) for style in styles.values()}) == 14


@given(st.lists(st.floats(0, 1), max_size=14), st.floats(0.01, 0.1))
def test_labels_keep_their_distance_and_their_order(wanted: list[float], gap: float) -> None:
    placed = spread_labels(wanted, gap)
    ranked = sorted(range(len(wanted)), key=lambda i: placed[i])
    for below, above in pairwise(ranked):
        assert placed[above] - placed[below] >= gap - 1e-9
        assert wanted[below] <= wanted[above]
    if not any(abs(a - b) < gap for i, a in enumerate(wanted) for b in wanted[i + 1 :]):
        assert placed == pytest.approx(wanted)


@pytest.mark.parametrize(
    "seqs",
    [
        *(pytest.param(some, marks=pytest.mark.thorough) for some in ([], [-1, -5], [3, 3, 99])),
        [10**15],
    ],
)
def test_odd_records_do_not_cost_the_other_figures(
    store: Store, seqs: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is laid out, with its ticks and texts; only its pixels are left out."""

    def lay_out(figure: Figure, file: IO[bytes], **_: object) -> None:
        figure.draw_without_rendering()
        file.write(UNDRAWN)

    monkeypatch.setattr(Figure, "savefig", lay_out)
    odd = result(planned("serial", 1, number=99, trial=1, waves=4))
    recorder = Recorder()
    for seq in seqs:
        recorder(seq, 10**12, 10**12 + 1, 200, 1)
    assert odd.outcome is not None
    outcome = replace(odd.outcome, fetches=recorder.columns())
    run = replace(odd.planned, cell=replace(odd.planned.cell, crawler="tests.odd:crawl"))
    path = store.path.parent / "odd"
    path.mkdir()
    environment = store.environment()
    with Store.create(
        path / FILE_NAME, experiment(("tests.odd:crawl", "asyncio")), 2, environment, "2026"
    ) as other:
        other.append(replace(odd, planned=run, outcome=outcome))
        other.append(result(planned(number=100)))
    assert "timeline-asyncio.png" in {drawn.name for drawn in draw_all(path)}


def test_a_timeline_of_the_first_calls_has_those_that_started_first(store: Store) -> None:
    trial = analyse(store).cells[-1].trials[0]
    number = trial.run.number
    fetches, arrivals = store.fetches(number), store.arrivals(number)
    figure = timeline_figure(trial, fetches, arrivals, "", 20)
    assert figure is not None
    client, server = figure.axes[0].collections
    assert len(client.get_segments()) == len(server.get_segments()) == 20  # type: ignore[attr-defined]
    (wave,) = {fetches["end_ns"][seq] - fetches["start_ns"][seq] for seq in range(20)}
    assert max(end for _, (end, _) in client.get_segments()) == pytest.approx(2 * wave / 1e9)  # type: ignore[attr-defined]
    assert "first 20 of 100 requests" in figure.axes[0].get_title("left")
    said = findings_of_first(trial, fetches, 20)
    assert said == "The first 20 of 100 requests: 0.21 s from the first start to the last end."
    fetches["error"][3] = 1
    assert ", of which 1 failed: " in findings_of_first(trial, fetches, 20)
    assert findings_of_first(trial, fetches, 100).startswith("The 100 requests, ")


@pytest.mark.thorough
def test_timelines_of_the_first_calls_are_drawn_where_a_run_has_so_many(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(store.path.parent), "--timeline-at", "10,100"]) == 0
    printed = capsys.readouterr()
    stems = {Path(path).stem for path in printed.out.split()}
    drawn = {stem for stem in stems if stem.startswith("timeline")}
    assert drawn == {
        *("timeline-serial", "timeline-serial-10"),
        *("timeline-asyncio", "timeline-asyncio-10", "timeline-asyncio-100"),
    }
    assert printed.err == (
        "plots: no timeline of serial at 100: its run has only 10 requests "
        "(measure it with --requests 100)\n"
    )


def test_a_failed_call_is_told_apart(store: Store) -> None:
    trial = analyse(store).cells[-1].trials[0]
    fetches = store.fetches(trial.run.number)
    fetches["error"][3] = 1
    figure = timeline_figure(trial, fetches, None, "")
    assert figure is not None
    (client,) = figure.axes[0].collections
    colours = [tuple(colour) for colour in np.asarray(client.get_edgecolor())]
    assert colours.count(colours[3]) == 1
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert "client: failed" in {text.get_text() for text in legend.get_texts()}


def test_no_two_crawlers_of_one_figure_look_alike() -> None:
    names = [*(info.name for info in REGISTRY), *(f"my own {i}" for i in range(12))]
    looks = [(style.colour, style.marker) for style in styles_of(names).values()]
    assert len(set(looks)) == len(names)
