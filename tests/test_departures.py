"""Clients that leave: early, in the middle, without a word; and what they leave behind: nothing."""

import asyncio
import socket
import struct
import time

import pytest

from server.ledger import ANSWERED, CLIENT_GONE
from tests.conftest import InProcessServer, StartServer
from tests.raw_client import request, until

GET = request("GET", "/add?name=t&delay=0")


async def test_the_ledger_tells_whether_the_client_was_still_there(
    server: InProcessServer,
) -> None:
    leaver = await server.connect()
    leaver.send(request("GET", "/add?name=t&seq=1&delay=60000"))
    await until(lambda: server.ledger.runs)
    leaver.abort()
    stayer = await server.connect()
    await stayer.get("/add?name=t&seq=2&delay=0")
    run = server.ledger.runs["t"]
    await until(lambda: run.outcome[0] == CLIENT_GONE)
    assert list(run.outcome) == [CLIENT_GONE, ANSWERED]
    assert list(run.connection) == [1, 2]
    assert server.data.in_flight == 0
    assert server.data.unanswered == 1


async def test_a_client_that_leaves_in_mid_answer_is_recorded_as_gone(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?name=t&seq=1&delay=0&size=16777216"))
    await client.read_head()
    client.abort()
    run = server.ledger.runs["t"]
    await until(lambda: run.outcome[0] == CLIENT_GONE)
    assert server.data.in_flight == 0


async def test_a_client_beyond_the_limit_of_connections_is_turned_away(
    start_server: StartServer,
) -> None:
    server = start_server(max_connections=1)
    first = await server.connect()
    await first.get("/add?delay=0")
    assert await server.ask(b"") == b""
    assert server.data.turned_away == 1
    assert (await first.get("/add?delay=0")).body == b"."


async def test_a_half_closed_connection_counts_as_a_client_that_has_gone(
    server: InProcessServer,
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request("GET", "/add?name=t&delay=50"))
    await until(lambda: server.ledger.runs)
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    assert list(server.ledger.runs["t"].outcome) == [CLIENT_GONE]


async def test_bytes_behind_the_last_request_do_not_cost_the_client_its_answer(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    last = request("GET", "/add?delay=0&size=1000000", "Connection: close")
    client.send(last + b"x" * 200_000)
    assert len((await client.read_response()).body) == 1_000_000


def reset(client: socket.socket) -> None:
    """Close so that the server gets an RST, not a FIN."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


@pytest.mark.parametrize(
    "data", [GET + request("GET", "/"), request("GET", "/add?delay=60000"), GET[:9]]
)
async def test_a_reset_that_comes_with_data_leaves_nothing_behind(
    server: InProcessServer, data: bytes
) -> None:
    # The loop does not run in between: the server finds data and reset at the same time.
    for _ in range(20):
        client = socket.create_connection(("127.0.0.1", server.port))
        client.sendall(data)
        reset(client)
    await until(lambda: server.data.accepted == 20)
    for _ in range(50):
        await asyncio.sleep(0)
    server.data.sweep(time.monotonic_ns())
    await until(lambda: not server.data.connections)
    assert server.data.in_flight == 0


async def test_what_comes_while_an_answer_is_being_read_arrives_at_once(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?name=t&seq=0&delay=0&size=16777216"))
    await client.read_head()
    (connection,) = server.data.connections
    await until(connection.writing)
    client.send(request("GET", "/add?name=t&seq=1&delay=0"))
    await until(lambda: len(server.ledger.runs["t"]) == 2)
    assert connection.writing()
    await client.read_exactly(16_777_216)
    assert (await client.read_response()).body == b"."
