"""Requests that no one would think of: by a grammar, by mutation, and cut at any byte.

A few hundred by default; `scripts/test -n 0 --timeout 0 --hypothesis-profile long
tests/test_request_fuzzing.py` tries twenty thousand of each.
"""

import asyncio
import itertools
import re
import socket
from collections.abc import Callable
from time import monotonic_ns
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.connection import Connection
from server.data_port import DataPort
from server.host_rule import HostRule
from server.ledger import WAITING, Ledger
from server.request_reader import SECOND_NS, Limits, RefusalError, RequestReader
from tests.conftest import pytest_asyncio_loop_factories
from tests.raw_client import until
from tests.request_shapes import DOUBTFUL, SMUGGLED, VALID

SEEDS = tuple(shape.encode("latin-1") for shape in (*VALID, *DOUBTFUL))


class Said(NamedTuple):
    """All that a reader has made of some bytes."""

    requests: tuple[tuple[str, str, bool, bool], ...]
    invitations: int
    refused: int
    """The status; 0: not at all."""
    waits_for: str


class Listener:
    """Stops listening where a connection does: with the last request, or a refusal."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, bool, bool]] = []
        self.heads: list[bytes] = []
        self.invitations = 0
        self.has_ended = False

    def request_read(self, reader: RequestReader) -> None:
        assert not self.has_ended
        self.has_ended = reader.is_last
        says_keep_alive = reader.wants_keep_alive_said
        self.requests.append((reader.method, reader.target, reader.is_last, says_keep_alive))
        self.heads.append(reader.request_head())

    def body_awaited(self) -> None:
        self.invitations += 1


def read(pieces: list[bytes]) -> tuple[Said, Listener]:
    """Only a RefusalError may be raised."""
    listener = Listener()
    reader = RequestReader(listener, Limits(), HostRule("127.0.0.1").allows)
    refused = 0
    for piece in pieces:
        if listener.has_ended:
            break
        try:
            reader.feed(piece)
        except RefusalError as refusal:
            refused = refusal.status
            break
    is_waiting = not refused and not listener.has_ended and reader.began_ns
    waits_for = ("head" if reader.is_in_head else "body") if is_waiting else ""
    reader.close()
    return Said(tuple(listener.requests), listener.invitations, refused, waits_for), listener


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in itertools.pairwise(edges)]


# What requests are made of. Half of it is wrong.
_TARGETS = (
    *("/", "/add", "/add?name=t&seq=1&delay=0", "/add?name=t&delay=0&fault=reset", "*", "/\xff"),
    *("http://localhost/add?delay=0", "http://evil.example/", "/add?name=t&delay=x", "//", ""),
)
_HEADERS = (
    *("Host: localhost", "Host: 127.0.0.1:1", "Host: evil.example", "Host:", "host : localhost"),
    *("Content-Length: 3", "Content-Length: 0", "Content-Length: 03", "Content-Length: -1"),
    *("Transfer-Encoding: chunked", "Transfer-Encoding: gzip, chunked", "Transfer-Encoding: x"),
    *("Connection: close", "Connection: keep-alive", "Connection: upgrade", "Upgrade: h2c"),
    *("Expect: 100-continue", "Expect: x", "Origin: null", "Sec-Fetch-Site: none", " folded"),
    *("X: " + "y" * 300, "X", ": z", "X: \x00", "X: \xe9", "", "Te: trailers", "X: a\nY: b"),
)
_BODIES = (
    *("", "abc", "3\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\nX: y\r\n\r\n", "0\r\n\r\n", "3\nabc\n"),
    *("ffffffffffffffff\r\n", "zz\r\n", "-1\r\n\r\n", SMUGGLED),
)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A request, sound or not."""
    end: str = draw(st.sampled_from(("\r\n",) * 9 + ("\n", "\r", "")))
    method = draw(st.sampled_from(("GET", "GET", "HEAD", "POST", "PUT", "CONNECT", "get", "")))
    version = draw(st.sampled_from(("HTTP/1.1",) * 6 + ("HTTP/1.0", "HTTP/2.0", "HTTP/1", "")))
    headers = draw(st.lists(st.sampled_from(_HEADERS), max_size=5))
    first = f"{method} {draw(st.sampled_from(_TARGETS))} {version}"
    if draw(st.integers(0, 3)):
        headers.insert(0, "Host: localhost")
    head = end.join((first, *headers, "", ""))
    return f"{head}{draw(st.sampled_from(_BODIES))}".encode("latin-1")


