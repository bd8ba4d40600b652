"""Scenarios: named services, the plan over all of them, and the score against the ideal client."""

from argparse import Namespace
from collections.abc import Callable
from dataclasses import replace
from heapq import heappop, heappush

import numpy as np
import pytest

from bench.cli.parser import parse
from bench.cli.run import asked_for
from bench.cli.scenario_option import over_all_scenarios
from bench.errors import UsageError
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.plan.ideal import GOOD
from bench.plan.scenarios import SCENARIOS, Scenario, find_scenario
from bench.results.codec import decode_object, encode, to_class
from bench.scenarios.analysis import (
    Goodput,
    best_fixed,
    goodput_of,
    seconds_to_converge,
    total,
)
from bench.scenarios.experiment import ScenariosExperiment
from server.service import SERVED, CapacityStep, ServiceState

MS = 1_000_000
ANY = {"asyncio": 1000, "mine:crawl": 1000, "serial": 1}


def asked(**changes: object) -> ScenariosExperiment:
    fields: dict[str, object] = {
        "scenarios": SCENARIOS,
        "entrants": tuple(Entrant(name, name) for name in ANY),
        "adaptive": ("mine:crawl",),
        "concurrencies": (10, 50),
        "trials": 2,
        "seed": 1,
        "timeout_s": 10.0,
    }
    return ScenariosExperiment(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda one: one.name)
def test_a_scenario_is_an_ordinary_sweep_by_other_words(scenario: Scenario) -> None:
    words = [f"--{name}={text}" for name, text in scenario.options().items()]
    usual = ["--crawlers", "asyncio", "--concurrency", "5", "--trials", "1"]
    by_name, _ = asked_for(parse(["run", "--scenario", scenario.name, *usual])[1])
    by_options, _ = asked_for(parse(["run", *words, *usual])[1])
    assert by_name == by_options
    assert (by_name.service, by_name.delays) == (scenario.service, (scenario.delay,))


def test_a_misspelt_scenario_is_known() -> None:
    assert find_scenario("steps").steps == (CapacityStep(20, 10.0), CapacityStep(50, 20.0))
    with pytest.raises(LookupError, match="did you mean 'stalls'"):
        find_scenario("stals")


