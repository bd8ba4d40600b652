"""The ideal client on link graphs: by hand, by a formula, and by a simulation in steps of time."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.sites.ideal import NO_LIMIT, Limits, ideal_of, simulate
from bench.sites.truth import truth_of
from server.site.spec import SiteSpec


@dataclass
class ByHand:
    """A graph by hand. Instants are small numbers, so that time can go in steps of 1."""

    links: dict[int, list[int]]
    delays: dict[int, int] = field(default_factory=dict)
    hosts: dict[int, int] = field(default_factory=dict)
    robots: dict[int, int] = field(default_factory=dict)
    start: int = 0

    def links_of(self, number: int) -> list[int]:
        return self.links.get(number, [])

    def delay_ns_of(self, number: int) -> int:
        return self.delays.get(number, 10)

    def host_of(self, number: int) -> int:
        return self.hosts.get(number, 0)

    def robots_of(self, host: int) -> int | None:
        return self.robots.get(host)


def makespan(graph: ByHand, slots: int, **limits: int) -> int:
    return simulate(graph, Limits(slots, **limits)).makespan_ns


CHAIN = ByHand({n: [n + 1] for n in range(9)})
TREE = ByHand({0: [1, 2], 1: [3, 4], 2: [5, 6]})
"""A binary tree of 7."""


def star(
    pages: int, hosts: dict[int, int] | None = None, robots: dict[int, int] | None = None
) -> ByHand:
    return ByHand({0: list(range(1, pages))}, {}, hosts or {}, robots or {})


@pytest.mark.parametrize(("pages", "slots"), [(1, 5), (101, 10), (102, 10), (50, 100)])
def test_with_all_pages_linked_from_home_it_takes_full_waves(pages: int, slots: int) -> None:
    waves = -(-(pages - 1) // slots)
    assert makespan(star(pages), slots) == 10 + waves * 10
    after_robots = star(pages, robots={0: 999})
    assert makespan(after_robots, slots) == 20 + waves * 10


@pytest.mark.parametrize(
    ("graph", "limits", "expected"),
    [
        (CHAIN, {"slots": 100}, 100),
        (CHAIN, {"slots": 1}, 100),
        (CHAIN, {"slots": 9, "max_depth": 3}, 40),
        (TREE, {"slots": 4}, 30),
        (TREE, {"slots": 3}, 40),
        (TREE, {"slots": 1}, 70),
        # One host: starts at 0 (robots), 25, 50 ... and the last takes 10.
        (star(4, robots={0: 99}), {"slots": 9, "host_delay_ns": 25}, 4 * 25 + 10),
        # The Crawl-delay is known from 10 on, and counts from the last start.
        (star(4, robots={0: 99}), {"slots": 9, "crawl_delay_ns": 25}, 4 * 25 + 10),
        (star(9), {"slots": 9, "per_host": 2}, 10 + 4 * 10),
        # Two hosts with two at a time each; the second one's robots.txt comes first: 20 + 10, and
        # then two waves, as the first host has its own.
        (
            star(9, hosts={n: n % 2 for n in range(1, 9)} | {99: 1}, robots={1: 99}),
            {"slots": 9, "per_host": 2},
            10 + 10 + 20,
        ),
        # A link to itself, and to what is known.
        (ByHand({0: [0, 1], 1: [0, 1]}), {"slots": 2}, 20),
    ],
)
def test_small_graphs_take_as_long_as_counted_by_hand(
    graph: ByHand, limits: dict[str, int], expected: int
) -> None:
    assert simulate(graph, Limits(**limits)).makespan_ns == expected


def test_what_was_found_first_is_fetched_first() -> None:
    graph = ByHand({0: [3, 1], 3: [2], 1: [4]}, delays={3: 20, 1: 5})
    assert list(simulate(graph, Limits(2)).numbers) == [0, 3, 1, 4, 2]


def stepwise(graph: ByHand, limits: Limits) -> dict[int, tuple[int, int]]:
    """Return the span of each fetch: look at every instant what can be started."""
    spans: dict[int, tuple[int, int]] = {}
    found: list[tuple[int, int]] = []
    known, is_ready = set(), set()

    def find(number: int, depth: int) -> None:
        if number in known or depth > limits.max_depth:
            return
        host = graph.host_of(number)
        robots = graph.robots_of(host)
        for one, far in ((robots, 0), (number, depth)):
            if one is not None and one not in known:
                known.add(one)
                found.append((one, far))

    find(graph.start, 0)
    for now in range(3000):
        depths = dict(found)
        ended = [one for one, span in spans.items() if span[1] == now]
        for number in sorted(ended, key=list(spans).index):
            host = graph.host_of(number)
            if number == graph.robots_of(host):
                is_ready.add(host)
            for link in graph.links_of(number):
                find(link, depths[number] + 1)
        for number, _ in found:
            host = graph.host_of(number)
            robots = graph.robots_of(host)
            here = [span for one, span in spans.items() if graph.host_of(one) == host]
            gap = limits.host_delay_ns
            if host in is_ready:
                gap = max(gap, limits.crawl_delay_ns)
            active = sum(now < end for _, end in here)
            if (
                number not in spans
                and sum(now < end for _, end in spans.values()) < limits.slots
                and (number == robots or robots is None or host in is_ready)
                and not 0 < limits.per_host <= active
                and all(now >= start + gap for start, _ in here)
            ):
                spans[number] = (now, now + graph.delay_ns_of(number))
        if found and all(one in spans and spans[one][1] <= now for one, _ in found):
            return spans
    raise AssertionError("it never ends")


@st.composite
def graphs(draw: st.DrawFn) -> ByHand:
    count = draw(st.integers(1, 12))
    numbers = st.integers(0, count - 1)
    links = {n: draw(st.lists(numbers, max_size=4)) for n in range(count)}
    delays = {n: draw(st.integers(1, 9)) for n in range(count)}
    hosts = {n: draw(st.integers(0, 2)) for n in range(count)}
    robots = {host: 100 + host for host in range(3) if draw(st.booleans())}
    hosts |= {100 + host: host for host in range(3)}
    return ByHand(links, delays, hosts, robots)


@settings(max_examples=80, deadline=None)
@given(
    graphs(),
    st.builds(
        Limits,
        slots=st.integers(1, 5),
        per_host=st.integers(0, 2),
        host_delay_ns=st.sampled_from([0, 0, 3, 11]),
        crawl_delay_ns=st.sampled_from([0, 7]),
        max_depth=st.sampled_from([2, NO_LIMIT]),
    ),
)
def test_it_is_what_a_simulation_in_steps_of_time_does(graph: ByHand, limits: Limits) -> None:
    plan = simulate(graph, limits)
    spans = zip(plan.start_ns, plan.end_ns, strict=True)
    assert dict(zip(plan.numbers, spans, strict=True)) == stepwise(graph, limits)


def test_on_a_whole_site_every_page_is_fetched_and_slots_are_full() -> None:
    text = SiteSpec.parse("pages=2000;with=all;hosts=2").text
    truth = truth_of(text)
    ideal = ideal_of(text, Limits(20, max_depth=truth.site.depth_limit))
    assert ideal.fetched.values[-1] == truth.should_be_fetched().sum()
    assert ideal.fetched.at_s[-1] == ideal.makespan_ns / 1e9
    least_ns = truth.delay_us[truth.should_be_fetched()].sum() * 1000 / 20
    assert least_ns < ideal.makespan_ns < 1.3 * least_ns
