"""The median latency of a cohort: of fetches that started one after another. Standard library only.

Fetches that ended within some span of time will not do. Shortly after a change of the limit the
short ones are too many among them, so that under a heavy tail their median is far too low. Of a
cohort it is known which fetches have not ended yet, and that these take longer than they have so
far.
"""

from bisect import insort


class Cohort:
    """The first `size` fetches that start from an instant on."""

    __slots__ = ("_count", "_from_ns", "_last_start_ns", "_latencies_ns", "size")

    def __init__(self, from_ns: int, size: int) -> None:
        self._from_ns = from_ns
        self.size = size
        self._count = 0
        self._last_start_ns = from_ns
        self._latencies_ns: list[int] = []
        """In ascending order."""

    def started(self, at_ns: int) -> None:
        """Add a fetch, unless there are enough."""
        if self._count < self.size:
            self._count += 1
            self._last_start_ns = at_ns

    def served(self, start_ns: int, end_ns: int) -> int:
        """Note that a fetch was served; return the median latency once it is certain, 0 before."""
        if self._from_ns <= start_ns <= self._last_start_ns:
            insort(self._latencies_ns, end_ns - start_ns)
        middle = self.size // 2
        if self._count < self.size or len(self._latencies_ns) <= middle:
            return 0
        median_ns = self._latencies_ns[middle]
        # One that has not ended may yet turn out to be shorter.
        return median_ns if end_ns - self._last_start_ns >= median_ns else 0

    def failed(self, start_ns: int) -> None:
        """Remove a fetch that says nothing about latencies, so that another takes its place."""
        if self._from_ns <= start_ns <= self._last_start_ns:
            self._count -= 1
