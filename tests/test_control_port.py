import asyncio
import os

import pytest
from tornado.netutil import bind_sockets

from server.control_client import ControlError, announce_run, delete_run, fetch_run, health, stats
from server.control_port import ControlServer, control_application
from server.host_rule import HostRule
from server.ledger import ANSWERED, Ledger
from server.loop_lag import LoopLag
from server.request_reader import SECOND_NS
from server.single_process import SingleProcess
from tests.conftest import InProcessServer, StartServer
from tests.raw_client import RawClient, request, until


async def test_health_says_which_process_answers(server: InProcessServer) -> None:
    first = await asyncio.to_thread(health, server.addresses.control_url)
    second = await asyncio.to_thread(health, server.addresses.control_url)
    assert first == second
    assert first["pid"] == os.getpid()
    assert first["pids"] == [os.getpid()]
    assert len(first["nonce"]) == 16


async def test_stats_count_what_happened(server: InProcessServer) -> None:
    client = await server.connect()
    await client.get("/add?name=t&delay=0")
    await client.get("/add?delay=NaN")
    client.send(request("GET", "/add?name=t&delay=60000") * 2)
    await until(lambda: server.data.in_flight >= 2)
    counted = await asyncio.to_thread(stats, server.addresses.control_url)
    assert counted["requests"] == 4
    assert counted["answered_by_status"] == {"200": 1, "400": 1}
    assert (counted["in_flight"], counted["in_flight_peak"]) == (2, 2)
    assert counted["connections"] == {"accepted": 1, "open": 1, "turned_away": 0, "most": 1000}
    assert counted["ledger"] == {"runs": 1, "rows": 3, "unrecorded": 0}
    assert counted["cpu_seconds"] > 0
    used = {"cpu_seconds": counted["cpu_seconds"]}
    assert counted["processes"] == [{"pid": os.getpid(), "requests": 4, "accepted": 1, **used}]
    assert counted["peak_memory_bytes"] > 10_000_000


async def test_a_run_can_be_fetched_and_deleted(server: InProcessServer) -> None:
    name = "a/b c?&é..%2F"
    client = await server.connect()
    target = "/add?name=a/b%20c?%26%C3%A9..%252F&seq=5&delay=0.125"
    await client.get(target)
    url = server.addresses.control_url
    record = await asyncio.to_thread(fetch_run, url, name)
    assert (record.name, record.rows, record.unrecorded) == (name, 1, 0)
    assert record.first_request_head == request("GET", target)
    columns = {column: list(values) for column, values in record.columns.items()}
    assert columns["seq"] == [5]
    assert columns["delay_us"] == [125]
    assert columns["status"] == [200]
    assert columns["outcome"] == [ANSWERED]
    assert columns["replied_ns"][0] - columns["arrived_ns"][0] >= 125_000
    # Reading changes nothing; deleting does, once.
    again = await asyncio.to_thread(fetch_run, url, name)
    assert again._replace(load=record.load) == record
    await asyncio.to_thread(delete_run, url, name)
    with pytest.raises(ControlError, match="404, no run of that name"):
        await asyncio.to_thread(fetch_run, url, name)
    with pytest.raises(ControlError, match="404, no run of that name"):
        await asyncio.to_thread(delete_run, url, name)


async def test_a_run_is_announced_before_it_begins(server: InProcessServer) -> None:
    url = server.addresses.control_url
    await asyncio.to_thread(announce_run, url, "t", 2)
    assert (await asyncio.to_thread(fetch_run, url, "t")).rows == 0
    with pytest.raises(ControlError, match="409, a run of that name already exists"):
        await asyncio.to_thread(announce_run, url, "t", 2)
    client = await server.connect()
    await client.get("/add?name=t&delay=0")
    record = await asyncio.to_thread(fetch_run, url, "t")
    assert (record.rows, record.first_request_head[:4]) == (1, b"GET ")
    await asyncio.to_thread(delete_run, url, "t")
    with pytest.raises(ControlError, match="400, rows must be a whole number"):
        await asyncio.to_thread(announce_run, url, "t", -1)


async def test_unrecorded_requests_are_answered_and_said_to_be_unrecorded(
    start_server: StartServer,
) -> None:
    server = start_server(ledger=Ledger(max_rows=2))
    client = await server.connect()
    for seq in range(5):
        assert (await client.get(f"/add?name=t&seq={seq}&delay=0")).body == b"."
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, "t")
    assert (record.rows, record.unrecorded) == (2, 3)
    counted = await asyncio.to_thread(stats, server.addresses.control_url)
    assert counted["ledger"] == {"runs": 1, "rows": 2, "unrecorded": 3}


async def test_whoever_asks_for_a_ledger_may_leave_before_the_end(
    server: InProcessServer, caplog: pytest.LogCaptureFixture
) -> None:
    run = server.ledger.begin("t", b"")
    assert run is not None
    for seq in range(500_000):
        run.arrive(seq, 1, 2, 3, 200)
    url = server.addresses.control_url
    client = await RawClient.connect(int(url.rpartition(":")[2]))
    client.send(request("GET", "/runs/t"))
    await client.read_head()
    client.abort()
    assert (await asyncio.to_thread(fetch_run, url, "t")).rows == 500_000
    await client.close()
    assert not caplog.records


