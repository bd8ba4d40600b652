"""The report of a site: what it prints at 80 columns, and what `--json` gives."""

import io
import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from rich.console import Console

from bench.errors import StoreError
from bench.results.store import Store
from bench.sites.analysis import SiteAnalysis, analyse_site
from bench.sites.report import finding_of_site, print_site, site_as_json
from tests.site_runs import Request, site_experiment, site_store

SPIDERS = ("serial", "threads", "gevent", "asyncio", "asyncio-uvloop", "scrapy", "crawlee")
NUMBERS = ("pages_per_s", "coverage", "fetched_twice", "disallowed", "in_trap", "verdict")


def drops(requests: list[Request]) -> list[Request]:
    return [one for one in requests if one.resource % 50 != 9]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    asked = site_experiment(
        "pages=400;links=12;with=all;hosts=4;crawl-delay=0.001", SPIDERS, (10, 100), per_host=20
    )
    with site_store(asked, {"threads": (drops,)}, failed=("crawlee",)) as made:
        yield made


@pytest.fixture(scope="module")
def analysis(store: Store) -> SiteAnalysis:
    return analyse_site(store)


def printed(store: Store, analysis: SiteAnalysis, width: int, *, show_all: bool = False) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, highlight=False)
    print_site(store, analysis, console, show_all=show_all)
    return stream.getvalue()


@pytest.mark.parametrize("show_all", [False, True])
def test_it_fits_80_columns(store: Store, analysis: SiteAnalysis, show_all: bool) -> None:
    text = printed(store, analysis, 80, show_all=show_all)
    assert max(map(len, text.splitlines())) <= 80
    for heading in ("pages/s", "coverage", "twice", "disallowed", "trap", "verdict", "redirects"):
        assert heading in text
    assert ("127.0.0.4" in text) is show_all
    assert "INVALID: threads at 10: it missed 7 of 372 pages: 7 of 346 plain" in " ".join(
        text.split()
    )


def test_the_last_sentence_names_the_fastest_that_misses_nothing(
    store: Store, analysis: SiteAnalysis
) -> None:
    assert printed(store, analysis, 80).splitlines()[-1].strip().endswith("site.md.")
    finding = finding_of_site(analysis)
    assert finding.startswith("Fastest that crawls the site as it should: ")
    assert "threads" not in finding
    none_is_right = tuple(cell for cell in analysis.cells if cell.spider == "threads")
    assert "No spider crawled the site as it should" in finding_of_site(
        replace(analysis, cells=none_is_right)
    )


def test_json_has_an_object_for_each_run(store: Store, analysis: SiteAnalysis) -> None:
    runs = json.loads(json.dumps(site_as_json(store, analysis)))
    assert [(one["spider"], one["concurrency"]) for one in runs][:2] == [
        ("serial", 1),
        ("threads", 10),
    ]
    assert all(name in one for one in runs for name in NUMBERS)
    assert (runs[-1]["verdict"], runs[-1]["pages_per_s"]) == ("INVALID", None)
    threads = runs[1]
    assert (threads["verdict"], threads["coverage"]) == ("INVALID", 365 / 372)
    assert threads["missed"]["plain"] == {"missed": 7, "of": 346}
    assert [host["host"] for host in threads["hosts"]] == [f"127.0.0.{n}" for n in range(1, 5)]


@pytest.mark.parametrize(
    ("text", "said"),
    [("nonsense", "site 'nonsense'"), ("pages=10000000", "run 1 is of another site")],
)
def test_a_run_of_another_site_than_the_plan_says_is_refused(text: str, said: str) -> None:
    asked = site_experiment("pages=40;links=4", ("asyncio",), (2,))
    with site_store(asked) as made:
        run = next(iter(made.runs()))
        assert run.site is not None
        task = json.dumps(asdict(replace(run.site, site=text)))
        made._connection.execute("UPDATE run SET site = ?", (task,))  # noqa: SLF001 - in memory
        with pytest.raises(StoreError, match=said):
            analyse_site(made)


def test_without_delays_there_is_no_efficiency() -> None:
    with site_store(site_experiment("pages=40;links=4;delay=0", ("asyncio",), (2,))) as made:
        analysis = analyse_site(made)
        assert analysis.cells[0].efficiency is None
        assert "% of the ideal client's" not in finding_of_site(analysis)
