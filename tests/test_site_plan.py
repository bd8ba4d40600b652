"""The plan of a site: its runs, its command, and the mistakes that are refused."""

import shlex
from dataclasses import replace

import pytest

from bench.cli.parser import parse
from bench.cli.site import _asked_for
from bench.errors import UsageError
from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.measure.spiders import chosen_spiders, spider_entrant
from bench.plan.experiment import PlannedRun
from bench.plan.ideal import expected_ns
from bench.plan.site import SiteExperiment
from bench.sites.ideal import Limits, ideal_of
from bench.sites.truth import truth_of
from tests.this_process import bench

ANY = {"asyncio": 2**31, "asyncio+processes": 2**31, "serial": 1}


def asked(words: str) -> SiteExperiment:
    return _asked_for(parse(["site", *shlex.split(words)])[1])


def test_a_command_asks_for_the_experiment_that_gives_it() -> None:
    words = (
        "--spiders asyncio,serial --pages 300 --links 5 --size 5k,20k --delay 5-10 --hosts 3 "
        "--with redirects,missing@2.5,calendar --crawl-delay 0.5 --concurrency 2,8 "
        "--parse loop,processes --per-host 2 --host-delay 30 --trials 2 --seed 7 --timeout 3"
    )
    experiment = asked(words)
    _, _, again = experiment.command().partition(" site ")
    assert asked(again) == experiment


def test_each_trial_has_every_cell_and_serial_only_one_concurrency() -> None:
    experiment = asked("--spiders asyncio,serial --pages 50 --concurrency 2,8 --trials 2")
    runs = experiment.order(ANY)
    assert experiment.count(ANY) == len(runs) == 6
    assert [run.number for run in runs] == [1, 2, 3, 4, 5, 6]
    for trial in (1, 2):
        cells = {(run.cell.crawler, run.cell.concurrency) for run in runs if run.trial == trial}
        assert cells == {("asyncio", 2), ("asyncio", 8), ("serial", 1)}


def test_each_size_of_pages_is_a_site_of_its_own() -> None:
    experiment = asked("--spiders asyncio --pages 50 --size 5k,20k --concurrency 2")
    sites = {run.cell.size: run.site for run in experiment.order(ANY)}
    texts = {size: task.site for size, task in sites.items() if task is not None}
    assert {size.text for size in texts} == {"5120", "20480"}
    assert all(f"size={size.text};" in text for size, text in texts.items())


def run_of(experiment: SiteExperiment) -> PlannedRun:
    return experiment.order(ANY)[0]


def test_the_expected_time_is_that_of_the_slots_of_the_host_limit_or_of_the_host_delay() -> None:
    plain = asked("--spiders asyncio --pages 100 --delay 20 --concurrency 10 --hosts 2")
    way = 4  # of links from the home page, with robots.txt before it
    assert expected_ns(run_of(plain), 10) == 102 * 20_000_000 // 10 + way * 20_000_000
    one_at_a_time = replace(plain, per_host=1)
    assert expected_ns(run_of(one_at_a_time), 10) == 102 * 20_000_000 // 2 + way * 20_000_000
    delayed = replace(plain, host_delay_s=0.05)
    assert expected_ns(run_of(delayed), 10) == 102 * 50_000_000 // 2 + way * 50_000_000


@pytest.mark.parametrize(
    "words",
    [
        "--pages 1000 --delay 900 --with slow@50 --concurrency 1",
        "--pages 1000 --delay 900 --with redirects@50 --concurrency 1",
        "--pages 100 --delay 9000 --with calendar --concurrency 100",
        "--pages 1000 --hosts 100 --crawl-delay 10 --with all --concurrency 100",
        "--pages 200 --links 5 --hosts 100 --crawl-delay 60 --concurrency 100",
        "--pages 300 --per-host 1 --host-delay 1000 --with all --concurrency 10",
    ],
)
def test_no_run_is_killed_that_takes_half_as_long_again_as_the_ideal_client(words: str) -> None:
    run = run_of(asked(f"--spiders asyncio {words}"))
    assert run.site is not None
    limits = Limits(
        slots=run.cell.concurrency,
        per_host=run.site.per_host,
        host_delay_ns=round(run.site.host_delay_s * 1e9),
        crawl_delay_ns=round(truth_of(run.site.site).site.spec.crawl_delay_s * 1e9),
        max_depth=run.site.max_depth,
    )
    limit_s = ProcessRunner(Target("", "x"), 10, UNPINNED).limit_s(run)
    assert limit_s > 1.5 * ideal_of(run.site.site, limits).makespan_ns / 1e9


def test_a_spider_parses_where_it_was_asked_to_and_can() -> None:
    chosen = chosen_spiders(("asyncio", "gevent"), ("loop", "processes"))
    assert [(entrant.label, parse) for entrant, parse in chosen] == [
        ("asyncio", "loop"),
        ("asyncio+processes", "processes"),
        ("gevent", "loop"),
    ]


def test_a_misspelt_spider_is_named_with_the_one_that_was_meant() -> None:
    with pytest.raises(UsageError, match="no spider 'asyncoi'; did you mean 'asyncio'"):
        spider_entrant("asyncoi")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--pages 10 --links 50", "links=50"),
        ("--hosts 1000", "hosts=1000"),
        ("--with redirekts", "did you mean redirects?"),
        ("--with redirects@90", "90"),
        ("--size 10", "size=10"),
        ("--parse forks", "'forks' is not one of loop, threads, processes"),
        ("--spiders nobody", "there is no spider 'nobody'"),
        ("--pages 0", "--pages"),
        ("--spiders serial,asyncio --parse threads --parsers 1001", "--parsers: '1001'"),
        ("--host-delay nan", "'nan' is not a number of ms"),
        ("--host-delay 0", "'0' is not a number of ms"),
        ("--with links@3", "give NAME@SHARE"),
        ("--with missing@", "give NAME@SHARE"),
        ("--with missing;pages=30", "give NAME,NAME@SHARE"),
        ("--with missing@1,missing@2", "each name once"),
        ("--with all,missing", "all has every difficulty"),
    ],
)
def test_a_site_that_makes_no_sense_is_refused_in_one_line(words: str, said: str) -> None:
    done = bench("site", *words.split())
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_limits_of_each_spider_are_checked() -> None:
    both = asked("--spiders serial,asyncio --parse loop,threads")
    with pytest.raises(ValueError, match="parsers of 1001"):
        replace(both, parsers=1001).check()
