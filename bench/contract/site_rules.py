"""The contract of spiders, as rules that are tried on small sites."""

import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.validity.verdict import format_counts
from bench.contract.evidence import abbreviated, require
from bench.contract.rules import MUST, SHOULD, Finding, Rule
from bench.contract.runs import BrokenError, UnknownError
from bench.contract.site_runs import MOST_HOSTS, Crawled, SiteRunner
from bench.plan.entrants import Entrant
from bench.wording import format_count
from crawlers.contract import ERROR_WORDS
from crawlers.registry import find
from crawlers.spiders.task import DONE
from server.process import ServerProcess
from server.site.site import Site
from server.site.spec import DIFFICULTIES, SiteSpec

_PLAIN = "pages=120;links=6;size=2000;delay=5;hosts=2"
_DIFFICULT = f"pages=400;links=8;size=3000;delay=2;hosts={MOST_HOSTS - 1};with=all"
_MANY_HOSTS = f"pages=60;links=6;size=2000;delay=20;hosts={MOST_HOSTS - 1}"
_PER_HOST, _HOST_DELAY_S = 2, 0.03
_SOME_TIME_OUT = "pages=80;links=8;size=3000;delay=weighted:1@9,3000@1"
_IMPATIENT_S = 0.3
_MANY = 12


@dataclass(frozen=True, slots=True)
class SiteRules:
    """Rules that share their crawls."""

    title: str
    """What is broken if those crawls fail."""
    rules: Callable[[SiteRunner], Iterator[Rule]]
    """Crawls, and yields the rules. Raises BrokenError."""


def check_spider(entrant: Entrant, groups: Sequence[SiteRules] = ()) -> Iterator[Finding]:
    """Yield a finding for every rule, or for those of some groups.

    Raises server.process.ServerStartError.
    """
    with ServerProcess("--site-hosts", str(MOST_HOSTS)) as server:
        info = find(entrant.crawler, entrant.declared_as)
        runner = SiteRunner(entrant, info, server)
        for group in groups or GROUPS:
            try:
                for rule in group.rules(runner):
                    yield rule.finding()
            except BrokenError as broken:  # the crawl that these rules share has failed
                yield Finding(MUST, group.title, False, str(broken))
                if group is GROUPS[0]:
                    evidence = "not checked: even a plain site fails"
                    yield Finding(MUST, "the other rules", False, evidence)
                    return


def _plain_rules(runner: SiteRunner) -> Iterator[Rule]:
    slots = runner.slots(5)
    crawled = runner.crawl(_PLAIN, slots)
    levels = Levels.at_server(crawled.arrivals)
    peak = levels.peak if levels is not None else 0

    def at_most() -> str:
        require(peak <= slots, f"{peak} at a time, and {slots} were asked for")
        return f"{peak} at a time, of {slots}"

    def as_many() -> str:
        require(peak >= slots, f"never more than {peak} at a time, of {slots}")
        return f"{peak} at a time, of {slots}"

    yield Rule(MUST, "every page is fetched", lambda: _all_fetched(crawled))
    yield Rule(MUST, "each page is fetched once", lambda: _each_once(crawled))
    yield Rule(MUST, "each fetch is recorded once, and nothing else", lambda: _recorded(crawled))
    yield Rule(MUST, "never more than C at a time", at_most)
    yield Rule(SHOULD, "C at a time, if there is enough to fetch", as_many)
    yield Rule(SHOULD, "each job ends, and none is left", lambda: _none_left(crawled))


def _all_fetched(crawled: Crawled) -> str:
    summary = crawled.summary
    require(summary.pages == summary.should, f"{summary.pages} of {summary.should} pages")
    return f"{summary.pages} of {summary.should} pages"


def _each_once(crawled: Crawled) -> str:
    twice = crawled.summary.fetched_twice
    require(not twice, f"{format_count(twice, 'request')} for what had been fetched already")
    return "no request for what had been fetched already"


def _recorded(crawled: Crawled) -> str:
    recorded = np.sort(crawled.jobs["resource"][crawled.fetches["seq"]])
    arrived = np.sort(crawled.arrivals["seq"])
    unseen = np.setdiff1d(recorded, arrived).tolist()
    require(not unseen, f"recorded, and never asked for: {abbreviated(unseen)}")
    unsaid = np.setdiff1d(arrived, recorded).tolist()
    require(not unsaid, f"asked for, and never recorded: {abbreviated(unsaid)}")
    seqs, counts = np.unique(crawled.fetches["seq"], return_counts=True)
    again = seqs[counts > 1].tolist()
    require(not again, f"recorded more than once: {abbreviated(again)}")
    return f"{len(recorded)} fetches, as the server saw them"


def _none_left(crawled: Crawled) -> str:
    assert crawled.result.outcome is not None
    assert crawled.result.outcome.site is not None
    usage = crawled.result.outcome.site.usage
    require(usage.ended == DONE and not usage.pending, f"{usage.ended}, {usage.pending} left")
    return "none is left"


