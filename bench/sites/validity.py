"""Whether the run of a spider may be believed, and why not. Pure.

What holds for every crawl (the records of both ends, the machine) is judged as for a crawl.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import NamedTuple

from bench.analysis.stalls import Stall
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Reason, Verdict, judge
from bench.analysis.validity.verdict import invalid, note, suspect
from bench.sites.summary import HostSummary, Records, SiteSummary, held_up_share, host_gap_ns
from bench.wording import format_count
from crawlers.spiders.task import BUDGET_SPENT, PROCESSES

SHORT_GAP_SHARE = 0.05
"""Share of the gaps of a host that may be shorter than half of what must be kept.

A spider that keeps the delay between its starts still makes a short gap between two arrivals if the
first of them is held up on its way by half the delay longer than the second. Each request that is
held up makes one short gap at most. So the share of these that it records itself is added to this.
"""
MEAN_GAP_SHARE = 0.95
GAPS_SLACK_NS = 50_000_000
"""All gaps together last as long as they must, but for one request that is held up: the first."""

_FEW_SLOTS = 0.5
_BUSY_SHARE = 0.7
"""A spider whose CPU is busy may never fill all slots, so that only few are a finding."""

_NOT_OF_SITES = frozenset(("capped", "last wave", "few waves"))
"""Checks for the number in flight, which the order of discovery decides here, and of the plan."""
_NO_STALL = Stall(0, 0)


class Evidence(NamedTuple):
    """The input of all checks of a site."""

    records: Records
    summary: SiteSummary
    plain: RunSummary


def judge_site(records: Records, summary: SiteSummary, plain: RunSummary) -> Verdict:
    """Make all checks on one run."""
    evidence = Evidence(records, summary, plain)
    own = [reason for check in _CHECKS for reason in check(evidence)]
    # A spider with a free slot may have nothing to fetch.
    as_crawl = judge(records.joined.run, replace(plain, idle_stall=_NO_STALL), None)
    left_out = _NOT_OF_SITES
    if records.truth.site.spec.hosts > 1:  # it has connections to each
        left_out |= {"connections"}
    if records.task.parse == PROCESSES:  # those of its pool are counted, as they should be
        left_out |= {"other processes"}
    return Verdict((*own, *(one for one in as_crawl.reasons if one.check not in left_out)))


def _coverage(evidence: Evidence) -> Iterator[Reason]:
    """It fetches every page that should be fetched."""
    summary = evidence.summary
    if summary.pages < summary.should:
        kinds = ", ".join(
            f"{missed:,} of {total:,} {name or 'plain'}"
            for name, (missed, total) in summary.missed.items()
            if missed
        )
        yield invalid(
            "missed",
            f"it missed {summary.should - summary.pages:,} of {summary.should:,} pages: {kinds}"
            f"{_such_as(evidence, 'missed')}",
        )


def _such_as(evidence: Evidence, what: str) -> str:
    """Return `, such as /site/1-0a1b2c3d/p/7.html`; "" if there is no example."""
    numbers = evidence.summary.examples.get(what, ())
    site = evidence.records.truth.site
    return f", such as {', '.join(map(site.target_of, numbers))}" if numbers else ""


def _omissions(evidence: Evidence) -> Iterator[Reason]:
    """What it leaves out by design is declared."""
    info, truth = evidence.records.info, evidence.records.truth
    has = {name for name, _ in truth.site.spec.difficulties}
    left_out = [name for name in (info.omits if info else ()) if name in has]
    if left_out:
        yield note("omitted", f"it leaves out by design, as declared: {', '.join(left_out)}")


def _disallowed(evidence: Evidence) -> Iterator[Reason]:
    """It obeys robots.txt."""
    if evidence.summary.disallowed:
        yield invalid(
            "disallowed",
            f"{format_count(evidence.summary.disallowed, 'request')} for pages that robots.txt "
            f"disallows{_such_as(evidence, 'disallowed')}",
        )


def _nofollow(evidence: Evidence) -> Iterator[Reason]:
    """It does not follow links that say nofollow, which is no fault if it does."""
    if evidence.summary.nofollow:
        yield note(
            "nofollow",
            f"it fetched {evidence.summary.nofollow:,} pages to which every link says nofollow",
        )


def _off_site(evidence: Evidence) -> Iterator[Reason]:
    """It stays on the site."""
    if evidence.summary.off_site:
        yield invalid(
            "off-site",
            f"it followed {format_count(evidence.summary.off_site, 'link')} to an address that is "
            f"not of the site{_such_as(evidence, 'off_site')}",
        )


def _trap(evidence: Evidence) -> Iterator[Reason]:
    """It leaves the endless calendar where the task says."""
    months, most = evidence.summary.in_trap, evidence.records.task.max_depth
    if months > most:
        yield invalid(
            "trap",
            f"it fetched {months:,} months of an endless calendar: the depth limit of {most} "
            f"allows {most}",
        )


def _twice(evidence: Evidence) -> Iterator[Reason]:
    """It fetches nothing twice."""
    if evidence.summary.fetched_twice:
        yield suspect(
            "twice",
            f"{format_count(evidence.summary.fetched_twice, 'request')} for what it had asked for "
            f"before{_such_as(evidence, 'twice')}",
        )
    if evidence.summary.retried:
        yield note("retried", f"{evidence.summary.retried:,} requests were declared retries")


def _hosts(evidence: Evidence) -> Iterator[Reason]:
    """It keeps the limits of each host, as the host saw it."""
    records, most = evidence.records, evidence.records.task.per_host
    cannot = records.info is not None and not records.info.keeps_host_limits
    declared = ", as it declares that it cannot keep such limits" if cannot else ""
    busy = [host for host in evidence.summary.hosts if 0 < most < host.most_at_once]
    if busy:
        worst = max(busy, key=lambda host: host.most_at_once)
        yield invalid(
            "host limit",
            f"{worst.host} had up to {worst.most_at_once} requests at a time, and {most} were "
            f"allowed{declared}",
        )
    gap_ns = host_gap_ns(records)
    if not gap_ns:
        return
    allowed = SHORT_GAP_SHARE + held_up_share(records, gap_ns / 2)
    for host in evidence.summary.hosts:
        text = broken_gap(host, gap_ns, allowed)
        if text:
            yield invalid("host limit", f"{host.host}: {text}{declared}")
            return


def broken_gap(host: HostSummary, gap_ns: int, allowed: float) -> str:
    """Say how a host was asked too soon; "" if it was not.

    `allowed` is the share of short gaps that is no fault.
    """
    asked = f"the delay to keep is {gap_ns / 1e6:g} ms"
    if host.gaps and host.short_gaps > max(1, allowed * host.gaps):
        return (
            f"{host.short_gaps:,} of {host.gaps:,} requests came within "
            f"{gap_ns / 2e6:g} ms of the one before, and {asked}"
        )
    if host.gaps_span_ns + GAPS_SLACK_NS < MEAN_GAP_SHARE * host.gaps * gap_ns:
        mean_ms = host.gaps_span_ns / host.gaps / 1e6
        return f"{mean_ms:.1f} ms between requests in the mean, and {asked}"
    return ""


def _ends_differ(evidence: Evidence) -> Iterator[Reason]:
    """What arrived was recorded, and what was recorded is what was sent."""
    (count, number), truth = evidence.summary.unrecorded, evidence.records.truth
    if count:
        name = truth.site.target_of(number) if number >= 0 else "a target that the site has not"
        yield invalid(
            "ledger", f"{count:,} requests arrived that it did not record, as one for {name}"
        )
    sizes = evidence.summary.errors.get("size", 0)
    if sizes:
        yield invalid(
            "ledger", f"{sizes:,} pages were recorded with another size than the server sent"
        )
    if evidence.summary.nameless:
        yield note(
            "nameless",
            f"{format_count(evidence.summary.nameless, 'request')} for URLs that the site does not "
            "have",
        )


def _as_many_as_asked(evidence: Evidence) -> Iterator[Reason]:
    """It has as many in flight as it may, if there is as much to fetch.

    Less is usual while little is known, and where a host may only be asked so often.
    """
    records, in_flight = evidence.records, evidence.plain.in_flight
    slots, waited = records.joined.run.slots, max(evidence.summary.frontier.values, default=0)
    if in_flight is None or records.task.per_host or host_gap_ns(records):
        return
    if evidence.plain.cpu_share > _BUSY_SHARE:
        return  # its CPU is the limit
    if in_flight.peak < _FEW_SLOTS * slots and waited > slots:
        yield suspect(
            "slots",
            f"it never had more than {in_flight.peak} in flight, of {slots} asked for, although up "
            f"to {waited:,.0f} URLs waited",
        )


def _budget(evidence: Evidence) -> Iterator[Reason]:
    """It ends because nothing is left, and not because it may fetch no more."""
    usage = evidence.records.joined.run.site_usage
    if usage is not None and usage.ended == BUDGET_SPENT:
        yield suspect(
            "budget",
            f"it was stopped after {evidence.records.task.max_fetches:,} fetches, with "
            f"{usage.pending:,} URLs left",
        )


_CHECKS: tuple[Callable[[Evidence], Iterator[Reason]], ...] = (
    _coverage,
    _omissions,
    _disallowed,
    _nofollow,
    _off_site,
    _trap,
    _twice,
    _hosts,
    _ends_differ,
    _as_many_as_asked,
    _budget,
)
