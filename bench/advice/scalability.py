"""Fits the universal scalability law to what was measured. Pure.

Gunther (Guerrilla Capacity Planning, 2007): n requests at a time finish
n / (D (1 + sigma (n - 1) + kappa n (n - 1))) per second. Contention, sigma, flattens the curve;
coherence, kappa, makes it fall. n / X is linear in D, D sigma and D kappa, so that least squares
finds them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_ERROR = 0.05
"""A law is shown only if it is this close to every point, as a share of it."""
_LEAST_POINTS = 5
_PARAMETERS = 3


@dataclass(frozen=True, slots=True)
class ScalabilityLaw:
    """The law for a curve of goodput against concurrency."""

    delay_s: float
    """The time of a request that is alone, D."""
    sigma: float
    kappa: float

    def per_s(self, n: float) -> float:
        """Return the goodput in requests/s with n requests at a time."""
        slower = 1 + self.sigma * (n - 1) + self.kappa * n * (n - 1)
        return n / (self.delay_s * slower)

    @property
    def peak(self) -> float:
        """The concurrency with the highest goodput; infinite if the law has no peak."""
        if self.kappa <= 0:
            return math.inf
        return math.sqrt(max(0.0, 1 - self.sigma) / self.kappa)

    def at_share_of_peak(self, share: float) -> float:
        """Return the smallest n that has this share of the peak's goodput. There must be a peak."""
        # n / (D slower(n)) = target: a quadratic equation in n, of which the smaller root counts.
        target_s = self.delay_s * share * self.per_s(self.peak)
        a, b, c = self.kappa, self.sigma - self.kappa - 1 / target_s, 1 - self.sigma
        return (-b - math.sqrt(b * b - 4 * a * c)) / (2 * a)


def fit(concurrencies: Sequence[int], rates: Sequence[float]) -> ScalabilityLaw | None:
    """Return the law for these goodputs in requests/s, or None if it does not hold for them.

    It holds if it is within MOST_ERROR of each of at least 5 points, and closer to them in the mean
    square than a line with a ceiling, min(n / D, most), which needs no such law.
    """
    if len(rates) < _LEAST_POINTS or min(rates) <= 0:
        return None
    n, x = np.array(concurrencies, float), np.array(rates)
    terms = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
    # Dividing by n / X makes the errors relative, so that the slow end does not decide alone.
    scaled = terms / (n / x)[:, None]
    (delay_s, contention_s, coherence_s), _, rank, _ = np.linalg.lstsq(scaled, np.ones_like(n))
    if rank < _PARAMETERS or delay_s <= 0:
        return None
    law = ScalabilityLaw(
        float(delay_s), float(contention_s / delay_s), float(coherence_s / delay_s)
    )
    errors = np.array([law.per_s(one) for one in n]) / x - 1
    ceiling = np.minimum(n * np.max(x / n), np.max(x)) / x - 1
    is_close = float(np.max(np.abs(errors))) <= MOST_ERROR
    has_sense = law.sigma >= -MOST_ERROR and law.kappa >= 0
    is_better = float(np.mean(errors**2)) < float(np.mean(ceiling**2))
    return law if is_close and has_sense and is_better else None
