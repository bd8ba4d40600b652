"""`crawlbench advise`, with its processes: what it prints, keeps and returns."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice, analyse_advice
from bench.advice.limits import MOST, OBJECTIVE, SERVER, Limit
from bench.advice.points import Point
from bench.advice.recommendation import Recommendation
from bench.advice.words import answer, certainty
from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import Bottleneck
from bench.analysis.inference import Interval
from bench.analysis.validity import Level
from bench.cli import advise
from bench.cli.parser import parse
from bench.plan.advice import AdviceExperiment
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.results.folder import find_file
from bench.results.store import Store
from tests.foreign_servers import aiohttp_server
from tests.test_command_line import bench

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
    code = advised(tmp_path, "asyncio", "--capacity", "1", "--delay", "20", "--json")

    told = json.loads(capsys.readouterr().out)
    assert code == 0
    use = told["recommended"]["concurrency"]
    assert use in (1, 2)  # what the client adds may be more than 5 % on a busy machine
    assert told["limited_by"] == "capacity"
    assert {point["concurrency"] for point in told["crawlers"][0]["points"]} >= {1, 3}
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
        code = advised(tmp_path, "asyncio", "--url", f"{url}/length", "--slo", "rate>=99999999")

    assert code == 99
    assert "keeps the objectives (rate >= 99999999/s) at no" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("nobody",), "nobody"),
        (("asyncio", "--slo", "p98<=5"), "there is no metric 'p98'"),
        (("asyncio", "--slo", ","), "the list is empty"),
        (("asyncio", "--i-may-load-this-host"), "only works with --url"),
        (("asyncio", "--url", "http://192.0.2.7/"), "192.0.2.7 is not this machine"),
        (("asyncio", "--rate", "5"), "there is no option '--rate'"),
        (("asyncio", "--queue", "5"), "add --capacity"),
    ],
)
def test_mistakes_are_named_in_one_line(words: tuple[str, ...], why: str) -> None:
    """They exit with 2 before anything is measured."""
    done = bench("advise", *words)
    assert done.returncode == 2
    assert why in done.stderr.splitlines()[-1]


def point(at: int, per_s: float, cpu_us: float = 100.0) -> Point:
    """Return a point."""
    return Point(
        concurrency=at,
        boxes=3,
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
        is_kept=True,
        has_rate=True,
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
    asked = AdviceExperiment(
        (Entrant("asyncio", "asyncio"),), (4096,), (delay,), 1, 1, 1, 10.0, url=url, duration_s=3.0
    )
    return answer(AdviceAnalysis(asked, Analysis(asked, (), ()), crawlers))


def test_the_answer_is_said_in_words() -> None:
    """The cheapest of those that reach the best goodput is recommended; others are compared."""
    said = told_of(
        advice("threads", 480, 210), advice("uvloop", 478, 100), advice("gevent", 479, 104)
    )
    assert said == (
        "Use uvloop with 48 at a time (46 to 53 are as good): 478 requests/s, p99 101 ms. The "
        "service's capacity is the limit: more only waits. Every crawler here reaches it; threads "
        "takes 2.1 times the CPU."
    )
    others = (advice("serial", 10, 900), advice("gevent", 480, 150))
    said = told_of(advice("uvloop", 478, 100), *others)
    assert said.endswith(
        "gevent reaches it, too; gevent takes 1.5 times the CPU. serial has 10.0 requests/s at "
        "best, with 48 at a time."
    )


@pytest.mark.parametrize(
    ("word", "url", "said"),
    [
        (SERVER, "http://127.0.0.1/", "not a crawlbench server"),
        (SERVER, "", "The delay server itself is the limit"),
        (MOST, "", "More may be faster: evidence."),
        (OBJECTIVE, "", "The objective is the limit (evidence): 64 at a time would have 478"),
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
        "alone found 46, and the fresh runs moved it."
    )
    sure = replace(one.points[0], interval=Interval(476, 480, 0.95))
    assert ", 476 to 480 requests/s (95 % interval);" in certainty(replace(one, points=(sure,)))
    assert not certainty(replace(one, recommendation=None))


def test_a_crawler_without_an_answer_says_why() -> None:
    """The others are recommended all the same."""
    none = replace(advice("serial", 10, 100, OBJECTIVE), recommendation=None)
    assert told_of(none).startswith("serial keeps the objectives (evidence) at no concurrency")
    assert told_of(none, advice("asyncio", 478, 100)).startswith("Use asyncio with 48")
