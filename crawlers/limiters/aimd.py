"""Additive increase, multiplicative decrease, as TCP has it (Chiu and Jain 1989; RFC 5681).

The limit grows by 1 per round trip. It is halved when the median latency leaves its band, and
reduced when the service refuses, at most once for what was in flight together.

The baseline of the band follows the medians that are seen right after a halving, when nothing
waits. If halving the limit again does not make the service faster, the service itself has become
slower, and that is the baseline from then on.
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
        """The median that was the reason, if the limit had been halved before that, too."""

    def _step(self) -> float:
        return 0.0 if self._is_held else 1 / self.limit

    def _judge(self, median_ns: int, now_ns: int) -> None:
        was_held = self._is_held
        if median_ns > self._median_before_ns * _NO_HELP > 0:
            self._baseline_ns = median_ns
        self._is_held = self._is_congested(median_ns)
        if (was_held and not self._is_held) or median_ns < FAR_BELOW * self._baseline_ns:
            self._learn(median_ns, LEARNED)
        if not self._is_held:
            self._median_before_ns = 0
            self._begin_cohort(now_ns)
            return
        # Of a limit that was growing, or of a service that was just changing, the median is out of
        # date: halving twice tells.
        self._median_before_ns = median_ns if was_held else 0
        self._reduce(now_ns, self.limit * CUT)
