"""Quantiles, and the number of requests that each of them needs. Pure."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEYOND = 10
"""A quantile is only given if at least this many requests are beyond it: p99 needs 1000 requests,
and p99.9 needs 10 000. With fewer, single accidents would determine it."""


def quantile(ordered: "NDArray[np.int64]", q: float) -> int:
    """Return the smallest value that at least a share q of the sorted values does not exceed.

    There must be at least one value.
    """
    return int(ordered[max(0, int(np.ceil(q * len(ordered))) - 1)])


def least_requests(q: float) -> int:
    """Return the smallest number of requests for which `tail_quantile` gives this quantile."""
    return math.ceil((BEYOND - 1e-6) / (1 - q))


def tail_quantile(ordered: "NDArray[np.int64]", q: float) -> int | None:
    """Return the quantile, or None if fewer than BEYOND values are beyond it."""
    if len(ordered) * (1 - q) < BEYOND - 1e-6:
        return None
    return quantile(ordered, q)
