"""The ideal client, against formulas and against a simulation written in another way."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.plan.delays import Delay
from bench.plan.ideal import (
    GOOD,
    ceilings,
    ideal_curve,
    ideal_limit_steps,
    is_bound,
    makespan_ns,
    simulate,
)
from bench.plan.rates import Rate
from server.service import MOST_CAPACITY, PLAIN, CapacityStep, Service
from tests.factories import experiment
from tests.queueing import MOST_SIGMAS, Queue, queues, simulated_wait, usl_rate_per_s

MS = 1_000_000


class Fate(NamedTuple):
    start_ms: int
    begin_ms: int
    end_ms: int
    status: int


def in_detail(
    delays_ms: Sequence[int], service: Service, slots: int, due_ms: Sequence[int] = ()
) -> list[Fate]:
    """A client and a server that step from one instant to the next, in whole ms.

    Unlike server.service, it holds the queue itself, counts tokens, and plans nothing ahead.
    """
    fates: dict[int, Fate] = {}
    arrived: dict[int, int] = {}
    waiting: list[int] = []
    serving: list[int] = []
    in_flight: list[int] = []
    tokens, filled_ms = Fraction(service.burst), 0
    origin_ms = due_ms[0] if due_ms else 0
    now_ms = origin_ms

    def after_stall(at_ms: int) -> int:
        every, lasts = round(service.stall_every_s * 1000), round(service.stall_for_s * 1000)
        if lasts:
            for k in range(1, (at_ms - origin_ms) // every + 1):
                if k * every <= at_ms - origin_ms < k * every + lasts:
                    return origin_ms + k * every + lasts
        return at_ms

    def places() -> int:
        fitting = [MOST_CAPACITY]
        fitting += [
            step.capacity
            for step in service.capacity
            if origin_ms + round(step.from_s * 1000) <= now_ms
        ]
        return fitting[-1]

    def serve() -> None:
        while waiting and len(serving) < places():
            seq = waiting.pop(0)
            n = len(serving) + 1
            factor = 1 + service.sigma * (n - 1) + service.kappa * n * (n - 1)
            end_ms = after_stall(now_ms + round(delays_ms[seq] * factor))
            fates[seq] = Fate(arrived[seq], now_ms, end_ms, GOOD)
            if end_ms > now_ms:
                serving.append(end_ms)

    def answered() -> None:
        serving[:] = [end for end in serving if end > now_ms]
        in_flight[:] = [seq for seq in in_flight if seq not in fates or fates[seq].end_ms > now_ms]

    def send(seq: int) -> None:
        nonlocal tokens, filled_ms
        arrived[seq] = now_ms
        in_flight.append(seq)
        refusal = 0
        if service.rate_limit_per_s:
            gained = Fraction(service.rate_limit_per_s) * (now_ms - filled_ms) / 1000
            tokens, filled_ms = min(Fraction(service.burst), tokens + gained), now_ms
            refusal = 0 if tokens >= 1 else 429
            tokens -= tokens >= 1
        is_full = len(serving) >= places()
        if not refusal and is_full and service.queue is not None and len(waiting) >= service.queue:
            refusal = 503
        if refusal:
            fates[seq] = Fate(now_ms, now_ms, after_stall(now_ms), refusal)
        else:
            waiting.append(seq)

    sent = 0
    while len(fates) < len(delays_ms):
        answered()
        serve()
        answered()
        if (
            sent < len(delays_ms)
            and len(in_flight) < slots
            and (not due_ms or due_ms[sent] <= now_ms)
        ):
            send(sent)
            sent += 1
            serve()
            continue
        if len(fates) < len(delays_ms):
            now_ms += 1
    return [fates[seq] for seq in range(len(delays_ms))]


capacities = st.one_of(
    st.just(()),
    st.integers(1, 5).map(lambda k: (CapacityStep(k, 0.0),)),
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 60)).map(
        lambda three: (CapacityStep(three[0], 0.0), CapacityStep(three[1], three[2] / 1000))
    ),
)


@st.composite
def services(draw: st.DrawFn) -> Service:
    service = Service(capacity=draw(capacities))
    if service.capacity:
        service = replace(service, queue=draw(st.one_of(st.none(), st.integers(0, 3))))
    if draw(st.booleans()):
        service = replace(service, rate_limit_per_s=125.0, burst=3.0)
    if draw(st.booleans()):
        service = replace(service, sigma=0.5, kappa=0.25)
    if draw(st.booleans()):
        every_ms = draw(st.integers(2, 40))
        service = replace(service, stall_every_s=every_ms / 1000, stall_for_s=every_ms // 2 / 1000)
    return service


@settings(max_examples=150)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=25), services(), st.integers(1, 8), st.data()
)
def test_it_is_what_a_simulation_step_by_step_finds(
    delays_ms: list[int], service: Service, slots: int, data: st.DataObject
) -> None:
    due_ms: list[int] = []
    if data.draw(st.booleans()):
        gaps = data.draw(st.lists(st.integers(0, 9), min_size=25, max_size=25))
        due_ms = [sum(gaps[: seq + 1]) for seq in range(len(delays_ms))]
    if service.is_slowed_down:  # so that whole ms are exact: a factor is a multiple of 1/2
        delays_ms = [2 * delay for delay in delays_ms]
    found = simulate(
        [delay * 1000 for delay in delays_ms],
        service,
        slots=slots,
        due_after_ns=[due * MS for due in due_ms],
    )
    columns = (found.start_ns, found.begin_ns, found.end_ns, found.status)
    fates = [
        Fate(start // MS, begin // MS, end // MS, status)
        for start, begin, end, status in zip(*columns, strict=True)
    ]
    assert fates == in_detail(delays_ms, service, slots, due_ms)


@pytest.mark.parametrize(
    "flags",
    [
        {"capacity": "4"},
        {"capacity": "3@0,4@0.015"},
        {"capacity": "3", "queue": "1"},
        {"capacity": "3", "rate-limit": "125:3"},
        {"capacity": "3", "slowdown": "0,0.5"},
        {"capacity": "3", "stall": "0.02:0.01"},
    ],
)
def test_the_simulation_step_by_step_tells_services_apart(flags: dict[str, str]) -> None:
    delays_ms = [4, 8, 12, 16] * 5
    three = in_detail(delays_ms, Service.parse({"capacity": "3"}), 6)
    assert in_detail(delays_ms, Service.parse(flags), 6) != three


@pytest.mark.parametrize("queue", [one for one in queues() if one.places < 50], ids=str)
def test_the_mean_wait_is_that_of_queueing_theory(queue: Queue) -> None:
    """With fewer arrivals than `scripts/queueing` has, which takes a minute."""
    right, wrong = (
        simulated_wait(queue.model, queue.per_s, places, 30_000, seed=1).sigmas_off(queue.formula_s)
        for places in (queue.places, queue.places + 1)
    )
    assert abs(right) < MOST_SIGMAS < abs(wrong)


@pytest.mark.parametrize("clients", [1, 20, 44, 60, 200])
def test_a_slowdown_follows_the_universal_scalability_law(clients: int) -> None:
    """With its peak at sqrt((1 - sigma) / kappa), 44.3."""

    def rate(kappa: float) -> float:
        service = Service(sigma=0.02, kappa=kappa)
        return simulate([100_000] * 20 * clients, service, slots=clients).good_per_s

    formula = usl_rate_per_s(0.1, 0.02, 0.0005, clients)
    assert rate(0.0005) == pytest.approx(formula, rel=0.01)
    assert usl_rate_per_s(0.1, 0.02, 0.0005, 44) >= formula
    if clients > 1:
        assert rate(0.001) != pytest.approx(formula, rel=0.01)


@pytest.mark.parametrize(("count", "slots"), [(1000, 100), (1001, 100), (7, 10), (1, 1)])
def test_a_fixed_delay_takes_whole_waves(count: int, slots: int) -> None:
    found = simulate([100_000] * count, PLAIN, slots=slots)
    assert found.makespan_ns == -(-count // slots) * 100 * MS
    assert makespan_ns([100_000] * count, PLAIN, slots=slots) == found.makespan_ns
    assert found.good == count
    assert found.response_ns(1) == 100 * MS
    assert found.wait_ns(1) == 0


@given(st.lists(st.integers(0, 90_000), min_size=1, max_size=60), st.integers(1, 9))
def test_behind_a_capacity_it_is_the_list_schedule_on_its_places(
    delays_us: list[int], places: int
) -> None:
    """With requests enough in flight, in the order of seq, on the place that is free first."""
    free_at = [0] * places
    for delay in delays_us:
        free_at.sort()
        free_at[0] += delay * 1000
    capacity = Service(capacity=(CapacityStep(places, 0.0),))
    assert makespan_ns(delays_us, capacity, slots=60) == max(free_at)
    assert makespan_ns(delays_us, PLAIN, slots=places) == max(free_at)


def test_one_place_more_is_another_schedule() -> None:
    fifty, more = (Service(capacity=(CapacityStep(k, 0.0),)) for k in (50, 51))
    delays_us = Delay.between(20_000, 200_000).drawn(1, 5000)
    assert makespan_ns(delays_us, fifty, slots=200) > makespan_ns(delays_us, more, slots=200)


def test_of_no_requests_it_is_nothing() -> None:
    found = simulate([], PLAIN, slots=5)
    assert (found.makespan_ns, found.good, found.good_per_s) == (0, 0, 0)
    assert found.response_ns(0.5) is None
    assert makespan_ns([], PLAIN, slots=5) == 0


def test_in_open_loop_a_request_waits_for_its_due_time_and_for_a_slot() -> None:
    due_ns = [0, 10 * MS, 20 * MS, 300 * MS]
    found = simulate([100_000] * 4, PLAIN, slots=2, due_after_ns=due_ns)
    assert list(found.start_ns) == [0, 10 * MS, 100 * MS, 300 * MS]
    assert found.makespan_ns == 400 * MS
    assert found.response_ns(1) == 180 * MS  # 80 of which it was not even sent


def test_no_request_is_sent_after_the_duration() -> None:
    found = simulate([100_000] * 100, PLAIN, slots=2, duration_ns=250 * MS)
    assert list(found.start_ns) == [0, 0, 100 * MS, 100 * MS, 200 * MS, 200 * MS]


def test_a_service_that_refuses_burns_the_plan() -> None:
    limited = Service.parse({"rate-limit": "200:20"})
    found = simulate([100_000] * 10_000, limited, slots=30)
    assert found.good == 20
    assert found.status.count(429) == 10_000 - 20
    assert found.makespan_ns == 100 * MS
    # Paced, it gets what the limit allows: the burst, and a token every 5 ms after it.
    paced = simulate(
        [100_000] * 10_000, limited, slots=1000, due_after_ns=range(0, 10_000 * MS, MS)
    )
    assert paced.good == pytest.approx(20 + 10_000 / 5, abs=1)
    assert paced.good + paced.status.count(429) == 10_000


def test_a_full_queue_refuses_and_nothing_is_lost() -> None:
    service = Service.parse({"capacity": "10", "queue": "5"})
    found = simulate([100_000] * 4000, service, slots=100, due_after_ns=range(0, 4000 * MS, MS))
    assert found.good + found.status.count(503) == 4000
    assert found.good == pytest.approx(100 * 4, abs=20)  # 10 places at 100 ms, for 4 s
    assert found.wait_ns(1) == 95 * MS  # the fifth in the queue came 5 ms after the tenth served
    without = simulate([100_000] * 400, Service.parse({"capacity": "10"}), slots=100)
    assert without.good == 400


def test_a_stall_delays_answers_and_not_delays() -> None:
    """At 200/s for 20 s, in which the service stalls from 10 to 11.4 s and again from 20 s on."""
    stalled = Service.parse({"stall": "10:1.4"})
    due_ns = range(0, 20_000 * MS, 5 * MS)
    found = simulate([100_000] * 4000, stalled, slots=1000, due_after_ns=due_ns)
    took_ns = [end - due for end, due in zip(found.end_ns, found.due_ns, strict=True)]
    assert max(took_ns) == 1500 * MS
    # Answers due in the first stall, and in the first 100 ms of the second.
    assert sum(took > 100 * MS for took in took_ns) == 1400 / 5 + 100 / 5
    plain = simulate([100_000] * 4000, PLAIN, slots=1000, due_after_ns=due_ns)
    assert plain.response_ns(1) == 100 * MS


def test_requests_that_the_service_lets_fail_are_not_good() -> None:
    faulty = Service.parse({"fault-share": "500@10"})
    found = simulate([1000] * 10_000, faulty, slots=100)
    assert set(found.status) == {GOOD, 0}
    assert found.status.count(0) == pytest.approx(1000, abs=150)
    is_faulty = [faulty.fault_of(seq) == "500" for seq in range(10_000)]
    assert [status == 0 for status in found.status] == is_faulty


@pytest.mark.parametrize(
    ("flags", "slots", "is_open", "is_one"),
    [
        ({}, 100, False, True),
        ({}, 100, True, False),
        ({"capacity": "100"}, 100, False, True),
        ({"capacity": "99"}, 100, False, False),
        ({"capacity": "100@0,50@5"}, 60, False, False),
        ({"capacity": "100", "queue": "5"}, 100, False, False),
        ({"rate-limit": "1000000"}, 1, False, False),
        ({"slowdown": "0,0.1"}, 1, False, False),
        ({"stall": "10:1"}, 100, False, True),
    ],
)
def test_it_is_a_bound_where_overhead_cannot_change_the_order(
    flags: dict[str, str], slots: int, is_open: bool, is_one: bool
) -> None:
    assert is_bound(Service.parse(flags), slots, is_open) is is_one


def test_the_curve_of_a_fixed_delay_is_exact() -> None:
    waves = ideal_curve(experiment(), Delay.fixed(100_000), 10)
    assert waves.is_exact
    assert waves.concurrencies == tuple(range(1, 11))
    assert waves.good_per_s == pytest.approx([10 * c for c in range(1, 11)])
    fixed = ideal_curve(experiment(requests=15), Delay.fixed(100_000), 10)
    assert fixed.good_per_s[7] == fixed.good_per_s[9] == pytest.approx(15 / 0.2)


@pytest.mark.parametrize(
    ("changes", "delay_us"),
    [
        ({}, 0),
        ({"rates": (Rate("200"),)}, 100_000),
        ({"service": Service.parse({"rate-limit": "200"})}, 100_000),
    ],
)
def test_where_the_ideal_client_has_no_rate_there_is_no_curve(
    changes: dict[str, object], delay_us: int
) -> None:
    assert not ideal_curve(
        experiment(("asyncio",), **changes), Delay.fixed(delay_us), 10
    ).concurrencies


def test_the_curve_of_runs_of_a_duration_counts_what_ends_within_it() -> None:
    curve = ideal_curve(experiment(duration_s=1.05), Delay.fixed(100_000), 10)
    assert curve.good_per_s[-1] == pytest.approx(10 * 10 / 1.05)
    warmed = ideal_curve(experiment(duration_s=1.05, warm_up_s=0.55), Delay.fixed(100_000), 10)
    assert warmed.good_per_s[-1] == pytest.approx(5 * 10 / 0.5)


def test_the_curve_saturates_at_the_capacity() -> None:
    asked = experiment(
        concurrencies=(10, 48, 500), requests=5000, service=Service.parse({"capacity": "50"})
    )
    curve = ideal_curve(asked, Delay.fixed(100_000), 500)
    rates = dict(zip(curve.concurrencies, curve.good_per_s, strict=True))
    assert {10, 48, 50, 500} <= set(rates)
    assert (rates[10], rates[50], rates[500]) == pytest.approx((100, 500, 500))
    assert rates[48] == pytest.approx(5000 / 105 * 10)  # 105 waves
    assert not curve.is_exact


def test_the_curve_of_a_range_ends_as_ragged_as_its_runs() -> None:
    curve = ideal_curve(experiment(trials=5), Delay.between(20_000, 200_000), 100)
    assert 0.75 < curve.good_per_s[-1] / (100 / 0.110) < 0.97
    assert curve.good_per_s[0] == pytest.approx(1 / 0.110, rel=0.3)


@pytest.mark.parametrize(
    ("flags", "texts"),
    [
        ({}, []),
        ({"capacity": "50"}, ["capacity 50 at 100 ms: 500/s"]),
        (
            {"capacity": "50@0,20@10"},
            ["capacity 50 at 100 ms: 500/s", "capacity 20 at 100 ms: 200/s"],
        ),
        ({"rate-limit": "200:20"}, ["rate limit 200/s"]),
        # sqrt((1 - 0.02) / 0.0005) = 44.3
        ({"slowdown": "0.02,0.0005"}, ["slowdown at 100 ms: 156.8/s with 44 in service"]),
        (
            {"slowdown": "0.02,0.0005", "capacity": "20"},
            ["slowdown at 100 ms: 127.4/s with 20 in service"],
        ),
        ({"slowdown": "0.5,0"}, []),  # rises towards 1 / (sigma D) and never reaches it
        ({"slowdown": "2,0"}, ["slowdown at 100 ms: 10/s with 1 in service"]),
    ],
)
def test_ceilings_are_named(flags: dict[str, str], texts: list[str]) -> None:
    assert [one.text for one in ceilings(Service.parse(flags), 100_000)] == texts
    assert ceilings(Service.parse(flags), 0) == ceilings(
        Service.parse({key: flags[key] for key in flags if key == "rate-limit"}), 100_000
    )


@pytest.mark.parametrize(
    ("flags", "steps"),
    [
        ({}, []),
        ({"stall": "5:0.5"}, []),
        ({"capacity": "50"}, [(0, 50)]),
        ({"capacity": "50@0,20@10", "queue": "5"}, [(0, 50), (10, 20)]),
        ({"rate-limit": "200"}, [(0, 20)]),
        ({"rate-limit": "2"}, [(0, 1)]),
        ({"capacity": "50@0,10@3", "rate-limit": "200"}, [(0, 20), (3, 10)]),
        # sqrt((1 - 0.1) / 0.001) = 30
        ({"slowdown": "0.1,0.001"}, [(0, 30)]),
        ({"slowdown": "0.1,0.001", "capacity": "50@0,12@3"}, [(0, 30), (3, 12)]),
        ({"slowdown": "0.1,0"}, []),  # rises for ever
        ({"slowdown": "2,0"}, [(0, 1)]),  # falls from the start
        ({"slowdown": "0.1,0.001", "rate-limit": "1000"}, [(0, 30)]),  # never reached
        ({"slowdown": "0,1", "rate-limit": "10"}, [(0, 1)]),
    ],
)
def test_the_ideal_limit_follows_the_service(
    flags: dict[str, str], steps: list[tuple[float, float]]
) -> None:
    assert ideal_limit_steps(Service.parse(flags), 100_000) == tuple(steps)


@given(st.floats(0, 0.9), st.floats(0, 0.5), st.integers(1, 30))
def test_the_ideal_limit_at_a_rate_limit_is_where_the_slowed_service_reaches_it(
    sigma: float, kappa: float, at: int
) -> None:
    """The rate rises up to the peak, so that the first n that has the rate is meant."""
    rate = usl_rate_per_s(0.1, sigma, kappa, at)
    service = Service(rate_limit_per_s=rate, burst=10, sigma=sigma, kappa=kappa)
    first = next(
        n for n in range(1, at + 1) if usl_rate_per_s(0.1, sigma, kappa, n) >= rate * (1 - 1e-9)
    )
    (step,) = ideal_limit_steps(service, 100_000)
    assert first - 1 <= step.most <= first + 1e-4
