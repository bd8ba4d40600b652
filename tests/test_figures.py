"""Figures of all crawlers, and what is said beside them: by the data of their lines."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from bench.analysis.analyse import Analysis, analyse
from bench.analysis.cells import Trial
from bench.analysis.comparison import compare_neighbours
from bench.analysis.quantiles import quantile
from bench.analysis.summary import good_service_ns
from bench.analysis.validity import Level
from bench.plan.delays import Delay
from bench.plan.floor import cost_unit
from bench.plan.presets import CHAPTER
from bench.report.comparison import compare_two
from bench.results.store import FILE_NAME, Store
from plots.__main__ import draw_all
from plots.figures import (
    cost,
    efficiency,
    figures_of,
    latency_split,
    service_time,
    throughput,
    time_vs_concurrency,
    timeline,
)
from plots.figures.compare import comparison_figure
from plots.figures.cost import cost_figure
from plots.figures.efficiency import efficiency_figure, stretched, unstretched
from plots.figures.service_time import service_time_figure
from plots.figures.throughput import throughput_figure
from plots.figures.time_vs_concurrency import ideal_s, time_figure
from plots.figures.timeline import MOST_LINES, Spans, coverage, timeline_figure
from plots.lines import Point, Shape, draw_line, note_few_requests
from plots.looks import styles_of
from server.service import Service
from tests.factories import experiment, planned, result
from tests.this_process import bench

ABOUT = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y", "pinning": "none"}
CRAWLERS = ("serial", "asyncio", "protocol")
OVERHEADS_MS = {"serial": 1.0, "asyncio": 25.0, "protocol": 0.0}


def make_store(folder: Path, delays_ms: tuple[int, ...] = (100,), trials: int = 1) -> Store:
    """Each wave of asyncio takes 25 ms more than its delay, of the others 1 ms and nothing."""
    folder.mkdir(exist_ok=True)
    asked = experiment(
        CRAWLERS, delays=tuple(Delay.fixed(ms * 1000) for ms in delays_ms), trials=trials
    )
    store = Store.create(folder / FILE_NAME, asked, 99, ABOUT, "2026-01-01T00:00:00")
    number = 0
    for trial in range(1, trials + 1):
        for crawler in CRAWLERS:
            for concurrency in (1,) if crawler == "serial" else (1, 10):
                for ms in delays_ms:
                    number += 1
                    run = planned(crawler, concurrency, number, trial, delay_us=ms * 1000)
                    store.append(result(run, OVERHEADS_MS[crawler]))
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with make_store(tmp_path) as made:
        yield made


@pytest.fixture
def analysis(store: Store) -> Analysis:
    return analyse(store)


def lines(figure: Figure | None) -> dict[str, Line2D]:
    assert figure is not None
    return {str(line.get_gid()): line for axes in figure.axes for line in axes.lines}


def data(line: Line2D) -> tuple[Any, Any]:
    return list(np.asarray(line.get_xdata())), list(np.asarray(line.get_ydata()))


def test_efficiency_is_a_line_a_crawler_set_apart_sideways(analysis: Analysis) -> None:
    found = lines(efficiency_figure(analysis, ""))
    at, shares = data(found["asyncio"])
    assert shares == pytest.approx([0.8, 0.8])
    assert at == pytest.approx([1, 10])
    assert data(found["protocol"])[0] == pytest.approx([1.02, 10.2])
    assert data(found["ideal"])[1] == [1, 1]


def test_without_a_delay_there_is_no_efficiency(tmp_path: Path) -> None:
    with make_store(tmp_path / "none", delays_ms=(0,)) as none:
        stems = {drawn.stem for drawn in figures_of(none, analyse(none))}
    assert "throughput" in stems
    assert "efficiency" not in stems


def test_costs_are_multiples_of_the_floor_crawler(analysis: Analysis) -> None:
    cells = {name: cells[-1] for name, cells in analysis.by_crawler().items()}
    asyncio = cells["asyncio"]
    (trial,) = asyncio.trials
    assert trial.summary is not None
    dear = replace(trial.summary, cpu_us_per_request=3 * trial.summary.cpu_us_per_request)
    cells["asyncio"] = replace(asyncio, trials=(replace(trial, summary=dear),))
    found = lines(cost_figure(cells, analysis, ""))
    assert data(found["asyncio cpu_us_per_request"])[0] == pytest.approx([3])
    assert data(found["protocol cpu_us_per_request"])[0] == [1]
    assert "from 1.0 (serial) to 3.0 (asyncio)" in cost.findings(cells, analysis)
    # Without one they stand by themselves.
    del cells["protocol"]
    assert cost_unit(cells) is None
    found = lines(cost_figure(cells, analysis, ""))
    assert data(found["asyncio peak_memory_bytes"])[0] == pytest.approx([40])
    assert "No floor crawler" in cost.findings(cells, analysis)


def test_the_time_of_runs_of_different_size_is_scaled(analysis: Analysis) -> None:
    found = lines(time_figure(analysis, ""))
    at, seconds = data(found["asyncio"])
    assert at == [1, 10]
    assert seconds == pytest.approx([125, 12.5])  # of 1000 requests
    assert "Time for 1,000 requests" in time_vs_concurrency.findings(analysis)


def test_there_is_a_line_for_each_delay_and_figures_of_each(tmp_path: Path) -> None:
    with make_store(tmp_path / "two", delays_ms=(50, 100)) as two:
        analysis = analyse(two)
        found = lines(time_figure(analysis, ""))
        drawn = {one.stem: one for one in figures_of(two, analysis)}
    assert data(found["protocol 50 ms"])[1] == pytest.approx([50, 5])
    assert data(found["protocol 100 ms"])[1] == pytest.approx([100, 10])
    assert {"throughput-50ms", "throughput-100ms", "time-vs-concurrency"} <= set(drawn)
    assert "throughput" not in drawn
    assert drawn["throughput-50ms"].heading == "Throughput, delay 50 ms"


@given(st.integers(1, 1000), st.integers(1, 500))
def test_the_ideal_is_a_sawtooth_of_whole_waves(requests: int, most: int) -> None:
    at, seconds = ideal_s(experiment(requests=requests), Delay.fixed(100_000), most)
    assert list(at) == list(range(1, most + 1))
    assert list(seconds) == pytest.approx([-(-requests // c) * 0.1 for c in range(1, most + 1)])
    scaled = ideal_s(experiment(), Delay.fixed(100_000), most)[1]
    assert list(scaled) == pytest.approx([100 / c for c in range(1, most + 1)])
    assert len(ideal_s(experiment(requests=requests), Delay.fixed(0), most)[0]) == 0


def test_service_times_are_lines_and_a_distribution(store: Store, analysis: Analysis) -> None:
    from bench.analysis.analyse import load_accounts

    run = analysis.cells[2].trials[0].run
    service_ns = good_service_ns(run, load_accounts(store, run))
    figure = service_time_figure(analysis, 10, {"asyncio": service_ns}, "")
    found = lines(figure)
    assert data(found["asyncio p50"])[1] == pytest.approx([125, 125])
    assert data(found["serial p50"])[0] == pytest.approx([0.98])  # side by side
    assert "asyncio p99" not in found  # of ten and of a hundred requests
    at, shares = data(found["asyncio all"])
    assert at[0] == pytest.approx(125)
    assert shares[0] == pytest.approx(0.01)
    assert shares[-1] == 1
    said = service_time.findings(analysis, 10)
    assert "lowest with protocol: 100.0 ms, and highest with asyncio: 125.0 ms" in said


def test_a_ring_marks_a_knee_between_the_ends(analysis: Analysis) -> None:
    assert not [gid for gid in lines(throughput_figure(analysis, "")) if gid.endswith("knee")]
    # A third concurrency that brings nothing more.
    last = [cell for cell in analysis.cells if cell.cell.crawler == "asyncio"][-1]
    beyond = replace(last, cell=replace(last.cell, concurrency=20))
    more = replace(analysis, cells=(*analysis.cells, beyond))
    found = lines(throughput_figure(more, ""))
    assert data(found["asyncio knee"]) == ([10], pytest.approx([80]))
    assert "95 % of the best is reached by asyncio at 10" in throughput.findings(more, ())


def test_what_is_said_of_throughput_is_in_the_numbers(analysis: Analysis) -> None:
    text = throughput.findings(analysis, compare_neighbours(analysis.cells))
    assert text.startswith("Highest: protocol, 100 requests/s at 10, 100 % of the ideal.")
    assert "Lowest: serial, 9.9 requests/s at 1." in text
    assert "Still rising at 10, the highest measured: asyncio, protocol." in text
    assert text.endswith("Differences are tested from 6 trials on.")
    said = efficiency.findings(analysis)
    assert "lowest with asyncio: 80.0 %, and highest with protocol: 100.0 %." in said
    assert "on the way back: a median of 20.0 ms" in latency_split.findings(analysis)


def test_what_is_said_of_a_run_has_its_errors(analysis: Analysis) -> None:
    trial = analysis.cells[0].trials[0]
    assert timeline.findings(trial) == (
        "10 requests in 1.01 s, of which 1.00 s are the delays alone."
    )
    assert trial.summary is not None
    bad = replace(trial, summary=replace(trial.summary, errors={"timeout": 3}, efficiency=None))
    assert timeline.findings(bad) == "10 requests in 1.01 s; wrong: timeout 3."


def test_many_calls_are_an_image_that_has_each_colour_by_its_share(tmp_path: Path) -> None:
    asked = experiment(("asyncio",))
    with Store.create(tmp_path / "many.sqlite", asked, 1, ABOUT, "2026") as store:
        store.append(result(planned("asyncio", 100, waves=MOST_LINES // 100 + 1), 100))
        trial = analyse(store).cells[0].trials[0]
        figure = timeline_figure(trial, store.fetches(1), store.arrivals(1), "")
    assert figure is not None
    (image,) = figure.axes[0].images
    assert isinstance(image, AxesImage)
    assert not figure.axes[0].collections
    pixels = np.asarray(image.get_array())
    # The first call: 20 ms on its way, 100 ms at the server, 80 ms back, of 200.
    row = pixels[0, : pixels.shape[1] * 200 // (200 * (MOST_LINES // 100 + 1)) - 1]
    blue = row[:, 2] > row[:, 0]
    assert blue.mean() == pytest.approx(0.5, abs=0.05)
    assert (pixels[-1, : pixels.shape[1] // 2] == 1).all()  # nothing is white
    (window,) = figure.axes[0].child_axes
    assert isinstance(window, Axes)
    assert window.get_title(loc="left") == "300 calls from the middle"
    assert not blue[0]
    assert not blue[-1]


@given(
    st.lists(st.tuples(st.floats(0, 9), st.floats(0.001, 1)), min_size=1, max_size=50),
)
def test_an_image_covers_what_the_calls_cover(calls: list[tuple[float, float]]) -> None:
    starts = np.array(sorted(start for start, _ in calls))
    ends = starts + np.array([length for _, length in calls])
    spans = Spans(starts, ends, np.arange(len(calls)))
    end_s = float(ends.max())
    share = coverage(spans, len(calls), end_s)
    rows, columns = share.shape
    heights = np.bincount(np.arange(len(calls)) * rows // len(calls), minlength=rows)
    seconds = (share * heights[:, None]).sum() * end_s / columns
    assert seconds == pytest.approx((ends - starts).sum(), rel=1e-6, abs=1e-6)


def test_a_comparison_has_a_point_for_each_cell(tmp_path: Path) -> None:
    make_store(tmp_path / "six", trials=6).close()
    comparison = compare_two("asyncio", "protocol", tmp_path / "six", "throughput", Level.SUSPECT)
    found = lines(comparison_figure(comparison, ""))
    assert data(found["C=10"]) == (pytest.approx([1.25]), [1])
    assert data(found["C=1"])[1] == [0]


def test_a_hundred_is_marked_where_the_question_is_the_chapters(analysis: Analysis) -> None:
    assert "mark" not in lines(time_figure(analysis, ""))
    asked = replace(analysis.experiment, requests=500, concurrencies=(1, 26, 476))
    found = lines(time_figure(replace(analysis, experiment=asked), ""))
    assert data(found["mark"])[0] == [100, 100]


def test_no_legend_covers_a_title_or_a_call(tmp_path: Path) -> None:
    with make_store(tmp_path / "many", delays_ms=(50, 300, 550, 800)) as many:
        analysis = analyse(many)
        asked = replace(analysis.experiment, requests=500, concurrencies=(1, 26, 476))
        # With three panels the figure is so wide that there is room for everything.
        two = [cell for cell in analysis.cells if cell.cell.crawler != "serial"]
        panels = time_figure(replace(analysis, experiment=asked, cells=tuple(two)), "")
        trial = analysis.cells[-1].trials[0]
        fetches, arrivals = many.fetches(trial.run.number), many.arrivals(trial.run.number)
        wave = timeline_figure(trial, fetches, arrivals, "", 10)
        waves = timeline_figure(trial, fetches, arrivals, "")
    assert panels is not None
    panels.draw_without_rendering()
    (legend,) = panels.legends
    title = next(text for text in panels.texts if text.get_text().startswith("Time to fetch"))
    assert not legend.get_window_extent().overlaps(title.get_window_extent())
    for figure, is_below in ((wave, True), (waves, False)):
        assert figure is not None
        figure.draw_without_rendering()
        (axes,) = figure.axes
        found = axes.get_legend()
        assert found is not None
        assert (found.get_window_extent().y1 < axes.bbox.y0) == is_below


def test_the_chapters_sweep_is_that_of_the_book() -> None:
    assert [str(delay) for delay in CHAPTER.delays] == ["50 ms", "300 ms", "550 ms", "800 ms"]
    assert (CHAPTER.concurrencies[:3], CHAPTER.concurrencies[-1]) == ((1, 26, 51), 476)
    assert (CHAPTER.requests, CHAPTER.trials, CHAPTER.crawlers) == (500, 1, ("asyncio",))


@pytest.mark.parametrize(
    ("form", "magic"),
    [
        # tests/test_hostile_results.py draws in SVG, too
        pytest.param("svg", b"<?xml", marks=pytest.mark.thorough),
        pytest.param("pdf", b"%PDF", marks=pytest.mark.thorough),
    ],
)
def test_figures_come_in_other_formats_and_the_page_is_whole_all_the_same(
    store: Store, form: str, magic: bytes
) -> None:
    drawn = list(draw_all(store.path.parent, form))
    assert {path.suffix for path in drawn} == {f".{form}", ".html"}
    assert drawn[0].read_bytes().startswith(magic)
    assert b"data:image/png;base64," in drawn[-1].read_bytes()


def test_a_comparison_is_drawn_on_demand(tmp_path: Path) -> None:
    make_store(tmp_path / "six", trials=6).close()
    words = ["compare", "asyncio", "protocol", "--in", str(tmp_path / "six"), "--plot"]
    done = bench(*words, str(tmp_path / "compare.png"))
    assert done.returncode == 0, done
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")
    for name, code, said in (
        ("compare.gif", 2, "does not end in"),
        ("no/x.png", 2, "there is no folder"),
    ):
        failed = bench(*words, str(tmp_path / name))
        assert failed.returncode == code
        assert said in failed.stderr.splitlines()[-1]


def test_figures_of_one_run_are_of_a_delay_that_is_one(tmp_path: Path) -> None:
    with make_store(tmp_path / "mixed", delays_ms=(0, 100)) as mixed:
        stems = {drawn.stem for drawn in figures_of(mixed, analyse(mixed))}
    assert {"in-flight-asyncio", "timeline-asyncio", "throughput-0ms"} <= stems


def test_failures_alone_are_drawn_without_a_word(store: Store, analysis: Analysis) -> None:
    def failed(trial: Trial) -> Trial:
        assert trial.summary is not None
        nothing = replace(trial.summary, good=0, requests_per_s=0.0, efficiency=None, p50_ns=None)
        return replace(trial, summary=nothing)

    cells = [replace(cell, trials=tuple(map(failed, cell.trials))) for cell in analysis.cells]
    axes = throughput_figure(replace(analysis, cells=tuple(cells)), "").axes[0]
    assert axes.get_ylim()[1] > 0


def test_the_ceiling_of_a_fixed_number_of_requests_is_a_staircase(analysis: Analysis) -> None:
    asked = replace(analysis.experiment, requests=15)
    found = lines(throughput_figure(replace(analysis, experiment=asked), ""))
    at, rates = data(found["ideal"])
    assert (at[0], at[-1]) == (1, 10)
    assert rates[7] == rates[9] == pytest.approx(15 / 0.2)  # two waves at 8 as at 10


def test_the_ceilings_of_a_service_are_named(analysis: Analysis) -> None:
    """The crawlers reach 100/s at 10."""
    service = Service.parse({"capacity": "12", "stall": "10:1"})
    asked = replace(analysis.experiment, service=service)
    figure = throughput_figure(replace(analysis, experiment=asked), "")
    assert data(lines(figure)["capacity 12 at 100 ms: 120/s"])[1] == [120, 120]
    assert figure.axes[0].get_ylim()[1] > 130
    assert data(lines(figure)["ideal"])[0][-1] == 10
    assert "ideal: a client without overhead" in legend_of(figure)
    # Twice as many are off the scale.
    asked = replace(asked, service=Service.parse({"rate-limit": "300"}))
    figure = throughput_figure(replace(analysis, experiment=asked), "")
    assert "off the scale: rate limit 300/s" in {text.get_text() for text in figure.axes[0].texts}
    assert "ideal" not in lines(figure)


def legend_of(figure: Figure) -> set[str]:
    legend = figure.axes[0].get_legend()
    return {text.get_text() for text in legend.get_texts()} if legend else set()


@pytest.mark.parametrize(("capacity", "said"), [("10", False), ("9", True)])
def test_an_ideal_that_is_no_bound_is_called_a_reference(
    analysis: Analysis, capacity: str, said: bool
) -> None:
    asked = replace(analysis.experiment, service=Service.parse({"capacity": capacity}))
    figure = efficiency_figure(replace(analysis, experiment=asked), "")
    assert figure is not None
    texts = " ".join(text.get_text() for text in figure.axes[0].texts)
    assert ("a reference, and no bound" in texts) is said


def with_service_of(folder: Path, delay: Delay) -> Analysis:
    """The results of make_store, as if that had been the delay asked for."""
    with make_store(folder) as store:
        analysis = analyse(store)
    cells = [replace(cell, cell=replace(cell.cell, delay=delay)) for cell in analysis.cells]
    asked = replace(analysis.experiment, delays=(delay,))
    return replace(analysis, experiment=asked, cells=tuple(cells))


@given(st.integers(0, 500), st.integers(0, 300), st.floats(0, 1))
def test_a_quantile_of_a_delay_is_that_of_all_its_values(low: int, width: int, q: float) -> None:
    every = np.arange(low, low + width + 1)
    # Next to a step floating point decides.
    assert Delay.between(low, low + width).quantile_us(q) in (
        quantile(every, max(0.0, q - 1e-9)),
        quantile(every, min(1.0, q + 1e-9)),
    )


def test_each_panel_has_the_planned_quantile_and_the_last_their_distribution(
    tmp_path: Path,
) -> None:
    analysis = with_service_of(tmp_path / "range", Delay.between(20_000, 200_000))
    found = lines(service_time_figure(analysis, 10, {}, ""))
    for name, planned_ms in (("p50", 110.0), ("p90", 182.0), ("p99", 198.2)):
        assert data(found[f"planned {name}"])[1] == pytest.approx([planned_ms] * 2, abs=0.01)
    at_ms, shares = data(found["planned all"])
    assert (at_ms[0], at_ms[-1]) == (20, 200)
    assert np.interp(110, at_ms, shares) == pytest.approx(0.5, abs=0.01)


def test_a_fixed_delay_is_every_quantile(analysis: Analysis) -> None:
    found = lines(service_time_figure(analysis, 10, {}, ""))
    for name in ("p50", "p90", "p99"):
        assert set(data(found[f"planned {name}"])[1]) == {100}
    assert set(data(found["planned all"])[0]) == {100}


@settings(max_examples=15)
@given(st.integers(10, 60))
def test_lines_between_points_stay_on_their_side_of_the_ideal(requests: int) -> None:
    """As points do: 85 % of the ideal at both ends, and whole waves in between."""
    at, seconds = ideal_s(experiment(requests=requests), Delay.fixed(100_000), 10)
    points = [
        Point(c, c, float(seconds[c - 1]) / share, 0.0, 9e9, Level.VALID)
        for c, share in ((1, 0.99), (10, 0.85))
    ]
    axes = Figure().add_subplot()
    draw_line(axes, "a", styles_of(["a"])["a"], points, Shape(at, seconds))
    (between,) = [one for one in axes.lines if one.get_gid() == "a between"]
    drawn_at, drawn = data(between)
    assert drawn_at == list(at)
    assert (np.array(drawn) >= seconds).all()
    assert (drawn[0], drawn[-1]) == pytest.approx((points[0].y, points[1].y))


def test_the_efficiency_axis_is_stretched_at_its_ends(analysis: Analysis) -> None:
    assert unstretched(stretched(np.array([1.03]))) == pytest.approx(1.03)
    shares = np.linspace(0, 1, 101)
    heights = stretched(shares)
    assert (np.diff(heights) > 0).all()
    assert unstretched(heights) == pytest.approx(shares)
    for near in (heights[100] - heights[98], heights[2] - heights[0]):
        assert near > 3 * (heights[51] - heights[49])
    figure = efficiency_figure(analysis, "")
    assert figure is not None
    (axes,) = figure.axes
    bottom, top = axes.get_ylim()
    assert bottom < 0.8  # of asyncio
    assert top > 1


def test_crawlers_that_equal_each_other_are_not_ranked(tmp_path: Path) -> None:
    """Six trials in which asyncio is faster three times, and slower three times."""
    asked = experiment(("asyncio", "protocol"), concurrencies=(10,), trials=6)
    with Store.create(tmp_path / FILE_NAME, asked, 12, ABOUT, "2026-01-01T00:00:00") as store:
        for number in range(12):
            trial, other = divmod(number, 2)
            run = planned(("asyncio", "protocol")[other], 10, number + 1, trial + 1)
            store.append(result(run, 5 + (trial + other) % 2))
        analysis = analyse(store)
        said = {drawn.stem: drawn.finding for drawn in figures_of(store, analysis)}
    assert "with no difference seen to" in said["throughput"]
    assert "Lowest" not in said["throughput"]
    assert "(95 % interval 94 to 95)" not in said["throughput"]  # 94.3 to 95.2, with a decimal
    assert "95 % interval 94.3 to 95.2" in said["throughput"]
    assert said["efficiency"].endswith("but no difference is seen between these two.")
    assert said["service-time"].endswith("but no difference is seen between these two.")
    assert "95 % interval" in said["time-vs-concurrency"]


def test_a_difference_that_is_seen_is_ranked(tmp_path: Path) -> None:
    with make_store(tmp_path / "six", trials=6) as store:
        said = {drawn.stem: drawn.finding for drawn in figures_of(store, analyse(store))}
    assert "Lowest: serial" in said["throughput"]
    assert said["efficiency"].endswith(
        "highest with protocol: 100.0 % (95 % interval 100.0 % to 100.0 %)."
    )


def test_crawlers_that_look_alike_in_grey_differ_in_colour() -> None:
    round_ones = {"o", "8", "h", "H", "p"}
    styles = styles_of(["serial", "asyncio", "protocol-uvloop"])
    assert len({style.marker in round_ones for style in styles.values()}) == 2
    assert len({style.marker for style in styles.values()}) == 3
    colours = [np.array(to_rgb(style.colour)) for style in styles.values()]
    for one, other in combinations(colours, 2):
        assert np.abs(one - other).sum() > 0.5


def boxes(figure: Figure) -> list[tuple[str, Bbox]]:
    """Of all text that is drawn, in pixels."""
    figure.draw_without_rendering()
    return [
        (text.get_text(), text.get_window_extent())
        for text in figure.findobj(Text)
        if isinstance(text, Text)
        and text.get_visible()
        and any(letter.isalpha() for letter in text.get_text())
    ]


def test_no_text_is_cut_at_the_edge_of_a_figure(tmp_path: Path) -> None:
    names = ("tornado-simple-callback", "protocol-uvloop")
    asked = experiment(names, delays=(Delay.fixed(100_000), Delay.fixed(50_000)))
    with Store.create(tmp_path / FILE_NAME, asked, 16, ABOUT, "2026-01-01T00:00:00") as store:
        for number, (name, concurrency, ms) in enumerate(product(names, (1, 10), (50, 100)), 1):
            store.append(result(planned(name, concurrency, number, delay_us=ms * 1000)))
        for drawn in figures_of(store, analyse(store)):
            if drawn.stem.endswith("-50ms"):
                continue  # as of 100 ms
            width, height = drawn.figure.bbox.width, drawn.figure.bbox.height
            for text, box in boxes(drawn.figure):
                said = f"{drawn.stem}: {text}"
                assert box.x0 >= 8, said
                assert box.y0 >= 0, said
                assert box.x1 <= width - 8, said
                assert box.y1 <= height, said


def test_the_legend_of_the_time_lies_over_no_line(analysis: Analysis) -> None:
    for requests in (0, 15):
        asked = replace(analysis.experiment, requests=requests)
        figure = time_figure(replace(analysis, experiment=asked), "")
        assert figure is not None
        figure.draw_without_rendering()
        (axes,) = figure.axes
        legend = axes.get_legend()
        assert legend is not None
        box = legend.get_window_extent()
        for line in axes.lines:
            path = line.get_path().transformed(axes.transData)
            assert not path.intersects_bbox(box, filled=False), line.get_gid()


@pytest.mark.parametrize(
    ("known", "measured", "said"),
    [
        ((40,), (40,), []),
        ((40,), (10, 40), ["only runs at 40 have\nenough requests for a p99"]),
        ((), (10, 40), ["no run has enough requests for a p99"]),
        ((10, 40), (10, 20, 40), []),
    ],
)
def test_a_quantile_without_a_line_says_why_only_if_one_is_missing(
    known: tuple[int, ...], measured: tuple[int, ...], said: list[str]
) -> None:
    axes = Figure().subplots()
    note_few_requests(axes, "p99", known, measured)
    assert [one.get_text() for one in axes.texts] == said
