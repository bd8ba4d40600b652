"""Servers that are not ours, or worse: what they say is bounded, checked, and told in one line."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

import server.control_client
from bench.measure.limits import TooMuchError, check_server
from bench.measure.runner import Target
from bench.measure.targets import recognise
from server.announcement import greeting
from server.control_client import ControlError, delete_run, fetch_run, health, stats
from server.ledger import COLUMNS, FAULT_COLUMNS, LOAD_COLUMNS

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"
GOOD_PROCESS = {"pid": 1, "requests": 1, "accepted": 0, "cpu_seconds": 0.5}
GOOD_STATS = {
    "requests": 1,
    "connections": {"accepted": 0, "turned_away": 0, "most": 5},
    "processes": [GOOD_PROCESS],
}


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Answers each connection, one after another, once it has asked; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with closing(connection), suppress(OSError):
                connection.recv(65_536)
                answer(connection)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def saying(data: bytes) -> Callable[[socket.socket], object]:
    return lambda connection: connection.sendall(data)


def as_json(value: object) -> bytes:
    return HEAD + json.dumps(value).encode()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "closed connection without response"),
        (b"SSH-2.0-OpenSSH\r\n", "SSH-2.0-OpenSSH"),
        (HEAD, "it is not JSON"),
        (HEAD + b"[" * 60_000, "nested too deeply"),
        (HEAD + b"x" * 70_000, "longer than 65536 bytes"),
        (HEAD + b"NaN", "it is not JSON"),
        (HEAD + b"9" * 5000, "it is not JSON"),
        (as_json(5), "has no requests"),
        (as_json([GOOD_STATS]), "has no requests"),
        (as_json({**GOOD_STATS, "requests": float("inf")}), "it is not JSON"),
        (as_json({**GOOD_STATS, "requests": 2**62}), "has no requests"),
        (as_json({**GOOD_STATS, "requests": -1}), "has no requests"),
        (as_json({**GOOD_STATS, "requests": True}), "has no requests"),
        (as_json({**GOOD_STATS, "connections": 7}), "has no connections.accepted"),
        (as_json({**GOOD_STATS, "processes": []}), "has no processes"),
        (as_json({**GOOD_STATS, "processes": [GOOD_PROCESS] * 65}), "has no processes"),
        (as_json({**GOOD_STATS, "processes": [7]}), "has no pid"),
        (
            as_json({**GOOD_STATS, "processes": [{**GOOD_PROCESS, "cpu_seconds": "1"}]}),
            "has no cpu_seconds",
        ),
        (b"HTTP/1.1 500 \x1b[2J\r\n\r\n\x1b[2J" + b"x" * 9999, "500, ?[2Jxxx"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", "it is not JSON"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", ""),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 1000 + b"\r\n", "more than 100 headers"),
        (b"HTTP/1.1 200 " + b"x" * 100_000, "more than 65536 bytes"),
    ],
)
def test_counters_that_are_none_are_one_line(data: bytes, said: str) -> None:
    with serving(saying(data)) as url, pytest.raises(ControlError) as caught:
        stats(url)
    text = str(caught.value)
    assert said in text
    assert text.startswith(f"GET {url}/stats: ")
    assert text.isprintable()
    assert len(text) < 400


def test_a_server_says_who_it_is_or_that_is_one_line() -> None:
    good = {"nonce": "a", "pid": 1, "version": "2"}
    with serving(saying(as_json(good))) as url:
        assert health(url) == good
    with (
        serving(saying(as_json({**good, "nonce": ["a"]}))) as url,
        pytest.raises(ControlError, match="has no nonce"),
    ):
        health(url)


def ledger(**changes: object) -> bytes:
    columns = [[name, code, 0] for name, code in COLUMNS]
    columns += [[f"load.{name}", "q", 0] for name in LOAD_COLUMNS]
    columns += [[f"fault.{name}", code, 0] for name, code in FAULT_COLUMNS]
    header = {
        "name": "run",
        "rows": 0,
        "unrecorded": 0,
        "first_request_head": "",
        "processes": 1,
        "byteorder": "little",
        "columns": columns,
    }
    return as_json(header | changes) + b"\n"


def test_an_empty_ledger_is_read() -> None:
    with serving(saying(ledger())) as url:
        assert fetch_run(url, "run").rows == 0


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HEAD + b"x" * 70_000, "without a header"),
        (as_json(5) + b"\n", "without a header"),
        (ledger(columns=[["seq", "q", 10**12]]), "the packed columns are not"),
        (ledger(columns=None), "the packed columns are not"),
        (ledger(rows=1), "differ in length"),
        (ledger(rows=[]), "differ in length"),
        (ledger(unrecorded=-1), "without a number of unrecorded"),
        (ledger(unrecorded="many"), "without a number of unrecorded"),
        (ledger(name=7), "without a name"),
        (ledger(processes=0), "without a number of server processes"),
        (ledger(processes="2"), "without a number of server processes"),
        (ledger(first_request_head=7), "without a name"),
        (ledger(first_request_head="a"), ""),
        (ledger(byteorder="\x1b[2J"), "without a byte order"),
    ],
)
def test_a_ledger_that_is_none_is_one_line(data: bytes, said: str) -> None:
    with serving(saying(data)) as url, pytest.raises(ControlError) as caught:
        fetch_run(url, "run")
    assert said in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_ledger_of_more_rows_than_can_be_is_refused_before_they_come() -> None:
    columns = [[name, code, 10**12] for name, code in COLUMNS]
    columns += [[f"load.{name}", "q", 0] for name in LOAD_COLUMNS]
    columns += [[f"fault.{name}", code, 0] for name, code in FAULT_COLUMNS]
    with (
        serving(saying(ledger(rows=10**12, columns=columns))) as url,
        pytest.raises(ControlError, match="longer than 4000000 items"),
    ):
        fetch_run(url, "run")


@given(st.binary(max_size=300), st.booleans())
def test_any_answer_is_read_or_is_one_line(data: bytes, has_head: bool) -> None:
    with serving(saying(HEAD * has_head + data)) as url:
        for ask in (
            stats,
            health,
            lambda url: fetch_run(url, "r"),
            lambda url: delete_run(url, "r"),
        ):
            with suppress(ControlError):
                ask(url)


@pytest.mark.parametrize("drip", [b"H", HEAD[:-2] + b"a: b\r\n", HEAD + b"1"])
def test_an_answer_that_drips_has_one_limit_of_time_for_all_of_it(
    monkeypatch: pytest.MonkeyPatch, drip: bytes
) -> None:
    monkeypatch.setattr(server.control_client, "_WITHIN_S", 0.3)
    over = threading.Event()

    def answer(connection: socket.socket) -> None:
        connection.sendall(drip[:-1])
        while not over.wait(0.02):  # each byte in time, and no end
            connection.sendall(drip[-1:])

    with serving(answer) as url:
        try:
            with pytest.raises(ControlError, match="timed out"):
                stats(url)
        finally:
            over.set()


@pytest.mark.parametrize(
    "elsewhere",
    [
        "http://192.0.2.1:80",
        "http://127.0.0.2:80",
        "http://127.0.0.1@192.0.2.1:80",
        "http://localhost.example:80",
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:192.0.2.1]:80",
        "http://\x1b[2J:80",
        "http://[:80",
        "http://127.0.0.1:x",
        "http://127.0.0.1",
    ],
)
def test_a_control_port_on_another_host_is_not_asked(elsewhere: str) -> None:
    body = greeting(elsewhere).encode()
    with serving(saying(HEAD + body)) as url, pytest.raises(ControlError) as caught:
        recognise(url)
    assert "another host and is not contacted" in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_control_port_on_the_address_that_was_reached_is_asked() -> None:
    same = "http://127.0.0.1:80"
    with serving(saying(HEAD + greeting(same).encode())) as url:
        assert recognise(url) == Target(url, same)
        assert recognise(url.replace("127.0.0.1", "localhost")).control_url == same


def test_a_server_of_few_connections_is_told_from_one_that_lies() -> None:
    with serving(saying(as_json(GOOD_STATS))) as url, pytest.raises(TooMuchError, match="open 5"):
        check_server(Target(url, url), 6)
