"""Options of models, load and service: every mistake is one line with the option and the fix."""

from pathlib import Path
from typing import NoReturn

import pytest

from bench.cli import run
from bench.cli.load_options import check_ports, load_arguments, warn_of_timeout
from bench.cli.parser import parse
from bench.errors import UsageError
from bench.plan.delays import Delay
from bench.plan.experiment import Experiment
from bench.plan.load import OPEN_LOOP_S
from bench.plan.rates import Rate
from bench.plan.sizes import Size

RUN = ("run", "--crawlers", "asyncio")
CRAWL = ("crawl", "asyncio")


@pytest.fixture
def traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files in the current folder, good and bad."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good").write_text("10\n20.5\n")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "words").write_text("10\nabc\n")
    (tmp_path / "high").write_text("10\n60001\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "urls").write_text("http://127.0.0.1:9/\n")


def mistake(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> str:
    """What a command line is refused with, as the last line on stderr would say it."""
    try:
        verb, arguments = parse(words)
        verb.load().run(arguments)
    except UsageError as error:
        return str(error)
    except SystemExit as ended:
        code = ended.code
        line = capsys.readouterr().err.splitlines()[-1]
    else:
        raise AssertionError(f"{words} is accepted")
    assert code == 2
    return line


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize(
    ("words", "option", "said"),
    [
        # Models that make no sense.
        ("--delay lognormal:median=900,p99=120", "--delay", "p99 above the median"),
        ("--delay lognormal:median=0,p99=120", "--delay", "the median must be above 0"),
        ("--delay lognormal:median=120", "--delay", "give lognormal:median=...,p99=..."),
        ("--delay lognormal:p50=1,p99=9", "--delay", "give lognormal:median=...,p99=..."),
        ("--delay lognormal:median=nan,p99=9", "--delay", "'nan' is not a delay: give ms, 0 to"),
        ("--delay NaN", "--delay", "'NaN' is not a delay: give ms, 0 to 60000"),
        ("--delay 1e3", "--delay", "'1e3' is not a delay"),
        ("--delay 60001", "--delay", "'60001' is not a delay: give ms, 0 to 60000"),
        ("--delay=-5", "--delay", "'-5': give a value (100) or a range (20-200)"),
        ("--delay 200-20", "--delay", "the smaller number first, as in 20-200"),
        ("--delay exponential:mean=0", "--delay", "the mean must be above 0"),
        ("--delay exponential:mean=70000", "--delay", "'70000' is not a delay"),
        ("--delay exponential:mean=20000", "--delay", "4.98% of its values would exceed"),
        ("--delay exponential:mean=20000", "--delay", "60000 ms; at most 0.1% may"),
        ("--delay lognormal:median=20000,p99=59000", "--delay", "would exceed the most that"),
        ("--delay weighted:50@0", "--delay", "'50@0' needs a whole weight from 1"),
        ("--delay weighted:50@1.5", "--delay", "'50@1.5' needs a whole weight from 1"),
        ("--delay weighted:50", "--delay", "'50' needs a whole weight from 1"),
        ("--delay weighted:", "--delay", "give each value its weight, as in weighted:"),
        ("--delay normal:mean=4", "--delay", "there is no model 'normal'; give a value (100)"),
        ("--delay trace:none", "--delay", "cannot read the trace 'none': No such file"),
        ("--delay trace:", "--delay", "give the file of the trace"),
        ("--delay trace:empty", "--delay", "has 0 values; give 1 to 100,000, one per line"),
        ("--delay trace:words", "--delay", "'trace:words, line 2': 'abc' is not a delay"),
        ("--delay trace:high", "--delay", "line 2': '60001' is not a delay: give ms, 0 to 60000"),
        ("--delay trace:binary", "--delay", "it is not a text file"),
        ("--delay 10,10", "--delay", "'10,10' has a value twice"),
        ("--delay ,", "--delay", "the list is empty"),
        ("--size=-1", "--size", "give a value (100) or a range (20-200)"),
        ("--size 1.5k", "--size", "'1.5k' is not a size: give whole bytes, or 2k, or 1M"),
        ("--size 20M", "--size", "'20M' is too large: give 0 to 16777216 bytes"),
        ("--size exponential:mean=10M", "--size", "16777216 bytes; at most 0.1% may"),
        ("--size lognormal:median=2k,p99=1k", "--size", "p99 above the median"),
        ("--body-size 10", "--body-size", "needs --method POST"),
        ("--method POST --body-size x", "--body-size", "'x' is not a size"),
        ("--method PUT", "--method", "choose from 'GET', 'POST'"),
        # Services.
        ("--capacity 0", "--capacity", "0: give 1 to 1000000 requests"),
        ("--capacity=-1", "--capacity", "'-1': give whole numbers of requests, 1 to 1000000"),
        ("--capacity 1.5", "--capacity", "'1.5': give whole numbers of requests"),
        ("--capacity nan", "--capacity", "'nan': give whole numbers of requests"),
        ("--capacity 50@5", "--capacity", "the first step must begin at 0 s"),
        ("--capacity 50@0,20@10,30@5", "--capacity", "each step must begin after the one before"),
        ("--capacity 50@0,20@x", "--capacity", "'x' is not a number; write it as in 50@0,20@10"),
        ("--queue 5", "--queue", "without a capacity nothing waits; add --capacity"),
        ("--capacity 5 --queue x", "--queue", "'x': give a whole number of requests, 0 to"),
        ("--rate-limit 0", "--rate-limit", "0: give 0.001 to 1000000"),
        ("--rate-limit 200:0", "--rate-limit", "burst 0: give 1 to 1000000"),
        ("--rate-limit 200:", "--rate-limit", "a number is missing; write it as in 200:20"),
        ("--rate-limit nan", "--rate-limit", "'nan' is not a number"),
        ("--slowdown 0.1", "--slowdown", "a number is missing; write it as in 0.02,0.0005"),
        ("--slowdown a,b", "--slowdown", "'a' is not a number; write it as in 0.02,0.0005"),
        ("--stall 10", "--stall", "a number is missing; write it as in 10:1.4"),
        ("--stall 10:0", "--stall", "for no stalls, leave it out"),
        ("--stall 1:2", "--stall", "1:2: a stall must end before the next one begins"),
        ("--fault-share foo@1", "--fault-share", "there is no such fault; choose from hang"),
        ("--fault-share 500", "--fault-share", "a number is missing"),
        ("--fault-share 500@101", "--fault-share", "101: give 0.0001 to 100"),
        ("--fault-share 500@60,reset@60", "--fault-share", "it adds up to more than 100 %"),
        ("--fault-seed 5", "--fault-seed", "chooses nothing; add --fault-share"),
        ("--fault-share 500@1 --fault-seed=-1", "--fault-seed", "give a whole number from 0 on"),
        # Load.
        ("--rate 0", "--rate", "'0': give 0.01 to 100,000 requests per second"),
        ("--rate=-5", "--rate", "'-5': give 0.01 to 100,000 requests per second"),
        ("--rate nan", "--rate", "'nan': give 0.01 to 100,000 requests per second"),
        ("--rate 200000", "--rate", "'200000': give 0.01 to 100,000 requests per second"),
        ("--rate ,", "--rate", "give a number of requests per second"),
        ("--rate 10,10", "--rate", "has a rate twice"),
        ("--rate 100@5", "--rate", "the first step must begin at 0 s"),
        ("--rate 100@0,400@5,100@3", "--rate", "each step must begin after the one before"),
        ("--rate 100@0,400", "--rate", "give each step its begin, as in 100@0,400@5"),
        ("--rate 100@0,0@5", "--rate", "'0' is not a rate; give 0.01 to 100,000"),
        ("--rate 100@0,400@x", "--rate", "'x' is not a number of seconds, 0 to 86,400"),
        ("--rate 50..500", "--rate", "a ramp needs --over SECONDS"),
        ("--rate ..500", "--rate", "'' is not a rate"),
        ("--rate 50..500 --over 0", "--over", "'0' is not a number of seconds above 0"),
        ("--rate 50..500 --over nan", "--over", "'nan' is not a number of seconds above 0"),
        ("--rate 50 --over 5", "--over", "needs a ramp, such as --rate 50..500"),
        ("--over 5", "--over", "needs --rate"),
        ("--arrivals poisson", "--arrivals", "needs --rate"),
        ("--rate 5 --arrivals random", "--arrivals", "choose from 'fixed', 'poisson'"),
        ("--duration 0", "--duration", "'0' is not a number of seconds above 0, up to a day"),
        ("--duration 5 -n 9", "--duration", "both say when a run ends: leave one out"),
        ("--duration 5 --warm-up 5", "--warm-up", "leaves nothing to count of a run of 5 s"),
        ("--rate 5 --warm-up 10", "--warm-up", "leaves nothing to count of a run of 10 s"),
    ],
)
def test_a_mistake_names_the_option_the_value_and_what_is_allowed(
    words: str,
    option: str,
    said: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def measure(*_: object) -> NoReturn:
        raise AssertionError("it is measured")

    monkeypatch.setattr("bench.measure.session.measure", measure)
    line = mistake((*RUN, *words.split()), capsys)
    assert option in line
    assert said in line


@pytest.mark.usefixtures("traces")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "--rate", "50", "--concurrency", "5,10"), "--rate takes the place of the conc"),
        (("run", "--rate", "50", "--waves", "3"), "use -n or --duration"),
        (("run", "--duration", "5", "--waves", "3"), "--duration and --waves both say"),
        (("run", "--crawlers", "asyncio-chunks", "--rate", "5"), "--rate: asyncio-chunks does not"),
        (("crawl", "asyncio-chunks", "--rate", "5"), "--rate: asyncio-chunks does not wait until"),
        ((*CRAWL, "--rate", "50,60"), "crawl has one rate"),
        ((*CRAWL, "--delay", "50,60"), "--delay: '50,60': give one value"),
        ((*CRAWL, "--size", "50,60"), "--size: '50,60': give one value"),
        ((*CRAWL, "--urls", "urls", "--capacity", "5"), "--urls: --capacity can only be used if"),
        ((*RUN, "--urls", "urls", "--size", "5"), "leave out --size"),
        (
            (*CRAWL, "--url", "http://127.0.0.1:9/x", "--size", "2k", "--stall", "5:1"),
            "so --size, --stall cannot be used",
        ),
        (("calibrate", "--delay", "nan"), "--delay: 'nan' is not a delay"),
        (("calibrate", "--size", "1,2"), "--size: '1,2': give one value"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in mistake(words, capsys)


def asked(*words: str) -> Experiment:
    return run._experiment(parse([*RUN, *words])[1])  # noqa: SLF001 - what the words ask for


@pytest.mark.usefixtures("traces")
def test_lists_of_models_and_rates_are_axes_of_the_sweep() -> None:
    delays = "10,20-30,lognormal:median=5,p99=9,weighted:1@2,3@4,trace:good,exponential:mean=7"
    found = asked("--delay", delays, "--size", "1,2k,exponential:mean=500")
    assert [delay.text for delay in found.delays] == [
        *("10", "20-30", "lognormal:median=5,p99=9", "weighted:1@2,3@4", "trace:good"),
        "exponential:mean=7",
    ]
    assert found.delays[4].trace_us == (10_000, 20_500)
    assert [size.text for size in found.sizes] == ["1", "2048", "exponential:mean=500"]
    rates = asked("--rate", "5,10@0,20@3,30@0,40@1,50..60", "--over", "4").rates
    assert [rate.text for rate in rates] == ["5", "10@0,20@3", "30@0,40@1", "50..60 over 4"]


def test_a_duration_or_a_rate_takes_the_place_of_the_number_of_requests() -> None:
    for words, requests, concurrency in (
        (("--rate", "50"), 50 * OPEN_LOOP_S, 100),
        (("--rate", "50", "--duration", "2"), 100, 100),
        (("--rate", "50", "-n", "7", "--concurrency", "3"), 7, 3),
        (("--rate", "500", "--delay", "100"), 5000, 200),
    ):
        (only,) = asked(*words, "--trials", "1").order({"asyncio": 900, "protocol-uvloop": 900})[
            1:-1
        ]
        assert (only.requests, only.cell.concurrency) == (requests, concurrency)
        assert only.cell.rate == Rate(words[1])


def test_a_body_has_100_bytes_unless_it_says_more() -> None:
    assert asked("--method", "POST").body == Size("100")
    assert asked("--method", "POST", "--body-size", "2k").body == Size("2048")
    assert asked().body is None


def test_a_rate_that_needs_more_connections_than_there_are_ports_is_refused() -> None:
    load = load_arguments(parse([*RUN, "--rate", "100,9000"])[1])
    check_ports(load, [Delay.parse("500")], None, 18_000)
    check_ports(load, [Delay.parse("500")], None, None)
    check_ports(load, [Delay.parse("800")], 50, 28_000)
    with pytest.raises(UsageError, match=r"--rate 9000 with a delay of 800 ms may need 28,800 "):
        check_ports(load, [Delay.parse("800")], None, 28_000)


def test_a_time_limit_below_the_tail_of_a_model_is_warned_of(
    capsys: pytest.CaptureFixture[str],
) -> None:
    tail = Delay.parse("lognormal:median=120,p99=900")
    warn_of_timeout([tail, Delay.parse("100")], 10.0)
    assert capsys.readouterr().err == ""
    warn_of_timeout([tail, Delay.parse("100")], 1.0)
    (line,) = capsys.readouterr().err.splitlines()
    assert "--timeout 1 is below the p99.9 of --delay lognormal:median=120,p99=900, 1." in line