def parsed(*words: str) -> Namespace:
    return parse(["run", "--scenario", *words])[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["all", "--delay", "5"], "leave out --delay"),
        (["all", "--rate", "5"], "leave out --rate"),
        (["all", "--url", "http://127.0.0.1:1/"], "leave out --url"),
        (["all", "--fail-if", "p99>5"], "--fail-if is for one sweep"),
        (["steps", "--capacity", "5", "--duration", "3"], "leave out --capacity, --duration"),
    ],
)
def test_options_that_contradict_a_scenario_are_a_mistake(words: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        (over_all_scenarios if words[0] == "all" else asked_for)(parsed(*words))


def test_crawlers_that_may_adapt_are_measured_at_the_largest_concurrency_only() -> None:
    words = ("all", "--crawlers", "asyncio,mine:crawl", "--concurrency", "10,50")
    found = over_all_scenarios(parsed(*words))
    assert found.adaptive == ("mine:crawl",)
    assert {(run.cell.crawler, run.cell.concurrency) for run in found.order(ANY)} == {
        ("asyncio", 10),
        ("asyncio", 50),
        ("mine:crawl", 50),
    }


def test_every_trial_has_every_scenario_in_an_order_of_its_own() -> None:
    experiment = asked()
    runs = experiment.order(ANY)
    assert [run.number for run in runs] == list(range(1, experiment.count(ANY) + 1))

    def order(trial: int) -> list[tuple[Cell, str]]:
        return [(run.cell, str(run.service)) for run in runs if run.trial == trial]

    def scenario(run: PlannedRun) -> tuple[object, ...]:
        return run.cell.delay, run.service, run.load

    assert order(1) != order(2)
    assert sorted(map(str, order(1))) == sorted(map(str, order(2)))
    assert len({scenario(run) for run in runs}) == len(SCENARIOS)  # so each can be told from a run
    assert experiment.order(ANY) == runs


def test_the_plan_is_read_as_it_was_written() -> None:
    experiment = asked()
    read = to_class(decode_object(encode(experiment), "asked"), ScenariosExperiment, "asked")
    read.check()
    assert read == experiment


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenarios": SCENARIOS[:1] * 2}, "twice"),
        ({"scenarios": (replace(SCENARIOS[0], objective_ms=0.0),)}, "objective"),
        ({"scenarios": (replace(SCENARIOS[0], duration_s=0.0, warm_up_s=0.0),)}, "no duration"),
        ({"scenarios": ()}, "no scenarios"),
        ({"kind": "sweep"}, "kind"),
        ({"trials": 0}, "trials"),
    ],
)
def test_a_plan_that_cannot_have_been_asked_for_is_refused(
    changes: dict[str, object], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        asked(**changes).check()


SMALL = replace(find_scenario("capacity"), duration_s=3.0, warm_up_s=1.0, objective_ms=100.0)


def test_goodput_is_what_is_good_and_in_time_within_the_time_that_counts() -> None:
    #                  warm-up  good  slow   good  failed refused late
    start = np.array([800, 950, 1200, 1900, 2000, 2100, 2950]) * MS
    end = np.array([1000, 1050, 1301, 2000, 2050, 2101, 3050]) * MS
    is_good = np.array([True, True, True, True, False, False, True])
    is_refused = np.array([False] * 5 + [True, False])
    goodput, in_time = goodput_of(start, end, is_good, is_refused, SMALL)
    assert goodput == Goodput(good_per_s=2 / 2, refused_per_s=1 / 2)
    assert goodput.net_per_s == 0.5
    assert in_time.tolist() == [1050 * MS, 2000 * MS, 3050 * MS]


def test_a_total_is_a_mean_in_which_no_score_is_below_minus_one() -> None:
    assert total([1.0, 0.5, -25.0]) == pytest.approx((1.0 + 0.5 - 1.0) / 3)
    assert total([1.0, None]) is None
    assert total([]) is None


@pytest.mark.parametrize(
    ("name", "concurrency", "good_per_s"),
    [
        # Serves all at once: most / delay. 50 places: 50 / 0.1 s. 200/s, of which 20 are under way.
        ("steady", 200, 2000),
        ("capacity", 50, 500),
        ("partner", 20, 200),
        # 8 + 10 s of 50 / 0.1 s, and in the 10 s between them all take 250 ms, which is too long.
        ("steps", 50, 18 * 500 / 28),
    ],
)
def test_the_ideal_client_is_at_its_best_where_theory_says(
    name: str, concurrency: int, good_per_s: float
) -> None:
    best = best_fixed(find_scenario(name), 200, 1)
    assert best.concurrency == concurrency
    assert best.good_per_s == pytest.approx(good_per_s, rel=0.002)


def test_the_ideal_client_in_a_retrograde_service_is_at_the_peak_of_the_law() -> None:
    best = best_fixed(find_scenario("retrograde"), 200, 1)
    throughput = {n: n / 0.1 / (1 + 0.02 * (n - 1) + 0.0005 * n * (n - 1)) for n in range(1, 201)}
    peak = max(throughput.values())
    assert best.good_per_s == pytest.approx(peak, rel=0.03)
    assert throughput[best.concurrency] > 0.98 * peak


def ends(*spans: tuple[float, float, int]) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Ends of requests: from a second to another one, so many per second, evenly."""
    return np.concatenate(
        [np.arange(first, last, 1 / per_s) * 1e9 + 1 for first, last, per_s in spans]
    ).astype(np.int64)


def test_seconds_to_converge_count_to_the_first_second_with_enough() -> None:
    steps = find_scenario("steps")
    # After the first step: too few for 3 s, then 200/s. After the second: 440 of 500 are too few.
    in_time = ends((0, 10, 500), (10, 13, 110), (13, 20, 200), (20, 30, 440))
    # From 2.8 s on: 110/s for 0.2 s and 200/s for 0.8 s are 182 in a second. 180 are 90 %.
    assert list(seconds_to_converge(in_time, steps, 200)) == [pytest.approx(2.8), None]
    assert list(seconds_to_converge(ends((0, 30, 460)), steps, 200)) == [0.0, 0.0]
    assert list(seconds_to_converge(ends((0, 10, 500)), steps, 200)) == [None, None]


def test_a_second_that_begins_after_the_next_step_is_too_late() -> None:
    steps = find_scenario("steps")
    assert list(seconds_to_converge(ends((19.2, 30, 500)), steps, 200)) == [
        pytest.approx(8.6),  # 18.5 to 19.5 has 150 of the 180, and 18.6 to 19.6 has 200
        0.0,
    ]


Limiter = Callable[[int, int], int]
"""Given the limit and the status of an answer (0 for one that failed), the next limit."""

OVERHEAD_NS = {True: MS, False: 20 * MS}
"""What a request takes besides the service. A client that is refused is busy with refusals."""


def score_of(limiter: Limiter, begin: int, scenario: Scenario, most: int = 200) -> float:
    """The score of a client whose limit changes, by simulation: no processes, no clock."""
    admit = ServiceState(scenario.service).admit
    delays_us = scenario.delay.drawn(1, 100_000)
    limit, seq, now_ns = begin, 0, 0
    under_way: list[tuple[int, int, int]] = []
    rows = []
    until_ns = round(scenario.duration_s * 1e9)
    while now_ns < until_ns:
        while len(under_way) < min(limit, most):
            status, _, due_ns, _ = admit(now_ns, delays_us[seq])
            status = GOOD if status == SERVED else status
            if status == GOOD and scenario.service.fault_of(seq):
                status = 0
            heappush(under_way, (due_ns + OVERHEAD_NS[status <= GOOD], now_ns, status))
            seq += 1
        now_ns, start_ns, status = heappop(under_way)
        rows.append((start_ns, now_ns, status))
        limit = max(1, limiter(limit, status))
    start, end, statuses = np.array(rows).T
    goodput, _ = goodput_of(start, end, statuses == GOOD, statuses > GOOD, scenario)
    return goodput.net_per_s / best_fixed(scenario, most, 1).good_per_s


def totals(scenarios: tuple[Scenario, ...]) -> dict[str, float]:
    def total_of(limiter: Limiter, begin: int) -> float:
        found = total([score_of(limiter, begin, scenario) for scenario in scenarios])
        assert found is not None
        return found

    return {
        "always one": total_of(lambda limit, status: limit, 1),
        "ten": total_of(lambda limit, status: limit, 10),
        "fifty": total_of(lambda limit, status: limit, 50),
        # One more with each answer, which doubles the limit in every round trip.
        "never decreases": total_of(lambda limit, status: min(limit + 1, 200), 1),
        "at most fifty, and less when refused": total_of(
            lambda limit, status: limit // 2 if status > GOOD else min(limit + 1, 50), 1
        ),
    }


SHORT = tuple(replace(one, duration_s=3.0) for one in SCENARIOS if one.duration_s <= 12)


@pytest.mark.parametrize(
    "scenarios", [SHORT, pytest.param(SCENARIOS, marks=pytest.mark.thorough)], ids=["short", "all"]
)
def test_a_limiter_that_never_decreases_is_last_and_one_always_at_one_is_not_first(
    scenarios: tuple[Scenario, ...],
) -> None:
    found = totals(scenarios)
    ranked = sorted(found, key=lambda name: -found[name])
    assert ranked[-1] == "never decreases", found
    assert ranked[0] == "at most fifty, and less when refused", found
    assert found["always one"] < found["ten"]


def test_where_nothing_is_limited_one_that_never_decreases_is_first() -> None:
    found = totals(SHORT[:1])
    assert max(found, key=lambda name: found[name]) == "never decreases"
