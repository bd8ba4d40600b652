"""What is impossible: 1 200 honest runs with jitter never are, and runs that cheat are."""

import random
from collections.abc import Sequence
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import pytest

from bench.analysis.accounts import Accounts
from bench.analysis.bounds import (
    faster_than_service,
    faster_than_slots,
    started_early,
)
from bench.analysis.summary import summarise
from bench.plan.ideal import is_bound, makespan_ns
from server.ledger import ANSWERED, CLIENT_GONE
from server.models import Lognormal, Uniform
from server.service import SERVED, Service, ServiceState
from tests.accounts import arrivals, fetches, load
from tests.factories import MS, run_row

REQUESTS = 60


class Crawl(NamedTuple):
    """Columns by seq, in ns."""

    start: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    arrived: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    begin: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    replied: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    end: "np.ndarray[tuple[int], np.dtype[np.int64]]"
    status: "np.ndarray[tuple[int], np.dtype[np.int64]]"


def crawl(
    delays_us: Sequence[int],
    service: Service,
    slots: int,
    jitter: random.Random,
    due_ns: Sequence[int] = (),
    typical_ms: float = 1.0,
) -> Crawl:
    """A client and a server that are both late, by random times of an exponential distribution."""

    def late() -> int:
        return round(jitter.expovariate(1 / typical_ms) * MS)

    count = len(delays_us)
    rows = np.zeros((6, count), dtype=np.int64)
    state = ServiceState(service)
    events: list[tuple[int, int, int]] = [(10**12, -1, slot) for slot in range(slots)]
    asked = 0
    while events:
        now_ns, seq, slot = heappop(events)
        if seq >= 0:
            status, begin_ns, due, _ = state.admit(now_ns, delays_us[seq])
            replied_ns = due + late()
            end_ns = replied_ns + late()
            rows[1:, seq] = (now_ns, begin_ns, replied_ns, end_ns, status)
            heappush(events, (end_ns, -1, slot))
        elif asked < count:
            if due_ns:
                now_ns = max(now_ns, 10**12 + due_ns[asked])
            rows[0, asked] = now_ns + late()
            heappush(events, (int(rows[0, asked]) + late(), asked, slot))
            asked += 1
    return Crawl(*rows)


def violations(
    run: Crawl, delays_us: Sequence[int], service: Service, slots: int, due_ns: Sequence[int] = ()
) -> dict[str, int | None]:
    delay_us = np.array(delays_us, dtype=np.int64)
    served = run.status == SERVED
    delay_ns = np.where(served, delay_us * 1000, 0)
    found = {
        "slots": faster_than_slots(run.start, run.end, delay_ns, slots),
        "service": faster_than_service(
            run.arrived[served],
            run.begin[served],
            run.replied[served],
            delay_us[served],
            service,
            first_ns=int(run.arrived.min()),
        ),
    }
    if due_ns:
        found["due"] = started_early(run.start, 10**12 + np.array(due_ns, dtype=np.int64))
    return {what: excess for what, excess in found.items() if excess is not None}


FLAGS: tuple[dict[str, str], ...] = (
    {},
    {"capacity": "3"},
    {"capacity": "8@0,2@0.1"},
    {"capacity": "2@0,8@0.1"},
    {"capacity": "4", "queue": "2"},
    {"rate-limit": "200:10"},
    {"slowdown": "0.05,0.01"},
    {"stall": "0.1:0.04"},
    {"capacity": "3", "stall": "0.1:0.07"},
    {
        "capacity": "5@0,3@0.2",
        "queue": "4",
        "rate-limit": "500:20",
        "slowdown": "0.02,0.001",
        "stall": "0.2:0.05",
    },
)
SERVICES = tuple(map(Service.parse, FLAGS))


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: str(service) or "plain")
def test_no_honest_run_is_impossible(service: Service) -> None:
    for number in range(120):
        jitter = random.Random(number)
        slots = jitter.choice((1, 2, 5, 12))
        model = (Lognormal(8_000, 90_000), Uniform(10_000, 10_000), Uniform(0, 20_000))[number % 3]
        delays_us = model.drawn(number, REQUESTS)
        typical_ms = jitter.choice((0.01, 0.3, 5.0))
        due_ns: list[int] = []
        if number % 2:
            due_ns = sorted(jitter.randrange(300 * MS) for _ in delays_us)
        run = crawl(delays_us, service, slots, jitter, due_ns, typical_ms)
        assert not violations(run, delays_us, service, slots, due_ns), (number, service)
        if is_bound(service, slots, bool(due_ns)):
            assert makespan_ns(delays_us, service, slots=slots) <= run.end.max() - run.start.min()


def test_the_ideal_client_is_beaten_where_it_is_no_bound() -> None:
    """A client's overhead changes the order of heavy tails in the queue, for better or worse."""
    three = Service.parse({"capacity": "3"})
    beaten = 0
    for seed in range(100):
        delays_us = Lognormal(8_000, 90_000).drawn(seed, REQUESTS)
        run = crawl(delays_us, three, 12, random.Random(seed), typical_ms=0.3)
        beaten += makespan_ns(delays_us, three, slots=12) > run.end.max() - run.start.min()
    assert beaten > 5


