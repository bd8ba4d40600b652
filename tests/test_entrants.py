import sys
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.interpreters import InterpreterError, check_interpreter, crawler_command
from bench.measure.observation import Observation, parse_netstat, parse_stolen_ns, parse_time_wait
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant, EntrantError, parse_entrant, with_unique_labels
from bench.plan.floor import FLOORS, cost_unit, fastest_floor
from crawlers.registry import REGISTRY
from server.models import ModelError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asyncio", Entrant("asyncio", "asyncio")),
        ("old=asyncio", Entrant("old", "asyncio")),
        ("my.module:crawl", Entrant("my.module:crawl", "my.module:crawl")),
        ("old=asyncio@/v/bin/python", Entrant("old", "asyncio", "/v/bin/python")),
        (
            "asyncio@/x/venv39/bin/python",
            Entrant("asyncio@venv39", "asyncio", "/x/venv39/bin/python"),
        ),
        ("asyncio@/x/v$x{/bin/python", Entrant("asyncio@v_x_", "asyncio", "/x/v$x{/bin/python")),
        ("asyncio@python3.12", Entrant("asyncio@python3.12", "asyncio", "python3.12")),
    ],
)
def test_an_entrant_is_a_label_a_crawler_and_an_interpreter(text: str, expected: Entrant) -> None:
    assert parse_entrant(text) == expected


@pytest.mark.parametrize("text", ["", "=asyncio", "a b=asyncio", "x=", "asyncio@", "@/python"])
def test_what_is_no_entrant_is_refused(text: str) -> None:
    with pytest.raises(EntrantError):
        parse_entrant(text)


def test_the_same_crawler_twice_gets_two_labels() -> None:
    named = with_unique_labels([Entrant("a", "a"), Entrant("b", "b"), Entrant("a", "a")] * 2)
    assert [entrant.label for entrant in named] == ["a", "b", "a#2", "a#3", "b#2", "a#4"]


def test_one_label_is_not_given_to_two_things() -> None:
    with pytest.raises(EntrantError, match="label 'a' is given to both asyncio and gevent"):
        with_unique_labels([Entrant("a", "asyncio"), Entrant("a", "gevent")])


def test_another_interpreter_sees_our_code_and_nothing_that_is_installed_beside_it(
    tmp_path: Path,
) -> None:
    """With -S the packages of this environment are hidden, as if it were another."""
    import subprocess

    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "$@"\n')
    python.chmod(0o755)
    command = crawler_command(Entrant("x", "serial", str(python)), "--can-load", "serial")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 3
    assert "No module named 'requests'" in done.stderr
    command = crawler_command(
        Entrant("x", "tests.broken_crawlers:chat", str(python)),
        *("--can-load", "tests.broken_crawlers:chat"),
    )
    assert subprocess.run(command, capture_output=True).returncode == 0


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with pytest.raises(InterpreterError, match="old: /no/such/python is not a program"):
        check_interpreter(Entrant("old", "asyncio", "/no/such/python"))
    check_interpreter(Entrant("old", "asyncio", sys.executable))
    check_interpreter(Entrant("asyncio", "asyncio"))


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 2**62), st.integers(0, 60))
def test_delays_are_drawn_from_their_range_and_again_the_same(
    low_us: int, more_us: int, seed: int, requests: int
) -> None:
    delay = Delay.between(low_us, low_us + more_us)
    drawn = delay.drawn(seed, requests)
    assert len(drawn) == requests
    assert all(low_us <= value <= low_us + more_us for value in drawn)
    assert delay.drawn(seed, requests + 5)[:requests] == drawn


def test_the_numbers_drawn_do_not_change_from_version_to_version() -> None:
    assert Delay.between(1000, 20_000).drawn(1, 4) == array("I", [3553, 17102, 15512, 5846])


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("100", Delay.between(100_000, 100_000), "100 ms"),
        ("20-200", Delay.between(20_000, 200_000), "20-200 ms"),
        ("0.5-1", Delay.between(500, 1000), "0.5-1 ms"),
    ],
)
def test_a_delay_is_written_in_ms(text: str, expected: Delay, shown: str) -> None:
    assert Delay.parse(text) == expected
    assert str(expected) == shown


@pytest.mark.parametrize("text", ["", "-5", "5-", "9-1", "x", "1-2-3", "60001"])
def test_what_is_no_delay_is_refused(text: str) -> None:
    with pytest.raises(ModelError):
        Delay.parse(text)


def test_the_kernels_counters_are_read() -> None:
    text = "TcpExt: A ListenOverflows ListenDrops\nTcpExt: 1 2 3\nIpExt: X\nIpExt: 9\n"
    assert parse_netstat(text) == {"ListenOverflows": 2, "ListenDrops": 3}
    assert parse_time_wait("sockets: used 8\nTCP: inuse 1 orphan 0 tw 77 alloc 1\n") == 77
    assert parse_stolen_ns("cpu  1 2 3 4 5 6 7 8 9 10\ncpu0 1\n") == 80_000_000
    assert parse_netstat("") == {}
    assert parse_time_wait("") is None
    assert parse_stolen_ns("") is None


def test_conditions_are_the_differences_of_two_observations() -> None:
    before = Observation(10, 100, {"ListenDrops": 5, "TCPSynRetrans": 1}, 7, None)
    after = Observation(1010, 600, {"ListenDrops": 8, "TCPSynRetrans": 1}, 9, None)
    found = before.until(after, turned_away=2, beside=3)
    assert (found.listen_drops, found.syn_retransmits, found.listen_overflows) == (3, 0, None)
    assert (found.clock_step_ns, found.time_wait_before, found.stolen_ns) == (500, 7, None)
    assert (found.turned_away, found.beside, found.span_ns) == (2, 3, 500)
    now = Observation.now()
    assert abs(now.until(Observation.now(), None, None).clock_step_ns) < 10**9


def test_the_floor_crawler_is_one_table_asked_two_questions() -> None:
    assert cost_unit(("asyncio", "protocol-uvloop", "protocol")) == "protocol"
    assert cost_unit({"asyncio": 1, "protocol-uvloop": 2}) == "protocol-uvloop"
    assert cost_unit(("asyncio",)) is None
    assert fastest_floor(lambda _: True) == "protocol-uvloop"
    assert fastest_floor(lambda name: name == "protocol") == "protocol"
    assert fastest_floor(lambda _: False) == "protocol"
    assert {info.name for info in REGISTRY if "floor" in info.style} == set(FLOORS)
