"""What a few trials allow to say: intervals and tests without assumptions on their distribution.

Pure. The tests are exact up to 2^15 ways to flip signs and 8! orders; beyond that they take a
sample of them, drawn from a fixed seed.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import permutations
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_TRIALS = 6
"""The fewest for which min-max covers the median at 95 % (96.9 %: 1 - 2 / 2^6), and a sign-flip
test can reach 5 % (its smallest p is 2 / 2^6 = 3.1 %)."""
ERROR_RATE = 0.05
"""Of differences seen where there are none, in a whole comparison."""
_EXACT_TRIALS = 15
_SAMPLES = 50_000
_EXACT_ORDERS = 8


class Interval(NamedTuple):
    """Covers the median of what the values are drawn from, with probability `coverage`."""

    low: float
    high: float
    coverage: float


def median_interval(values: Sequence[float]) -> Interval | None:
    """The narrowest pair of order statistics that covers the median at 95 % or more.

    None of fewer than LEAST_TRIALS values. Distribution-free: how many values are below the median
    is binomial (David and Nagaraja, Order Statistics, 3rd edition, section 7.1).
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


def pseudo_median(values: Sequence[float]) -> float:
    """The median of the means of all pairs, each value with itself included (Hodges, Lehmann 1963).

    Of at least one value. The centre to which signed ranks belong.
    """
    return float(np.median(_pair_means(values)))


def pseudo_median_interval(values: Sequence[float]) -> Interval | None:
    """Of the pseudo-median, at 95 % or more; None of fewer than LEAST_TRIALS values.

    Made of what the sign-flip test of signed ranks does not refuse as the centre, so that it leaves
    0 out just where that test, of one series, says 5 % or less. Where differences are 0 or equal in
    size, it is the wider of the two: it may hold 0 where the test, which is exact for the ties
    there are, says 5 % or less. Its ends are order statistics of the means of all pairs (Tukey's;
    Hollander, Wolfe and Chicken 2014, section 3.3).
    """
    n = len(values)
    if n < LEAST_TRIALS:
        return None
    means = np.sort(_pair_means(values))
    # How many of the 2^n signs give a sum of positive ranks of k: one rank more at a time.
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
    """For each of several series, the probability of a centre as far from 0 if nothing differs.

    `differences` maps each series to its differences by trial. They count by the ranks of their
    sizes (Wilcoxon 1945), so that one disturbed trial does not decide. If the two sides of a pair
    may be swapped, each difference could as well have the other sign; all series of a trial are
    flipped together, since they share its conditions. The p-values are adjusted for looking at all
    series at once (single-step max T of Westfall and Young 1993), so that under no difference at
    all any of them is below 5 % in 5 % of the experiments, however many series there are.
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
    # The sum of squares does not change with the signs: dividing by it makes series comparable.
    scale = np.sqrt((table**2).sum(axis=0))
    table = np.divide(table, scale, out=np.zeros_like(table), where=scale > 0)
    observed = np.abs(table.sum(axis=0))
    most = np.abs(_signs(len(trials)) @ table).max(axis=1)
    # Sums of the same numbers in another order differ in their last bits.
    return {
        name: float((most >= value - 1e-9).mean())
        for name, value in zip(names, observed, strict=True)
    }


def _signs(n: int) -> "NDArray[np.float64]":
    """Rows of +-1: all ways to give n differences signs, or a sample that has the observed one."""
    if n <= _EXACT_TRIALS:
        bits = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        bits = np.random.default_rng(1).integers(0, 2, size=(_SAMPLES, n))
        bits[0] = 0
    signs: NDArray[np.float64] = (1 - 2 * bits).astype(np.float64)
    return signs


def spearman(values: Sequence[float]) -> tuple[float, float]:
    """Rank correlation of values with their order, and its two-sided p from permutations.

    For at least three values; 0 and 1 if all are equal.
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
    """From 1; equal values share the mean of their ranks."""
    array = np.asarray(values, dtype=float)
    below = (array[:, None] > array).sum(axis=1)
    equal = (array[:, None] == array).sum(axis=1)
    ranks: NDArray[np.float64] = below + (equal + 1) / 2
    return ranks