def _difficult_rules(runner: SiteRunner) -> Iterator[Rule]:
    crawled = runner.crawl(_DIFFICULT, runner.slots(8))
    summary = crawled.summary
    omitted = runner.declared.omits if runner.declared is not None else ()

    def none(count: int, what: str) -> Callable[[], str]:
        def look() -> str:
            require(not count, f"{count} {what}")
            return f"no {what}"

        return look

    def months() -> str:
        limit = Site(SiteSpec.parse(_DIFFICULT)).depth_limit
        require(summary.in_trap <= limit, f"{summary.in_trap} months of an endless calendar")
        return f"{summary.in_trap} months of an endless calendar: the limit of depth is {limit}"

    yield Rule(
        MUST,
        "what robots.txt disallows is not fetched",
        none(summary.disallowed, "disallowed requests"),
    )
    yield Rule(
        MUST, "no other host is asked", none(summary.off_site, "requests to a host of no site")
    )
    yield Rule(MUST, "the limit of depth is kept", months)
    yield Rule(MUST, "each page is fetched once, whatever leads to it", lambda: _each_once(crawled))
    for name in DIFFICULTIES:
        if name in summary.missed or name in omitted:
            yield Rule(MUST, f"no page is missed: {name}", _missing(crawled, name, omitted))
    yield Rule(
        SHOULD,
        "links with rel=nofollow are left alone",
        none(summary.nofollow, "pages that are only linked with nofollow"),
    )


def _missing(crawled: Crawled, name: str, omitted: tuple[str, ...]) -> Callable[[], str]:
    def look() -> str:
        if name in omitted:
            raise UnknownError("it leaves these out, as declared")
        missed, of = crawled.summary.missed[name]
        require(not missed, f"{missed} of {of} pages missed")
        return f"all {of} pages"

    return look


def _host_rules(runner: SiteRunner) -> Iterator[Rule]:
    title = f"at most {_PER_HOST} at a time from one host"
    between = f"{1000 * _HOST_DELAY_S:g} ms between two fetches of one host"
    if runner.declared is not None and not runner.declared.keeps_host_limits:
        for rule in (title, between):
            yield Rule(SHOULD, rule, _has_no_limits)
        return
    slots = runner.slots(_MANY)
    few = runner.crawl(_MANY_HOSTS, slots, per_host=_PER_HOST)
    slow = runner.crawl(_MANY_HOSTS, slots, host_delay_s=_HOST_DELAY_S)

    def at_most() -> str:
        peaks = [host.most_at_once for host in few.summary.hosts]
        require(max(peaks) <= _PER_HOST, f"at a time, by host: {', '.join(map(str, peaks))}")
        return f"at a time, by host: {', '.join(map(str, peaks))}"

    def apart() -> str:
        medians = [host.median_gap_ns for host in slow.summary.hosts if host.median_gap_ns]
        shown = ", ".join(f"{one / 1e6:.0f} ms" for one in medians)
        # The least gap has the jitter of two requests; a spider that does not wait has short ones.
        require(min(medians) >= 0.9 * 1e9 * _HOST_DELAY_S, f"median gaps, by host: {shown}")
        return f"median gaps, by host: {shown}"

    yield Rule(MUST, title, at_most)
    yield Rule(MUST, between, apart)


def _has_no_limits() -> str:
    raise UnknownError("it has no limits per host, as declared")


def _failure_rules(runner: SiteRunner) -> Iterator[Rule]:
    crawled = runner.crawl(_SOME_TIME_OUT, runner.slots(8), timeout_s=_IMPATIENT_S)

    errors = crawled.summary.errors
    words = format_counts(errors) or "no failure"

    def fails() -> str:
        require(bool(errors), "no fetch failed, and some take ten times as long as they may")
        return f"{words}, and the others go on"

    def timeouts() -> str:
        require(set(errors) == {"timeout"}, f"recorded as: {words}")
        return words

    yield Rule(MUST, "a fetch that takes too long ends, and the others go on", fails)
    yield Rule(SHOULD, "a fetch that takes too long is called timeout", timeouts)
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    result = runner.crawl_nothing(f"http://127.0.0.1:{port}")

    def refused() -> str:
        assert result.outcome is not None
        words = sorted({ERROR_WORDS[code] for code in result.outcome.fetches["error"]})
        require(bool(words) and "" not in words, f"recorded as {words}")
        return f"recorded as {', '.join(words)}"

    yield Rule(MUST, "a server that is not there is a recorded failure", refused)


DIFFICULT = SiteRules("A site with every difficulty is crawled to its end", _difficult_rules)
GROUPS = (
    SiteRules("A plain site is crawled to its end", _plain_rules),
    DIFFICULT,
    SiteRules("Limits per host do not end the crawl", _host_rules),
    SiteRules("Failures do not end the crawl", _failure_rules),
)
"""All groups of rules, in the order in which they are checked."""