@pytest.mark.parametrize("url", ["127.0.0.1:8081", "ftp://127.0.0.1", ""])
def test_what_is_no_control_url_is_said_to_be_none(url: str) -> None:
    with pytest.raises(ControlError, match="is not a URL like"):
        health(url)


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        ("GET /nowhere", "localhost", 404),
        ("GET /runs/none", "localhost", 404),
        ("POST /stats", "localhost", 405),
        ("DELETE /stats", "localhost", 405),
        ("GET /stats", "evil.example", 403),
        ("GET /live", "evil.example", 403),
        ("POST /live", "localhost", 405),
        ("DELETE /runs/t", "evil.example", 403),
        ("GET /nowhere", "evil.example", 403),
    ],
)
async def test_what_is_wrong_is_said_in_one_line_of_text(
    server: InProcessServer, line: str, host: str, status: int
) -> None:
    client = await RawClient.connect(int(server.addresses.control_url.rpartition(":")[2]))
    client.send(f"{line} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
    response = await client.read_response()
    assert response.status == status
    assert response.body.count(b"\n") == 1
    assert response.headers["content-type"] == "text/plain"
    await client.close()


@pytest.mark.parametrize(
    "header", ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: cross-site"]
)
@pytest.mark.parametrize(
    "line", ["GET /stats", "GET /live", "DELETE /runs/t", "PUT /runs/u?rows=9"]
)
async def test_a_web_page_of_another_origin_is_not_let_in(
    server: InProcessServer, line: str, header: str
) -> None:
    server.ledger.begin("t", b"")
    client = await RawClient.connect(int(server.addresses.control_url.rpartition(":")[2]))
    method, _, target = line.partition(" ")
    client.send(request(method, target, header))
    response = await client.read_response()
    assert response.status == 403
    assert response.body == b"a web page of another origin may not send requests to this server\n"
    assert server.ledger.find("t") is not None
    assert server.ledger.find("u") is None
    await client.close()


async def test_a_control_port_that_is_not_there_is_one_clear_error(
    server: InProcessServer,
) -> None:
    server.control.stop()
    with pytest.raises(ControlError, match=r"GET http://127\.0\.0\.1:\d+/stats: .*refused"):
        await asyncio.to_thread(stats, server.addresses.control_url)


@pytest.mark.parametrize(
    "sent",
    [b"", b"GET /stats HTTP/1.1\r\nHost: loc", request("GET", "/runs/t") * 2],
    ids=["idle", "half-a-request", "not-reading"],
)
async def test_clients_that_are_silent_keep_nobody_out(
    server: InProcessServer, sent: bytes
) -> None:
    port = int(server.addresses.control_url.rpartition(":")[2])
    run = server.ledger.begin("t", b"")
    assert run is not None
    for seq in range(400_000 if b"/runs/t" in sent else 1):  # more than the kernel takes
        run.arrive(seq, 1, 2, 3, 200)
    silent = [await asyncio.open_connection("127.0.0.1", port, limit=1) for _ in range(40)]
    for _, writer in silent:
        writer.write(sent)
    for _ in range(3):
        told = await asyncio.to_thread(health, server.addresses.control_url)
        assert told["pid"] == os.getpid()
    for _, writer in silent:
        writer.transport.abort()


async def test_of_too_many_clients_the_most_silent_goes(server: InProcessServer) -> None:
    port = int(server.addresses.control_url.rpartition(":")[2])
    clients = [await RawClient.connect(port) for _ in range(32)]
    for client in (clients[0], *clients[2:]):
        await client.get("/health")
    another = await RawClient.connect(port)
    assert await clients[1].read_to_end() == b""
    for client in (another, clients[0], *clients[2:]):
        assert (await client.get("/health")).status == 200
    for client in (another, *clients):
        await client.close()


async def test_a_client_that_does_not_read_its_ledger_is_cut(server: InProcessServer) -> None:
    port = int(server.addresses.control_url.rpartition(":")[2])
    run = server.ledger.begin("t", b"")
    assert run is not None
    for seq in range(400_000):
        run.arrive(seq, 1, 2, 3, 200)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
    writer.write(request("GET", "/runs/t"))
    await until(lambda: any(stream.writing() for stream in server.control.streams))
    (stream,) = server.control.streams
    server.control.sweep(stream.active_ns + 29 * SECOND_NS)
    assert not stream.closed()
    server.control.sweep(stream.active_ns + 31 * SECOND_NS)
    assert stream.closed()
    received = 0
    while some := await reader.read(65_536):  # without a number it would read `limit` at a time
        received += len(some)
    assert received < 400_000 * 35
    writer.transport.abort()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Authorization: Bearer long-enough", 200),
        ("Authorization: Bearer long-enoug", 401),
        ("Authorization: Bearer \xe9", 401),
        ("Authorization: long-enough", 401),
        ("X: y", 401),
    ],
)
async def test_a_token_is_asked_for_where_there_is_one(
    server: InProcessServer, header: str, status: int
) -> None:
    rule = HostRule("127.0.0.1")
    port = ControlServer(
        control_application(SingleProcess(server.data, LoopLag()), rule, "long-enough")
    )
    (listening,) = bind_sockets(0, "127.0.0.1")
    port.add_socket(listening)
    client = await RawClient.connect(listening.getsockname()[1])
    for target in ("/health", "/live", "/nowhere")[: 3 if status == 401 else 2]:
        response = await client.get(target, header)
        assert response.status == status
        assert response.headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    await client.close()
    port.stop()
    await port.close_all_connections()
