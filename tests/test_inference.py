"""Intervals and tests: against counting by hand, and against data that have nothing to find."""

import random
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.inference import (
    LEAST_TRIALS,
    Interval,
    median_interval,
    pseudo_median,
    pseudo_median_interval,
    sign_flip_p,
    spearman,
)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (5, None),
        (6, Interval(1, 6, 1 - 2 / 64)),
        (8, Interval(1, 8, 1 - 2 / 256)),
        (9, Interval(2, 8, 1 - 2 * (1 + 9) / 512)),
        (10, Interval(2, 9, 1 - 2 * (1 + 10) / 1024)),
    ],
)
def test_the_interval_of_the_median_is_a_pair_of_order_statistics(
    n: int, expected: Interval | None
) -> None:
    values = list(range(1, n + 1))
    random.Random(n).shuffle(values)
    assert median_interval(values) == expected


def test_the_interval_covers_the_median_as_often_as_it_says() -> None:
    draw = random.Random(1)
    covered = 0
    for _ in range(2000):
        interval = median_interval([draw.expovariate(1.0) for _ in range(10)])
        assert interval is not None
        covered += interval.low <= 0.6931 <= interval.high
    assert covered / 2000 == pytest.approx(0.9785, abs=0.015)


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_the_p_of_a_series_is_the_share_of_signs_with_ranks_as_far_from_0(
    differences: list[int],
) -> None:
    sizes = [abs(d) for d in differences]
    ranks = [
        sum(other < size for other in sizes) + (sizes.count(size) + 1) / 2 if size else 0.0
        for size in sizes
    ]
    signed = [rank if d > 0 else -rank for rank, d in zip(ranks, differences, strict=True)]
    sums = [
        abs(sum(sign * rank for sign, rank in zip(signs, ranks, strict=True)))
        for signs in product((1, -1), repeat=len(ranks))
    ]
    expected = sum(total >= abs(sum(signed)) - 1e-9 for total in sums) / len(sums)
    found = sign_flip_p({"a": dict(enumerate(map(float, differences)))})
    assert found["a"] == pytest.approx(expected)


@given(st.integers(6, 14), st.integers(0, 10**9), st.floats(-1.5, 1.5))
def test_the_interval_leaves_0_out_just_where_the_test_sees_a_difference(
    n: int, seed: int, shift: float
) -> None:
    draw = random.Random(seed)
    values = [draw.gauss(shift, 1) for _ in range(n)]
    interval = pseudo_median_interval(values)
    assert interval is not None
    p = sign_flip_p({"a": dict(enumerate(values))})["a"]
    assert (interval.low > 0 or interval.high < 0) == (p <= 0.05)
    assert interval.low <= pseudo_median(values) <= interval.high
    assert interval.coverage >= 0.95


def test_one_disturbed_trial_does_not_decide() -> None:
    values = [0.05, 0.04, 0.06, 0.05, 0.03, 0.07, 0.05, 0.04, 0.06, -3.0]
    assert sign_flip_p({"a": dict(enumerate(values))})["a"] < 0.1
    assert pseudo_median(values) == pytest.approx(0.05, abs=0.01)


def test_five_values_have_no_interval_and_one_is_its_own_centre() -> None:
    assert pseudo_median_interval([1, 2, 3, 4, 5]) is None
    assert pseudo_median([3.0]) == 3.0
    assert pseudo_median_interval([1, 2, 3, 4, 5, 6]) == Interval(1, 6, 1 - 2 / 64)


def test_six_trials_that_agree_are_enough_and_five_are_not() -> None:
    for n, p in ((LEAST_TRIALS, 2 / 64), (LEAST_TRIALS - 1, 2 / 32)):
        found = sign_flip_p({"a": {trial: 1.0 + trial for trial in range(n)}})
        assert found["a"] == p


def test_looking_at_many_series_does_not_make_differences() -> None:
    """Five cells, eight trials, nothing to find: in about 5 % of experiments any p is below 5 %."""
    draw = random.Random(7)
    seen = 0
    for _ in range(400):
        noise = {name: {trial: draw.gauss(0, 1) for trial in range(8)} for name in "abcde"}
        seen += min(sign_flip_p(noise).values()) <= 0.05
    assert seen / 400 == pytest.approx(0.05, abs=0.03)


def test_a_difference_in_one_of_many_series_is_found_there() -> None:
    draw = random.Random(3)
    series = {name: {trial: draw.gauss(0, 1) for trial in range(10)} for name in "abcde"}
    series["c"] = {trial: draw.gauss(4, 1) for trial in range(10)}
    found = sign_flip_p(series)
    assert found["c"] < 0.05
    assert min(found[name] for name in "abde") > 0.05


def test_more_trials_than_can_be_enumerated_are_sampled_the_same_each_time() -> None:
    draw = random.Random(5)
    series = {"a": {trial: draw.gauss(0.5, 1) for trial in range(40)}}
    assert sign_flip_p(series) == sign_flip_p(series)
    assert 0 < sign_flip_p(series)["a"] < 0.05


def test_series_may_lack_trials_and_nothing_may_be_different() -> None:
    found = sign_flip_p(
        {"a": {}, "b": dict.fromkeys(range(6), 0.0), "c": dict.fromkeys((1, 3), 2.0)}
    )
    assert found == {"b": 1.0, "c": 0.5}
    assert sign_flip_p({}) == {}


@pytest.mark.parametrize(
    ("values", "rho", "p"),
    [
        ([1, 2, 3, 4], 1.0, 2 / 24),
        ([4, 3, 2, 1], -1.0, 2 / 24),
        ([5, 5, 5], 0.0, 1.0),
        ([1, 3, 2, 4], 0.8, 8 / 24),
    ],
)
def test_rank_correlation_with_the_order(values: list[float], rho: float, p: float) -> None:
    assert spearman(values) == pytest.approx((rho, p))


def test_rank_correlation_of_many_values() -> None:
    rho, p = spearman([float(i) for i in range(30)])
    assert rho == pytest.approx(1.0)
    assert p < 0.001
    draw = random.Random(2)
    _, p = spearman([draw.random() for _ in range(30)])
    assert p > 0.05
