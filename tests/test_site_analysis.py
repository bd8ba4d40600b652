"""What is said of the run of a spider: of an honest one, and of one with each fault."""

from dataclasses import replace

import numpy as np
import pytest

from bench.analysis.validity import Level
from bench.sites.accounts import NO_JOB, jobs_of_arrivals
from bench.sites.analysis import SiteCell, SiteSummary, SiteTrial, analyse_site
from crawlers.contract import ERROR_WORDS
from crawlers.spiders.registry import find_spider
from crawlers.spiders.task import BUDGET_SPENT
from server.site.resources import NO_RESOURCE, Kind, number_of
from server.site.site import Site
from server.site.spec import SiteSpec
from tests.factories import MS
from tests.site_runs import Fault, Request, site_experiment, site_store

HARD = "pages=1000;links=12;with=all;hosts=2"
SITE = Site(SiteSpec.parse(HARD))


def analysed(
    *faults: Fault, site: str = HARD, spider: str = "asyncio", **asked: object
) -> SiteCell:
    plan = site_experiment(site, (spider,), **asked)  # type: ignore[arg-type]
    with site_store(plan, {spider: faults}) as store:
        (cell,) = analyse_site(store).cells
    return cell


def trial_of(cell: SiteCell) -> tuple[SiteTrial, SiteSummary]:
    (trial,) = cell.trials
    assert trial.summary is not None
    return trial, trial.summary


@pytest.mark.parametrize("concurrency", [1, 10, 100])
def test_an_honest_run_is_valid_and_nearly_ideal(concurrency: int) -> None:
    cell = analysed(concurrencies=(concurrency,))
    trial, summary = trial_of(cell)
    assert (trial.verdict.level, trial.verdict.reasons) == (Level.VALID, ())
    assert (summary.coverage, summary.fetched_twice, summary.disallowed) == (1.0, 0, 0)
    assert summary.pages == summary.should == cell.should == 930
    assert 0 < summary.in_trap <= SITE.depth_limit
    assert 0.97 < summary.efficiency <= 1.0
    assert not any(missed for missed, _ in summary.missed.values())
    assert summary.fetched.values[-1] == 930
    assert summary.frontier.values[-1] == 0
    assert summary.peak_memory_bytes == 50_000_000
    assert sum(host.requests for host in summary.hosts) == summary.found.values[-1]


def further(resource: int, **changes: object) -> Fault:
    """One more request, of something, at the end."""

    def fault(requests: list[Request]) -> list[Request]:
        last = requests[-1]
        end_ns = max(one.end_ns for one in requests)
        delay_us = SITE.delay_us_of(resource)
        status = SITE.status_of(resource)
        size = SITE.size_of_page(resource) if 0 <= resource < 1000 and status == 200 else 10
        more = replace(
            last.later(end_ns - last.start_ns),
            resource=resource,
            delay_us=delay_us,
            status=status,
            sent_status=status,
            size_bytes=size,
        )
        span_ns = delay_us * 1000
        more = replace(
            more, replied_ns=more.arrived_ns + span_ns, end_ns=more.arrived_ns + span_ns + MS // 10
        )
        return [*requests, replace(more, **changes)]  # type: ignore[arg-type]

    return fault


def changed(which: int, **changes: object) -> Fault:
    """The fetch of a page is another."""

    def fault(requests: list[Request]) -> list[Request]:
        return [
            replace(one, **changes) if one.resource == which else one  # type: ignore[arg-type]
            for one in requests
        ]

    return fault


def first(difficulty: str) -> int:
    return next(page for page in range(1000) if SITE.difficulty_of(page) == difficulty)


def drop_one_in_1000(requests: list[Request]) -> list[Request]:
    return [one for one in requests if one.resource != 777]


def answered_early(requests: list[Request]) -> list[Request]:
    return [
        replace(one, replied_ns=one.replied_ns - 15 * MS) if one.resource == 5 else one
        for one in requests
    ]


def fall_into_trap(requests: list[Request]) -> list[Request]:
    for month in range(40):
        requests = further(number_of(Kind.CALENDAR, 100 + month))(requests)
    return requests