@st.composite
def mutants(draw: st.DrawFn) -> bytes:
    """A seed with a few bytes changed, doubled, taken out or put in."""
    data = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 3)):
            case 0:
                data[at : at + 1] = bytes((draw(st.integers(0, 255)),))
            case 1:
                del data[at : at + draw(st.integers(1, 20))]
            case 2:
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case _:
                piece = draw(
                    st.sampled_from((b"\r\n", b"\n", b"\r", b" ", b"\t", b"\0", b":", b"%"))
                )
                data[at:at] = piece
    return bytes(data)


streams = st.lists(st.one_of(messages(), mutants(), st.sampled_from(SEEDS)), min_size=1, max_size=4)
places = st.lists(st.integers(0, 2000), max_size=8)


def with_seeds(*others: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Each seed as it is, and `others` as the further arguments."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        for seed in SEEDS:
            test = example([seed], [], *others)(test)
        return test

    return decorate


@with_seeds()
@given(streams, places)
def test_a_request_is_the_same_however_it_is_cut(parts: list[bytes], cuts: list[int]) -> None:
    data = b"".join(parts)
    whole, _ = read([data])
    in_pieces, _ = read(cut(data, cuts))
    in_bytes, listener = read([data[at : at + 1] for at in range(len(data))])
    assert whole == in_pieces == in_bytes
    # A head is known as it came, or not at all.
    for head in listener.heads:
        assert head in data


@pytest.mark.parametrize("shape", DOUBTFUL)
def test_what_is_behind_doubtful_framing_is_not_read(shape: str) -> None:
    said, _ = read([shape.encode("latin-1")])
    assert said.refused or said.requests[-1][2]
    assert not any("smuggled" in target for _, target, *_ in said.requests)


@pytest.mark.parametrize("shape", VALID)
def test_the_seeds_that_are_valid_are_read(shape: str) -> None:
    said, _ = read([shape.encode("latin-1")])
    assert len(said.requests) == 1 or "null" in shape
    assert said.refused == (403 if "null" in shape else 0)


class Exchange(NamedTuple):
    answer: bytes
    port: DataPort


async def exchange(pieces: list[bytes], hangs_up: bool) -> Exchange:
    """Send pieces to a connection of a data port, and turn the clock until it is closed."""
    port = DataPort(Ledger(), HostRule("127.0.0.1"), control_port=1, max_connections=10)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    ours.setblocking(False)
    connection = Connection(theirs, 1, port)
    port.connections.add(connection)
    connection.begin()
    answer = b""

    def receive() -> None:
        nonlocal answer
        try:
            while piece := ours.recv(65_536):
                answer += piece
        except OSError:
            pass

    for piece in pieces:
        try:
            ours.sendall(piece)
        except OSError:  # closed already
            break
        await asyncio.sleep(0)
    if hangs_up:
        ours.shutdown(socket.SHUT_WR)
    for _ in range(30):
        await asyncio.sleep(0)
        receive()
    # The clock goes on; a request that waits for its delay is left alone, until its client leaves.
    for _ in range(3):
        port.sweep(monotonic_ns() + 1000 * SECOND_NS)
        await asyncio.sleep(0)
        receive()
    assert connection.closed() or port.in_flight
    ours.close()
    await until(lambda: not port.connections)
    return Exchange(answer, port)


@pytest.mark.parametrize("loop", list(pytest_asyncio_loop_factories()))
def test_whatever_is_sent_is_answered_or_closed_and_the_counts_balance(
    loop: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A pair of sockets is faster than TCP, and has no address.
    monkeypatch.setattr(Connection, "local_host", lambda _: "127.0.0.1")
    factory = pytest_asyncio_loop_factories()[loop]

    @with_seeds(False)
    @given(streams, places, st.booleans())
    def whatever(parts: list[bytes], cuts: list[int], hangs_up: bool) -> None:
        with asyncio.Runner(loop_factory=factory) as runner:
            answer, port = runner.run(exchange(cut(b"".join(parts), cuts), hangs_up))
        assert port.in_flight == 0
        assert port.requests == port.unanswered + sum(port.answered_by_status.values())
        for run in port.ledger.runs.values():
            assert WAITING not in run.outcome
        statuses = re.findall(rb"HTTP/1\.1 (?!100 )\d{3} [A-Z]", answer)
        assert len(statuses) <= port.requests
        assert not caplog.records  # no defect was only logged

    whatever()
