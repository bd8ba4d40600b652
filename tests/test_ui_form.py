"""A form becomes words of a command line, and nothing else."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.parser import parse
from bench.cli.ui import planned
from bench.plan.delays import Delay
from bench.plan.experiment import seed_of_trial
from bench.ui.form import LABELS, Form, FormError, command_of, parse_form, words_of
from bench.ui.handlers import PAGES
from bench.ui.playground import Knobs, drawn_mean_ms, ideal_rate_per_s, parse_knobs
from bench.ui.playground import words_of as words_of_playground

_NOTHING = vars(parse(["run"])[1])


def test_a_form_is_the_command_that_does_the_same() -> None:
    body = {"crawlers": ["asyncio", "threads"], "concurrency": "1, ,10,", "fault_share": "500@1"}
    words = words_of(parse_form(json.dumps({**body, "quick": True, "delay": " 20-200 "}).encode()))
    assert words == [
        *("run", "--crawlers", "asyncio,threads", "--concurrency", "1,10"),
        *("--delay", "20-200", "--fault-share", "500@1", "--quick"),
    ]
    verb, arguments = parse(words)
    assert (verb.name, arguments.quick, arguments.concurrency) == ("run", True, (1, 10))
    assert words_of(Form()) == ["run"]


@given(st.sampled_from(["rate", "capacity", "queue"]), st.text() | st.from_regex("--?[a-z0-9=]*"))
def test_a_text_is_the_value_of_its_option_alone(name: str, text: str) -> None:
    try:
        words = words_of(parse_form(json.dumps({name: text}).encode()))
    except FormError:
        return
    # These options have no type that refuses a text at once.
    given_options = dict(vars(parse(words)[1]))
    assert _items(given_options.pop(name) or "") == _items(text)
    assert all(
        value == _NOTHING[option] for option, value in given_options.items() if option != "parser"
    )


def _items(text: str) -> list[str]:
    return [item.strip() for item in text.split(",") if item.strip()]


@pytest.mark.parametrize(
    "fields",
    [
        {"open_loop": True},
        {"concurrency": "--"},
        {"delay": "1\n--out"},
        {"delay": "1\0"},
        {"delay": "trace:/etc/passwd"},
        {"delay": "1, TRACE:x"},
        {"delay": "9" * 301},
        {"crawlers": ["mine:crawl"]},
        {"crawlers": ["./mine.py:crawl"]},
        {"crawlers": ["asyncio@/bin/sh"]},
        {"crawlers": ["x=asyncio"]},
        {"crawlers": ["asyncio,mine:crawl"]},
        {"crawlers": ["--out"]},
        {"crawlers": ["asyncio"] * 101},
        {"scenario": "none"},
        {"out": "elsewhere"},
        {"url": "http://127.0.0.1/"},
        {"delay": 100},
        {"quick": "yes"},
        {"crawlers": "asyncio"},
    ],
)
def test_what_is_no_value_is_refused_in_one_line(fields: dict[str, object]) -> None:
    with pytest.raises(FormError) as refused:
        words_of(parse_form(json.dumps(fields).encode()))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"null", b"[" * 30_000])
def test_a_body_that_is_no_form_is_refused(body: bytes) -> None:
    for parse_body in (parse_form, parse_knobs):
        with pytest.raises(FormError):
            parse_body(body)


def test_shell_characters_are_shown_quoted() -> None:
    words = words_of(Form(delay="$(reboot); `x` | y"))
    assert words == ["run", "--delay", "$(reboot); `x` | y"]
    assert command_of(words).endswith(" run --delay '$(reboot); `x` | y'")


def test_a_plan_says_how_many_runs_there_are() -> None:
    words = ["run", "--crawlers", "asyncio", "--concurrency", "1,10", "--trials", "2"]
    # Two concurrencies in two trials, of 10 waves each, and two runs for the ceiling.
    assert planned(words) == ("6 runs, about 8 s", "")
    assert planned([*words, "--capacity", "5"]) == ("6 runs, about 10 s", "")
    assert planned(["run", "--scenario", "all"]).about.startswith("40 runs, about ")
    assert planned([*words[:-1], "90000"]).problem.startswith("180,002 runs are more than")
    # Planning the arrivals of so many requests would take minutes.
    rates = ["--rate", "10000", "--duration", "100", "--trials", "100"]
    assert planned([*words[:3], *rates]).about == "102 runs, about 2 h 48 min"
    # 99 s at 100,000/s, 9,901 s at 1/s, and 10,000 s at 101/s.
    ramp = ["--rate", "100000@0,1@99,101@10000", "--duration", "20000", "--delay", "5"]
    assert planned([*words[:3], *ramp]).problem.startswith("a run of 10,919,901 requests is more")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"concurrency": "-5"}, "Concurrency: '-5' is not a whole number from 1 to"),
        ({"delay": "--out=x"}, "Delay: '--out=x': give a value (100)"),
        ({"requests": "0"}, "Requests: '0' is not a whole number from 1 to"),
        ({"queue": "-5", "capacity": "1"}, "Queue '-5': give a whole number of requests, 0 to"),
        ({"capacity": "0"}, "Capacity '0': give 1 to 1000000 requests"),
        ({"fault_share": "reset@200"}, "Faults 'reset@200': give 0.0001 to 100"),
        ({"duration": "1", "requests": "1"}, "Duration and Requests both say when a run ends"),
        ({"waves": "1", "requests": "1"}, "Waves and Requests both say when a run ends"),
        ({"duration": "1", "waves": "1"}, "Duration and Waves both say when a run ends"),
        ({"scenario": "steady", "quick": True}, "Scenario steady determines this: leave out Quick"),
        ({"rate": "-1", "open_loop": True}, "Rate '-1': give 0.01 to 100,000"),
        ({"concurrency": "100000000"}, "a concurrency of 100000000 needs 100000100 open files"),
        ({"scenario": "all", "concurrency": "100000000"}, "Scenario all: at a concurrency of"),
        ({"waves": "100000000"}, "a run of 50,000,000,000 requests is more than 10,000,000"),
        ({"duration": "86400", "delay": "0"}, "a run of 5,184,000,000 requests is more than"),
        ({"rate": "1e5", "duration": "86400"}, "Rate '1e5': give"),
        ({"rate": "100000", "duration": "86400", "delay": "0"}, "a run of 8,640,000,000 requests"),
    ],
)
def test_a_mistake_is_told_in_words_of_the_form(
    fields: dict[str, str], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.measure.limits.descriptors_allowed", lambda: 20_000)
    words = words_of(parse_form(json.dumps({"crawlers": ["asyncio"], **fields}).encode()))
    assert planned(words).problem.startswith(problem)


def test_the_page_calls_the_fields_as_messages_do() -> None:
    page = (PAGES / "new.html").read_text("utf-8")
    for name, label in LABELS.items():
        is_field = name not in ("crawlers", "quick")
        shown = f'<label for="{name}">{label}</label>' if is_field else f">{label}<"
        assert shown in page


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--delay", "soon"], "Delay: 'soon' is not a delay"),
        (["--rate", "5", "--concurrency", "1,2"], "Rate takes the place of the concurrency: give"),
        (["--queue", "x"], "Queue 'x'"),
        (["--rate", "99999", "--delay", "60000"], "Rate 99999 with a delay of 60000 ms may"),
    ],
)
def test_a_plan_names_what_is_wrong(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = planned(["run", *words])
    assert found.about == ""
    assert found.problem.startswith(problem)
    assert "\n" not in found.problem
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("tail", ["none", "exponential", "lognormal"])
@pytest.mark.parametrize("delay_ms", [0, 0.5, 100, 333.3333])
def test_every_tail_has_the_mean_that_is_asked_for(tail: str, delay_ms: float) -> None:
    words = words_of_playground(Knobs("asyncio", delay_ms=delay_ms, tail=tail, capacity=5))
    _, arguments = parse(words)
    assert arguments.delay.mean_us == pytest.approx(delay_ms * 1000, rel=0.01, abs=1)
    assert arguments.capacity == "5"


@pytest.mark.parametrize("delay_ms", [5, 30, 150, 300, 500])
def test_a_crawler_that_is_a_little_late_loses_no_wave_to_the_end_of_the_crawl(
    delay_ms: int,
) -> None:
    knobs = Knobs("asyncio", delay_ms=delay_ms, concurrency=2)
    _, arguments = parse(words_of_playground(knobs))
    waves_s = [delay_ms / 1e3 * 1.002 * wave for wave in range(1, 500)]
    within = [at for at in waves_s if arguments.warm_up < at <= arguments.duration]
    per_s = 2 * len(within) / (arguments.duration - arguments.warm_up)
    assert per_s == pytest.approx(ideal_rate_per_s(knobs)) == pytest.approx(2000 / delay_ms)


def test_the_ideal_client_of_the_playground_obeys_littles_law() -> None:
    def ideal(**fields: object) -> float | None:
        return ideal_rate_per_s(parse_knobs(json.dumps({"crawler": "asyncio", **fields}).encode()))

    assert ideal(delay_ms=0) is None
    # Ten in flight for 100 ms each, or as many as are served at a time.
    assert ideal() == pytest.approx(100)
    assert ideal(capacity=3) == pytest.approx(30)
    assert ideal(crawler="serial") == pytest.approx(10)
    assert ideal(concurrency=2000, delay_ms=10) == 200_000
    for tail in ("exponential", "lognormal"):
        assert ideal(tail=tail, capacity=8, duration_s=10) == pytest.approx(80, rel=0.15)


def test_the_mean_of_drawn_delays_is_that_of_the_requests_of_the_crawl() -> None:
    assert drawn_mean_ms(Knobs("asyncio", delay_ms=70), 9) == 70
    assert drawn_mean_ms(Knobs("asyncio"), 0) is None
    knobs = Knobs("asyncio", tail="exponential")
    _, arguments = parse(words_of_playground(knobs))
    first = Delay.parse("exponential:mean=100").drawn(seed_of_trial(arguments.seed, 1), 3)
    assert drawn_mean_ms(knobs, 3) == pytest.approx(np.mean(first) / 1000)
    assert drawn_mean_ms(knobs, 50_000) == pytest.approx(100, rel=0.03)  # standard error: 0.4 %


def test_a_crawler_that_makes_one_request_at_a_time_is_asked_for_one() -> None:
    words = words_of_playground(Knobs("serial", concurrency=10))
    assert words[:4] == ["crawl", "serial", "--concurrency", "1"]


@pytest.mark.parametrize(
    "knobs",
    [
        {"crawler": "mine:crawl"},
        {"crawler": "asyncio", "tail": "pareto"},
        {"crawler": "asyncio", "concurrency": 0},
        {"crawler": "asyncio", "delay_ms": 1e9},
        {"crawler": "asyncio", "delay_ms": -1},
        {"crawler": "asyncio", "capacity": -3},
        {"crawler": "asyncio", "duration_s": 60},
        {"crawler": "asyncio", "more": 1},
        {},
    ],
)
def test_the_playground_refuses_what_is_out_of_range(knobs: dict[str, object]) -> None:
    with pytest.raises(FormError):
        parse_knobs(json.dumps(knobs).encode())