OFF_SITE = number_of(Kind.OFF_SITE, next(
    link.number & 0xFFFFFF
    for page in range(1000)
    for link in SITE.links_of(page)
    if link.number >> 40 == Kind.OFF_SITE
))  # fmt: skip

FAULTS = {
    "drops 1 in 1000": (drop_one_in_1000, Level.INVALID, "missed", "1 of 930 pages: 1 of"),
    "twice": (further(5), Level.SUSPECT, "twice", "1 request for"),
    "disallowed": (further(first("disallowed")), Level.INVALID, "disallowed", "robots.txt"),
    "nofollow": (further(first("nofollow")), Level.VALID, "nofollow", "1 pages"),
    "off the site": (further(OFF_SITE), Level.INVALID, "off-site", "1 link"),
    "trap": (fall_into_trap, Level.INVALID, "trap", "of an endless calendar"),
    "not recorded": (
        further(5, is_recorded=False), Level.INVALID, "ledger", f"as one for {SITE.prefix}p/",
    ),
    "invented": (changed(5, has_arrived=False), Level.INVALID, "ledger", "never arrived"),
    "other status": (changed(5, status=404), Level.INVALID, "impossible", "another status"),
    "good 404": (changed(first("missing"), status=200), Level.INVALID, "impossible", "status"),
    "cut short": (changed(5, size_bytes=4999), Level.INVALID, "ledger", "another size"),
    "answered early": (answered_early, Level.INVALID, "impossible", "before their delay"),
    "failed": (
        changed(5, error=ERROR_WORDS.index("timeout"), status=0), Level.INVALID, "missed", "plain",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fault", "level", "check", "text"), FAULTS.values(), ids=FAULTS)
def test_each_fault_is_found(fault: Fault, level: Level, check: str, text: str) -> None:
    trial, _ = trial_of(analysed(fault))
    assert trial.verdict.level == level
    assert any(text in one.text for one in trial.verdict.reasons if one.check == check), (
        trial.verdict
    )


def test_what_is_missed_is_counted_by_difficulty() -> None:
    lost = {first("redirects"), first("encodings"), first("sitemap")}
    _, summary = trial_of(analysed(lambda all_: [one for one in all_ if one.resource not in lost]))
    assert summary.missed["redirects"] == (1, 20)
    assert summary.missed["encodings"] == (1, 20)
    assert summary.missed["sitemap"] == (1, 10)
    assert summary.missed[""][0] == 0
    assert summary.coverage == 927 / 930


def declared(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    info = find_spider("asyncio")
    assert info is not None
    other = replace(info, **changes)  # type: ignore[arg-type]
    for place in ("bench.sites.analysis.find_spider", "tests.site_runs.find_spider"):
        monkeypatch.setattr(place, lambda _: other)


@pytest.mark.parametrize(("retries", "twice"), [(0, 3), (1, 2), (2, 1)])
def test_declared_retries_are_apart(
    monkeypatch: pytest.MonkeyPatch, retries: int, twice: int
) -> None:
    declared(monkeypatch, retries=retries)
    error = first("errors")
    trial, summary = trial_of(analysed(further(error), further(error), further(5)))
    assert (summary.fetched_twice, summary.retried) == (twice, retries)
    assert trial.verdict.level is Level.SUSPECT


def test_what_is_omitted_as_declared_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    declared(monkeypatch, omits=("sitemap",))
    cell = analysed()
    trial, summary = trial_of(cell)
    assert [one.check for one in trial.verdict.reasons] == ["omitted"]
    assert (trial.verdict.level, summary.coverage, cell.should) == (Level.VALID, 1.0, 920)
    assert "sitemap" not in summary.missed


def test_a_spent_budget_and_a_crash_are_said() -> None:
    plan = site_experiment()
    with site_store(plan, ended=BUDGET_SPENT) as store:
        trial, _ = trial_of(analyse_site(store).cells[0])
    assert [(one.level, one.check) for one in trial.verdict.reasons] == [(Level.SUSPECT, "budget")]
    with site_store(plan, failed=plan.crawlers) as store:
        analysis = analyse_site(store)
    (trial,) = analysis.cells[0].trials
    assert (trial.summary, trial.verdict.level) == (None, Level.INVALID)
    assert not analysis.is_sound


@pytest.mark.parametrize("number", [-2, 99 << 40])
def test_a_number_that_no_resource_has_is_an_impossible_record(number: int) -> None:
    (trial,) = analysed(changed(5, resource=number, has_arrived=number > 0)).trials
    assert trial.run.failure == f"impossible record: resource {number}"
    assert trial.summary is None


def test_a_host_limit_that_is_broken_is_found() -> None:
    honest, summary = trial_of(analysed(per_host=3))
    assert honest.verdict.level is Level.VALID
    assert [host.most_at_once for host in summary.hosts] == [3, 3]

    def hurries(requests: list[Request]) -> list[Request]:
        one = next(one for one in requests if one.resource == 300)
        by_ns = requests[500].start_ns - one.start_ns
        return [other.later(by_ns) if other is one else other for other in requests]

    trial, _ = trial_of(analysed(hurries, per_host=3))
    assert "up to 4 requests at a time, and 3 were allowed" in str(trial.verdict)


@pytest.mark.parametrize("asked", [{"host_delay_s": 0.04}, {"site": "pages=300;crawl-delay=0.04"}])
def test_a_delay_between_requests_is_measured_at_the_server(asked: dict[str, object]) -> None:
    where = {"site": "pages=300;links=12", "concurrencies": (5,)} | asked
    rng = np.random.default_rng(1)

    def jitters(requests: list[Request]) -> list[Request]:
        """One in 50 is held up by 30 ms on its way."""
        held = set(rng.choice(len(requests), len(requests) // 50, replace=False).tolist())
        return [
            replace(
                one, arrived_ns=one.arrived_ns + 30 * MS, replied_ns=one.replied_ns + 30 * MS,
                end_ns=one.end_ns + 30 * MS,
            ) if n in held else one
            for n, one in enumerate(requests)
        ]  # fmt: skip

    def hurries(requests: list[Request]) -> list[Request]:
        """Every tenth is started right after the one before."""
        return [
            one.later(requests[n - 1].start_ns + 5 * MS - one.start_ns) if n % 10 == 9 else one
            for n, one in enumerate(requests)
        ]

    def is_a_little_fast(requests: list[Request]) -> list[Request]:
        return [one.later(-round(0.1 * (one.start_ns - requests[0].start_ns))) for one in requests]

    for fault, text in ((jitters, ""), (hurries, "within 20 ms"), (is_a_little_fast, "36.0 ms")):
        trial, _ = trial_of(analysed(fault, **where))  # type: ignore[arg-type]
        found = [one.text for one in trial.verdict.reasons if one.check == "host limit"]
        assert text in found[0] if text else not found, (text, trial.verdict)


def test_arrivals_belong_to_the_jobs_of_their_resource_by_time() -> None:
    resource = np.array([7, 8, 7, 7, 9])
    start = np.array([0, 0, 100, 200, 0])
    end = np.array([50, 50, 150, 250, 50])
    arrived_of = np.array([7, 8, 7, 7, 5, 8, 7])
    arrived = np.array([210, 10, 20, 120, 0, 40, 260])
    found = jobs_of_arrivals(resource, start, end, arrived_of, arrived)
    assert found.tolist() == [3, 1, 0, 2, NO_JOB, 1, NO_JOB]
    # The first job failed before it arrived; what is sent again while a job is under way is its.
    found = jobs_of_arrivals(resource, start, end, np.array([7, 7, 7]), np.array([110, 130, 220]))
    assert found.tolist() == [2, 2, 3]


def test_arrivals_of_several_jobs_for_one_resource_are_matched_as_many_as_can_be() -> None:
    """Two requests at a time for what the site does not have: the one that ends first is short."""
    resource = np.array([NO_RESOURCE, NO_RESOURCE])
    start_ns, end_ns = np.array([0, 10]), np.array([100, 30])
    arrivals = np.array([NO_RESOURCE, NO_RESOURCE])
    found = jobs_of_arrivals(resource, start_ns, end_ns, arrivals, np.array([20, 50]))
    assert found.tolist() == [1, 0]
