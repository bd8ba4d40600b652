"""Computes the numbers of one run of a spider. Pure.

bench.sites.validity decides whether they can be believed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.summary import RunSummary
from bench.results.columns import IntColumns
from bench.sites.accounts import SiteAccounts
from bench.sites.curves import Curve, counted, difference, most_at_once, sampled
from bench.sites.ideal import SiteIdeal
from bench.sites.truth import AGAINST_ADVICE, FORBIDDEN, NAMES, REACHABLE, Truth
from crawlers.contract import is_good
from crawlers.spiders.registry import SpiderInfo
from crawlers.spiders.task import SiteTask
from server.ledger import ANSWERED
from server.site.resources import NO_RESOURCE, Kind, kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_ERROR = 500
_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class HostSummary:
    """What one host saw of a run."""

    host: str
    """Its address."""
    requests: int
    most_at_once: int
    """The most requests that were being answered at a time."""
    least_gap_ns: int | None
    """The least time between two arrivals; None for fewer than two."""
    median_gap_ns: int | None
    in_flight: Curve = field(default_factory=Curve)
    """The most requests at a time in each interval of the run."""
    gaps: int = 0
    """How many gaps must be kept: those after the robots.txt, whose Crawl-delay is not known
    before."""
    gaps_span_ns: int = 0
    """The sum of these gaps."""
    short_gaps: int = 0
    """How many of them are shorter than half of what must be kept."""


@dataclass(frozen=True, slots=True)
class SiteSummary:
    """The numbers of a run."""

    makespan_ns: int
    """From the start of the first fetch to the end of the last."""
    pages: int
    """Distinct pages that were fetched with their true content, of those that should be."""
    pages_per_s: float
    should: int
    """Pages that should be fetched."""
    coverage: float
    """pages / should."""
    fetched_twice: int
    """Requests of a resource after the first, without declared retries and resends."""
    retried: int
    """Declared retries of failures, and declared resends of the library."""
    disallowed: int
    """Requests that robots.txt disallows."""
    nofollow: int
    """Distinct pages that were fetched though every link to them says nofollow."""
    off_site: int
    """Distinct links to an address that is not of the site and that were fetched."""
    in_trap: int
    """Distinct months of the endless calendar."""
    missed: dict[str, tuple[int, int]]
    """By difficulty, "" for a plain page: how many pages were missed, of how many."""
    hosts: tuple[HostSummary, ...]
    ideal_ns: int
    """The makespan of the ideal client on the same site with the same limits."""
    efficiency: float
    """pages_per_s over those of the ideal client."""
    fetch_cpu_ns: int
    """CPU time of the run that is neither of the next two."""
    parse_cpu_ns: int
    frontier_cpu_ns: int
    peak_memory_bytes: int
    """Of all processes of the spider."""
    pending: int
    """URLs that were found and not fetched when the spider ended."""
    errors: dict[str, int]
    """Failed fetches by what went wrong. A page that is missing, or has an error, is no failure."""
    found: Curve = field(default_factory=Curve)
    """Distinct resources that the spider had found, of those that it asked for."""
    fetched: Curve = field(default_factory=Curve)
    """Pages that were fetched, of those that should be."""
    frontier: Curve = field(default_factory=Curve)
    """Jobs that were found and not yet fetched."""
    memory: Curve = field(default_factory=Curve)
    """Bytes that the spider and its processes held."""
    nameless: int = 0
    """Requests for nothing that the site has."""
    examples: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """A few of the resources that were `missed`, `disallowed`, `off_site` or fetched `twice`."""
    unrecorded: tuple[int, int] = (0, NO_RESOURCE)
    """Arrivals that the spider did not record, and the resource of one."""


@dataclass(frozen=True, slots=True)
class Records:
    """All that is known of a run."""

    joined: SiteAccounts
    jobs: IntColumns
    memory: IntColumns
    truth: Truth
    task: SiteTask
    info: SpiderInfo | None


def summarise_site(records: Records, plain: RunSummary, ideal: SiteIdeal) -> SiteSummary:
    """Return the numbers of a run, given those of it as a crawl."""
    joined, truth, run = records.joined, records.truth, records.joined.run
    assert run.usage is not None, "it has results"
    assert run.site_usage is not None, "it has results"
    fetches, resource = joined.accounts.fetches, joined.resource_of_job
    first_ns = int(fetches["start_ns"].min())
    omits = records.info.omits if records.info else ()
    is_wanted = truth.should_be_fetched(omits)
    page, page_end_ns = _pages(records, is_wanted)
    should = int(is_wanted.sum())
    arrived = joined.arrivals["seq"]
    twice, retried, again = _repeated(records)
    resent = plain.reconciliation.resent if plain.reconciliation is not None else 0
    pages_per_s = len(page) / plain.makespan_ns * 1e9 if plain.makespan_ns else 0.0
    ideal_per_s = should / ideal.makespan_ns * 1e9 if ideal.makespan_ns else 0.0
    usage = run.site_usage
    added = np.sort(records.jobs["added_ns"]) - first_ns
    first_added = records.jobs["added_ns"][np.unique(resource, return_index=True)[1]] - first_ns
    handed = counted(added, plain.makespan_ns)
    unrecorded = arrived[joined.job_of_arrival < 0]
    return SiteSummary(
        makespan_ns=plain.makespan_ns,
        pages=len(page),
        pages_per_s=pages_per_s,
        should=should,
        coverage=len(page) / should if should else 1.0,
        fetched_twice=twice,
        retried=retried + resent,
        disallowed=int(truth.is_of(arrived, FORBIDDEN).sum()),
        nofollow=_distinct(arrived[truth.is_of(arrived, AGAINST_ADVICE)]),
        off_site=_distinct(arrived[kind_of(arrived) == Kind.OFF_SITE]),
        in_trap=_distinct(arrived[kind_of(arrived) == Kind.CALENDAR]),
        missed=_missed(truth, page, omits),
        hosts=tuple(_hosts(records, first_ns, plain.makespan_ns)),
        ideal_ns=ideal.makespan_ns,
        efficiency=pages_per_s / ideal_per_s if ideal_per_s else 0.0,
        fetch_cpu_ns=max(0, run.usage.cpu_ns - usage.parse_cpu_ns - usage.frontier_cpu_ns),
        parse_cpu_ns=usage.parse_cpu_ns,
        frontier_cpu_ns=usage.frontier_cpu_ns,
        peak_memory_bytes=int(max(records.memory["bytes"], default=run.usage.peak_memory_bytes)),
        pending=usage.pending,
        errors=plain.errors,
        found=counted(first_added, plain.makespan_ns),
        fetched=counted(page_end_ns - first_ns, plain.makespan_ns),
        frontier=difference(handed, counted(fetches["end_ns"] - first_ns, plain.makespan_ns)),
        memory=sampled(records.memory["at_ns"] - first_ns, records.memory["bytes"]),
        nameless=int((resource == NO_RESOURCE).sum()),
        examples=_examples(records, page, is_wanted, again),
        unrecorded=(len(unrecorded), int(unrecorded[0]) if len(unrecorded) else NO_RESOURCE),
    )


def _examples(
    records: Records,
    page: "NDArray[np.int64]",
    is_wanted: "NDArray[np.bool_]",
    again: "NDArray[np.int64]",
) -> dict[str, tuple[int, ...]]:
    truth, arrived = records.truth, records.joined.arrivals["seq"]
    is_missed = is_wanted.copy()
    is_missed[page] = False
    found = {
        "missed": np.flatnonzero(is_missed),
        "disallowed": np.unique(arrived[truth.is_of(arrived, FORBIDDEN)]),
        "off_site": np.unique(arrived[kind_of(arrived) == Kind.OFF_SITE]),
        "twice": again,
    }
    return {name: tuple(numbers[:_EXAMPLES].tolist()) for name, numbers in found.items()}


def _distinct(numbers: "NDArray[np.int64]") -> int:
    return len(np.unique(numbers))


def _pages(
    records: Records, is_wanted: "NDArray[np.bool_]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Return the wanted pages that were fetched with their true content, and when each was first.

    A fetch that never arrived at the server, or was not answered there, is none.
    """
    joined = records.joined
    fetches, seq = joined.accounts.fetches, joined.accounts.fetches["seq"]
    count = len(joined.resource_of_job)
    is_true = is_good(fetches["error"], fetches["status"], is_planned=True)
    is_true &= (seq >= 0) & (seq < count)
    job = seq[is_true]
    resource, size = joined.resource_of_job[job], fetches["size_bytes"][is_true]
    is_page = records.truth.is_page(resource)
    is_page[is_page] = is_wanted[resource[is_page]]
    is_page[is_page] = size[is_page] == records.truth.size_bytes[resource[is_page]]
    answered = joined.arrivals["outcome"] == ANSWERED
    is_page &= np.isin(job, joined.job_of_arrival[answered])
    ends_ns, pages = fetches["end_ns"][is_true][is_page], resource[is_page]
    order = np.argsort(ends_ns, kind="stable")
    found, first = np.unique(pages[order], return_index=True)
    return found, ends_ns[order][first]


