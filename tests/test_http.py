"""Everything that a client of HTTP/1.x may rightly expect of the data port, in bytes."""

import asyncio
import json
import time

import pytest

from server.announcement import parse_greeting
from server.ledger import ANSWERED
from server.request_reader import Limits
from tests.conftest import InProcessServer, StartServer
from tests.raw_client import request, until

GET = request("GET", "/add?name=t&delay=0")


async def test_a_connection_is_kept_for_the_next_request(server: InProcessServer) -> None:
    client = await server.connect()
    for _ in range(3):
        response = await client.get("/add?name=t&delay=0")
        assert (response.status, response.body) == (200, b".")
        assert "connection" not in response.headers
        assert response.headers["date"].endswith("GMT")
    assert server.data.accepted == 1


async def test_connection_close_is_obeyed(server: InProcessServer) -> None:
    answer = await server.ask(request("GET", "/add?delay=0", "Connection: close"))
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    assert answer.endswith(b"\r\n\r\n.")


async def test_http_1_0_closes_unless_asked_to_keep_alive(server: InProcessServer) -> None:
    answer = await server.ask(b"GET /add?delay=0 HTTP/1.0\r\n\r\n")
    assert b"\r\nConnection: close\r\n" in answer
    client = await server.connect()
    for _ in range(2):
        client.send(b"GET /add?delay=0 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = await client.read_response()
        assert response.headers["connection"] == "keep-alive"
        assert response.body == b"."


async def test_head_has_the_headers_of_get_and_no_body(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("HEAD", "/add?name=t&delay=0&size=5000"))
    response = await client.read_response(is_head=True)
    assert response.headers["content-length"] == "5000"
    assert (await client.get("/add?name=t&delay=0")).body == b"."


@pytest.mark.parametrize("size_bytes", [1, 2, 4096, 5000])
async def test_what_is_posted_is_answered_with_json_of_the_size_asked_for(
    server: InProcessServer, size_bytes: int
) -> None:
    client = await server.connect()
    target = f"/add?name=t&delay=0&size={size_bytes}"
    client.send(request("POST", target, "Content-Length: 2", body=b"{}"))
    posted = await client.read_response()
    assert (posted.status, len(posted.body)) == (200, size_bytes)
    assert posted.head.count(b"Content-Type: application/json\r\n") == 1
    assert posted.head.lower().count(b"content-type:") == 1
    assert json.loads(posted.body) == 1
    got = await client.get(target)
    assert (got.headers["content-type"], got.body) == ("text/plain", b"." * size_bytes)


async def test_a_post_that_is_to_fail_fails_as_a_get_does(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("POST", "/add?delay=0&fault=503", "Content-Length: 2", body=b"{}"))
    refused = await client.read_response()
    assert (refused.status, refused.headers["retry-after"]) == (503, "1")
    assert refused.headers["content-type"] == "application/json"
    closed = await server.ask(
        request("POST", "/add?delay=0&fault=close", "Content-Length: 2", body=b"{}")
    )
    assert closed == b""


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Length: 11"], b"hello world"),
        (["Content-Length: 0"], b""),
        (["Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
        (["Transfer-Encoding: chunked"], b"5;a=b\r\nhello\r\n0\r\nHost: evil\r\nX: y\r\n\r\n"),
        (["Content-Length: 300000"], b"x" * 300_000),
    ],
    ids=["length", "empty", "chunked", "trailers", "large"],
)
async def test_the_body_of_a_post_is_read_and_dropped(
    server: InProcessServer, headers: list[str], body: bytes
) -> None:
    client = await server.connect()
    client.send(request("POST", "/add?name=t&delay=0", *headers, body=body))
    assert (await client.read_response()).body == b"1"
    assert (await client.get("/add?name=t&delay=0")).body == b"."


async def test_a_request_may_come_a_byte_at_a_time(server: InProcessServer) -> None:
    client = await server.connect()
    data = request("POST", "/add?name=t&delay=0", "Content-Length: 3", body=b"abc")
    for i in range(len(data)):
        client.send(data[i : i + 1])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (await client.read_response()).body == b"1"
    assert server.ledger.runs["t"].first_request_head == data[:-3]


async def test_pipelined_requests_are_answered_in_order(server: InProcessServer) -> None:
    client = await server.connect()
    delays_and_sizes = [(60, 1), (0, 2), (30, 3), (0, 4)]
    client.send(
        b"".join(
            request("GET", f"/add?name=t&seq={seq}&delay={delay}&size={size}")
            for seq, (delay, size) in enumerate(delays_and_sizes)
        )
    )
    for _, size in delays_and_sizes:
        assert len((await client.read_response()).body) == size
    run = server.ledger.runs["t"]
    assert list(run.seq) == [0, 1, 2, 3]
    assert list(run.replied_ns) == sorted(run.replied_ns)


async def test_any_number_of_pipelined_requests_is_answered(start_server: StartServer) -> None:
    server = start_server(Limits(pipelined=3))
    client = await server.connect()
    count = 2000
    client.send(b"".join(request("GET", f"/add?name=t&seq={seq}&delay=1") for seq in range(count)))
    for _ in range(count):
        assert (await client.read_response()).body == b"."
    assert list(server.ledger.runs["t"].seq) == list(range(count))
    assert (await client.get("/add?name=t&delay=0")).body == b"."


async def test_a_client_that_pipelines_without_end_is_held_back(start_server: StartServer) -> None:
    server = start_server(Limits(pipelined=10))
    client = await server.connect()
    client.send(request("GET", "/add?name=t&delay=60000") * 100_000)
    await until(lambda: server.ledger.runs)
    other = await server.connect()
    for _ in range(200):
        await other.get("/add?delay=0")
    # The limit, and what had come in the same read.
    assert len(server.ledger.runs["t"]) < 1000


async def test_expect_100_continue_is_answered_before_the_body(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("POST", "/add?name=t&delay=0", "Content-Length: 5", "Expect: 100-continue"))
    assert await client.read_head() == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.send(b"hello")
    assert (await client.read_response()).status == 200
    assert server.data.in_flight == 0


async def test_100_continue_waits_for_the_answers_before_it(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(
        request("GET", "/add?delay=20&size=7")
        + request("POST", "/add?delay=0", "Content-Length: 5", "Expect: 100-continue")
    )
    assert (await client.read_response()).body == b"." * 7
    assert (await client.read_response()).status == 100
    client.send(b"hello")
    assert (await client.read_response()).status == 200


async def test_expect_100_continue_with_too_large_a_body_gets_a_final_answer(
    server: InProcessServer,
) -> None:
    answer = await server.ask(
        request("POST", "/add", "Content-Length: 16777217", "Expect: 100-continue")
    )
    assert answer.startswith(b"HTTP/1.1 413 ")


async def test_an_unknown_expectation_is_refused(server: InProcessServer) -> None:
    answer = await server.ask(request("POST", "/add", "Content-Length: 5", "Expect: magic"))
    assert answer.startswith(b"HTTP/1.1 417 ")


@pytest.mark.parametrize("size", [0, 1, 2, 4096, 65_536, 65_537, 1_000_000, 16 * 1024 * 1024])
async def test_the_body_is_as_large_as_planned(server: InProcessServer, size: int) -> None:
    client = await server.connect()
    response = await client.get(f"/add?name=t&delay=0&size={size}")
    assert response.body == b"." * size
    assert (await client.get("/add?name=t&delay=0")).body == b"."
    assert list(server.ledger.runs["t"].outcome) == [ANSWERED, ANSWERED]


async def test_large_answers_are_written_one_after_another(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(b"".join(request("GET", f"/add?delay=0&size={n}000000") for n in (3, 1, 2)))
    for n in (3, 1, 2):
        assert len((await client.read_response()).body) == n * 1_000_000


@pytest.mark.parametrize("delay_ms", [0, 0.001, 0.4, 1, 1.5, 20])
async def test_no_answer_comes_before_its_delay_is_over(
    server: InProcessServer, delay_ms: float
) -> None:
    client = await server.connect()
    for _ in range(20):
        start_ns = time.monotonic_ns()
        await client.get(f"/add?name=t&delay={delay_ms}")
        assert time.monotonic_ns() - start_ns >= delay_ms * 1e6
    run = server.ledger.runs["t"]
    for arrived_ns, replied_ns in zip(run.arrived_ns, run.replied_ns, strict=True):
        assert replied_ns - arrived_ns >= delay_ms * 1e6


async def test_the_root_says_who_we_are_and_where_the_control_port_is(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    response = await client.get("/")
    assert response.body.count(b"\n") == 1
    greeting = parse_greeting(response.body.decode())
    assert greeting is not None
    assert greeting[1] == server.addresses.control_url


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /nowhere", 404),
        ("GET /add/", 404),
        ("GET //add", 404),
        ("DELETE /add?name=t", 405),
        ("PUT /add", 405),
        ("OPTIONS /add", 405),
        ("POST /", 405),
        ("GET /add?delay=NaN", 400),
        ("GET /add?delay=-1", 400),
        ("GET /add?name=%00", 400),
        ("GET /add?delay=1&delay=1", 400),
        ("OPTIONS *", 400),
        ("GET https://127.0.0.1/", 400),
        ("GET http:///", 400),
    ],
)
async def test_a_bad_request_is_told_why_in_one_line_and_the_connection_goes_on(
    server: InProcessServer, line: str, status: int
) -> None:
    client = await server.connect()
    client.send(f"{line} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    response = await client.read_response()
    assert response.status == status
    assert response.body.endswith(b"\n")
    assert response.body.count(b"\n") == 1
    if status == 405:
        assert "GET" in response.headers["allow"]
    assert (await client.get("/add?delay=0")).body == b"."


async def test_a_request_with_a_name_is_recorded_whatever_its_method(
    server: InProcessServer,
) -> None:
    client = await server.connect()
    client.send(request("DELETE", "/add?name=t&seq=3"))
    await client.read_response()
    run = server.ledger.runs["t"]
    assert (list(run.status), list(run.delay_us)) == ([405], [0])


async def test_no_head_is_recorded_that_may_not_have_been_one(server: InProcessServer) -> None:
    client = await server.connect()
    lie = b"GET /add?name=t&delay=0 LIE\r\n\r\n"
    client.send(request("POST", "/add?delay=0", f"Content-Length: {len(lie)}", body=lie) + GET)
    for _ in range(2):
        await client.read_response()
    assert server.ledger.runs["t"].first_request_head == b""


async def test_a_target_in_absolute_form_is_understood(server: InProcessServer) -> None:
    client = await server.connect()
    response = await client.get("http://localhost:80/add?delay=0&size=3")
    assert response.body == b"..."
    assert (await client.get("http://evil.example/add?delay=0")).status == 403


@pytest.mark.parametrize(
    ("headers", "target"),
    [
        (["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"], ""),
        (["Connection: Upgrade", "Upgrade: websocket"], ""),
    ],
)
async def test_an_offer_to_upgrade_is_declined_by_answering(
    server: InProcessServer, headers: list[str], target: str
) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?name=t&delay=0", *headers) + GET)
    for _ in range(2):
        assert (await client.read_response()).body == b"."


async def test_connect_is_refused_and_closed(server: InProcessServer) -> None:
    answer = await server.ask(b"CONNECT a.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8080", 200),
        ("127.9.8.7", 200),
        ("localhost", 200),
        ("LocalHost:1", 200),
        ("a.localhost", 200),
        ("[::1]", 200),
        ("[::1]:80", 200),
        ("evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("localhost.evil.example", 403),
        ("192.168.0.1", 403),
        ("127.0.0.1@evil.example", 403),
        ("127.0.0.1:80x", 403),
        ("[::1", 403),
        ("[::1]x", 403),
        ("", 403),
    ],
)
async def test_only_a_loopback_host_is_let_in(
    server: InProcessServer, host: str, status: int
) -> None:
    answer = await server.ask(
        f"GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()
    )
    assert answer.split()[1] == str(status).encode()
