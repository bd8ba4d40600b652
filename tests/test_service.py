"""Services as state machines: against a simulation without any state, formulas, and bad input."""

import math
import random
from fractions import Fraction
from itertools import accumulate, pairwise
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger import RunLedger
from server.request_plan import FAILURES
from server.service import SERVED, Admission, Service, ServiceError, ServiceState

SECOND = 1_000_000_000
MS = 1_000_000


def service(**flags: str) -> Service:
    return Service.parse({flag.replace("_", "-"): text for flag, text in flags.items()})


def admitted(of: Service, arrivals: list[tuple[int, int]]) -> list[Admission]:
    """Let requests of (arrived_ns, delay_us) arrive, in this order."""
    state = ServiceState(of)
    return [state.admit(*arrival) for arrival in arrivals]


# Against a simulation ---------------------------------------------------------------------------


class Simulated(NamedTuple):
    """A request in the simulation; one that is refused has no begin and no due instant."""

    arrived_ns: int
    begin_ns: int | None
    due_ns: int | None


def simulate(of: Service, arrivals: list[tuple[int, int]]) -> list[Simulated]:
    """Go through all requests before each one: slow, without state, and written by itself."""
    origin = arrivals[0][0]
    steps = [(origin + round(from_s * SECOND), places) for places, from_s in of.capacity]
    done: list[Simulated] = []

    def in_service(at: int) -> int:
        return sum(
            one.begin_ns <= at < one.due_ns
            for one in done
            if one.begin_ns is not None and one.due_ns is not None
        )

    def places(at: int) -> float:
        return [count for from_ns, count in steps if from_ns <= at][-1] if steps else math.inf

    for arrived, delay_us in arrivals:
        begins = [one.begin_ns for one in done if one.begin_ns is not None]
        earliest = max([arrived, *begins])  # first come, first served
        ends = [one.due_ns for one in done if one.due_ns is not None]
        instants = {earliest, *ends, *(from_ns for from_ns, _ in steps)}
        begin = min(at for at in instants if at >= earliest and in_service(at) < places(at))
        waiting = sum(one > arrived for one in begins)
        if of.queue is not None and begin > arrived and waiting >= of.queue:
            done.append(Simulated(arrived, None, None))
            continue
        n = in_service(begin) + 1
        due = begin + round(delay_us * 1000 * (1 + of.sigma * (n - 1) + of.kappa * n * (n - 1)))
        for number in range(1, 300):
            stall = origin + round(of.stall_every_s * SECOND) * number
            if of.stall_for_s and stall <= due < stall + round(of.stall_for_s * SECOND):
                due = stall + round(of.stall_for_s * SECOND)
        done.append(Simulated(arrived, begin, due))
    return done


_CAPACITIES = ("1", "2", "5", "3@0,1@0.005,4@0.02", "1@0,3@0.01")

services = st.builds(
    lambda *flags: service(**{flag: text for one in flags for flag, text in one.items()}),
    st.sampled_from(
        [{}]
        + [{"capacity": one} for one in _CAPACITIES]
        + [{"capacity": one, "queue": queue} for one in _CAPACITIES for queue in "013"]
    ),
    st.sampled_from([{}, {"slowdown": "0.1,0.05"}, {"slowdown": "0,0.25"}]),
    st.sampled_from([{}, {"stall": "0.01:0.004"}]),
)


@given(
    services,
    st.lists(
        # Multiples of a ms make requests arrive at the very instant at which others end.
        st.tuples(st.integers(0, 5).map(MS.__mul__), st.sampled_from([0, 1000, 3000, 5500, 12000])),
        min_size=1,
        max_size=30,
    ),
)
def test_a_service_does_what_a_simulation_without_state_does(
    of: Service, gaps: list[tuple[int, int]]
) -> None:
    times = accumulate((gap for gap, _ in gaps), initial=12 * SECOND)
    arrivals = [(at, delay_us) for at, (_, delay_us) in zip(times, gaps, strict=False)]
    for one, expected in zip(admitted(of, arrivals), simulate(of, arrivals), strict=True):
        if expected.begin_ns is None:
            assert (one.status, one.begin_ns) == (503, expected.arrived_ns)
        else:
            assert one == (SERVED, expected.begin_ns, expected.due_ns, 0)


