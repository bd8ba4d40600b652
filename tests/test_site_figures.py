"""Figures of a whole site, by the data of what is drawn, and what is said beside them."""

import html
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text

from bench.analysis.validity import Level
from bench.plan.sizes import Size
from bench.sites.analysis import Curve, SiteAnalysis, analyse_site
from bench.sites.report import finding_of_site, site_tables
from plots.figures import (
    OF_SITE,
    OF_SITES,
    hosts,
    site_coverage,
    site_figures,
    site_memory,
    site_parse,
    site_throughput,
)
from plots.looks import styles_of
from plots.scenes import SiteScene
from plots.site_page import site_page
from tests.site_analyses import SHOULD, analysis, asked_site, cell, crawl, host
from tests.site_runs import site_experiment, site_store


def lines(figure: Figure | None, panel: int | None = None) -> dict[str, Any]:
    """Return the points of each line by its gid."""
    assert figure is not None
    panels = figure.axes if panel is None else [figure.axes[panel]]
    return {
        str(line.get_gid()): list(
            zip(np.asarray(line.get_xdata()), np.asarray(line.get_ydata()), strict=True)
        )
        for axes in panels
        for line in axes.lines
    }


def small() -> SiteAnalysis:
    """Threads reach 40 and 300 pages/s and skip pages at 10; scrapy reaches 20 and 200."""
    return analysis(
        asked_site(("threads", "scrapy"), concurrencies=(1, 10, 100)),
        cell("threads", 1, crawl(40)),
        cell("threads", 10, crawl(390, 390), level=Level.INVALID),
        cell("threads", 100, crawl(300)),
        cell("scrapy", 1, crawl(20)),
        cell("scrapy", 10, crawl(200), level=Level.SUSPECT),
    )


def test_no_line_leads_to_a_run_that_is_invalid() -> None:
    found = lines(site_throughput.site_throughput_figure(small(), ""))
    rates = [rate for _, rate in found["threads"]]
    assert rates[::2] == [40, 300]
    assert np.isnan(rates[1])
    assert [rate for _, rate in found["threads INVALID"]] == [390]
    assert [rate for _, rate in found["scrapy"]] == [20, 200]
    assert [rate for _, rate in found["scrapy SUSPECT"]] == [200]


def test_the_ideal_is_that_of_each_concurrency() -> None:
    found = lines(site_throughput.site_throughput_figure(small(), ""))
    assert found["ideal"] == [(at, pytest.approx(45 * at**0.97)) for at in (1, 10, 100)]
    one = analysis(asked_site(("threads",)), cell("threads", 10, crawl(100)))
    (left, right) = lines(site_throughput.site_throughput_figure(one, ""))["ideal"]
    assert left[0] < 10 < right[0]
    assert left[1] == right[1] == pytest.approx(45 * 10**0.97)


def test_what_is_said_of_throughput_leaves_out_what_is_invalid() -> None:
    assert site_throughput.findings(small()) == (
        "Highest: threads, 300 pages/s at 100, 90 % of the ideal; lowest: scrapy, 200 pages/s at "
        "10. INVALID, and not compared: threads at 10."
    )


def test_each_size_of_pages_has_a_panel() -> None:
    two = analysis(
        asked_site(("threads",), sizes=("5000", "500000")),
        cell("threads", 10, crawl(200), crawl(220), crawl(240)),
        cell("threads", 10, crawl(50), size="500000"),
    )
    figure = site_throughput.site_throughput_figure(two, "")
    assert [rate for _, rate in lines(figure, 0)["threads"]] == [220]
    assert [rate for _, rate in lines(figure, 1)["threads"]] == [50]
    assert site_throughput.findings(two) == (
        "Pages of 5000 bytes: highest: threads, 220 pages/s at 10, 90 % of the ideal. "
        "Pages of 500000 bytes: highest: threads, 50.0 pages/s at 10, 90 % of the ideal."
    )


def test_a_spider_without_a_result_is_named() -> None:
    one = analysis(
        asked_site(("threads", "scrapy")),
        cell("threads", 10, crawl(100)),
        cell("scrapy", 10, replace(crawl(1), pages=0, pages_per_s=0.0), level=Level.INVALID),
    )
    figure = site_throughput.site_throughput_figure(one, "")
    assert figure is not None
    assert "INVALID, no result: scrapy" in [text.get_text() for text in figure.axes[0].texts]


def test_coverage_shows_the_fastest_run_that_is_not_invalid() -> None:
    chosen = SiteScene(small(), "").chosen
    assert [(name, one.concurrency) for name, one in chosen.items()] == [
        ("threads", 100),
        ("scrapy", 10),
    ]
    found = lines(site_coverage.site_coverage_figure(list(chosen.values()), "plan", ""))
    assert found["threads fetched"][-1] == (pytest.approx(SHOULD / 300), SHOULD)
    assert max(y for _, y in found["threads found"]) == SHOULD + 40
    assert {y for _, y in found["threads should"]} == {SHOULD}
    assert found["threads ideal"][-1] == (pytest.approx(SHOULD / (45 * 100**0.97)), SHOULD)


