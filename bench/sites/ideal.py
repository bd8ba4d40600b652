"""Simulates the ideal client on the link graph of a site. Pure.

It has the same slots and limits as the spider, never waits without need, and computes in no time.
It fetches what it found first first, and knows a link only once the page with the link has arrived,
so that the order of discovery constrains it as it does every spider.

It is a reference, and no bound: a client that fetches in another order may find the pages sooner
that lead to the most others, or fetch the slow ones earlier. No order is best for all sites, and to
find the best one is a scheduling problem without a quick solution (with precedence constraints it
is NP-hard: Garey and Johnson 1979, SS9). First in, first out is what a frontier usually does.
"""

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from typing import Protocol

import numpy as np

from bench.sites.curves import Curve, counted
from bench.sites.truth import LinkGraph, truth_of

NO_LIMIT = 2**62


class Graph(Protocol):
    """Resources, and the links between them."""

    start: int
    """The one that is known at the begin."""

    def links_of(self, number: int, /) -> Iterable[int]:
        """Return what a resource leads to, in order."""

    def delay_ns_of(self, number: int, /) -> int:
        """Return how long the answer takes."""

    def host_of(self, number: int, /) -> int:
        """Return the host that answers."""

    def robots_of(self, host: int, /) -> int | None:
        """Return what must be fetched of a host before anything else; None for nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a client must keep."""

    slots: int
    """The most fetches at a time."""
    per_host: int = 0
    """The most fetches of one host at a time; 0 for no limit."""
    host_delay_ns: int = 0
    """The least time between the starts of two fetches of one host."""
    crawl_delay_ns: int = 0
    """The same, from when the robots.txt of the host is known."""
    max_depth: int = NO_LIMIT
    """Nothing further from the start than this, by links, is fetched."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What was fetched, in the order of the starts, from 0 on."""

    numbers: "array[int]"
    start_ns: "array[int]"
    end_ns: "array[int]"

    @property
    def makespan_ns(self) -> int:
        """The end of the last fetch."""
        return max(self.end_ns, default=0)


@dataclass(slots=True)
class _Host:
    """One host: what waits for it, in the order of discovery, and when it may be asked."""

    gap_ns: int
    waiting: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Order of discovery, resource, and depth."""
    in_flight: int = 0
    start_ns: int = -NO_LIMIT
    """Of its last fetch."""
    robots: int | None = None
    is_held: bool = False
    """Whether its robots.txt is being fetched."""
    is_listed: bool = False
    """Whether it is among those that may be asked, now or later."""


def simulate(graph: Graph, limits: Limits) -> Schedule:
    """Return what the ideal client fetches, and when.

    Of the hosts that may be asked, it asks the one whose first resource was found first.
    """
    crawl = _Crawl(graph, limits)
    return crawl.run()


class _Crawl:
    """A simulation under way."""

    def __init__(self, graph: Graph, limits: Limits) -> None:
        self.graph, self.limits = graph, limits
        self.hosts: dict[int, _Host] = {}
        self.seen: set[int] = set()
        self.order = count()
        self.now_ns = 0
        self.running: list[tuple[int, int, int, int]] = []
        """End, place in the schedule, resource, depth."""
        self.ready: list[tuple[int, int]] = []
        """Order of the first that waits, and its host: it may be asked now."""
        self.later: list[tuple[int, int]] = []
        """When a host may be asked that has something to be asked for."""
        self.schedule = Schedule(array("q"), array("q"), array("q"))

    def run(self) -> Schedule:
        self.found(self.graph.start, 0)
        while True:
            while self.later and self.later[0][0] <= self.now_ns:
                host = heappop(self.later)[1]
                heappush(self.ready, (self.hosts[host].waiting[0][0], host))
            while self.ready and len(self.running) < self.limits.slots:
                self.begin(heappop(self.ready)[1])
            if not self.running and not self.later:
                return self.schedule
            self.now_ns = self.next_instant()
            while self.running and self.running[0][0] <= self.now_ns:
                self.end()

    def next_instant(self) -> int:
        ends = self.running[0][0] if self.running else NO_LIMIT
        has_slot = len(self.running) < self.limits.slots
        return min(ends, self.later[0][0]) if has_slot and self.later else ends

    def found(self, number: int, depth: int) -> None:
        if number in self.seen or depth > self.limits.max_depth:
            return
        self.seen.add(number)
        index = self.graph.host_of(number)
        host = self.hosts.get(index)
        if host is None:
            robots = self.graph.robots_of(index)
            host = self.hosts[index] = _Host(self.limits.host_delay_ns, robots=robots)
            if robots is not None and robots != number:
                self.seen.add(robots)
                host.waiting.append((next(self.order), robots, 0))
        host.waiting.append((next(self.order), number, depth))
        if not host.is_listed:
            self.list(index, host)

    def list(self, index: int, host: _Host) -> None:
        is_full = 0 < self.limits.per_host <= host.in_flight
        if host.is_listed or not host.waiting or host.is_held or is_full:
            return
        host.is_listed = True
        at_ns = host.start_ns + host.gap_ns
        if at_ns > self.now_ns:
            heappush(self.later, (at_ns, index))
        else:
            heappush(self.ready, (host.waiting[0][0], index))

    def begin(self, index: int) -> None:
        host = self.hosts[index]
        host.is_listed = False
        _, number, depth = host.waiting.popleft()
        host.in_flight += 1
        host.start_ns = self.now_ns
        host.is_held = number == host.robots
        end_ns = self.now_ns + self.graph.delay_ns_of(number)
        heappush(self.running, (end_ns, len(self.schedule.numbers), number, depth))
        self.schedule.numbers.append(number)
        self.schedule.start_ns.append(self.now_ns)
        self.schedule.end_ns.append(end_ns)
        self.list(index, host)

    def end(self) -> None:
        _, _, number, depth = heappop(self.running)
        index = self.graph.host_of(number)
        host = self.hosts[index]
        host.in_flight -= 1
        if number == host.robots:
            host.is_held = False
            host.gap_ns = max(host.gap_ns, self.limits.crawl_delay_ns)
        for link in self.graph.links_of(number):
            if link not in self.seen:
                self.found(link, depth + 1)
        self.list(index, host)


@dataclass(frozen=True, slots=True)
class SiteIdeal:
    """The ideal client on a whole site."""

    makespan_ns: int
    fetches: int
    fetched: Curve
    """Pages that should be fetched, over time."""


@lru_cache(maxsize=1000)
def ideal_of(site: str, limits: Limits, omits: tuple[str, ...] = ()) -> SiteIdeal:
    """Simulate the ideal client on the site of a spec's text, without what a spider omits."""
    truth = truth_of(site)
    schedule = simulate(_graph_of(site, omits), limits)
    numbers, end_ns = np.array(schedule.numbers), np.array(schedule.end_ns)
    is_page = truth.is_page(numbers)
    is_page[is_page] = truth.should_be_fetched(omits)[numbers[is_page]]
    return SiteIdeal(
        makespan_ns=schedule.makespan_ns,
        fetches=len(numbers),
        fetched=counted(end_ns[is_page], schedule.makespan_ns),
    )


@lru_cache(maxsize=4)
def _graph_of(site: str, omits: tuple[str, ...]) -> LinkGraph:
    return LinkGraph(truth_of(site), omits)
