"""Thresholds of --fail-if: their grammar, what they say of cells, and the exit code."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.analysis.summary import RunSummary
from bench.analysis.thresholds import METRICS, Threshold, ThresholdError
from bench.analysis.validity import Level
from bench.report.thresholds import exit_code, judged, threshold_line, thresholds_as_json
from tests.accounts import cell
from tests.factories import experiment
from tests.this_process import bench

MS = 1_000_000


def with_values(of: CellSummary, **values: object) -> CellSummary:
    """A cell whose trials have these values; a list has one for each trial."""
    trials = []
    for place, trial in enumerate(of.trials):
        assert trial.summary is not None
        mine = {
            name: value[place] if isinstance(value, list) else value
            for name, value in values.items()
        }
        trials.append(replace(trial, summary=replace(trial.summary, **mine)))  # type: ignore[arg-type]
    return replace(of, trials=tuple(trials))


def lines(texts: list[str], *cells: CellSummary) -> list[str]:
    found = judged(analysis(*cells), [Threshold.parse(text) for text in texts])
    return [threshold_line(one) for one in found]


def analysis(*cells: CellSummary) -> Analysis:
    return Analysis(experiment(tuple(dict.fromkeys(one.cell.crawler for one in cells))), cells, ())


def code(texts: list[str], *cells: CellSummary, is_complete: bool = True) -> int:
    of = analysis(*cells)
    found = judged(of, [Threshold.parse(text) for text in texts])
    return exit_code(found, of, is_complete=is_complete)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("p99>500", "p99 > 500 ms"),
        (" p50 >= 1.5 ms ", "p50 >= 1.5 ms"),
        ("p90<2s", "p90 < 2000 ms"),
        ("errors>0.1%", "errors > 0.1 %"),
        ("errors>0", "errors > 0 %"),
        ("refused<=5%", "refused <= 5 %"),
        ("rate<900", "rate < 900/s"),
        ("rate<=0.5/s", "rate <= 0.5/s"),
        ("response_p99>1000", "response_p99 > 1000 ms"),
        ("send_lag_p99>3", "send_lag_p99 > 3 ms"),
    ],
)
def test_a_threshold_is_a_metric_an_operator_and_a_value(text: str, name: str) -> None:
    assert Threshold.parse(text).name == name
    assert Threshold.parse(name) == Threshold.parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write a metric, one of > >= < <=, and a value"),
        ("p99", "write a metric"),
        ("p99=5", "write a metric"),
        ("p99>-5", "write a metric"),
        ("p99>nan", "write a metric"),
        ("p99>5 >6", "p99 is a time in ms (or s), as in 'p99>5ms'"),
        ("p99>5e3", "p99 is a time in ms"),
        ("latency>5", "there is no metric 'latency': use p50, p90, p99,"),
        ("errors>0.1", "errors is a share of the requests in percent, as in 'errors>0.1%'"),
        ("errors>101%", "101% is more than errors can be"),
        ("rate<9ms", "rate is a number of requests per second"),
        ("p99>1.2.3", "'1.2.3' is not a number"),
        ("p99>" + "9" * 400, "is more than p99 can be"),
    ],
)
def test_what_is_no_threshold_is_named_with_its_fix(text: str, why: str) -> None:
    with pytest.raises(ThresholdError) as caught:
        Threshold.parse(text)
    assert repr(text) in str(caught.value)
    assert why in str(caught.value)


def test_each_threshold_has_a_line_with_what_was_measured() -> None:
    one = with_values(cell("a", 100, 50), p99_ns=612 * MS, errors={}, requests=1000)
    assert lines(["p99>500", "p99>700", "errors>0.1%", "rate<60"], one) == [
        "p99 > 500 ms: failed: 612.0 ms (a, C=100)",
        "p99 > 700 ms: passed: 612.0 ms (a, C=100)",
        "errors > 0.1 %: passed: 0.00 % (a, C=100)",
        "rate < 60/s: failed: 50.0/s (a, C=100)",
    ]
    assert [one.unit for one in METRICS.values()].count("/s") == 1


def test_the_median_of_the_trials_counts_and_all_cells_that_fail_are_named() -> None:
    a = with_values(cell("a", 10, 1, 2, 3), p99_ns=[400 * MS, 501 * MS, 9000 * MS])
    b = with_values(cell("b", 10, 1, 2, 3), p99_ns=[400 * MS, 499 * MS, 9000 * MS])
    c = with_values(cell("c", 10, 1), p99_ns=700 * MS)
    assert lines(["p99>500"], a, b, c) == [
        "p99 > 500 ms: failed: 700.0 ms (c, C=10), 501.0 ms (a, C=10)"
    ]
    assert lines(["p99>800"], a, b, c) == ["p99 > 800 ms: passed: 700.0 ms (c, C=10)"]
    assert lines(["rate<2"], a, b, c) == ["rate < 2/s: failed: 1.0/s (c, C=10)"]
    many = [with_values(cell("a", at, 1), p99_ns=at * MS) for at in range(1, 15)]
    (line,) = lines(["p99>0"], *many)
    assert line.endswith("5.0 ms (a, C=5), and 4 more")


@pytest.mark.parametrize("side", [">", ">=", "<", "<="])
def test_a_value_near_its_limit_is_printed_on_the_side_where_it_is(side: str) -> None:
    threshold = Threshold.parse(f"p99{side}500")
    for value in (499.9999, 500.0, 500.0001, 0.004, 12345.678):
        shown = float(threshold.format(value).removesuffix(" ms"))
        assert threshold.is_crossed_by(shown) == threshold.is_crossed_by(value)
    assert Threshold.parse("errors>0.1%").format(0.1 + 1e-6) == "0.100001 %"


def test_what_is_not_known_fails_and_says_what_it_needs() -> None:
    known, unknown = (
        with_values(cell(name, 1, 10), p99_ns=value) for name, value in (("a", 5 * MS), ("b", None))
    )
    assert lines(["p99>500"], known, unknown) == [
        (
            "p99 > 500 ms: failed: not known, because it needs at least 1,000 good requests and "
            "has 4 (b, C=1)"
        )
    ]
    (line,) = lines(["p99>1"], known, unknown)
    assert "failed: 5.0 ms (a, C=1), not known, because" in line
    without_results = replace(known, trials=(replace(known.trials[0], summary=None),))
    assert lines(["errors>5%"], without_results) == [
        "errors > 5 %: failed: not known, because it needs a run with results (a, C=1)"
    ]
    assert lines(["errors>5%"]) == ["errors > 5 %: failed: no run was made"]


def test_a_threshold_that_fails_comes_before_all_other_exit_codes() -> None:
    good = with_values(cell("a", 1, 10), errors={}, requests=1000)
    failing = with_values(good, errors={"timeout": 2, "reset": 3})
    invalid = with_values(cell("a", 1, 10, level=Level.INVALID), errors={})
    assert code([], good) == 0
    assert code([], failing) == 1
    assert code(["rate>9"], failing) == 99
    assert code(["rate>99"], failing) == 1
    # A threshold on errors says how many are accepted.
    assert code(["errors>0.5%"], failing) == 0
    assert code(["errors>0.4%"], failing) == 99
    assert code(["errors>0.5%"], invalid) == 1
    assert code(["errors>0.5%"], failing, is_complete=False) == 1


def test_the_thresholds_as_json_have_all_cells_with_unit_and_limit() -> None:
    cells = [with_values(cell("a", at, 10), p99_ns=value) for at, value in ((1, None), (2, 7 * MS))]
    (one,) = thresholds_as_json(judged(analysis(*cells), [Threshold.parse("p99>5")]))
    assert one == {
        "threshold": "p99 > 5 ms",
        "metric": "p99",
        "has_failed": True,
        "unit": "ms",
        "limit": 5.0,
        "measured": [{"cell": "a, C=1", "value": None}, {"cell": "a, C=2", "value": 7.0}],
    }


def test_a_crawl_exits_with_99_and_says_why(tmp_path: Path) -> None:
    words = ("crawl", "asyncio", "-n", "10", "-c", "2", "--delay", "1", "--out", str(tmp_path))
    done = bench(*words, "--json", "--fail-if", "p50>0.5", "errors>0", "--fail-if", "p99>500")
    assert done.returncode == 99, done
    *_, first, second, third = done.stderr.splitlines()
    assert first.startswith("p50 > 0.5 ms: failed: ")
    assert second == "errors > 0 %: passed: 0.00 % (asyncio, C=2)"
    assert third.startswith("p99 > 500 ms: failed: not known, because")
    found = json.loads(done.stdout)["thresholds"]
    assert [one["has_failed"] for one in found] == [True, False, True]
    assert found[0]["measured"][0]["value"] > 0.5


def test_a_mistake_in_a_threshold_is_one_line_and_nothing_runs() -> None:
    done = bench("run", "--fail-if", "p99>500", "error>1%")
    assert done.returncode == 2
    assert "argument --fail-if: 'error>1%': there is no metric" in done.stderr.splitlines()[-1]


def test_every_metric_is_a_number_of_a_run() -> None:
    attributes = {metric.attribute for metric in METRICS.values()}
    assert attributes <= set(RunSummary.__dataclass_fields__)


def test_the_json_of_a_crawl_has_what_does_not_apply_as_null(tmp_path: Path) -> None:
    words = ("crawl", "asyncio", "-n", "10", "-c", "2", "--delay", "1", "--out", str(tmp_path))
    told = json.loads(bench(*words, "--json").stdout)
    assert told["refused"] == 0
    for name in ("offered_per_s", "response_p50_ns", "response_p99_ns", "send_lag_p99_ns"):
        assert told[name] is None
    assert told["queued_mean_ns"] is None