# Against formulas -------------------------------------------------------------------------------


def lost_share(offered: float, places: int, queue: int) -> float:
    """Return the share of requests that find M/M/K/K+Q full; Erlang's B without a queue."""
    weights = [offered**n / math.factorial(min(n, places)) for n in range(places + queue + 1)]
    for n in range(places + 1, places + queue + 1):
        weights[n] /= float(places) ** (n - places)
    return weights[-1] / sum(weights)


def test_the_formula_of_lost_requests_is_erlangs() -> None:
    # B(K) = a B(K - 1) / (K + a B(K - 1)), B(0) = 1
    blocked = 1.0
    for places in range(1, 11):
        blocked = 8 * blocked / (places + 8 * blocked)
    assert lost_share(8, 10, 0) == pytest.approx(blocked)


@pytest.mark.parametrize(("offered", "places", "queue"), [(8.0, 10, 0), (4.0, 5, 4), (0.8, 1, 3)])
def test_as_many_requests_are_refused_as_the_formula_says(
    offered: float, places: int, queue: int
) -> None:
    drawn = random.Random(16)
    at, arrivals = 0.0, []
    for _ in range(40_000):
        at += drawn.expovariate(offered)
        arrivals.append((round(at * SECOND), round(drawn.expovariate(1) * 1e6)))
    answers = admitted(service(capacity=str(places), queue=str(queue)), arrivals)
    is_lost = [one.status == 503 for one in answers[4_000:]]
    # Batches are independent where single requests are not.
    batches = [sum(is_lost[at : at + 1125]) / 1125 for at in range(0, 36_000, 1125)]
    mean = sum(batches) / 32
    error = math.sqrt(sum((one - mean) ** 2 for one in batches) / 31 / 32)
    assert abs(mean - lost_share(offered, places, queue)) < 3 * error
    assert abs(mean - lost_share(offered, places + 1, queue)) > 5 * error


@given(
    st.sampled_from([1, 2, 5, 100, 1000]),
    st.integers(1, 30),
    st.lists(st.integers(0, 3 * SECOND), min_size=1, max_size=60),
    st.integers(0, 10**6),
)
def test_tokens_come_at_a_rate_and_are_kept_up_to_the_burst(
    rate: int, burst: int, gaps: list[int], scale: int
) -> None:
    state = ServiceState(service(rate_limit=f"{rate}:{burst}"))
    tokens, at = Fraction(burst), SECOND
    for gap in gaps:
        gap_ns = gap * scale // 10**6
        at += gap_ns
        tokens = min(Fraction(burst), tokens + Fraction(gap_ns * rate, SECOND))
        answer = state.admit(at, 1000)
        if tokens >= 1:
            tokens -= 1
            assert answer == (SERVED, at, at + MS, 0)
        else:
            wait_s = max(1, math.ceil((1 - tokens) / rate))
            assert answer == (429, at, at, wait_s)


def test_the_burst_is_a_tenth_of_a_second_unless_it_is_given() -> None:
    assert (service(rate_limit="200").burst, service(rate_limit="5").burst) == (20, 1)
    assert service(rate_limit="200:3").burst == 3


def test_spent_bucket_accepts_no_burst_at_the_start() -> None:
    """It begins as it is after hard use: with one request per interval, from one interval on."""
    state = ServiceState(service(rate_limit="200:20:spent"))
    accepted_ms = [
        at_ms for at_ms in range(7, 57) if state.admit(at_ms * 1_000_000, 0).status == SERVED
    ]

    assert accepted_ms == [12, 17, 22, 27, 32, 37, 42, 47, 52]
    assert service(rate_limit="200:20:spent").flags() == {"rate-limit": "200:20:spent"}
    with pytest.raises(ServiceError, match="nothing may follow 'spent'"):
        service(rate_limit="200:20:spent:")


