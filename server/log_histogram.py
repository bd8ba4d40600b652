"""A histogram of times with logarithmic buckets. Pure, and standard library only.

Each doubling of the time has 16 buckets of equal width, as in HdrHistogram, so that a bucket is at
most 1/16 as wide as the times in it are long. A bucket is named by its shortest time in ns: that is
the time with all but its first five binary digits set to 0. Counts are added and subtracted bucket
by bucket.
"""

import math
from collections.abc import Mapping

_DIGITS = 5
MOST_NS = 2**62
"""Every time must be shorter."""

MASKS = tuple(-1 << max(0, length - _DIGITS) for length in range(MOST_NS.bit_length()))
"""For each number of binary digits of a time, what leaves its first ones."""


def bucket_of(time_ns: int) -> int:
    """Return the bucket of a time from 0 to MOST_NS - 1, in ns."""
    return time_ns & MASKS[time_ns.bit_length()]


def end_of(bucket: int) -> int:
    """Return the shortest time beyond a bucket, in ns."""
    return bucket - MASKS[bucket.bit_length()]


def quantile_ns(counts: Mapping[int, int], share: float) -> float | None:
    """Return an estimate of a quantile, in ns; None without counts.

    `counts` has how many times are in each bucket, and `share` is from 0 to 1. The exact value
    would be the least time that this share of the times does not exceed: of n sorted times, number
    ceil(share * n). The estimate is in the same bucket, where times are taken to be spread evenly.
    """
    total = sum(counts.values())
    if not total:
        return None
    rank = min(max(1, math.ceil(share * total)), total)
    before = 0
    for bucket in sorted(counts):
        here = counts[bucket]
        if before + here >= rank:
            break
        before += here
    return bucket + (end_of(bucket) - bucket) * (rank - before - 0.5) / here