def _repeated(records: Records) -> "tuple[int, int, NDArray[np.int64]]":
    """Return how many requests were for what had been asked for before, how many of further ones
    were declared retries, and the resources of the former.

    What the library sent again by itself, for the same job, is neither.
    """
    joined, info = records.joined, records.info
    arrived, job = joined.arrivals["seq"], joined.job_of_arrival
    has_name = arrived != NO_RESOURCE
    # One for each job, and one for each arrival without a job.
    ones = np.where(job >= 0, job, -1 - np.arange(len(job)))[has_name]
    _, first = np.unique(ones, return_index=True)
    resource, times = np.unique(arrived[has_name][first], return_counts=True)
    repeats = times - 1
    if info is None or not info.retries:
        return int(repeats.sum()), 0, resource[repeats > 0]
    fetches = joined.accounts.fetches
    failed = fetches["seq"][fetches["error"] != 0]
    failed = failed[failed < len(joined.resource_of_job)]
    may_retry = records.truth.statuses_of(resource) >= _FIRST_ERROR
    may_retry |= np.isin(resource, joined.resource_of_job[failed])
    retried = np.where(may_retry, np.minimum(repeats, info.retries), 0)
    return int((repeats - retried).sum()), int(retried.sum()), resource[repeats > retried]


def _missed(
    truth: Truth, page: "NDArray[np.int64]", omits: tuple[str, ...]
) -> dict[str, tuple[int, int]]:
    all_of = np.bincount(truth.difficulty, minlength=len(NAMES))
    got_of = np.bincount(truth.difficulty[page], minlength=len(NAMES))
    return {
        name: (int(total - got), int(total))
        for name, total, got in zip(NAMES, all_of, got_of, strict=True)
        if total and name in REACHABLE and name not in omits
    }