def test_a_token_is_taken_before_there_is_no_room_in_the_queue() -> None:
    of = service(capacity="1", queue="0", rate_limit="1:2")
    statuses = [one.status for one in admitted(of, [(0, 5_000_000)] * 3)]
    assert statuses == [SERVED, 503, 429]


def test_a_refusal_says_when_to_try_again() -> None:
    of = service(capacity="1", queue="0")
    _, refused, later = admitted(of, [(0, 2_500_000), (SECOND, 0), (int(2.4 * SECOND), 0)])
    assert (refused.status, refused.retry_after_s) == (503, 2)
    assert (later.status, later.retry_after_s) == (503, 1)


def test_requests_in_service_slow_down_the_next_by_the_formula() -> None:
    of = service(slowdown="0.02,0.0005")
    spans_us = [(one.due_ns - one.begin_ns) / 1000 for one in admitted(of, [(5, 100_000)] * 100)]
    for n, span_us in enumerate(spans_us, 1):
        assert span_us == pytest.approx(100_000 * (1 + 0.02 * (n - 1) + 0.0005 * n * (n - 1)))
    # Those in service at the begin count, and not those that wait.
    waits = admitted(service(capacity="2", slowdown="1,0"), [(0, 100_000)] * 4)
    assert [(one.begin_ns // MS, one.due_ns // MS) for one in waits] == [
        *((0, 100), (0, 200), (100, 300), (200, 400))
    ]


@pytest.mark.parametrize(
    ("arrived_ms", "delay_ms", "due_ms"),
    [
        (0, 100, 100),
        (9_899, 100, 9_999),
        (9_900, 100, 11_400),  # due when the stall begins
        (10_500, 0, 11_400),
        (10_500, 899, 11_400),
        (10_500, 901, 11_401),  # delays go on during a stall
        (11_400, 0, 11_400),
        (19_000, 1_500, 21_400),
        (500, 60_000, 60_000 + 1_400),
    ],
)
def test_answers_wait_for_the_end_of_a_stall(arrived_ms: int, delay_ms: int, due_ms: int) -> None:
    origin = 77 * SECOND
    state = ServiceState(service(stall="10:1.4"))
    state.admit(origin, 0)
    answer = state.admit(origin + arrived_ms * MS, delay_ms * 1000)
    assert answer == (SERVED, origin + arrived_ms * MS, origin + due_ms * MS, 0)


def test_a_step_down_interrupts_nobody_and_a_step_up_serves_who_waits() -> None:
    down = admitted(service(capacity="2@0,1@1"), [(0, 2_000_000), (0, 3_000_000), (SECOND, 0)])
    assert [one.begin_ns // SECOND for one in down] == [0, 0, 3]
    up = admitted(service(capacity="1@0,3@2"), [(0, 9_000_000)] * 4)
    assert [one.begin_ns // SECOND for one in up] == [0, 2, 2, 9]


def test_without_limits_requests_are_served_at_once() -> None:
    assert Service().begun() is None
    assert service(fault_seed="5").begun() is None
    for one in admitted(service(fault_share="500@1"), [(5, 1000), (5, 0), (6, 1000)]):
        assert one.status == SERVED
        assert one.begin_ns in (5, 6)


# Faults -----------------------------------------------------------------------------------------


def test_faults_have_their_shares_and_the_same_seed_chooses_the_same_requests() -> None:
    of = service(fault_share="500@1,reset@0.5,hang@20", fault_seed="7")
    found = [of.fault_of(seq) for seq in range(100_000)]
    for fault, percent in (("500", 1), ("reset", 0.5), ("hang", 20), ("", 78.5)):
        expected = 1000 * percent
        assert abs(found.count(fault) - expected) < 5 * math.sqrt(expected)
    # No part of the run has more of them, and no failure makes the next one more likely.
    for start in range(0, 100_000, 10_000):
        assert abs(found[start : start + 10_000].count("hang") - 2000) < 5 * math.sqrt(1600)
    pairs = sum(one == two == "hang" for one, two in pairwise(found))
    assert abs(pairs - 4000) < 5 * math.sqrt(4000)
    again = service(fault_share="500@1,reset@0.5,hang@20", fault_seed="7")
    assert [again.fault_of(seq) for seq in range(2000)] == found[:2000]
    other = service(fault_share="500@1,reset@0.5,hang@20", fault_seed="8")
    assert [other.fault_of(seq) for seq in range(2000)] != found[:2000]


def test_the_chosen_requests_never_change() -> None:
    # Results of earlier runs are compared with later ones by seq.
    of = service(fault_share="500@2")
    assert [seq for seq in range(200) if of.fault_of(seq)] == [46, 63, 183]


def test_all_fail_at_a_hundred_percent_and_none_without_a_share() -> None:
    assert {service(fault_share="302@100").fault_of(seq) for seq in range(1000)} == {"302"}
    assert {Service().fault_of(seq) for seq in range(10)} == {""}


# Text -------------------------------------------------------------------------------------------


@given(
    st.builds(
        lambda **flags: service(**{flag: text for flag, text in flags.items() if text}),
        capacity=st.sampled_from(["3", "50@0,20@10", "1@0,2@0.5,3@0.75"]),
        queue=st.sampled_from(["", "0", "1000000"]),
        rate_limit=st.sampled_from(["", "0.001", "200", "200:3.5", "200:3.5:spent"]),
        slowdown=st.sampled_from(["", "0,0.25", "0.02,0.0005", "0,0"]),
        stall=st.sampled_from(["", "10:1.4", "0.5:0.001"]),
        fault_share=st.sampled_from(["", "500@1", "500@1%,reset@0.25"]),
        fault_seed=st.sampled_from(["", "0", "7"]),
    )
)
def test_the_flags_of_a_service_describe_it(of: Service) -> None:
    again = Service.parse(of.flags())
    assert again.flags() == of.flags()
    assert str(again) == str(of)
    assert [again.fault_of(seq) for seq in range(200)] == [of.fault_of(seq) for seq in range(200)]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"capacity": "0"}, "capacity 0: give 1 to 1000000 requests"),
        ({"capacity": "1000001"}, "capacity 1000001: give 1 to 1000000 requests"),
        ({"capacity": "-5"}, "capacity '-5': give whole numbers of requests"),
        ({"capacity": "2.5"}, "capacity '2.5': give whole numbers of requests"),
        ({"capacity": "nan"}, "capacity 'nan': give whole numbers of requests"),
        ({"capacity": ""}, "capacity '': give whole numbers of requests"),
        ({"capacity": "٣"}, r"capacity '\u0663': give whole numbers of requests"),
        ({"capacity": "50,20"}, "capacity '50,20': give each step its begin in seconds"),
        ({"capacity": "50@1"}, "capacity 50@1: the first step must begin at 0 s"),
        ({"capacity": "5@0,2@0"}, "capacity 5@0,2@0: each step must begin after the one before"),
        ({"capacity": "5@0,2@9,1@3"}, "each step must begin after the one before"),
        ({"capacity": "5@0,2@nan"}, "'nan' is not a number; write it as in 50@0,20@10"),
        ({"capacity": "5@0,2@1e9"}, "'1e9' is not a number; write it as in 50@0,20@10"),
        ({"capacity": "5@0,2@86401"}, "capacity step 86401: give 0 to 86400"),
        ({"capacity": ",".join(f"5@{at}" for at in range(101))}, "101 steps are too many"),
        ({"queue": "5"}, "queue 5: without a capacity nothing waits; add --capacity"),
        ({"queue": "x", "capacity": "1"}, "queue 'x': give a whole number of requests"),
        ({"queue": "1000001", "capacity": "1"}, "queue 1000001: give 0 to 1000000 requests"),
        ({"rate-limit": "0"}, "rate-limit 0: give 0.001 to 1000000"),
        ({"rate-limit": "0:5"}, "rate-limit 0: give 0.001 to 1000000"),
        ({"rate-limit": "nan"}, "rate-limit 'nan': 'nan' is not a number"),
        ({"rate-limit": "inf"}, "rate-limit 'inf': 'inf' is not a number"),
        ({"rate-limit": "-1"}, "rate-limit '-1': '-1' is not a number"),
        ({"rate-limit": "5:"}, "rate-limit '5:': a number is missing; write it as in 200:20"),
        ({"rate-limit": "5:0"}, "rate-limit: burst 0: give 1 to 1000000"),
        ({"rate-limit": "1000001"}, "rate-limit 1000001: give 0.001 to 1000000"),
        ({"slowdown": "0.1"}, "slowdown '0.1': a number is missing; write it as in 0.02,0.0005"),
        ({"slowdown": "nan,0"}, "slowdown 'nan,0': 'nan' is not a number"),
        ({"slowdown": "1001,0"}, "slowdown 1001: give 0 to 1000"),
        ({"stall": "10"}, "stall '10': a number is missing; write it as in 10:1.4"),
        ({"stall": "1.4:10"}, "stall 1.4:10: a stall must end before the next one"),
        ({"stall": "5:5"}, "stall 5:5: a stall must end before the next one begins"),
        ({"stall": "0:0"}, "stall '0:0': for no stalls, leave it out"),
        ({"stall": "10:0"}, "stall '10:0': for no stalls, leave it out"),
        ({"stall": "0:1"}, "stall 0: give 0.001 to 86400"),
        ({"fault-share": "explode@5"}, "fault-share 'explode': there is no such fault; choose"),
        # A whole answer fails nothing, and an honest run would be INVALID for it.
        ({"fault-share": "late-body@5"}, "fault-share 'late-body': there is no such fault"),
        ({"fault-share": "500@1,reset@1,500@2"}, "fault-share: a fault is given twice; add"),
        ({"fault-share": "500"}, "fault-share '500': a number is missing; write it as in 500@1"),
        ({"fault-share": "500@nan"}, "fault-share '500@nan': 'nan' is not a number"),
        ({"fault-share": "500@0"}, "fault-share 0: give 0.0001 to 100"),
        ({"fault-share": "500@101"}, "fault-share 101: give 0.0001 to 100"),
        (
            {"fault-share": "500@60,503@41"},
            "fault-share 500@60,503@41: it adds up to more than 100 %",
        ),
        ({"fault-seed": "-1"}, "fault-seed '-1': give a whole number from 0 on"),
        ({"fault-seed": "9" * 19}, "fault-seed 9999999999999999999: give 0 to 9223372036854775807"),
        ({"capactiy": "5"}, "'capactiy' is no property of a service: choose from capacity, queue"),
    ],
)
def test_a_service_that_makes_no_sense_is_refused(flags: dict[str, str], said: str) -> None:
    with pytest.raises(ServiceError) as refused:
        Service.parse(flags)
    assert said in str(refused.value)
    assert str(refused.value).isascii()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("flag", ["rate_limit_per_s", "burst", "sigma", "kappa", "stall_every_s"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0])
def test_numbers_that_make_no_sense_are_refused_whoever_made_them(flag: str, value: float) -> None:
    with pytest.raises(ServiceError):
        Service(**{flag: value}).check()  # type: ignore[arg-type]


def test_the_worst_slowdown_fits_into_the_ledger() -> None:
    of = service(slowdown="1000,1000", stall="86400:86399")
    ledger, state = RunLedger(b""), of.begun()
    assert state is not None
    for seq in range(1000):
        admission = state.admit(10**18 // 2 + seq, 60_000_000)
        ledger.arrive(seq, 1, 10**18 // 2 + seq, 60_000_000, 200, admission)
    assert max(ledger.due_ns) < 2**60


def test_every_fault_can_have_a_share() -> None:
    text = ",".join(f"{fault}@5" for fault in FAILURES)
    assert service(fault_share=text).flags()["fault-share"] == text
