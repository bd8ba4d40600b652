"""The crawls of a whole site by spiders that never were, for tests of their figures."""

from collections.abc import Sequence
from dataclasses import replace

from bench.analysis.validity import Level, Reason, Verdict
from bench.plan.entrants import Entrant
from bench.plan.site import SiteExperiment
from bench.plan.sizes import Size
from bench.sites.analysis import (
    Curve,
    HostSummary,
    SiteAnalysis,
    SiteCell,
    SiteSummary,
    SiteTrial,
)
from bench.sites.ideal import SiteIdeal
from crawlers.spiders.task import LOOP, SiteTask
from tests.factories import run_row

SHOULD = 400
"""Pages that should be fetched."""
SITE = "pages=500;hosts=3;crawl-delay=0;with=all"
_POINTS = 50


def asked_site(
    spiders: Sequence[str], sizes: Sequence[str] = ("5000",), **changes: object
) -> SiteExperiment:
    """Return a plan for these spiders, each `NAME` or `NAME+PLACE`."""
    fields: dict[str, object] = {
        "concurrencies": (1, 10, 100),
        "site": SITE,
        "trials": 1,
        "seed": 1,
        "timeout_s": 10.0,
    }
    entrants = tuple(Entrant(name, f"some.{name.partition('+')[0]}:spider") for name in spiders)
    parses = tuple(name.partition("+")[2] or LOOP for name in spiders)
    sizes_asked = tuple(map(Size, sizes))
    return SiteExperiment(entrants, parses, sizes=sizes_asked, **(fields | changes))  # type: ignore[arg-type]


def host(
    number: int, most: int = 2, least_ms: float = 50, median_ms: float = 60, short_gaps: int = 0
) -> HostSummary:
    """Return what one host saw, whose requests in flight rise and fall."""
    levels = tuple(float(round(most * (1 - abs(2 * n / _POINTS - 1)))) for n in range(_POINTS))
    return HostSummary(
        host=f"127.0.0.{number + 1}",
        requests=100,
        most_at_once=most,
        least_gap_ns=round(least_ms * 1e6),
        median_gap_ns=round(median_ms * 1e6),
        gaps=99,
        gaps_span_ns=round(99 * median_ms * 1e6),
        short_gaps=short_gaps,
        in_flight=Curve(tuple(4 * n / _POINTS for n in range(_POINTS)), levels),
    )


def crawl(pages_per_s: float, pages: int = SHOULD, **changes: object) -> SiteSummary:
    """Return a crawl that finds and fetches pages at a steady pace, and misses nothing else."""
    makespan_s = pages / pages_per_s
    at_s = tuple(makespan_s * n / _POINTS for n in range(_POINTS + 1))
    fetched = tuple(float(pages * n // _POINTS) for n in range(_POINTS + 1))
    found = tuple(float(min(pages + 40, 2 * n)) for n in fetched)
    summary = SiteSummary(
        makespan_ns=round(makespan_s * 1e9),
        pages=pages,
        pages_per_s=pages_per_s,
        should=SHOULD,
        coverage=pages / SHOULD,
        fetched_twice=0,
        retried=0,
        disallowed=0,
        nofollow=0,
        off_site=0,
        in_trap=0,
        missed={},
        hosts=tuple(map(host, range(3))),
        ideal_ns=round(makespan_s * 0.9e9),
        efficiency=0.9,
        fetch_cpu_ns=pages * 300_000,
        parse_cpu_ns=pages * 100_000,
        frontier_cpu_ns=pages * 50_000,
        peak_memory_bytes=60_000_000,
        pending=0,
        errors={},
        found=Curve(at_s, found),
        fetched=Curve(at_s, fetched),
        frontier=Curve(at_s, tuple(a - b for a, b in zip(found, fetched, strict=True))),
        memory=Curve(at_s, tuple(5e7 + 2e5 * n for n in range(_POINTS + 1))),
    )
    return replace(summary, **changes)  # type: ignore[arg-type]


def ideal(pages_per_s: float) -> SiteIdeal:
    """Return the ideal client that fetches all pages at a steady pace."""
    end_s = SHOULD / pages_per_s
    return SiteIdeal(
        makespan_ns=round(end_s * 1e9),
        fetches=SHOULD,
        fetched=Curve((0.0, end_s / 2, end_s), (0.0, SHOULD / 2, float(SHOULD))),
    )


def cell(
    spider: str,
    concurrency: int,
    *crawls: SiteSummary,
    level: Level = Level.VALID,
    check: str = "missed",
    size: str = "5000",
) -> SiteCell:
    """Return a cell with these crawls as its trials."""
    parse = spider.partition("+")[2] or LOOP
    reasons = (Reason(level, check, "as the test wants it"),) if level else ()
    trials = tuple(
        SiteTrial(
            run=run_row(
                SHOULD,
                20_000,
                concurrency,
                trial,
                crawler=spider,
                site=SiteTask(SITE, 20, 2000, parse=parse, parsers=1 if parse == LOOP else 2),
            ),
            summary=one,
            verdict=Verdict(reasons),
        )
        for trial, one in enumerate(crawls, 1)
    )
    return SiteCell(
        spider=spider,
        concurrency=concurrency,
        size=Size(size),
        parse=parse,
        trials=trials,
        should=SHOULD,
        ideal=ideal(45 * concurrency**0.97),
    )


def analysis(asked: SiteExperiment, *cells: SiteCell) -> SiteAnalysis:
    """Return an analysis of these cells."""
    return SiteAnalysis(asked, cells)
