"""Additive increase, multiplicative decrease, as TCP has it (Chiu and Jain 1989; RFC 5681).

The limit grows by 1 per round trip. It is halved when the median latency leaves its band, and
reduced when the service refuses, at most once for what was in flight together.

The baseline of the band follows lower medians by a quarter of the way. It rises only if halving
the limit has not made the service faster: then the service itself is slower than it was.
"""

from crawlers.limiters.limiter import CUT, FAR_BELOW, LEARNED, Limiter

_NO_HELP = 0.8
"""Halving has not helped if the median is still above this share of what it was before. Where a
queue was the reason, it is close to a half."""


class AimdLimiter(Limiter):
    """Grows by 1 per round trip, and halves at signs of congestion."""

    def __init__(self, most: int) -> None:
        """Begin with a limit that never exceeds `most`."""
        super().__init__(most)
        self._is_held = False
        """Whether it was just halved, and the cohort shows the latency without a queue."""
        self._median_before_ns = 0
        """The median that was the reason, unless the limit still doubled then."""

    def _step(self) -> float:
        return 0.0 if self._is_held else 1 / self.limit

    def _judge(self, median_ns: int, now_ns: int) -> None:
        if median_ns > self._median_before_ns * _NO_HELP > 0:
            self._baseline_ns = median_ns
        elif self._median_before_ns or median_ns < FAR_BELOW * self._baseline_ns:
            self._learn(median_ns, LEARNED)
        self._is_held = self._is_congested(median_ns)
        self._median_before_ns = 0
        if not self._is_held:
            self._begin_cohort(now_ns)
            return
        # While it doubled, the median is that of far fewer in flight than now.
        self._median_before_ns = 0 if self._is_starting else median_ns
        self._reduce(now_ns, self.limit * CUT)
