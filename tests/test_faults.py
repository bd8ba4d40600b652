"""What the server does wrong when it is asked to, on both loops."""

import asyncio
from time import monotonic_ns

import pytest

from server.control_client import fetch_run
from server.faults import STATUSES
from server.ledger import ANSWERED, MISBEHAVED
from server.request_plan import FAULTS, LATE_S, Plan, PlanError, parse_query, to_target
from tests.conftest import InProcessServer
from tests.raw_client import request, until


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_written_into_the_url_and_read_back(fault: str) -> None:
    plan = Plan("run", 3, 0, fault=fault)
    target = to_target(plan)
    assert target.endswith(f"&fault={fault}")
    assert parse_query(target.partition("?")[2]) == plan


def test_what_is_no_fault_is_refused() -> None:
    with pytest.raises(PlanError, match="fault is 'flood': it must be one of hang, "):
        parse_query("fault=flood")
    with pytest.raises(PlanError, match="fault is given twice"):
        parse_query("fault=hang&fault=hang")
    with pytest.raises(PlanError):
        to_target(Plan(fault="flood"))


@pytest.mark.parametrize("status", STATUSES.values())
async def test_a_status_is_an_answer_in_order(server: InProcessServer, status: int) -> None:
    client = await server.connect()
    for _ in range(2):
        client.send(request("GET", f"/add?name=t&delay=0&fault={status}"))
        head = await client.read_head()
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        assert await client.read_exactly(1) == b"."
        assert (b"Retry-After: 1\r\n" in head) == (status in (429, 503))
        assert (b"Location: /\r\n" in head) == (status == 302)
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, "t")
    assert list(record.columns["status"]) == [status] * 2
    assert list(record.columns["outcome"]) == [ANSWERED] * 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("close", b""),
        ("close-body", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n....."),
        ("bad-length", b"HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n.........."),
        (
            "late-body",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n..........",
        ),
        ("bad-status", b"HTTP/1.1 2xx Fine\r\nContent-Length: 1\r\n\r\n."),
        (
            "bad-chunk",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n.....\r\nzz\r\n",
        ),
    ],
)
async def test_a_faulty_answer_ends_the_connection(
    server: InProcessServer, fault: str, said: bytes
) -> None:
    client = await server.connect()
    client.send(request("GET", f"/add?name=t&seq=1&delay=0&fault={fault}"))
    assert await client.read_to_end() == said
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, "t")
    assert list(record.columns["outcome"]) == [MISBEHAVED]
    assert list(record.faults["row"]) == [0]
    assert record.faults["ended_ns"][0] > record.columns["replied_ns"][0]
    assert server.data.in_flight == 0


async def test_the_second_half_of_a_late_body_comes_later(server: InProcessServer) -> None:
    client = await server.connect()
    before_ns = monotonic_ns()
    client.send(request("GET", "/add?delay=0&fault=late-body"))
    await client.read_head()
    assert await client.read_exactly(5) == b"....."
    assert await client.read_to_end() == b"....."
    assert monotonic_ns() - before_ns > LATE_S * 0.9e9  # uvloop's timers may be a little early


async def test_when_a_client_leaves_a_faulty_answer_is_in_the_ledger(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?name=t&delay=0&fault=drip-body"))
    await client.read_head()
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, "t")
    assert list(record.faults["ended_ns"]) == []
    client.abort()
    await until(lambda: not server.data.connections)
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, "t")
    (ended_ns,) = record.faults["ended_ns"]
    assert ended_ns > record.columns["replied_ns"][0]


@pytest.mark.parametrize("fault", ["reset", "reset-body"])
async def test_a_reset_is_one(server: InProcessServer, fault: str) -> None:
    client = await server.connect()
    client.send(request("GET", f"/add?delay=0&fault={fault}"))
    with pytest.raises(ConnectionResetError):
        await client.read_to_end()


@pytest.mark.parametrize(
    ("fault", "begins"),
    [
        ("drip-body", b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n.."),
        ("drip-headers", b"HTTP/1.1 200 OK\r\nX-Drip: .."),
    ],
)
async def test_drops_come_until_the_client_leaves(
    server: InProcessServer, fault: str, begins: bytes
) -> None:
    client = await server.connect()
    client.send(request("GET", f"/add?delay=0&fault={fault}"))
    assert await client.read_exactly(len(begins)) == begins
    client.abort()


async def test_a_hung_request_says_nothing_and_others_are_answered(
    server: InProcessServer,
) -> None:
    hung = await server.connect()
    hung.send(request("GET", "/add?name=t&seq=0&delay=0&fault=hang"))
    other = await server.connect()
    answer = await other.get("/add?name=t&seq=1&delay=0")
    assert answer.status == 200
    hung.abort()
