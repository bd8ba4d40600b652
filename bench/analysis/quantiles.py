"""Quantiles of requests, and from how many requests on they say something. Pure."""

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

BEYOND = 10
"""A quantile is given if at least so many requests are beyond it: p99 from 1000 requests on, p99.9
from 10 000. Fewer make a tail of accidents."""


def quantile(ordered: "NDArray[np.int64]", q: float) -> int:
    """The smallest value that at least a share q does not exceed; of at least one value."""
    return int(ordered[max(0, int(np.ceil(q * len(ordered))) - 1)])


def least_requests(q: float) -> int:
    """From how many requests on `tail_quantile` gives a quantile."""
    return math.ceil((BEYOND - 1e-6) / (1 - q))


def tail_quantile(ordered: "NDArray[np.int64]", q: float) -> int | None:
    """The same, or None if fewer than BEYOND values are beyond it."""
    if len(ordered) * (1 - q) < BEYOND - 1e-6:
        return None
    return quantile(ordered, q)