def test_a_crawl_with_more_slots_than_asked_for_is_found() -> None:
    delays_us = Lognormal(8_000, 90_000).drawn(1, REQUESTS)
    run = crawl(delays_us, Service(), 6, random.Random(1))
    assert violations(run, delays_us, Service(), 6) == {}
    found = violations(run, delays_us, Service(), 4)
    assert found.keys() == {"slots"}


def test_a_service_with_more_places_than_asked_for_is_found() -> None:
    delays_us = Uniform(10_000, 10_000).drawn(1, REQUESTS)
    three, four = (Service.parse({"capacity": str(k)}) for k in (3, 4))
    run = crawl(delays_us, four, 12, random.Random(1), typical_ms=0.1)
    assert violations(run, delays_us, four, 12) == {}
    found = violations(run, delays_us, three, 12)
    assert found.keys() == {"service"}
    # 20 waves of 10 ms instead of 15, and what the client added.
    assert found["service"] == pytest.approx(50 * MS, abs=3 * MS)


def test_a_service_that_leaves_out_its_stalls_is_found() -> None:
    delays_us = Uniform(10_000, 10_000).drawn(1, REQUESTS)
    with_stalls = Service.parse({"capacity": "3", "stall": "0.1:0.07"})
    run = crawl(delays_us, Service.parse({"capacity": "3"}), 12, random.Random(1))
    assert violations(run, delays_us, with_stalls, 12).keys() == {"service"}


def test_the_service_counts_time_from_the_first_arrival_even_if_that_was_not_served() -> None:
    """A client that left at once, and 0.5 s later the others: at a service that opened by then."""
    opening = Service.parse({"capacity": "1@0,8@0.1"})
    delays_us = np.array([5_000] * 9)
    arrived = np.array([0] + [500 * MS] * 8)
    state = ServiceState(opening)
    admitted = [state.admit(at, 5_000) for at in arrived.tolist()]
    begin = np.array([one.begin_ns for one in admitted])
    replied = np.array([one.due_ns for one in admitted])

    def excess_ns(first_ns: int) -> int | None:
        served = (arrived[1:], begin[1:], replied[1:], delays_us[1:])
        return faster_than_service(*served, opening, first_ns=first_ns)

    assert excess_ns(0) is None
    assert excess_ns(500 * MS) == 35 * MS


def test_a_start_before_its_due_time_is_found() -> None:
    delays_us = Uniform(10_000, 10_000).drawn(1, REQUESTS)
    due_ns = [seq * 5 * MS for seq in range(REQUESTS)]
    run = crawl(delays_us, Service(), 12, random.Random(1), due_ns)
    assert violations(run, delays_us, Service(), 12, due_ns) == {}
    start = run.start.copy()
    start[9] = 10**12 + due_ns[9] - 3
    cheated = run._replace(start=start)
    assert violations(cheated, delays_us, Service(), 12, due_ns) == {"due": 3}


def test_of_no_requests_nothing_is_impossible() -> None:
    none = np.zeros(0, dtype=np.int64)
    assert faster_than_slots(none, none, none, 5) is None
    assert faster_than_service(none, none, none, none, Service(), first_ns=0) is None
    assert started_early(none, none) is None


@pytest.mark.parametrize(("opens_after_s", "excess_ms"), [("0.1", None), ("0.7", 35)])
def test_a_run_whose_first_client_left_is_judged_by_the_time_of_its_service(
    opens_after_s: str, excess_ms: int | None
) -> None:
    """One of nine leaves, and the others follow after 0.5 s, all at a time."""
    fetched = [(0, 1000, 1001, 0, 0, 1)]
    fetched += [(seq, 1500, 1506, 200, 1, 0) for seq in range(1, 9)]
    rows = [(0, 1, 1000, 1001, 5_000, 200, CLIENT_GONE)]
    rows += [(seq, 1 + seq, 1500, 1505, 5_000, 200, ANSWERED) for seq in range(1, 9)]
    service = Service.parse({"capacity": f"1@0,8@{opens_after_s}"})
    run = run_row(9, delay_us=5_000, concurrency=9, service=service)
    summary = summarise(run, Accounts(fetches(*fetched), arrivals(*rows), load()))
    assert summary is not None
    assert summary.beyond_service_ns == (excess_ms and excess_ms * MS)
    assert summary.beyond_slots_ns is None


def test_a_run_of_which_nothing_was_served_is_not_impossible() -> None:
    service = Service.parse({"capacity": "1"})
    accounts = Accounts(
        fetches((0, 1000, 1001, 0, 0, 1)),
        arrivals((0, 1, 1000, 1001, 5_000, 200, CLIENT_GONE)),
        load(),
    )
    summary = summarise(run_row(1, delay_us=5_000, service=service), accounts)
    assert summary is not None
    assert summary.beyond_service_ns is None
