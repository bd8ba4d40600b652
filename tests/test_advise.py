"""`crawlbench advise`, with its processes: what it prints, keeps and returns."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice, advice_of, analyse_advice
from bench.advice.limits import MOST, OBJECTIVE, SERVER, UNFINISHED, Limit
from bench.advice.points import Point
from bench.advice.recommendation import Recommendation
from bench.advice.words import answer, certainty
from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import Bottleneck
from bench.analysis.inference import Interval
from bench.analysis.validity import Level
from bench.cli import advise
from bench.cli.parser import parse
from bench.errors import StoreError, UsageError
from bench.plan.advice import AdviceExperiment
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.results.folder import find_file
from bench.results.store import Store
from crawlers.registry import UnknownCrawlerError
from server.service import Service
from tests.foreign_servers import aiohttp_server
from tests.simulated_boxes import SimulatedService

ADVICE = Path(__file__).parent / "data" / "schema-7" / "advice.sqlite"
SHORT = ("--duration", "0.2", "--most", "3")


def advised(tmp_path: Path, *words: str) -> int:
    """Run the verb in this process."""
    return advise.run(parse(("advise", *words, *SHORT, "--out", str(tmp_path)))[1])


@pytest.fixture
def short_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.plan.experiment.CEILING_REQUESTS", 20)


@pytest.mark.usefixtures("short_ceiling")
def test_the_answer_is_printed_kept_and_the_same_when_it_is_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each number of the answer follows from the runs that are kept."""
    code = advised(tmp_path, "protocol", "--capacity", "1", "--delay", "20", "--json")

    told = json.loads(capsys.readouterr().out)
    assert code == 0
    use = told["recommended"]["concurrency"]
    tried = {point["concurrency"] for point in told["crawlers"][0]["points"]}
    assert tried >= {1, 3, use}  # which is the best depends on how busy the machine is
    assert told["limited_by"] == "capacity"
    with Store.open(find_file(tmp_path / "latest-advice")) as store:
        advice = analyse_advice(store)
        trials = [run.trial for run in store.runs()]
    assert trials == sorted(trials)
    assert {0, 1, 2} <= set(trials)
    assert advice.crawlers[0].recommendation is not None
    assert advice.crawlers[0].recommendation.concurrency == use
    assert answer(advice) == told["answer"]