def host_gap_ns(records: Records) -> int:
    """Return the least time between two requests of a host that must be kept."""
    crawl_delay_s = records.truth.site.spec.crawl_delay_s
    return round(max(records.task.host_delay_s, crawl_delay_s) * 1e9)


def _hosts(records: Records, first_ns: int, span_ns: int) -> Iterator[HostSummary]:
    arrivals, spec = records.joined.arrivals, records.truth.site.spec
    host = records.truth.hosts_of(arrivals["seq"])
    gap_ns = host_gap_ns(records)
    for number in range(spec.addresses):
        is_here = host == number
        if number >= spec.hosts and not is_here.any():
            continue
        arrived_ns = np.sort(arrivals["arrived_ns"][is_here])
        gaps_ns = np.diff(arrived_ns)
        # What the client gave up on no longer counts, whenever the server learns of it.
        is_answered = is_here & (arrivals["outcome"] == ANSWERED)
        start_ns, end_ns = (arrivals[name][is_answered] for name in ("arrived_ns", "replied_ns"))
        kept_ns = gaps_ns[1:]
        yield HostSummary(
            host=f"127.0.0.{number + 1}",
            requests=len(arrived_ns),
            most_at_once=Levels.of(start_ns, end_ns).peak if len(start_ns) else 0,
            least_gap_ns=int(gaps_ns.min()) if len(gaps_ns) else None,
            median_gap_ns=int(np.median(gaps_ns)) if len(gaps_ns) else None,
            in_flight=most_at_once(start_ns - first_ns, end_ns - first_ns, span_ns),
            gaps=len(kept_ns),
            gaps_span_ns=int(kept_ns.sum()),
            short_gaps=int((kept_ns < gap_ns / 2).sum()),
        )


def held_up_share(records: Records, longer_than_ns: float) -> float:
    """Return the share of requests that were under way to the server for longer than this."""
    join = records.joined.accounts.join
    assert join is not None, "a site has a ledger"
    rows = join.arrival_of[join.has_arrived]
    way_ns = join.arrivals["arrived_ns"][rows] - join.fetches["start_ns"][join.has_arrived]
    return float((way_ns > longer_than_ns).mean()) if len(way_ns) else 0.0
