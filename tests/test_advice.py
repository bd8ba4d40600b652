"""The search for a concurrency, at simulated services whose right answer is a formula."""

import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import brentq, curve_fit
from scipy.stats import binom, sem, t

from bench.advice.boxes import rates_of
from bench.advice.limits import MOST, OBJECTIVE, limit_of
from bench.advice.objectives import Objective, ObjectiveError
from bench.advice.recommendation import recommend
from bench.advice.scalability import ScalabilityLaw, fit
from bench.advice.search import search
from bench.analysis.bottleneck import Bottleneck
from bench.analysis.inference import mean_interval, quantile_interval
from bench.plan.delays import Delay
from server.service import Service
from tests.simulated_boxes import SimulatedService

FIXED = Delay.fixed(100_000)
TAIL = Delay.parse("lognormal:median=120,p99=900")


def service(**flags: str) -> Service:
    return Service.parse({name.replace("_", "-"): text for name, text in flags.items()})


@pytest.mark.parametrize("delay", [FIXED, TAIL], ids=str)
@pytest.mark.parametrize("capacity", [3, 50])
def test_finds_the_knee_of_a_capacity(delay: Delay, capacity: int) -> None:
    """C of K places reach the share C / K of the best goodput, whatever the delays are."""
    simulated = SimulatedService(delay, service(capacity=str(capacity)))

    answer = simulated.advise()

    assert answer is not None
    assert answer.concurrency == pytest.approx(0.95 * capacity, abs=max(1, 0.03 * capacity))
    assert answer.best_per_s == pytest.approx(capacity / delay.mean_us * 1e6, rel=0.01)
    assert answer.low <= answer.concurrency <= answer.high <= 1.15 * capacity


def test_finds_the_knee_of_a_server_of_which_nothing_is_known() -> None:
    """Without the drawn delays to correct by, a heavy tail costs some accuracy."""
    found = [
        SimulatedService(TAIL, service(capacity="50"), seed=seed, is_ours=False).advise()
        for seed in range(3)
    ]

    assert [one.concurrency for one in found if one] == pytest.approx([47.5] * 3, rel=0.15)


def test_finds_the_95_percent_point_of_a_service_that_slows_down() -> None:
    """The oracle is the root of the formula, found by another library."""
    simulated = SimulatedService(FIXED, service(slowdown="0.02,0.0005"))
    law = ScalabilityLaw(0.1, 0.02, 0.0005)
    exact = brentq(lambda n: law.per_s(n) - 0.95 * law.per_s(law.peak), 1, law.peak)

    answer = simulated.advise()

    assert answer is not None
    assert answer.concurrency == pytest.approx(exact, rel=0.05)
    assert law.at_share_of_peak(0.95) == pytest.approx(exact, rel=1e-9)
    points = [point for point in simulated.points.values() if point.is_steady]
    fitted = fit([one.concurrency for one in points], [one.good_per_s for one in points])
    assert fitted is not None
    assert fitted.peak == pytest.approx(law.peak, rel=0.1)


def test_finds_the_concurrency_of_a_rate_limit() -> None:
    """By Little's law, 200/s at 100 ms are 20 at a time; more is refused."""
    simulated = SimulatedService(FIXED, service(rate_limit="200"), most=64)

    answer = simulated.advise()

    assert answer is not None
    assert 19 <= answer.concurrency <= 21
    assert answer.high <= 21
    assert simulated.points[64].refused_share > 0.5


def test_objectives_bound_the_answer() -> None:
    """Of up to 100 at a time, none waits for more than the 100 ms of those before it."""
    of = SimulatedService(FIXED, service(capacity="50"), objectives=("p99<=250",))
    answer = of.advise()
    assert answer is not None
    assert answer.concurrency == 48
    assert 95 <= answer.high <= 100

    # The knee is beyond what the objective allows, so that the best that it allows is the answer.
    slow = SimulatedService(FIXED, service(slowdown="0.02,0.0005"), objectives=("p99<=140",))
    answer = slow.advise()
    assert answer is not None
    assert answer.high < 20
    limit = limit_of(slow.points, answer, 4096)
    assert limit.word == OBJECTIVE
    assert "ms (wanted: p99 <= 140 ms)" in limit.evidence

    assert SimulatedService(FIXED, Service(), objectives=("p99<=90",)).advise() is None


def test_a_rate_may_be_an_objective() -> None:
    """A few at a time do not have it; that more do is found all the same."""
    of = SimulatedService(FIXED, service(capacity="50"), objectives=("rate>=490",))
    answer = of.advise()
    assert answer is not None
    assert 49 <= answer.concurrency <= 53

    slow = SimulatedService(FIXED, service(capacity="50"), objectives=("rate>=600",))
    assert slow.advise() is None
    assert limit_of(slow.points, None, 4096).word == OBJECTIVE


def test_a_tail_is_not_missed_by_a_few_requests() -> None:
    """At a concurrency of 1, 24 requests say little about a p99 of 900 ms."""
    simulated = SimulatedService(TAIL, service(capacity="50"), objectives=("p99<=1500",))

    answer = simulated.advise()

    assert answer is not None
    assert answer.concurrency == pytest.approx(47.5, rel=0.05)


def test_a_server_of_others_is_approached_with_care() -> None:
    """It is not loaded further when its answers take ten times as long."""
    simulated = SimulatedService(FIXED, service(capacity="1"), is_ours=False)
    simulated.advise()
    assert max(simulated.points) <= 16

    asked = []
    simulated = SimulatedService(FIXED, Service(), is_ours=False, most=100)
    for at in search(simulated.points, 100, is_ours=False, bounds_times=False):
        asked.append(at)
        simulated.measure(at)
    assert asked[:8] == [1, 2, 4, 8, 16, 32, 64, 100]


