"""What tables and figures say of a crawler whose clocks run while its requests wait inside it."""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench.analysis.analyse import Analysis, analyse
from bench.analysis.validity import Level
from bench.report.comparison import compare_two
from bench.report.export import export_runs
from bench.report.sweep import cells_table
from bench.report.tables import lay_out
from bench.results.store import FILE_NAME, Store
from plots.figures.latency_split import findings, latency_split_figure
from plots.figures.service_time import service_time_figure
from plots.sweep_page import _cells
from tests.factories import experiment, planned, result

PLAIN, QUEUEING = "asyncio", "asyncio-taskgroup"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(
        tmp_path / FILE_NAME, experiment((PLAIN, QUEUEING)), 2, {}, "2026-01-01T00:00:00"
    ) as made:
        for number, crawler in enumerate((PLAIN, QUEUEING), 1):
            made.append(result(planned(crawler, number=number), overhead_ms=25))
        yield made


@pytest.fixture
def analysis(store: Store) -> Analysis:
    return analyse(store)


def titles(analysis: Analysis, crawlers: Sequence[str]) -> list[str]:
    cells = [cell for cell in analysis.cells if cell.cell.crawler in crawlers]
    return [column.title for column in cells_table("", cells, analysis).columns]


def test_the_declaration_is_stored_with_a_run(analysis: Analysis) -> None:
    declared = {run.crawler: run.conditions for run in analysis.runs}
    assert (declared[QUEUEING].queues, declared[QUEUEING].takes_all) == (True, True)
    assert (declared[PLAIN].queues, declared[PLAIN].takes_all) == (False, False)


def test_a_run_that_queues_as_declared_is_valid_with_a_note(analysis: Analysis) -> None:
    (trial,) = next(cell for cell in analysis.cells if cell.queues).trials
    assert trial.verdict.level is Level.VALID
    assert trial.verdict.finds("queueing")


def test_a_table_has_a_column_for_it_only_if_a_crawler_in_it_queues(analysis: Analysis) -> None:
    assert "queued" in titles(analysis, (PLAIN, QUEUEING))
    assert "queued" not in titles(analysis, (PLAIN,))
    table = cells_table("", analysis.cells, analysis)
    lines = ["".join(span.text for span in line) for line in lay_out(table, 80)]
    assert max(map(len, lines)) <= 80
    assert "wait for a connection" in " ".join(lines)
    at = [column.title for column in table.columns].index("queued")
    assert [row[at] for row in table.cells()] == ["-", "5.0"]


def test_the_page_has_it_too(analysis: Analysis) -> None:
    table = _cells(analysis)
    at = [column.name for column in table.columns].index("queued ms")
    assert [row.values[at].text for row in table.rows] == ["-", "5.0"]


def test_figures_of_latencies_say_who_queues(analysis: Analysis) -> None:
    for figure in (latency_split_figure(analysis, ""), service_time_figure(analysis, 10, {}, "")):
        assert figure is not None
        said = [text.get_text() for text in figure.legends[0].get_texts()]
        assert said[:2] == [PLAIN, f"{QUEUEING}\n(with queueing)"]
    assert "Most time is added on the way back" in findings(analysis)


def test_the_export_has_it(store: Store) -> None:
    stream = io.StringIO()
    export_runs(store, "json", stream)
    plain, queueing = (run["summary"] for run in json.loads(stream.getvalue()))
    assert (plain["queued_mean_ns"], queueing["queued_mean_ns"]) == (None, 5_000_000)


def test_a_comparison_of_latencies_warns_of_it(store: Store) -> None:
    folder = store.path.parent
    said = "p50 holds the wait for a connection in the client"
    found = compare_two(PLAIN, QUEUEING, folder, "p50", Level.VALID).warnings
    assert [said in warning for warning in found] == [True]
    assert not compare_two(PLAIN, QUEUEING, folder, "throughput", Level.VALID).warnings
