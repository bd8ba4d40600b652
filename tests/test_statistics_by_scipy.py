"""The statistics against an independent implementation: scipy's, ties and zeros included."""

from itertools import combinations_with_replacement
from math import ceil
from statistics import median

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from bench.analysis.inference import (
    ERROR_RATE,
    LEAST_TRIALS,
    median_interval,
    pseudo_median,
    pseudo_median_interval,
    sign_flip_p,
    spearman,
)
from bench.analysis.quantiles import BEYOND, quantile, tail_quantile

Floats = NDArray[np.float64]

TIED = st.integers(-4, 4).map(float)
"""Few values, so that sizes are often equal or 0."""


def without_ties(n: int, seed: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1, n)


def p_of(values: Floats) -> float:
    return sign_flip_p({"a": dict(enumerate(values.tolist()))})["a"]


def signed_ranks(values: Floats) -> Floats:
    """Zeros are ranked with the others, and then count nothing (Pratt 1959)."""
    ranks: Floats = np.sign(values) * stats.rankdata(np.abs(values))
    return ranks


@given(st.integers(2, 15), st.integers(0, 10**9), st.floats(-1, 1))
def test_one_series_is_the_exact_signed_rank_test(n: int, seed: int, shift: float) -> None:
    values = without_ties(n, seed, shift)
    assert p_of(values) == pytest.approx(stats.wilcoxon(values, method="exact").pvalue)


@settings(max_examples=15)
@given(st.lists(TIED, min_size=2, max_size=9))
def test_ties_and_zeros_have_the_exact_signed_rank_test_of_pratt(found: list[float]) -> None:
    values = np.array(found)
    assume(values.any())  # scipy says NaN, and we say 1
    every_sign = stats.PermutationMethod(n_resamples=2 ** len(values))
    theirs = stats.wilcoxon(values, zero_method="pratt", method=every_sign)
    assert p_of(values) == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("n", [16, 25, 40])
@pytest.mark.parametrize("shift", [0.0, 0.3, 0.6])
def test_a_sample_of_the_signs_is_near_the_exact_test(n: int, shift: float) -> None:
    values = without_ties(n, n, shift)
    exact = stats.wilcoxon(values, method="exact").pvalue
    # Of 50 000 signs: five standard errors.
    assert p_of(values) == pytest.approx(exact, abs=5 * (exact / 50_000) ** 0.5)


@settings(max_examples=25)
@given(st.lists(st.tuples(TIED, TIED, TIED), min_size=2, max_size=8))
def test_several_series_are_adjusted_by_the_distribution_of_their_largest(
    rows: list[tuple[float, float, float]],
) -> None:
    """Westfall's and Young's, by scipy's permutation test: it flips the signs of one sample."""
    table = np.apply_along_axis(signed_ranks, 0, np.array(rows))
    sizes = np.linalg.norm(table, axis=0)
    assume(sizes.all())

    def sums(signs: Floats) -> Floats:
        found: Floats = np.abs(signs @ (table / sizes))
        return found

    trials = len(rows)
    most = stats.permutation_test(
        (np.ones(trials),),
        lambda signs: sums(signs).max(),
        permutation_type="samples",
        n_resamples=2**trials,
    ).null_distribution
    assert len(most) == 2**trials
    expected = {
        name: (most >= observed - 1e-9).mean()
        for name, observed in zip("abc", sums(np.ones(trials)), strict=True)
    }
    series = zip("abc", zip(*rows, strict=True), strict=True)
    assert sign_flip_p({name: dict(enumerate(values)) for name, values in series}) == pytest.approx(
        expected
    )


@given(st.lists(TIED, min_size=1, max_size=40))
def test_the_pseudo_median_is_the_median_of_the_means_of_pairs(values: list[float]) -> None:
    means = [(one + other) / 2 for one, other in combinations_with_replacement(values, 2)]
    assert pseudo_median(values) == pytest.approx(median(means))


@settings(max_examples=30)
@given(st.integers(LEAST_TRIALS, 40), st.integers(0, 10**9))
def test_the_interval_of_the_pseudo_median_is_what_the_exact_test_does_not_refuse(
    n: int, seed: int
) -> None:
    values = without_ties(n, seed)
    interval = pseudo_median_interval(values.tolist())
    assert interval is not None

    def p(centre: float) -> float:
        found: float = stats.wilcoxon(values - centre, method="exact").pvalue
        return found

    # Nearer to the ends than any other mean of two of the values is likely to be.
    near = 1e-9
    for end, outwards in ((interval.low, -near), (interval.high, near)):
        assert p(end - outwards) > ERROR_RATE
        assert p(end + outwards) <= ERROR_RATE
        assert p(end + outwards) == pytest.approx(1 - interval.coverage)


