"""Distribution-free confidence intervals and tests for small numbers of trials. Pure.

Tests are exact up to 15 trials (2^15 sign flips) and 8 values (8! orders). With more, they use a
random sample of the sign flips or orders, drawn from a fixed seed.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from statistics import NormalDist, fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_TRIALS = 6
"""The smallest number of trials for which min to max covers the median with at least 95 %
probability (1 - 2 / 2^6 = 96.9 %) and for which a sign-flip test can reach 5 % (its smallest p is
2 / 2^6 = 3.1 %)."""
ERROR_RATE = 0.05
"""Probability that a whole comparison finds any difference if there is none."""
_EXACT_TRIALS = 15
_SAMPLES = 50_000
_EXACT_ORDERS = 8


class Interval(NamedTuple):
    """A confidence interval, which covers the true value with probability `coverage`."""

    low: float
    high: float
    coverage: float


def median_interval(values: Sequence[float]) -> Interval | None:
    """Return the narrowest symmetric pair of order statistics that covers the median at >= 95 %.

    It is distribution-free, because the number of values below the median is binomial (David and
    Nagaraja, Order Statistics, 3rd edition, section 7.1). Returns None for fewer than LEAST_TRIALS
    values.
    """
    n = len(values)
    if n < LEAST_TRIALS:
        return None
    ordered = sorted(values)
    tail, rank = 0.0, 0
    while True:
        next_tail = tail + math.comb(n, rank) / 2**n
        if 2 * next_tail > ERROR_RATE:
            break
        tail, rank = next_tail, rank + 1
    return Interval(ordered[rank - 1], ordered[n - rank], 1 - 2 * tail)


def mean_interval(values: Sequence[float]) -> Interval | None:
    """Return the confidence interval of the mean by Student's t; None for fewer than LEAST_TRIALS.

    It needs values that are about normal, as the means of batches are. The quantile of t follows
    from that of the normal distribution (Abramowitz and Stegun, 26.7.5).
    """
    n = len(values)
    if n < LEAST_TRIALS:
        return None
    z, freedom = NormalDist().inv_cdf(1 - ERROR_RATE / 2), n - 1
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    t += (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    half = t * stdev(values) / math.sqrt(n)
    return Interval(fmean(values) - half, fmean(values) + half, 1 - ERROR_RATE)


def quantile_interval(ordered: "NDArray[np.int64]", q: float) -> Interval:
    """Return the confidence interval of a quantile of sorted values, of about 95 % coverage.

    It is distribution-free: the number of values below the quantile is binomial, and its normal
    approximation gives the ranks of the ends (David and Nagaraja, section 7.1). An end beyond the
    values is 0 or infinite. There must be at least one value.
    """
    n = len(ordered)
    half = NormalDist().inv_cdf(1 - ERROR_RATE / 2) * math.sqrt(n * q * (1 - q))
    low, high = math.floor(n * q - half), math.ceil(n * q + half) + 1
    return Interval(
        float(ordered[low - 1]) if low >= 1 else 0.0,
        float(ordered[high - 1]) if high <= n else math.inf,
        1 - ERROR_RATE,
    )


def pseudo_median(values: Sequence[float]) -> float:
    """Return the Hodges-Lehmann estimate (1963): the median of the means of all pairs of values.

    Each value is also paired with itself. It is the centre that belongs to the signed-rank test.
    There must be at least one value.
    """
    return float(np.median(_pair_means(values)))


def pseudo_median_interval(values: Sequence[float]) -> Interval | None:
    """Return the confidence interval of the pseudo-median with a coverage of at least 95 %.

    It contains all centres that the sign-flip test of signed ranks does not reject, so that it
    excludes 0 exactly if this test, for one series, gives p <= 5 %. With ties or differences of 0
    it is conservative: it may include 0 although the test, which takes ties into account, gives
    p <= 5 %. Its ends are order statistics of the means of all pairs (Tukey; see Hollander, Wolfe
    and Chicken 2014, section 3.3). Returns None for fewer than LEAST_TRIALS values.
    """
    n = len(values)
    if n < LEAST_TRIALS:
        return None
    means = np.sort(_pair_means(values))
    # ways[k] is the number of sign patterns with a sum of positive ranks of k, rank by rank.
    ways = np.ones(1)
    for rank in range(1, n + 1):
        longer = np.zeros(len(ways) + rank)
        longer[: len(ways)] += ways
        longer[rank:] += ways
        ways = longer
    tails = np.cumsum(ways) / 2.0**n
    cut = int(np.searchsorted(tails, ERROR_RATE / 2, side="right"))
    return Interval(float(means[cut - 1]), float(means[-cut]), float(1 - 2 * tails[cut - 1]))


def _pair_means(values: Sequence[float]) -> "NDArray[np.float64]":
    array = np.asarray(values, dtype=float)
    first, second = np.triu_indices(len(array))
    means: NDArray[np.float64] = (array[first] + array[second]) / 2
    return means


def sign_flip_p(differences: Mapping[str, Mapping[int, float]]) -> dict[str, float]:
    """Return an adjusted p-value for each series: how likely so large a centre is by chance.

    `differences` maps each series to its differences by trial. Differences are replaced by their
    signed ranks (Wilcoxon 1945), so that a single disturbed trial is not decisive. If nothing
    differs, the sides of each pair can be swapped, so that each difference could equally have the
    other sign. All series of a trial are flipped together, because they share its conditions. The
    p-values are adjusted for testing all series (single-step max T, Westfall and Young 1993): if
    nothing differs, the probability that any p is below 5 % is 5 %, for any number of series.
    """
    names = [name for name, series in differences.items() if series]
    if not names:
        return {}
    trials = sorted({trial for name in names for trial in differences[name]})
    row_of = {trial: row for row, trial in enumerate(trials)}
    table = np.zeros((len(trials), len(names)))
    for column, name in enumerate(names):
        series = differences[name]
        rows = [row_of[trial] for trial in series]
        values = np.array(list(series.values()))
        table[rows, column] = np.sign(values) * _ranks(np.abs(values))
    # The sum of squares is the same for all signs, so dividing by it makes series comparable.
    scale = np.sqrt((table**2).sum(axis=0))
    table = np.divide(table, scale, out=np.zeros_like(table), where=scale > 0)
    observed = np.abs(table.sum(axis=0))
    most = np.abs(_signs(len(trials)) @ table).max(axis=1)
    # Sums of the same numbers in a different order may differ in their last bits.
    return {
        name: float((most >= value - 1e-9).mean())
        for name, value in zip(names, observed, strict=True)
    }


def _signs(n: int) -> "NDArray[np.float64]":
    """Return rows of +-1: all sign patterns of n differences, or a sample with the observed one."""
    if n <= _EXACT_TRIALS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        bits = np.random.default_rng(1).integers(0, 2, size=(_SAMPLES, n))
        bits[0] = 0
    signs: NDArray[np.float64] = (1 - 2 * bits).astype(np.float64)
    return signs


def spearman(values: Sequence[float]) -> tuple[float, float]:
    """Return Spearman's rank correlation of values with their order, and its two-sided p.

    p is computed from permutations. If all values are equal, the result is 0 and 1. There must be
    at least three values.
    """
    ranks = _ranks(values)
    order = np.arange(len(values), dtype=float)
    order -= order.mean()
    centred = ranks - ranks.mean()
    scale = float(np.sqrt((centred**2).sum() * (order**2).sum()))
    if scale == 0:
        return 0.0, 1.0
    if len(values) <= _EXACT_ORDERS:
        shuffled = np.array(list(permutations(centred)))
    else:
        rng = np.random.default_rng(1)
        shuffled = rng.permuted(np.tile(centred, (_SAMPLES, 1)), axis=1)
        shuffled[0] = centred
    observed = float(centred @ order)
    p = float((np.abs(shuffled @ order) >= abs(observed) - 1e-9).mean())
    return observed / scale, p


def _ranks(values: "Sequence[float] | NDArray[np.float64]") -> "NDArray[np.float64]":
    """Return ranks from 1. Equal values share the mean of their ranks."""
    array = np.asarray(values, dtype=float)
    below = (array[:, None] > array).sum(axis=1)
    equal = (array[:, None] == array).sum(axis=1)
    ranks: NDArray[np.float64] = below + (equal + 1) / 2
    return ranks