def test_no_concurrency_keeps_the_objectives_of_a_foreign_server(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code says so, and the sentence says what was measured."""
    with aiohttp_server() as url:
        code = advised(tmp_path, "protocol", "--url", f"{url}/length", "--slo", "p99<=0.001")

    assert code == 99
    said = capsys.readouterr().out
    assert "No concurrency of protocol meets the objectives" in said
    assert "(wanted: p99 <= 0.001 ms)" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nobody",), "nobody"),
        (("asyncio", "--slo", "p98<=5"), "'p98<=5' is not an objective: write one of p50"),
        (("asyncio", "--slo", ","), "the list is empty"),
        (("asyncio", "--i-may-load-this-host"), "only works with --url"),
        (("asyncio", "--url", "http://192.0.2.7/"), "192.0.2.7 is not this machine"),
        (("asyncio", "--rate", "5"), "there is no option '--rate'"),
        (("asyncio", "--queue", "5"), "add --capacity"),
        (("asyncio", "--concurrency", "5"), "--most is the largest that it tries"),
        (("asyncio", "--capacity", "50@0,20@1"), "this capacity changes"),
        (("asyncio-aimd",), "chooses how many it makes at a time"),
    ],
)
def test_mistakes_are_named_in_one_line(
    words: tuple[str, ...], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are found before anything is measured."""
    with pytest.raises((SystemExit, UsageError, UnknownCrawlerError)) as raised:
        advise.run(parse(("advise", *words))[1])
    said = capsys.readouterr().err.splitlines() or [str(raised.value)]
    assert why in said[-1]


def point(at: int, per_s: float, cpu_us: float = 100.0) -> Point:
    """Return a point."""
    return Point(
        concurrency=at,
        boxes=3,
        is_confirmed=True,
        good_per_s=per_s,
        error_per_s=1.0,
        interval=None,
        raw_per_s=per_s,
        mean_ns=at / per_s * 1e9,
        p50_ns=100_000_000,
        p99_ns=101_000_000,
        p99_interval=None,
        error_share=0.0,
        refused_share=0.0,
        cpu_us_per_request=cpu_us,
        level=Level.VALID,
        limit=Bottleneck("delay", ""),
        missed=(),
        missed_rate=(),
        is_steady=True,
    )


def advice(name: str, per_s: float, cpu_us: float, word: str = "capacity") -> CrawlerAdvice:
    """Return the advice for a crawler, whose limit shows at 64."""
    return CrawlerAdvice(
        name,
        (point(48, per_s, cpu_us), point(64, per_s)),
        Recommendation(48, 46, 53, per_s),
        Limit(word, 64, "evidence"),
        None,
        48,
    )


def told_of(*crawlers: CrawlerAdvice, url: str = "") -> str:
    """Return the answer in words."""
    delay = Delay.fixed(0 if url else 100_000)
    entrants = tuple(Entrant(one.crawler, one.crawler) for one in crawlers)
    asked = AdviceExperiment(entrants, (4096,), (delay,), 1, 1, 1, 10.0, url=url, duration_s=3.0)
    return answer(AdviceAnalysis(asked, Analysis(asked, (), ()), crawlers))


def test_the_answer_is_said_in_words() -> None:
    """The cheapest of those that reach the best goodput is recommended; others are compared."""
    said = told_of(
        advice("threads", 480, 210), advice("uvloop", 478, 100), advice("gevent", 479, 104)
    )
    assert said == (
        "Use uvloop with 48 at a time (46 to 53 are as good): 478 requests/s, p99 101 ms. The "
        "service's capacity is the limit: more only waits. Every crawler here reaches it; threads "
        "takes 2.1 times the CPU (10 % of a core)."
    )
    others = (advice("serial", 10, 900), advice("gevent", 480, 150))
    said = told_of(advice("uvloop", 478, 100), *others)
    assert said.endswith(
        "gevent reaches it, too; gevent takes 1.5 times the CPU (7 % of a core). serial has 10.0 "
        "requests/s at best, with 48 at a time."
    )


@pytest.mark.parametrize(
    ("word", "url", "said"),
    [
        (SERVER, "http://127.0.0.1/", "not a crawlbench server"),
        (SERVER, "", "The delay server itself is the limit"),
        (MOST, "", "More may be faster: evidence."),
        (OBJECTIVE, "", "An objective is the limit: at 64 at a time, evidence."),
        ("delay", "", "The limit is: delay. At 64 at a time, evidence."),
    ],
)
def test_the_limit_is_said_in_words(word: str, url: str, said: str) -> None:
    """What is not known of a server of others is said, too."""
    assert said in told_of(advice("asyncio", 478, 100, word), url=url)


def test_how_sure_the_answer_is_is_said() -> None:
    """The fresh runs agree with the search, or move its answer."""
    one = advice("uvloop", 478, 100)
    assert certainty(one) == (
        "uvloop with 48 at a time: 3 runs; the fresh runs confirm the search."
    )
    assert certainty(replace(one, searched=46)).endswith(
        "; without the fresh runs, it would have been 46."
    )
    sure = replace(one.points[0], interval=Interval(476, 480, 0.95))
    assert ", 476.0 to 480.0 requests/s (95 % interval);" in certainty(replace(one, points=(sure,)))
    assert not certainty(replace(one, recommendation=None))


def test_a_search_that_did_not_come_to_its_end_recommends_nothing() -> None:
    """Interrupted, or given up: what would be recommended was not confirmed by fresh runs."""
    none = replace(advice("serial", 10, 100, UNFINISHED), recommendation=None)
    said = told_of(none)
    assert said.startswith("serial has no answer, because evidence: ask again with ./benchmark.sh")
    simulated = SimulatedService(Delay.fixed(100_000), Service.parse({"capacity": "4"}))
    for at in (1, 4, 16):
        simulated.measure(at)
    asked = AdviceExperiment((), (16,), (), 1, 1, 1, 10.0)
    found = advice_of("asyncio", simulated.boxes, asked, ())
    assert (found.recommendation, found.limit.word, found.searched) == (None, UNFINISHED, 4)


def test_a_file_whose_runs_are_no_time_boxes_is_refused(tmp_path: Path) -> None:
    """Their part that counts has no length."""
    shutil.copy(ADVICE, tmp_path / "results.sqlite")
    with closing(sqlite3.connect(tmp_path / "results.sqlite")) as file, file:
        file.execute("UPDATE run SET role = 'cell'")
    with (
        Store.open(tmp_path / "results.sqlite") as store,
        pytest.raises(StoreError, match="its run 1 is no time box"),
    ):
        analyse_advice(store)


def test_what_is_refused_at_the_recommended_concurrency_is_said() -> None:
    """For a service that refuses in bursts, 95 % of the best goodput may be refused for it."""
    one = advice("uvloop", 478, 100)
    refused = replace(one.points[0], refused_share=0.32)
    said = told_of(replace(one, points=(refused, one.points[1])))
    assert "There, 32 % of the requests are refused; --slo 'refused<=1%' avoids that." in said


def test_a_crawler_without_an_answer_says_why() -> None:
    """The others are recommended all the same."""
    none = replace(advice("serial", 10, 100, OBJECTIVE), recommendation=None)
    assert told_of(none) == (
        "No concurrency of serial meets the objectives: at 64 at a time, evidence."
    )
    assert told_of(none, advice("asyncio", 478, 100)).startswith("Use asyncio with 48")