def test_what_is_missed_and_what_is_fetched_besides_is_said() -> None:
    missed = {"": (3, 300), "encodings": (8, 10), "sitemap": (0, 5)}
    wrong = crawl(100, SHOULD - 11, missed=missed, disallowed=15, in_trap=22)
    said = site_coverage.findings(
        [cell("asyncio", 10, crawl(200)), cell("wrong", 10, wrong, level=Level.INVALID)]
    )
    assert said == (
        "All pages were fetched by asyncio (in 2.0 s; ideal 1.8 s). wrong missed 11 of 400 pages: "
        "encodings 8 of 10, plain 3 of 300. Fetched besides by wrong: disallowed 15, months of the "
        "calendar, of which 20 are allowed, 22."
    )


def test_hosts_are_drawn_only_if_there_are_several_or_limits() -> None:
    cells = [cell("asyncio", 10, crawl(200))]
    one_host = asked_site(("asyncio",), site="pages=500")
    assert hosts.hosts_figure(one_host, cells, "") is None
    for asked in (
        replace(one_host, per_host=1),
        replace(one_host, host_delay_s=0.1),
        replace(one_host, site="pages=500;crawl-delay=1"),
        replace(one_host, site="pages=500;hosts=2"),
    ):
        assert hosts.hosts_figure(asked, cells, "") is not None


def limited() -> tuple[SiteAnalysis, Figure]:
    """The host 127.0.0.2 has three at once of two, and the next one is asked too often."""
    seen = (host(0), host(1, most=3), host(2, least_ms=1, median_ms=55, short_gaps=30))
    one = analysis(
        asked_site(("asyncio",), site="pages=500;hosts=3", per_host=2, host_delay_s=0.05),
        cell("asyncio", 10, crawl(100, hosts=seen), level=Level.INVALID, check="host limit"),
    )
    figure = hosts.hosts_figure(one.experiment, one.cells, "")
    assert figure is not None
    return one, figure


def test_a_host_whose_limits_are_broken_has_a_cross() -> None:
    one, figure = limited()
    at_once, gaps = lines(figure, 1), lines(figure, 2)
    assert at_once["asyncio at once"] == [(2, 0), (2, 2)]
    assert at_once["asyncio too many"] == [(3, 1)]
    assert {x for x, _ in at_once["limit"]} == {2}
    assert gaps["asyncio least"] == [(50, 0), (50, 1)]
    assert gaps["asyncio too soon"] == [(1, 2)]
    assert gaps["asyncio median"] == [(60, 0), (60, 1), (55, 2)]
    assert {x for x, _ in gaps["asked"]} == {50}
    assert hosts.findings(one.experiment, one.cells) == (
        "asyncio: at most 3 at a time at one host, with a median gap of 55.0 ms (breaks the "
        "limits). Asked for: at most 2 at a time and 50 ms from one request to the next."
    )


def test_a_short_gap_that_the_verdict_allows_has_no_cross() -> None:
    seen = (host(0), host(1, least_ms=1, short_gaps=30))
    asked = asked_site(("asyncio",), site="pages=500;hosts=2", host_delay_s=0.05)
    cells = [cell("asyncio", 10, crawl(100, hosts=seen))]
    gaps = lines(hosts.hosts_figure(asked, cells, ""), 2)
    assert gaps["asyncio too soon"] == []
    assert gaps["asyncio least"] == [(50, 0), (1, 1)]


def test_requests_in_flight_are_shades_for_each_host() -> None:
    _, figure = limited()
    meshes = [one for one in figure.axes[0].collections if isinstance(one, QuadMesh)]
    drawn = [np.asarray(mesh.get_array()).ravel() for mesh in meshes]
    assert [max(levels) for levels in drawn] == [2, 3, 2]
    assert {mesh.norm.vmax for mesh in meshes} == {3}


def places() -> SiteAnalysis:
    """Processes are faster for large pages, and skip some."""
    return analysis(
        asked_site(("asyncio", "asyncio+processes", "gevent"), sizes=("5000", "500000")),
        cell("asyncio", 10, crawl(2000)),
        cell("asyncio", 100, crawl(2500)),
        cell("asyncio+processes", 100, crawl(1500)),
        cell("gevent", 100, crawl(1000)),
        cell("asyncio", 100, crawl(60, parse_cpu_ns=SHOULD * 1_400_000), size="500000"),
        cell("asyncio+processes", 100, crawl(170), size="500000", level=Level.INVALID),
    )


def bars(figure: Figure | None) -> dict[str, float]:
    assert figure is not None
    return {
        str(one.get_gid()): one.get_width()
        for axes in figure.axes
        for one in axes.patches
        if isinstance(one, Rectangle)
    }


