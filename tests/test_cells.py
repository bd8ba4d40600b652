"""The trials of a cell together."""

import pytest

from bench.analysis.cells import CellSummary, Series, best_cells, knee, order_effects
from bench.analysis.validity import Level
from tests.accounts import cell


def test_the_best_cell_is_the_one_of_most_throughput() -> None:
    cells = [cell("a", 1, 10, 30, 11), cell("a", 10, 20, 21, 12), cell("b", 1), cell("c", 1, 5)]
    best = best_cells(cells)
    found = {series.crawler: chosen.cell.concurrency for series, chosen in best.items()}
    assert found == {"a": 10, "c": 1}
    assert best[Series.of(cells[0].cell)].requests_per_s == (20, 12, 21)


def test_what_cannot_be_believed_is_the_best_only_if_there_is_nothing_else() -> None:
    cells = [cell("a", 1, 10), cell("a", 10, 99, level=Level.INVALID)]
    series = Series.of(cells[0].cell)
    assert best_cells(cells)[series].cell.concurrency == 1
    assert best_cells(cells[1:])[series].cell.concurrency == 10


def test_a_cell_is_suspect_if_its_median_may_be() -> None:
    honest, suspect = cell("a", 1, 1, 2, 3), cell("a", 1, 4, level=Level.SUSPECT)
    invalid = cell("a", 1, 4, level=Level.INVALID)

    def together(*cells: CellSummary) -> Level:
        return CellSummary(honest.cell, tuple(t for one in cells for t in one.trials)).level

    assert together(honest) is Level.VALID
    assert together(honest, suspect) is Level.VALID
    assert together(honest, suspect, suspect, suspect) is Level.SUSPECT
    assert together(honest, invalid) is Level.INVALID
    unchecked = cell("a", 1, 4, level=Level.UNCHECKED)
    assert together(unchecked) is Level.UNCHECKED
    assert together(honest, unchecked) is Level.VALID
    assert together(unchecked, suspect) is Level.SUSPECT
    assert together(suspect, unchecked, unchecked) is Level.UNCHECKED


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ({1: 10, 10: 100, 100: 980, 250: 1000, 500: 990}, "100"),
        ({1: 10, 10: 100, 100: 900}, "not reached"),  # there may be more to be had
        ({1: 10, 10: 100, 100: 99}, "10"),
        ({10: 100, 100: 99}, "<= 10"),
        ({1: 10, 10: 10}, "1"),
        ({1: 10}, "-"),
        ({}, "-"),
    ],
)
def test_the_knee_is_where_nearly_all_is_reached(rates: dict[int, float], expected: str) -> None:
    found = knee([cell("a", at, rate) for at, rate in rates.items()])
    assert str(found) == expected
    assert found.exact == (int(expected) if expected.isdigit() else None)


def test_what_depends_on_the_order_of_the_trials_is_said() -> None:
    assert order_effects(cell("a", 1, 100, 101, 99, 102, 98, 100, 101), 1) == ()
    (warm_up,) = order_effects(cell("a", 1, 70, 101, 99, 102, 98), 1)
    assert warm_up.startswith("the first trial is an outlier: 70 requests/s")
    falling = cell("a", 1, *range(200, 180, -2))
    (drift,) = order_effects(falling, 1)
    assert drift.startswith("throughput falls with the order of the trials (Spearman -1.00")
    # One of very many cells may look like that by accident.
    assert order_effects(falling, 1000) == ()
