"""What limiters share: what they are told, how they start, and the cohorts that they judge by.

A limiter is pure. It has no clock of its own, starts nothing and waits for nothing, so that the
same one runs in a crawler and in a simulation. Standard library only.
"""

from enum import Enum

from crawlers.limiters.cohort import Cohort

_OVERLOADED = 429, 503

FIRST_LIMIT = 4
"""Kept until the first cohort shows how long a fetch takes when nearly nothing is in flight."""

LEAST_COHORT = 20
"""The median of 20 lognormal latencies with a p99 of 7.5 times the median has a standard error of a
quarter. Of fewer it would leave any band by chance."""

BAND = 1.8
"""A cohort whose median is above this multiple of the baseline shows congestion. Below 2, so that
halving the limit empties a queue that was just found: with 2 it may stand forever."""

FIRST_BAND = 1.5
"""The band while the limit still doubles, when each cohort is one round trip out of date."""

FAR_BELOW = 0.7
"""A median below this share of the baseline moves it, whatever is in flight."""

LEARNED = 0.25
"""By how much of the way a median moves the baseline, up or down: it is a noisy sample."""

CUT = 0.5
"""By how much the limit is cut for latency, as in TCP (RFC 5681)."""

REFUSED_CUT = 0.8
"""By how much it is cut for a refusal, which is seen at once, and not a round trip later. With 0.5,
a limit of 200 requests/s is used by four fifths; with 0.8, by more than nine tenths."""


class Sign(Enum):
    """What the end of a fetch says about the service."""

    SERVED = 1
    """It was served, so that its latency counts."""
    OVERLOAD = 2
    """It was refused (429, 503), or it timed out: too many are in flight."""
    FAILURE = 3
    """It failed in another way, which says nothing about how many are in flight."""


def sign_of(status: int, error: str) -> Sign:
    """Return what a fetch says that is recorded with this status and word of ERROR_WORDS."""
    if error:
        return Sign.OVERLOAD if error == "timeout" else Sign.FAILURE
    if status in _OVERLOADED:
        return Sign.OVERLOAD
    return Sign.FAILURE if status >= 500 else Sign.SERVED


class Limiter:
    """Decides how many may be in flight: from FIRST_LIMIT on, doubled in each round trip (the slow
    start of TCP) until the first sign of congestion, and then as a subclass decides.

    The limit is a float, of which the whole part counts. It grows only while it is used, so that it
    means something when the service becomes slower.
    """

    def __init__(self, most: int) -> None:
        """Begin with a limit that never exceeds `most`."""
        self.limit = float(min(FIRST_LIMIT, most))
        self._most = float(most)
        self._is_starting = True
        self._in_flight = 0
        self._baseline_ns = 0.0
        """The median latency without a queue; 0 until the first cohort."""
        self._learned = 0
        """How many latencies the first baseline is from."""
        self._changed_ns = 0
        """When the limit was last reduced: only what started later may reduce it again."""
        self._cohort = Cohort(0, LEAST_COHORT)

    def started(self, at_ns: int) -> None:
        """Note that a fetch starts."""
        self._in_flight += 1
        self._cohort.started(at_ns)

    def ended(self, start_ns: int, end_ns: int, sign: Sign) -> None:
        """Note that a fetch ends, which may change the limit."""
        # A crawler starts more only after all ends that it sees together; while the limit doubles,
        # these may be half of it. Linux does the same (tcp_is_cwnd_limited).
        used_share = 0.5 if self._is_starting else 0.9
        is_used = self._in_flight >= used_share * int(self.limit)
        self._in_flight -= 1
        if sign is not Sign.SERVED:
            self._cohort.failed(start_ns)
            if sign is Sign.OVERLOAD and start_ns >= self._changed_ns:
                factor = CUT if self._is_starting else REFUSED_CUT
                self._reduce(end_ns, min(self.limit * factor, self.limit - 1))
            return
        if is_used and self._baseline_ns:
            self._set(self.limit + (1.0 if self._is_starting else self._step()))
        median_ns = self._cohort.served(start_ns, end_ns)
        if median_ns:
            self._learn_first(median_ns)
            self._judge(median_ns, end_ns)

    def _is_congested(self, median_ns: int) -> bool:
        """Return whether a cohort's median has left its band around the baseline."""
        return median_ns > (FIRST_BAND if self._is_starting else BAND) * self._baseline_ns

    def _learn_first(self, median_ns: int) -> None:
        """Average the first cohorts, of which one alone is too noisy a baseline."""
        if self._is_starting and median_ns <= FIRST_BAND * (self._baseline_ns or median_ns):
            size = self._cohort.size
            self._learned += size
            self._learn(median_ns, size / self._learned)

    def _learn(self, median_ns: int, share: float) -> None:
        """Move the baseline towards a median by a share of the way."""
        self._baseline_ns += (median_ns - self._baseline_ns) * share

    def _step(self) -> float:
        """Return by how much the limit grows for a fetch that was served while it was used."""
        raise NotImplementedError

    def _judge(self, median_ns: int, now_ns: int) -> None:
        """Decide by the median latency of a cohort, and begin another."""
        raise NotImplementedError

    def _set(self, limit: float) -> None:
        self.limit = min(max(1.0, limit), self._most)

    def _reduce(self, now_ns: int, limit: float) -> None:
        """Set a lower limit, after which latencies are measured afresh."""
        self._set(limit)
        self._is_starting = False
        self._changed_ns = now_ns
        self._begin_cohort(now_ns)

    def _begin_cohort(self, now_ns: int) -> None:
        """Begin a cohort of one round trip: of as many fetches as may be in flight."""
        self._cohort = Cohort(now_ns, max(LEAST_COHORT, int(self.limit)))
