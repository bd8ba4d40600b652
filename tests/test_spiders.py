"""Every spider on a small site with all difficulties, by what the server saw."""

from collections import Counter, deque
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import pytest

from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from crawlers.contract import ERROR_WORDS
from crawlers.spiders.registry import find_spider
from crawlers.spiders.task import BUDGET_SPENT, DONE, PROCESSES, THREADS, SiteTask
from server.announcement import Addresses
from server.process import ServerProcess
from server.service import PLAIN, FaultShare, Service
from server.site.resources import Kind, index_of, kind_of, number_of
from server.site.site import Site
from server.site.spec import SiteSpec

SPEC = SiteSpec.parse("pages=200;links=8;size=3000;delay=1;hosts=2;with=all")
SITE = Site(SPEC)
ROBOTS = [number_of(Kind.ROBOTS, host) for host in range(SPEC.hosts)]
HOSTS = SPEC.hosts + 1
"""One is not of the site, and links lead there."""


class Crawl(NamedTuple):
    """What both ends recorded."""

    arrived: list[int]
    """Resources, by the server."""
    hosts: list[tuple[int, int, int]]
    """Of each request: its host, and when it was there."""
    recorded: list[tuple[int, int, str]]
    """Of each fetch: resource, status, error."""
    depths: list[int]
    ended: str
    pending: int


@pytest.fixture(scope="module")
def addresses() -> Iterator[Addresses]:
    server = ServerProcess("--site-hosts", str(HOSTS))
    try:
        yield server.start()
    finally:
        server.stop()


def crawl(
    name: str,
    addresses: Addresses,
    concurrency: int = 8,
    service: Service = PLAIN,
    timeout_s: float = 10.0,
    **limits: float | str,
) -> Crawl:
    info = find_spider(name)
    assert info is not None
    values = {"max_depth": SITE.depth_limit, "max_fetches": 5000} | limits
    task = SiteTask(site=SPEC.text, **values)  # type: ignore[arg-type]
    run = PlannedRun(
        number=1,
        trial=1,
        cell=Cell(name, 1 if name == "serial" else concurrency, Delay.fixed(0)),
        requests=task.max_fetches,
        entrant=Entrant(name, info.program, declared_as=info.declared_as),
        service=service,
        site=task,
    )
    target = Target(addresses.data_url, addresses.control_url)
    result = ProcessRunner(target, timeout_s, UNPINNED).run(run)
    assert result.outcome is not None, result
    assert result.outcome.site is not None
    assert result.ledger is not None
    jobs, usage = result.outcome.site.jobs, result.outcome.site.usage
    fetches, ledger = result.outcome.fetches, result.ledger.columns
    assert sorted(fetches["seq"]) == list(range(len(jobs["resource"])))
    return Crawl(
        arrived=list(ledger["seq"]),
        hosts=[
            (SITE.host_of(number), arrived_ns, replied_ns)
            for number, arrived_ns, replied_ns in zip(
                ledger["seq"], ledger["arrived_ns"], ledger["replied_ns"], strict=True
            )
        ],
        recorded=[
            (jobs["resource"][seq], status, ERROR_WORDS[error])
            for seq, status, error in zip(
                fetches["seq"], fetches["status"], fetches["error"], strict=True
            )
        ],
        depths=list(jobs["depth"]),
        ended=usage.ended,
        pending=usage.pending,
    )


def some(*names: str) -> list[object]:
    """Spiders that only the thorough tests try: they resemble others."""
    return [pytest.param(name, marks=pytest.mark.thorough) for name in names]


@cache
def resources_to_fetch(service: Service = PLAIN) -> frozenset[int]:
    """By a plain search from the home page and the robots.txt of each host.

    Nothing is found in what fails.
    """
    depths = dict.fromkeys([0, *ROBOTS], 0)
    waiting = deque(depths)
    while waiting:
        number = waiting.popleft()
        for link in () if service.fault_of(number) else SITE.links_of(number):
            is_good = not link.is_nofollow and SITE.host_of(link.number) < SPEC.hosts
            if (
                is_good
                and SITE.difficulty_of(link.number) != "disallowed"
                and link.number not in depths
                and depths[number] < SITE.depth_limit
            ):
                depths[link.number] = depths[number] + 1
                waiting.append(link.number)
    return frozenset(depths)


@pytest.mark.parametrize(
    "name", [*some("serial", "asyncio-uvloop"), "threads", "gevent", "asyncio"]
)
def test_a_spider_fetches_what_it_should_once_and_nothing_else(
    name: str, addresses: Addresses
) -> None:
    seen = crawl(name, addresses)
    assert Counter(seen.arrived) == dict.fromkeys(resources_to_fetch(), 1)
    assert sorted(seen.recorded) == sorted(
        (number, SITE.status_of(number), "") for number in resources_to_fetch()
    )
    months = [index_of(number) for number in seen.arrived if kind_of(number) == Kind.CALENDAR]
    assert 0 < len(months) <= SITE.depth_limit
    assert max(seen.depths) == SITE.depth_limit
    assert (seen.ended, seen.pending) == (DONE, 0)


@pytest.mark.parametrize("parse", [pytest.param(THREADS, marks=pytest.mark.thorough), PROCESSES])
def test_pages_can_be_parsed_elsewhere(parse: str, addresses: Addresses) -> None:
    seen = crawl("asyncio", addresses, parse=parse, parsers=2)
    assert Counter(seen.arrived) == dict.fromkeys(resources_to_fetch(), 1)


@pytest.mark.parametrize("name", [*some("threads", "gevent"), "asyncio"])
def test_a_spider_keeps_the_limit_of_a_host(name: str, addresses: Addresses) -> None:
    seen = crawl(name, addresses, per_host=2)
    assert Counter(seen.arrived) == dict.fromkeys(resources_to_fetch(), 1)
    for host in range(SPEC.hosts):
        changes = [(at_ns, 1) for one, at_ns, _ in seen.hosts if one == host]
        changes += [(at_ns, -1) for one, _, at_ns in seen.hosts if one == host]
        at_once = list(accumulate(change for _, change in sorted(changes)))
        assert 1 <= max(at_once) <= 2


# Before the body, a reset would make aiohttp send the request again.
FAULTS = {
    "reset-body": "reset",
    "close-body": "closed",
    "bad-status": "malformed",
    "hang": "timeout",
}
SHARES = tuple(FaultShare(fault, 1 if fault == "hang" else 4) for fault in FAULTS)
SICK = next(
    service
    for service in (Service(fault_share=SHARES, fault_seed=seed) for seed in range(99))
    if not any(service.fault_of(number) for number in (0, *ROBOTS))
)


@pytest.mark.parametrize(
    "name", [*some("serial", "threads", "gevent", "asyncio-uvloop"), "asyncio"]
)
def test_pages_that_fail_do_not_end_a_crawl(name: str, addresses: Addresses) -> None:
    seen = crawl(name, addresses, service=SICK, timeout_s=0.5)
    expected = resources_to_fetch(SICK)
    words = {number: FAULTS.get(SICK.fault_of(number), "") for number in expected}
    assert set(words.values()) == {"", *FAULTS.values()}
    assert Counter(seen.arrived) == dict.fromkeys(expected, 1)
    assert {number: error for number, _, error in seen.recorded} == words


def test_a_spider_ends_when_it_has_fetched_enough(addresses: Addresses) -> None:
    seen = crawl("asyncio", addresses, max_fetches=50)
    assert len(seen.recorded) == len(seen.arrived) == 50
    assert seen.ended == BUDGET_SPENT
    assert seen.pending > 0
