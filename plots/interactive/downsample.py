"""Chooses which points of many are drawn: a browser draws a few thousand well. Pure.

What is chosen is always a part of what there is, in its order, with the first and the last.
"""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_POINTS = 5_000
"""The most points of one figure."""


def one_of_each_stratum(count: int, most: int) -> "NDArray[np.int64]":
    """Return ascending indices below `count`, at most `most` (at least 2) of them.

    With more than `most` there is one, drawn at random, of each of so many equal parts. Every n-th
    would always be, say, the first request of a wave. The draw is the same each time.
    """
    if count <= most:
        return np.arange(count)
    edges = np.linspace(1, count - 1, most - 1).astype(np.int64)
    inner = np.random.default_rng(0).integers(edges[:-1], edges[1:])
    return np.concatenate([[0], inner, [count - 1]])


def with_all_of(
    chosen: "NDArray[np.int64]", others: "NDArray[np.int64]", most: int
) -> "NDArray[np.int64]":
    """Return ascending indices with those of `others`, at most `most` (at least 4) of them.

    If `others` are more than half of `most`, they are sampled as `one_of_each_stratum` does, and so
    are the chosen ones that there is no room for.
    """
    kept = others[one_of_each_stratum(len(others), most // 2)]
    left = np.setdiff1d(chosen, kept)
    return np.union1d(kept, left[one_of_each_stratum(len(left), most - len(kept))])


def denser_at_the_end(count: int, most: int) -> "NDArray[np.int64]":
    """Return ascending indices below `count`, at most `most` (at least 2) of them, for quantiles.

    Half of them are evenly spread. The others halve their distance to the end again and again, so
    that p99.9 of a million values has as many points as p50.
    """
    if count <= most:
        return np.arange(count)
    half = most // 2
    even = np.linspace(0, count - 1, most - half)
    from_end = np.geomspace(1, count, half) - 1
    return np.unique(np.concatenate([even, count - 1 - from_end]).astype(np.int64))
