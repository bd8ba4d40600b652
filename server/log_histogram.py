"""A histogram of times with logarithmic buckets. Pure, and standard library only.

Each doubling of the time has 16 buckets of equal width, as in HdrHistogram, so that a bucket is at
most 1/16 as wide as the times in it are long. Counts are added and subtracted bucket by bucket.
"""

import math
from collections.abc import Mapping

_PER_DOUBLING = 16
_BITS = _PER_DOUBLING.bit_length()
MOST_NS = 2**62
"""Every time must be shorter."""


def bucket_of(time_ns: int) -> int:
    """Return the number of the bucket of a time from 0 to MOST_NS - 1, in ns."""
    # With 16 more, the formula needs no other case for the shortest times.
    shifted = time_ns + _PER_DOUBLING
    shift = shifted.bit_length() - _BITS
    return (shift << _BITS - 1) + (shifted >> shift) - _PER_DOUBLING


BUCKETS = bucket_of(MOST_NS - 1) + 1
"""How many buckets there are; they are numbered from 0."""


def bounds_ns(bucket: int) -> tuple[int, int]:
    """Return the shortest time of a bucket, and the shortest beyond it, in ns."""
    shift, step = divmod(bucket, _PER_DOUBLING)
    start_ns = (_PER_DOUBLING + step << shift) - _PER_DOUBLING
    return start_ns, start_ns + (1 << shift)


def quantile_ns(counts: Mapping[int, int], share: float) -> float | None:
    """Return an estimate of a quantile, in ns; None without counts.

    `counts` has how many times are in each bucket, and `share` is from 0 to 1. The estimate is in
    the bucket of the exact value, which is the least time that this share of the times does not
    exceed: of n sorted times, number ceil(share * n). In its bucket, times are taken to be spread
    evenly.
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
    start_ns, end_ns = bounds_ns(bucket)
    return start_ns + (end_ns - start_ns) * (rank - before - 0.5) / here
