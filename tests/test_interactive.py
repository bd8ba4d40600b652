"""The figures of a browser: what is drawn of many points, in which order, and the process."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("bokeh")

from bokeh.document import Document

from bench.__main__ import main as crawlbench
from bench.advice.words import answer
from bench.analysis.analyse import analyse
from bench.analysis.validity import Level
from bench.kinds import kind_of
from bench.printable import printable
from bench.report.comparison import compare_two
from bench.results.store import FILE_NAME, Store
from plots.interactive.answers import answers_to
from plots.interactive.downsample import (
    denser_at_the_end,
    one_of_each_stratum,
    with_all_of,
)
from plots.interactive.drawing import NOT_CHECKED, Drawn
from plots.interactive.results import figures_of
from plots.interactive.runs import timeline
from plots.page_figures import interactive_part
from plots.sweep_page import sweep_page
from tests.factories import experiment, planned, result
from tests.hostile_results import EVIL, make_results, sql
from tests.test_analysed_once import STORED

ABOUT = {"crawlbench": "0", "cpu": "x", "cpus": 2, "system": "y", "pinning": "none"}
CREATED = "2026-01-01T00:00:00+00:00"
counts = st.integers(min_value=1, max_value=30_000)
limits = st.integers(min_value=4, max_value=5_000)


def make_sweep(folder: Path, overheads_ms: tuple[float, ...] = (5, 9, 6)) -> Path:
    """Two crawlers at two concurrencies, with a trial for each overhead."""
    folder.mkdir()
    asked = experiment(("asyncio", "protocol"), trials=len(overheads_ms))
    number = 0
    with Store.create(folder / FILE_NAME, asked, 12, ABOUT, CREATED) as store:
        for trial, overhead_ms in enumerate(overheads_ms, 1):
            for name in asked.crawlers:
                for concurrency in asked.concurrencies:
                    number += 1
                    run = planned(name, concurrency, number, trial)
                    store.append(result(run, overhead_ms))
    return folder


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_sweep(tmp_path_factory.mktemp("interactive") / "sweep")


@pytest.fixture(scope="module")
def of_sweep(sweep: Path) -> list[Drawn]:
    return list(figures_of(sweep))


def ask(**request: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answers_to(json.dumps({"id": 7, **request}))]


def figures(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [one["figure"] for one in answers if "figure" in one]


def is_part(chosen: "np.ndarray[Any, Any]", count: int, most: int) -> bool:
    """Whether these are indices in their order, each once, and not too many."""
    return bool(
        len(chosen) <= most
        and (np.diff(chosen) > 0).all()
        and chosen[0] == 0
        and chosen[-1] == count - 1
    )


@given(counts, limits)
def test_one_of_each_part_of_equal_size_is_drawn(count: int, most: int) -> None:
    chosen = one_of_each_stratum(count, most)
    assert is_part(chosen, count, most)
    assert len(chosen) == min(count, most)
    assert np.diff(chosen).max(initial=0) <= 2 * -(-count // most) + 2  # no part is left out


@given(counts, limits)
def test_quantiles_are_drawn_to_both_ends(count: int, most: int) -> None:
    chosen = denser_at_the_end(count, most)
    assert is_part(chosen, count, most)


def test_the_tail_of_a_million_quantiles_is_drawn() -> None:
    chosen = denser_at_the_end(1_000_000, 5_000)
    for q in (0.99, 0.999, 0.9999):
        assert (chosen >= q * 1_000_000).sum() >= 99


@given(counts, limits, st.sets(st.integers(0, 29_999), max_size=300))
def test_what_failed_is_drawn_whole_if_there_is_room(
    count: int, most: int, failed: set[int]
) -> None:
    failed = {one for one in failed if one < count}
    others = np.array(sorted(failed), dtype=np.int64)
    chosen = with_all_of(one_of_each_stratum(count, most), others, most)
    assert is_part(chosen, count, most)
    if len(failed) <= most // 2:
        assert failed <= set(chosen.tolist())


def columns_of(figure: dict[str, Any], name: str) -> list[dict[str, str]]:
    table = figure["table"]
    return [
        row
        for row in (dict(zip(table["columns"], cells, strict=True)) for cells in table["rows"])
        if row["crawler"] == name
    ]


def test_a_figure_of_what_is_not_checked_is_replaced_by_one_with_verdicts(sweep: Path) -> None:
    answers = ask(do="figures", folder=str(sweep))
    assert answers[-1] == {"id": 7, "done": True}
    first, *_, last = [one for one in figures(answers) if one["name"] == "cells"]
    for row in columns_of(first, "asyncio"):
        assert row["verdict"] == NOT_CHECKED
    assert NOT_CHECKED in first["how_to_read"]
    with Store.open(sweep / FILE_NAME) as store:
        cells = {
            f"{cell.cell.format_level()}, 3 trials": cell
            for cell in analyse(store).cells
            if cell.cell.crawler == "asyncio"
        }
    rows = columns_of(last, "asyncio")
    assert [row["concurrency"] for row in rows] == list(cells)
    for row in rows:
        cell = cells[row["concurrency"]]
        assert row["verdict"] == cell.level.name
        throughput = f"{median(cell.rates):.4g} ({min(cell.rates):.4g} to {max(cell.rates):.4g})"
        assert row["throughput (good requests / s)"] == throughput
    times = [one for one in figures(answers) if one["name"] == "times"]
    verdicts = [columns_of(one, "asyncio")[0]["verdict"] for one in times]
    assert verdicts == [NOT_CHECKED, cells["C=10, 3 trials"].level.name]


def test_the_same_numbers_are_said_before_and_after_the_check(of_sweep: list[Drawn]) -> None:
    cells = [one for one in of_sweep if one.name == "cells"]
    unchecked, checked = (one.as_json() for one in cells)
    key = "throughput (good requests / s)"
    before, after = (columns_of(one, "protocol") for one in (unchecked, checked))
    assert [row[key] for row in before] == [row[key] for row in after]


def model_of(drawn: Drawn, name: str) -> Any:
    return Document.from_json(drawn.item["doc"]).get_model_by_name(name)


def test_the_ideal_is_drawn_where_there_are_points_and_is_in_the_figure(tmp_path: Path) -> None:
    asked = experiment(concurrencies=(10, 40), requests=80)
    with Store.create(tmp_path / FILE_NAME, asked, 2, ABOUT, CREATED) as store:
        for number, at in enumerate(asked.concurrencies, 1):
            store.append(result(planned("asyncio", at, number, waves=80 // at)))
    *_, cells = [one for one in figures_of(tmp_path) if one.name == "cells"]
    ideal = model_of(cells, "guide:0").data_source.data
    assert list(ideal["x"]) == [10, 40]
    assert list(ideal["y"]) == [100, 400]  # of 100 ms, 80 requests take 8 waves, and 2
    assert "made in whole waves" in cells.how_to_read
    assert "guide:0" in [one.name for one in model_of(cells, "y-range").renderers]


def test_advice_leads_with_its_answer_and_shows_the_runs_of_what_it_recommends() -> None:
    (path,) = [path for path in STORED if path.stem == "advice"]
    with Store.open(path) as store:
        advice = kind_of(store).analyse(store)
    chosen = advice.chosen.recommended.concurrency
    drawn = {one.name: one for one in figures_of(path)}
    cells = drawn["cells"]
    assert cells.finding == answer(advice)
    assert f"recommended: {chosen}" in json.dumps(cells.item)
    assert cells.axes["x"] == "log"
    for one in advice.crawlers:
        run = f"{one.crawler} at C={one.recommended.concurrency}, trial"
        assert run in drawn["times"].how_to_read
        assert run in drawn["over-time"].how_to_read


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_each_kind_has_a_figure(path: Path) -> None:
    names = [one.name for one in figures_of(path)]
    assert names
    with Store.open(path) as store:
        assert kind_of(store).name in path.stem


def large_run(folder: Path, requests: int) -> Path:
    asked = experiment(concurrencies=(10,), waves=requests // 10)
    with Store.create(folder / FILE_NAME, asked, 1, ABOUT, CREATED) as store:
        store.append(result(planned("asyncio", 10, 1, waves=requests // 10, delay_us=0)))
    return folder / FILE_NAME


def test_a_timeline_of_many_requests_says_how_many_are_drawn(tmp_path: Path) -> None:
    path = large_run(tmp_path, 6_000)
    with Store.open(path) as store:
        drawn = timeline(store, store.runs()[0], store.outlines()[1])
    assert drawn.note.startswith("2,500 of 6,000 requests are drawn: one at random")


def test_names_from_results_stay_text(tmp_path: Path) -> None:
    """They are not in what Bokeh draws on its canvas, where `$$` would be mathematics."""
    asked = experiment((EVIL, "asyncio"))
    with Store.create(tmp_path / FILE_NAME, asked, 2, ABOUT, CREATED) as store:
        for number, name in enumerate((EVIL, "asyncio"), 1):
            store.append(result(planned(name, 10, number)))
    with Store.open(tmp_path / FILE_NAME) as store:
        analysis = analyse(store)
        text = sweep_page(store, analysis, [], interactive_part(store, analysis))
    assert text.count('<script type="application/json">') == 5
    assert "alert(1)</script>" not in text
    found = figures(ask(do="figures", folder=str(tmp_path)))
    assert any(series["name"] == printable(EVIL) for one in found for series in one["series"])
    assert not [one for figure in found for one in written(figure["item"]) if "alert" in one]


def written(value: Any) -> Iterator[str]:
    """What Bokeh writes on axes and titles."""
    if isinstance(value, dict):
        for key, one in value.items():
            if key in ("axis_label", "text", "title", "major_label_overrides"):
                yield json.dumps(one)
            yield from written(one)
    elif isinstance(value, list):
        for one in value:
            yield from written(one)


def test_a_report_without_bokeh_says_how_to_have_the_figures(
    sweep: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plots.page_figures.find_spec", lambda _: None)
    with Store.open(sweep / FILE_NAME) as store:
        analysis = analyse(store)
        text = sweep_page(store, analysis, [], interactive_part(store, analysis))
    assert "where Bokeh is installed (the extra crawlbench[ui])" in text
    assert text.count("<script") == 1


def test_a_comparison_says_what_the_verb_says(sweep: Path, tmp_path: Path) -> None:
    other = make_sweep(tmp_path / "other", (7, 8, 9))
    answers = ask(do="compare", folders=[str(sweep), str(other)])
    (said,) = [one["comparison"] for one in answers if "comparison" in one]
    comparison = compare_two(str(sweep), str(other), None, "throughput", Level.SUSPECT)
    rows = {row[0]: row for row in said["table"]["rows"]}
    assert list(rows) == list(comparison.results)
    for name, one in comparison.results.items():
        assert rows[name][3] == f"{one.ratio:.3f}"
        assert rows[name][-1] == one.verdict
    names = [one["name"] for one in figures(answers)[0]["series"]]
    assert names == ["asyncio, A", "protocol, A", "asyncio, B", "protocol, B"]


def test_tables_are_what_the_verb_report_prints(
    sweep: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said, done = ask(do="tables", folder=str(sweep))
    crawlbench(["report", str(sweep), "--all"])
    assert said["text"] == capsys.readouterr().out
    assert "All cells" in said["text"]
    assert done == {"id": 7, "done": True}


def test_two_results_that_cannot_be_compared_are_drawn_all_the_same(
    sweep: Path, tmp_path: Path
) -> None:
    make_results(tmp_path / "other")
    answers = ask(do="compare", folders=[str(sweep), str(tmp_path / "other")])
    assert len(figures(answers)) == 2
    (said,) = [one["comparison"] for one in answers if "comparison" in one]
    assert "differ in what was asked" in said["problem"]


def test_live_figures_have_the_sources_that_rows_are_streamed_into() -> None:
    begun = {"crawlers": ["asyncio", EVIL], "is_open": False, "delays": ["100 ms"]}
    curves, now = figures(ask(do="live", begun=begun))
    assert (curves["name"], now["name"]) == ("curves", "now")
    assert curves["live"] == ["run:asyncio", f"run:{EVIL}"]
    named = json.dumps(curves["item"])
    assert all(json.dumps(name) in named for name in curves["live"])
    assert '"now"' in json.dumps(now["item"])


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"do": "figures", "folder": "/nowhere"}, "there is no results.sqlite in /nowhere"),
        ({"do": "nothing"}, "cannot answer the request: KeyError: 'nothing'"),
        ({"do": "compare", "folders": ["/nowhere"]}, "cannot answer the request: ValueError"),
    ],
)
def test_what_cannot_be_answered_is_one_line(request_: dict[str, Any], said: str) -> None:
    (answer,) = ask(**request_)
    assert answer["error"].startswith(said)
    assert answer["id"] == 7


def test_a_line_that_is_no_request_is_answered() -> None:
    (answer,) = answers_to("{")
    assert "cannot answer" in json.loads(answer)["error"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE fetch SET start_ns = 'x'",
        "UPDATE fetch SET end_ns = 9223372036854775807, start_ns = -9223372036854775807",
        "UPDATE experiment SET asked = '[]'",
        "UPDATE run SET crawler = 'unknown'",
        "DELETE FROM fetch",
        "UPDATE fetch SET seq = seq + 1000000000",
    ],
)
def test_a_hostile_file_gives_figures_or_one_error(change: str, tmp_path: Path) -> None:
    make_results(tmp_path, sql(change))
    *answers, last = ask(do="figures", folder=str(tmp_path))
    assert all(set(one) == {"id", "figure"} for one in answers)
    assert set(last) in ({"id", "done"}, {"id", "error"})
    assert "\n" not in last.get("error", "")


def start(**streams: Any) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-P", "-X", "importtime", "-m", "plots.interactive"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **streams,
    )


def test_the_process_answers_in_order_and_ends_with_its_stdin(sweep: Path) -> None:
    requests = [{"id": 1, "do": "assets"}, {"id": 2, "do": "figures", "folder": str(sweep)}]
    with start() as process:
        out, err = process.communicate("".join(f"{json.dumps(one)}\n" for one in requests), 50)
    assert process.returncode == 0
    assets, *others = [json.loads(line) for line in out.splitlines()]
    assert {one["id"] for one in others} == {2}
    assert all(Path(path).is_file() for path in assets["files"].values())
    assert list(assets["files"]) == ["bokeh.js", "interactive.js", "interactive.css"]
    assert "matplotlib" not in err  # it takes half a second, and is not used here


def test_the_process_ends_when_nobody_can_read_its_answers() -> None:
    with start() as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write('{"id": 1, "do": "assets"}\n')
        process.stdin.flush()
        process.stdout.readline()
        process.stdout.close()  # as when the parent is killed; stdin stays open here
        process.stderr.close()
        assert process.wait(50) == 141


def test_no_file_of_a_page_can_end_the_element_that_it_is_put_into() -> None:
    (assets,) = ask(do="assets")
    for path in assets["files"].values():
        text = Path(path).read_text().lower()
        assert "</script" not in text
        assert "</style" not in text
        assert "<!--" not in text


def test_a_sweep_has_these_figures(of_sweep: list[Drawn]) -> None:
    names = {one.name for one in of_sweep}
    assert names == {"cells", "times", "over-time", "timeline:asyncio", "timeline:protocol"}


CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

WHERE_THE_FIRST_POINT_IS = """() => {
  const points = view => view.model.document?.get_model_by_name("points:0");
  const view = Object.values(Bokeh.index).find(points);
  const {x, y} = points(view).data_source.data, {x_scale, y_scale} = view.frame;
  const corner = view.el.getBoundingClientRect();
  return [corner.x + x_scale.compute(x[0]), corner.y + y_scale.compute(y[0])];
}"""


@pytest.mark.thorough
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")
def test_a_report_works_from_disk_with_keyboard_and_mouse(tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    hostile = "<b class=pwned>$$x$$</b>:crawl"
    asked = experiment((hostile,), concurrencies=(10, 20))
    with Store.create(tmp_path / FILE_NAME, asked, 2, ABOUT, CREATED) as store:
        for number, concurrency in enumerate((10, 20), 1):
            store.append(result(planned(hostile, concurrency, number)))
        analysis = analyse(store)
        page = tmp_path / "report.html"
        page.write_text(sweep_page(store, analysis, [], interactive_part(store, analysis)))
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        seen = browser.new_page(viewport={"width": 400, "height": 900}, color_scheme="dark")
        wrong, asked_for = [], []
        seen.on("pageerror", lambda error: wrong.append(str(error)))
        seen.on("request", lambda request: asked_for.append(request.url))
        seen.goto(page.as_uri())
        figure = seen.locator(".cb-figure").first
        figure.scroll_into_view_if_needed()
        figure.locator(".bk-Figure").wait_for()
        assert seen.evaluate("document.documentElement.scrollWidth") <= 400
        # Other figures near the screen are drawn, too, in whichever order.
        lines = "Bokeh.documents.map(one => one.get_model_by_name('line:0')).filter(one => one)"
        visible = f"{lines}.every(one => one.visible)"
        seen.wait_for_function(visible)
        figure.get_by_label(hostile).focus()
        seen.keyboard.press("Space")
        seen.wait_for_function(f"!{visible}")
        seen.keyboard.press("Space")
        figure.get_by_label("Show").select_option("p50_ms")
        label = "one.get_model_by_name('y-axis')?.axis_label === 'service time p50 (ms)'"
        seen.wait_for_function(f"Bokeh.documents.some(one => {label})")
        figure.get_by_label("y axis").select_option("log")
        axis = "Bokeh.documents.at(-1)?.get_model_by_name('y-axis')?.type === 'LogAxis'"
        seen.wait_for_function(axis)
        seen.mouse.move(*seen.evaluate(WHERE_THE_FIRST_POINT_IS))
        tooltip = seen.locator(".bk-Tooltip")
        tooltip.get_by_text(hostile).wait_for()
        assert not seen.locator(".pwned").count()
        assert not wrong
        assert {url.partition(":")[0] for url in asked_for} <= {"file", "data"}
        browser.close()