@given(st.lists(TIED, min_size=LEAST_TRIALS, max_size=12))
def test_with_ties_the_interval_leaves_0_out_only_where_the_test_sees_a_difference(
    values: list[float],
) -> None:
    interval = pseudo_median_interval(values)
    assert interval is not None
    if interval.low > 0 or interval.high < 0:
        assert p_of(np.array(values)) <= ERROR_RATE


@settings(max_examples=30)
@given(st.integers(LEAST_TRIALS, 200), st.data())
def test_the_interval_of_the_median_is_that_of_the_binomial(n: int, data: st.DataObject) -> None:
    values = data.draw(st.permutations(range(n)).map(lambda order: np.array(order, dtype=float)))
    interval = median_interval(values.tolist())
    assert interval is not None
    theirs = stats.quantile_test(values, p=0.5).confidence_interval(1 - ERROR_RATE)
    assert (interval.low, interval.high) == (theirs.low, theirs.high)
    # At most `low` values, of 0, 1, 2 ..., are below the median: then it is not covered.
    tail = stats.binom.cdf(interval.low, n, 0.5)
    assert interval.coverage == pytest.approx(1 - 2 * tail)
    assert interval.coverage >= 1 - ERROR_RATE


@settings(max_examples=20)
@given(st.lists(TIED, min_size=3, max_size=7))
def test_rank_correlation_and_its_exact_p(values: list[float]) -> None:
    order = np.arange(len(values), dtype=float)
    assume(len(set(values)) > 1)  # scipy says NaN, and we say 0 and 1

    def correlation(shuffled: Floats, axis: int) -> Floats:
        ranks = stats.rankdata(shuffled, axis=axis)
        found: Floats = stats.pearsonr(ranks, order, axis=axis).statistic
        return found

    theirs = stats.permutation_test(
        (np.array(values),),
        correlation,
        permutation_type="pairings",
        vectorized=True,
        n_resamples=5040,
    )
    rho, p = spearman(values)
    assert rho == pytest.approx(stats.spearmanr(values, order).statistic)
    # Theirs is twice the smaller of two sides, ours the share that is as far from 0.
    as_far = np.abs(theirs.null_distribution) >= abs(theirs.statistic) - 1e-9
    assert p == pytest.approx(as_far.mean())


@settings(max_examples=20)
@given(st.lists(TIED, min_size=9, max_size=30))
def test_rank_correlation_of_more_values(values: list[float]) -> None:
    assume(len(set(values)) > 1)
    assert spearman(values)[0] == pytest.approx(
        stats.spearmanr(values, range(len(values))).statistic
    )


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.1])
def test_a_sample_of_the_orders_is_near_the_t_distribution(slope: float) -> None:
    values = without_ties(40, 5) + slope * np.arange(40)
    theirs = stats.spearmanr(values, range(40))
    # The t distribution is an approximation: at 40 values to about 0.005.
    assert spearman(values.tolist()) == pytest.approx((theirs.statistic, theirs.pvalue), abs=0.01)


@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=300),
    st.sampled_from([0.0, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0]),
)
def test_a_quantile_is_the_inverse_of_the_empirical_distribution(
    values: list[int], q: float
) -> None:
    ordered = np.sort(np.array(values, dtype=np.int64))
    expected = np.quantile(ordered, q, method="inverted_cdf")
    assert quantile(ordered, q) == expected
    assert quantile(ordered, q) == stats.quantile(ordered.astype(float), q, method="inverted_cdf")


@pytest.mark.parametrize(("q", "per_mille"), [(0.5, 500), (0.9, 900), (0.99, 990), (0.999, 999)])
def test_no_number_of_values_is_rounded_to_the_wrong_one(q: float, per_mille: int) -> None:
    for n in (*range(1, 3000), *range(10_000, 1_000_001, 10_000)):
        ordered = np.arange(1, n + 1)
        assert quantile(ordered, q) == max(1, ceil(per_mille * n / 1000)), n
        beyond_per_mille = (1000 - per_mille) * n
        assert (tail_quantile(ordered, q) is None) == (beyond_per_mille < BEYOND * 1000), n