def test_places_to_parse_in_are_compared_at_the_highest_concurrency() -> None:
    found = bars(site_parse.site_parse_figure(places(), ""))
    assert found["asyncio 5000 bytes rate"] == 2500
    assert found["asyncio+processes 5000 bytes rate"] == 1500
    assert not any("gevent" in gid for gid in found)  # it parses in one place
    assert found["asyncio 500000 bytes parsing"] == pytest.approx(1.4)
    assert found["asyncio 500000 bytes keeping the frontier"] == pytest.approx(0.05)
    assert found["asyncio 500000 bytes fetching and all else"] == pytest.approx(0.3)
    assert site_parse.findings(places()) == (
        "asyncio, pages of 5000 bytes, in pages/s: loop 2,500, processes (2) 1,500; with loop, "
        "parsing is 22 % of the CPU time. asyncio, pages of 500000 bytes, in pages/s: loop 60.0, "
        "processes (2) 170 INVALID; with loop, parsing is 80 % of the CPU time."
    )
    assert site_parse.site_parse_figure(small(), "") is None


def test_memory_is_in_megabytes_and_runs_are_as_wide_as_each_other() -> None:
    cells = [cell("asyncio", 10, crawl(200)), cell("scrapy", 10, crawl(20))]
    found = lines(site_memory.site_memory_figure(cells, "plan", ""))
    for name in ("asyncio", "scrapy"):
        assert found[f"{name} memory"][-1] == (pytest.approx(100), 60)
        assert max(y for _, y in found[f"{name} frontier"]) == 216
    assert site_memory.findings([cells[0]]) == (
        "Most memory: asyncio, 60 MB. Longest frontier: asyncio, 216 links."
    )
    quick = crawl(200, memory=Curve())
    assert site_memory.site_memory_figure([cell("asyncio", 10, quick)], "plan", "") is None


def test_spiders_have_looks_of_their_own() -> None:
    names = ("serial", "threads", "gevent", "asyncio", "asyncio-uvloop", "scrapy", "crawlee")
    styles = styles_of(names).values()
    assert len({style.colour for style in styles}) == len({style.marker for style in styles}) == 7


def test_the_page_has_the_tables_and_each_size_of_pages_its_figures() -> None:
    sizes = (Size("5000"), Size("9000"))
    with site_store(site_experiment("pages=50;links=5;hosts=2", sizes=sizes)) as store:
        found = analyse_site(store)
        stems = [drawn.stem for drawn in site_figures(store, found)]
        page = site_page(store, found, ())
    of_size = ("site-coverage", "hosts", "site-memory")
    assert stems == [
        "site-throughput",
        *(f"{stem}-{size.text}" for size in sizes for stem in of_size),
    ]
    assert finding_of_site(found) in html.unescape(page)
    for table in site_tables(found, show_all=True):
        assert table.title in page


def crowded() -> SiteAnalysis:
    """An experiment whose figures are as full as they get."""
    names = ("serial", "threads", "asyncio-uvloop", "asyncio-uvloop+processes", "crawlee")
    seen = tuple(host(n, most=1 + n % 3) for n in range(20))
    return analysis(
        asked_site(names, ("5000", "500000"), site="pages=500;hosts=20", per_host=2),
        *(
            cell(name, at, crawl(40 * at**0.7, hosts=seen), size=size)
            for size in ("5000", "500000")
            for name in names
            for at in ((1,) if name == "serial" else (1, 100))
        ),
    )


@pytest.mark.thorough
@pytest.mark.parametrize("make", [crowded, lambda: limited()[0]], ids=["crowded", "alone"])
def test_no_text_is_cut_or_under_the_legend(make: Callable[[], SiteAnalysis]) -> None:
    one = make()
    of_size = tuple(cell for cell in one.cells if cell.size == one.experiment.sizes[0])
    for draw in (*OF_SITES, *OF_SITE):
        shown = one if draw in OF_SITES else replace(one, cells=of_size)
        drawn = draw(SiteScene(shown, "small print " * 40))
        if drawn is None:
            continue
        figure = drawn.figure
        figure.draw_without_rendering()
        in_legends = {text for legend in figure.legends for text in legend.get_texts()}
        for text in figure.findobj(Text):
            assert isinstance(text, Text)
            if not any(letter.isalpha() for letter in text.get_text()):
                continue
            box, said = text.get_window_extent(), f"{drawn.stem}: {text.get_text()}"
            assert box.x0 >= 0, said
            assert box.y0 >= 0, said
            assert box.x1 <= figure.bbox.width, said
            assert box.y1 <= figure.bbox.height, said
            if text not in in_legends:
                legends = [one.get_window_extent() for one in figure.legends]
                assert not any(one.overlaps(box) for one in legends), said