def test_says_what_limits() -> None:
    """It is what limits where more brings less, or that more was not tried."""
    simulated = SimulatedService(FIXED, service(capacity="8"))
    answer = simulated.advise()
    simulated.boxes = [
        replace(box, limit=Bottleneck("capacity", "they wait")) if box.concurrency > 8 else box
        for box in simulated.boxes
    ]
    simulated.measure(1)
    limit = limit_of(simulated.points, answer, 4096)
    assert limit.word == "capacity"
    assert limit.concurrency > 8

    wide = SimulatedService(FIXED, Service(), most=64)
    assert limit_of(wide.points, wide.advise(), 64).word == MOST


def test_nothing_is_recommended_without_a_good_request() -> None:
    """A service that refuses everything has no answer."""
    simulated = SimulatedService(FIXED, service(capacity="8"))
    simulated.measure(1)
    simulated.boxes = [replace(box, rates=(0.0,) * 10) for box in simulated.boxes]
    simulated.points = {1: replace(simulated.points[1], good_per_s=0.0)}

    assert recommend(simulated.points, bounds_times=False) is None


def test_rates_are_those_of_a_count_by_hand() -> None:
    """A request counts in each part by the share of its time that falls into it."""
    served_ns, end_ns = np.array([0, 500, 900]), np.array([1000, 1500, 1100])

    rates = rates_of(served_ns, end_ns, 0, 10_000, None, 0.0)

    counts = [rate * 1e-6 for rate in rates]
    assert counts == pytest.approx([1 + 0.5 + 0.5, 0.5 + 0.5, 0, 0, 0, 0, 0, 0, 0, 0])


def test_rates_are_corrected_by_the_delays_that_were_drawn() -> None:
    """With slots always taken, the ideal client has the same rate in every sample."""
    simulated = SimulatedService(TAIL, service(capacity="50"))
    for _ in range(5):
        simulated.measure(20)
    plain = [box.raw_per_s for box in simulated.boxes]
    corrected = [float(np.mean(box.rates)) for box in simulated.boxes]

    assert np.ptp(corrected) < 0.01 * np.ptp(plain)
    assert corrected[0] == pytest.approx(20 / TAIL.mean_us * 1e6, rel=1e-3)


def test_scalability_is_fitted_as_another_library_fits_it() -> None:
    """scipy's non-linear least squares has the same law, for data with noise."""
    law, order = ScalabilityLaw(0.02, 0.05, 0.001), random.Random(1)
    n = np.array([1, 2, 4, 8, 16, 32, 64, 100])
    x = np.array([law.per_s(one) * order.uniform(0.98, 1.02) for one in n])

    found = fit(n.tolist(), x.tolist())

    def relative(n: float, delay_s: float, sigma: float, kappa: float) -> float:
        return ScalabilityLaw(delay_s, sigma, kappa).per_s(n)

    expected, _ = curve_fit(relative, n, x, p0=(0.02, 0.05, 0.001), sigma=x)
    assert found is not None
    assert (found.delay_s, found.sigma, found.kappa) == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize(
    "rates",
    [
        [min(n / 0.1, 500) for n in (1, 4, 16, 64, 256)],
        [10, 40, 160, 300, 20],
        [10, 40, 160, 0, 500],
        [10, 40, 160],
    ],
    ids=["a ceiling", "no law", "nothing good", "too few points"],
)
def test_no_law_is_shown_where_none_holds(rates: list[float]) -> None:
    """A ceiling needs no such law, and other curves have another shape."""
    assert fit([1, 4, 16, 64, 256][: len(rates)], rates) is None


@pytest.mark.parametrize("n", [6, 10, 40])
def test_the_interval_of_a_mean_is_that_of_another_library(n: int) -> None:
    """scipy has the quantile of Student's t."""
    values = np.random.default_rng(n).normal(100, 5, n).tolist()
    low, high = t.interval(0.95, n - 1, np.mean(values), sem(values))
    interval = mean_interval(values)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.02)
    assert mean_interval(values[:5]) is None


@pytest.mark.parametrize(("n", "q"), [(30, 0.5), (1000, 0.99), (20_000, 0.99), (400, 0.9)])
def test_quantile_interval_covers_by_the_exact_binomial(n: int, q: float) -> None:
    """The number of values below the quantile is binomial."""
    interval = quantile_interval(np.arange(1, n + 1), q)

    covers = binom.cdf(interval.high - 1, n, q) - binom.cdf(interval.low - 1, n, q)
    assert 0.94 <= covers <= 0.985


def test_quantile_interval_may_have_no_end() -> None:
    """With few values, nothing is known above the largest one."""
    interval = quantile_interval(np.arange(1, 51), 0.99)

    assert interval.high == np.inf
    assert interval.low == 48


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99", "'p99' is not an objective"),
        ("send_lag_p99<=5", "send_lag_p99 needs open loop"),
        ("p99<=5%", "p99 is a time in ms"),
        ("p99>=5", "write p99<= and the value"),
        ("rate<=5", "write rate>= and the value"),
    ],
)
def test_objectives_that_are_none_are_named(text: str, said: str) -> None:
    """The message names the text and the cause."""
    with pytest.raises(ObjectiveError, match=said):
        Objective.parse(text)
