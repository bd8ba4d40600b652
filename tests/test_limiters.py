"""Limiters: how they grow, what makes them shrink, and what they find in simulated services."""

import pytest

from crawlers.limiters.aimd import AimdLimiter
from crawlers.limiters.cohort import Cohort
from crawlers.limiters.limiter import Limiter, Sign, sign_of
from crawlers.limiters.vegas import VegasLimiter
from tests.limiter_simulation import LIMITERS, MOST, SCENARIOS, Fixed, Scenario, simulate

BOTH = pytest.mark.parametrize("make", [AimdLimiter, VegasLimiter])
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}
MS = 1_000_000


def short(name: str) -> Scenario:
    """A scenario of six seconds, so that the tests are quick."""
    found = BY_NAME[name]
    return Scenario(found.name, found.delay, found.objective_ms, found.flags, 6.0)


@pytest.mark.parametrize(
    ("status", "error", "sign"),
    [
        (200, "", Sign.SERVED),
        (302, "", Sign.SERVED),
        (404, "", Sign.SERVED),
        (429, "", Sign.OVERLOAD),
        (503, "", Sign.OVERLOAD),
        (0, "timeout", Sign.OVERLOAD),
        (200, "timeout", Sign.OVERLOAD),
        (500, "", Sign.FAILURE),
        (0, "reset", Sign.FAILURE),
        (503, "closed", Sign.FAILURE),
    ],
)
def test_only_refusals_and_timeouts_say_that_there_are_too_many(
    status: int, error: str, sign: Sign
) -> None:
    assert sign_of(status, error) is sign


def test_the_median_of_a_cohort_is_known_before_its_slowest_have_ended() -> None:
    cohort = Cohort(100, 3)
    for start_ns in (100, 110, 120, 130):
        cohort.started(start_ns)
    assert cohort.served(90, 140) == 0  # started before the cohort
    assert cohort.served(130, 150) == 0  # started after it
    assert cohort.served(100, 160) == 0
    assert cohort.served(120, 165) == 0  # 110 may still take as little as 55 ...
    assert cohort.served(140, 180) == 60  # ... and now it cannot be the middle one any more


def test_a_failure_leaves_its_place_in_a_cohort_to_another_fetch() -> None:
    cohort = Cohort(100, 1)
    cohort.started(100)
    cohort.failed(100)
    assert cohort.served(100, 200) == 0
    cohort.started(200)
    assert cohort.served(200, 300) == 100


@BOTH
def test_it_doubles_until_it_may_not_grow_any_more(make: type[Limiter]) -> None:
    limits = simulate(short("wide"), make(MOST)).limits
    reached_ns = next(at_ns for at_ns, most in limits if most == MOST)
    assert reached_ns < 1.5e9
    assert max(most for _, most in limits) == MOST
    assert int(make(3).limit) == 3


@BOTH
def test_it_does_not_grow_while_it_is_not_used(make: type[Limiter]) -> None:
    limiter = make(MOST)
    for at_ms in range(0, 100_000, 100):
        limiter.started(at_ms * MS)
        limiter.ended(at_ms * MS, (at_ms + 100) * MS, Sign.SERVED)
    assert limiter.limit < 5


@BOTH
def test_what_was_in_flight_together_reduces_it_once(make: type[Limiter]) -> None:
    limiter = make(MOST)
    limiter.limit = 100.0
    for _ in range(100):
        limiter.started(0)
    for end_ms in range(1, 101):
        limiter.ended(0, end_ms * MS, Sign.OVERLOAD)
    assert limiter.limit == 50
    limiter.started(2 * MS)
    limiter.ended(2 * MS, 200 * MS, Sign.OVERLOAD)
    assert limiter.limit == 40


@BOTH
def test_refused_again_and_again_one_is_left(make: type[Limiter]) -> None:
    limiter = make(MOST)
    for at_ms in range(100):
        limiter.started(at_ms * MS)
        limiter.ended(at_ms * MS, at_ms * MS, Sign.OVERLOAD)
    assert limiter.limit == 1


@BOTH
@pytest.mark.parametrize(
    ("name", "from_", "to"),
    [
        ("capacity 50", 40, 90),
        ("capacity 5", 4, 16),
        ("200/s", 13, 24),
        ("slowdown", 15, 44),
        ("1 % fail", 40, 90),
    ],
)
def test_it_finds_about_as_many_as_the_service_can_use(
    make: type[Limiter], name: str, from_: float, to: float
) -> None:
    assert from_ <= simulate(short(name), make(MOST)).mean_limit <= to


@BOTH
def test_it_follows_a_capacity_down_and_up(make: type[Limiter]) -> None:
    flags = {"capacity": "50@0,10@6,50@12"}
    limits = simulate(Scenario("steps", "100", 300, flags, 20.0), make(MOST)).limits
    low = [most for at_ns, most in limits if 8e9 < at_ns < 12e9]
    assert max(low) <= 25
    assert max(most for at_ns, most in limits if at_ns > 18e9) >= 45


@pytest.mark.parametrize("name", ["capacity 50", "slowdown", "200/s"])
def test_the_controls_are_worse(name: str) -> None:
    score = {who: simulate(short(name), make()).score for who, make in LIMITERS.items()}
    assert min(score["aimd"], score["vegas"]) > 5 * max(score["always 1"], score["never less"])


def test_the_simulation_agrees_with_the_formula_for_a_capacity() -> None:
    found = simulate(short("capacity 50"), Fixed(40))
    assert found.good_per_s == pytest.approx(40 / 0.1005, rel=0.02)
    found = simulate(short("capacity 50"), Fixed(100))
    assert found.good_per_s == pytest.approx(500, rel=0.03)
