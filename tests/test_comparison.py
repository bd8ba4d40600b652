import random
from collections.abc import Sequence

import pytest

from bench.analysis.cells import CellSummary, Trial
from bench.analysis.comparison import (
    BETTER,
    METRICS,
    NO_DIFFERENCE,
    NOT_GIVEN,
    TOO_FEW,
    WORSE,
    compare,
    compare_neighbours,
)
from bench.analysis.validity import Level, Reason, Verdict
from tests.accounts import cell, summary_with
from tests.factories import planned, run_row

THROUGHPUT = METRICS["throughput"]


def rates(median: float, count: int, seed: int, spread: float = 0.01) -> list[float]:
    draw = random.Random(seed)
    return [median * (1 + draw.gauss(0, spread)) for _ in range(count)]


def pair(before: Sequence[float], after: Sequence[float]) -> tuple[CellSummary, CellSummary]:
    return cell("a", 10, *before), cell("b", 10, *after)


def test_a_difference_is_told_by_its_ratio_and_its_interval() -> None:
    found = compare({"C=10": pair(rates(100, 10, 1), rates(90, 10, 2))}, THROUGHPUT)["C=10"]
    assert found.verdict == WORSE
    assert found.ratio == pytest.approx(0.9, abs=0.02)
    assert found.interval is not None
    assert found.interval.low < found.interval.high < 1
    assert found.p is not None
    assert found.p <= 0.05
    back = compare({"C=10": pair(rates(90, 10, 2), rates(100, 10, 1))}, THROUGHPUT)["C=10"]
    assert back.verdict == BETTER


def test_less_is_better_of_costs() -> None:
    doubled = (cell("a", 10, *rates(100, 8, 1)), cell("b", 10, *rates(100, 8, 2)))
    costly = CellSummary(
        doubled[1].cell,
        tuple(Trial(one.run, replace_cost(one, 2.0), one.verdict) for one in doubled[1].trials),
    )
    found = compare({"C=10": (doubled[0], costly)}, METRICS["cpu"])["C=10"]
    assert (found.ratio, found.verdict) == (2.0, WORSE)


def replace_cost(trial: Trial, factor: float):  # type: ignore[no-untyped-def]
    from dataclasses import replace

    assert trial.summary is not None
    cost = trial.summary.cpu_us_per_request * factor
    return replace(trial.summary, cpu_us_per_request=cost)


def test_nothing_is_seen_where_there_is_nothing() -> None:
    found = compare({"C=10": pair(rates(100, 10, 1), rates(100, 10, 2))}, THROUGHPUT)["C=10"]
    assert found.verdict == NO_DIFFERENCE


def test_five_trials_are_too_few_however_far_apart() -> None:
    found = compare({"C=10": pair(rates(100, 5, 1), rates(10, 5, 2))}, THROUGHPUT)["C=10"]
    assert (found.verdict, found.trials, found.p) == (TOO_FEW, 5, None)
    assert str(found).endswith("too few trials")


def test_what_is_not_measured_is_not_said_to_be_too_few() -> None:
    found = compare({"C=10": pair(rates(100, 8, 1), rates(90, 8, 2))}, METRICS["p99"])["C=10"]
    assert (found.verdict, found.trials) == (NOT_GIVEN, 0)


def test_suspect_trials_can_be_left_out() -> None:
    suspect = cell("b", 10, *rates(90, 8, 2), level=Level.SUSPECT)
    pairs = {"C=10": (cell("a", 10, *rates(100, 8, 1)), suspect)}
    assert compare(pairs, THROUGHPUT)["C=10"].trials == 8
    found = compare(pairs, THROUGHPUT, worst=Level.VALID)["C=10"]
    assert (found.trials, found.verdict) == (0, TOO_FEW)


def test_trials_are_paired_by_number_and_invalid_ones_left_out() -> None:
    before, after = pair(rates(100, 8, 1), rates(90, 8, 2))
    invalid = Verdict((Reason(Level.INVALID, "ledger", "a lie"),))
    bad = Trial(after.trials[2].run, after.trials[2].summary, invalid)
    after = CellSummary(after.cell, (*after.trials[:2], bad, *after.trials[4:]))
    found = compare({"C=10": (before, after)}, THROUGHPUT)["C=10"]
    assert found.trials == 6
    failed = Trial(run_row(4, trial=9), None, invalid)
    nothing = CellSummary(planned("b").cell, (failed,))
    empty = compare({"C=10": (before, nothing)}, THROUGHPUT)["C=10"]
    assert (empty.verdict, empty.ratio) == (TOO_FEW, None)


def test_crawlers_are_compared_with_the_next_slower_one_where_both_were_measured() -> None:
    cells = [
        cell("slow", 1, *rates(10, 8, 1)),
        cell("fast", 1, *rates(11, 8, 2)),
        cell("fast", 10, *rates(100, 8, 3)),
        cell("middle", 10, *rates(80, 8, 4)),
        cell("middle", 1, *rates(10, 8, 5)),
    ]
    found = compare_neighbours(cells)
    assert [(one.candidate, one.baseline, one.cell.concurrency) for one in found] == [
        ("fast", "middle", 10),
        ("middle", "slow", 1),
    ]
    assert [one.result.verdict for one in found] == [BETTER, NO_DIFFERENCE]


def test_a_number_made_by_hand_is_what_it_says() -> None:
    assert summary_with(5.0).requests_per_s == 5.0
