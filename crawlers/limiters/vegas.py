"""TCP Vegas (Brakmo and Peterson 1995) for requests: the limit follows an estimate of the queue.

Of `limit` requests in flight, limit x (1 - baseline / latency) wait. Fewer than alpha, and the
limit grows; more than beta, and it shrinks. That alpha and beta grow with log10(limit), and the
steps too, follows VegasLimit of Netflix's concurrency-limits. There, the latency is that of one
request, and the baseline a minimum. Under a heavy tail both are nearly arbitrary, so that medians
of cohorts take their place, and the baseline is measured, as BBR does it (ProbeRTT): now and then
the limit is halved for one cohort, in which nothing waits.
"""

from math import log10

from crawlers.limiters.limiter import CUT, FAR_BELOW, LEARNED, Limiter

_ALPHA = 4.0
_BETA = 8.0
"""Times log10(limit), which counts as 1 below 10. Netflix has 3 and 6, and in the simulation these
do a little better where requests slow each other down."""

_PROBE_EVERY = 20
"""Cohorts from one measurement of the baseline to the next: it costs one fortieth."""


class VegasLimiter(Limiter):
    """Keeps a few requests waiting, and not more."""

    def __init__(self, most: int) -> None:
        """Begin with a limit that never exceeds `most`."""
        super().__init__(most)
        self._cohorts = 0
        self._is_used = False
        """Whether the limit was used during this cohort."""
        self._resumed_limit = 0.0
        """The limit after a measurement of the baseline; 0 while there is none."""

    def _step(self) -> float:
        self._is_used = True
        return 0.0

    def _judge(self, median_ns: int, now_ns: int) -> None:
        if self._resumed_limit or median_ns < FAR_BELOW * self._baseline_ns:
            self._learn(median_ns, LEARNED)
        if self._resumed_limit:
            self._set(self._resumed_limit)
            self._begin_cohort(now_ns)
            return
        scale = max(1.0, log10(self.limit))
        alpha, beta = _ALPHA * scale, _BETA * scale
        waiting = self.limit * (1 - self._baseline_ns / median_ns)
        self._cohorts += 1
        if self._is_congested(median_ns):
            served = self.limit - waiting
            self._reduce(now_ns, max(self.limit * CUT, served + (alpha + beta) / 2))
        elif self._is_starting:
            self._begin_cohort(now_ns)
        elif self._cohorts % _PROBE_EVERY == 0:
            before = self.limit
            self._reduce(now_ns, before * CUT)
            self._resumed_limit = before
        else:
            if waiting < alpha and self._is_used:
                self._set(self.limit + scale)
            elif waiting > beta:
                self._set(self.limit - scale)
            self._begin_cohort(now_ns)

    def _begin_cohort(self, now_ns: int) -> None:
        super()._begin_cohort(now_ns)
        self._is_used = False
        self._resumed_limit = 0.0
