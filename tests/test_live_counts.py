"""What a server says several times a second, and the client that asks for it."""

import itertools
import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from server.log_histogram import BUCKETS, MOST_NS, bounds_ns, bucket_of, quantile_ns

TIMES_NS = st.one_of(st.integers(0, MOST_NS - 1), st.integers(0, 10_000))


def test_the_buckets_follow_each_other_without_gap_or_overlap() -> None:
    bounds = [bounds_ns(bucket) for bucket in range(BUCKETS)]
    assert bounds[0][0] == 0
    assert all(end == start for (_, end), (start, _) in itertools.pairwise(bounds))
    assert bounds[-1][1] >= MOST_NS
    for bucket, (start, end) in enumerate(bounds):
        assert bucket_of(start) == bucket_of(end - 1) == bucket
        assert end - start <= max(1, start / 16 + 1)


@given(st.lists(TIMES_NS, min_size=1), st.floats(0, 1))
def test_a_quantile_is_in_the_bucket_of_the_exact_one(times_ns: list[int], share: float) -> None:
    exact = sorted(times_ns)[max(0, math.ceil(share * len(times_ns)) - 1)]
    estimate = quantile_ns(Counter(map(bucket_of, times_ns)), share)
    assert estimate is not None
    start, end = bounds_ns(bucket_of(exact))
    assert start <= estimate <= end
    assert quantile_ns({}, share) is None
