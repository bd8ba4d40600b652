"""What one connection may have of a turn of the loop, so that the others are not kept waiting."""

import asyncio
from collections.abc import Callable

import pytest
from tornado.iostream import IOStream

from server import data_port
from server.connection import Connection
from tests.conftest import InProcessServer, StartServer
from tests.raw_client import request, until

GET = request("GET", "/add?name=t&delay=0")


@pytest.fixture(autouse=True)
def one_turn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However fast the machine: no second turn in the time that turns are given."""
    monkeypatch.setattr(data_port, "_TURNS_NS", -1)


async def largest_step(count: Callable[[], int], end: int) -> int:
    """By how much a count grows in a turn of the loop at the most, until it has reached the end."""
    largest, before = 0, count()
    while before < end:
        await asyncio.sleep(0)
        after = count()
        largest, before = max(largest, after - before), after
    return largest


async def test_pipelined_requests_are_read_a_share_a_turn(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(GET * 3000)
    step = await largest_step(lambda: server.data.requests, 3000)
    assert 1 <= step <= 1 + 1024 // len(GET)
    for _ in range(3000):
        assert (await client.read_response()).body == b"."


async def test_requests_behind_a_body_wait_for_their_turn_as_well(server: InProcessServer) -> None:
    client = await server.connect()
    post = request("POST", "/add?delay=0", "Content-Length: 100000", body=b"x" * 100_000)
    client.send(post + GET * 1000)
    assert await largest_step(lambda: server.data.requests, 1001) <= 2 + 1024 // len(GET)
    assert (await client.read_response()).body == b"1"
    for _ in range(1000):
        assert (await client.read_response()).body == b"."


async def test_of_two_that_pipeline_each_has_its_turn(server: InProcessServer) -> None:
    for name in ("a", "b"):
        client = await server.connect()
        client.send(request("GET", f"/add?name={name}&delay=0") * 500)
    await until(lambda: len(server.ledger.runs) == 2)
    a, b = server.ledger.runs["a"], server.ledger.runs["b"]
    before = len(a) - len(b)
    while max(len(a), len(b)) < 500:
        await asyncio.sleep(0)
        # Who must read again is a turn or two behind.
        assert abs(len(a) - len(b) - before) <= 3 * (1 + 1024 // len(GET))


async def test_answers_that_are_due_together_are_written_a_share_a_turn(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?delay=100") * 14)
    await until(lambda: server.data.requests == 14)
    assert await largest_step(lambda: server.data.answered_by_status[200], 14) <= 4
    for _ in range(14):
        assert (await client.read_response()).body == b"."


async def test_a_long_answer_is_written_a_share_a_turn(
    server: InProcessServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    write_to_fd = IOStream.write_to_fd

    def count(stream: IOStream, data: memoryview) -> int:
        nonlocal written
        sent = write_to_fd(stream, data)
        written += sent
        return sent

    monkeypatch.setattr(IOStream, "write_to_fd", count)
    client = await server.connect()
    client.send(request("GET", "/add?delay=0&size=16777216"))
    assert await largest_step(lambda: written, 16_777_216) <= 262_144 + 200
    assert len((await client.read_response()).body) == 16_777_216


async def test_connections_are_looked_at_in_slices(
    start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_server()
    monkeypatch.setattr(data_port, "_SLICE", 2)
    monkeypatch.setattr(data_port, "_TICK_S", 0.03)
    for _ in range(7):
        await server.connect()
    await until(lambda: len(server.data.connections) == 7)
    looked_at: list[int] = []
    monkeypatch.setattr(
        Connection,
        "cut_if_overdue",
        lambda self, now_ns: looked_at.append(self.number),
    )
    server.data.keep_ticking()
    assert await largest_step(lambda: len(looked_at), 14) <= 2
    assert sorted(looked_at[:7]) == sorted(looked_at[7:14]) == list(range(1, 8))


@pytest.mark.parametrize("pieces", [1, 2])
async def test_nothing_behind_a_fault_is_obeyed(server: InProcessServer, pieces: int) -> None:
    hang = request("GET", "/add?name=t&delay=0&fault=hang")
    client = await server.connect()
    client.send(hang + GET * (2 - pieces))
    await until(lambda: server.data.requests)
    client.send(GET * (pieces - 1))
    other = await server.connect()
    for _ in range(10):
        await other.get("/add?delay=0")
    assert len(server.ledger.runs["t"]) == 1
    (hung,) = (one for one in server.data.connections if one.number == 1)
    client.abort()
    await until(hung.closed)
    assert server.data.in_flight == 0


async def test_a_client_may_leave_while_its_requests_wait_for_their_turn(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    client.send(GET * 3000)
    await until(lambda: server.data.requests)
    client.abort()
    await until(lambda: not server.data.connections)
    assert server.data.in_flight == 0
    assert len(server.ledger.runs["t"]) == server.data.requests < 3000
