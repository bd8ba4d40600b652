"""Requests whose framing cannot be trusted, or not be borne: refused and closed."""

import re
import time

import pytest

from server.request_reader import SECOND_NS, Limits
from tests.conftest import InProcessServer, StartServer
from tests.raw_client import request, until
from tests.request_shapes import DOUBTFUL, H


@pytest.mark.parametrize("data", DOUBTFUL)
async def test_doubtful_framing_is_refused_once_and_nothing_behind_it_is_obeyed(
    server: InProcessServer, data: str
) -> None:
    answer = await server.ask(data.encode("latin-1"))
    assert len(re.findall(rb"HTTP/1\.1 \d{3} ", answer)) == 1
    statuses = (b"400", b"505", b"413", *((b"200",) if data.startswith(H) else ()))
    assert answer.split()[1] in statuses
    assert b"\r\nConnection: close\r\n" in answer
    assert "smuggled" not in server.ledger.runs
    assert server.data.in_flight == 0


@pytest.mark.parametrize(
    ("headers", "is_let_in"),
    [
        (["Origin: http://evil.example"], False),
        (["Origin: null"], False),
        (["oRiGiN: http://localhost:3000"], False),
        (["Origin: http://127.0.0.1:8080"], False),
        (["Origin: https://127.0.0.1"], False),
        (["Sec-Fetch-Site: cross-site"], False),
        (["sec-fetch-site: same-site"], False),
        (["Sec-Fetch-Site: anything"], False),
        (["Origin: http://127.0.0.1", "Sec-Fetch-Site: cross-site"], False),
        (["Origin: http://127.0.0.1", "Sec-Fetch-Site: same-origin"], True),
        (["Sec-Fetch-Site: none"], True),
        (["Sec-Fetch-Mode: no-cors", "Referer: http://evil.example/"], True),
    ],
)
async def test_a_web_page_of_another_origin_is_refused_and_not_recorded(
    server: InProcessServer, headers: list[str], is_let_in: bool
) -> None:
    client = await server.connect()
    response = await client.get("/add?name=t&delay=0", *headers)
    assert response.status == (200 if is_let_in else 403)
    assert bool(server.ledger.runs) == is_let_in
    if not is_let_in:
        assert b"a web page of another origin" in response.body
        assert response.body.count(b"\n") == 1


async def test_what_came_before_a_malformed_request_is_answered_first(
    server: InProcessServer,
) -> None:
    answer = await server.ask(request("GET", "/add?delay=30&size=2") + b"nonsense\r\n\r\n")
    first, second = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 OK")
    assert first.endswith(b"\r\n\r\n..")
    assert second.startswith(b"400 ")


async def test_headers_without_end_are_refused(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 200_000)
    response = await client.read_response()
    assert response.status == 431
    assert response.headers["connection"] == "close"


async def test_a_target_without_end_is_refused(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(b"GET /" + b"a" * 1_000_000)
    assert (await client.read_response()).status == 431


@pytest.mark.parametrize(("cookie_bytes", "status"), [(32_000, 200), (33_000, 431), (47_000, 431)])
async def test_the_limit_of_the_headers_counts_the_headers(
    server: InProcessServer, cookie_bytes: int, status: int
) -> None:
    client = await server.connect()
    response = await client.get("/add?name=t&delay=0", "Cookie: " + "c" * cookie_bytes)
    assert response.status == status
    if status == 200:
        assert len(server.ledger.runs["t"].first_request_head) > cookie_bytes


async def test_what_came_before_a_head_does_not_count(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(
        request("POST", "/add?delay=0", "Content-Length: 16000", body=b"x" * 16_000)
        + request("GET", "/add?delay=0", "Cookie: " + "c" * 30_000)
    )
    for _ in range(2):
        assert (await client.read_response()).status == 200


async def test_a_body_over_the_limit_is_refused_by_its_length(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("POST", "/add", "Content-Length: 16777217", body=b"x" * 1_000_000))
    assert (await client.read_response()).status == 413


async def test_a_chunked_body_over_the_limit_is_refused(start_server: StartServer) -> None:
    server = start_server(Limits(body_bytes=10_000))
    client = await server.connect()
    client.send(request("POST", "/add", "Transfer-Encoding: chunked"))
    client.send(b"1000\r\n%s\r\n" % (b"x" * 4096) * 1000)
    assert (await client.read_response()).status == 413


@pytest.mark.parametrize(
    ("data", "limit_ns", "status"),
    [
        (b"", 75 * SECOND_NS, None),
        (request("GET", "/add?delay=0"), 75 * SECOND_NS, None),
        (b"GET /add?delay=0 HTTP/1.1\r\nHost: local", 10 * SECOND_NS, 408),
        (b"GE", 10 * SECOND_NS, 408),
        (request("POST", "/add", "Content-Length: 9", body=b"x"), 60 * SECOND_NS, 408),
    ],
    ids=["silent", "idle", "slow-headers", "slow-request-line", "slow-body"],
)
async def test_a_client_that_takes_too_long_is_cut(
    server: InProcessServer, data: bytes, limit_ns: int, status: int | None
) -> None:
    client = await server.connect()
    client.send(data)
    await until(lambda: server.data.connections)
    (connection,) = server.data.connections
    if data.endswith(b"\r\n\r\n"):
        await client.read_response()
    elif data:
        await until(lambda: connection.is_receiving)
    server.data.sweep(time.monotonic_ns() + limit_ns - SECOND_NS)
    assert len(server.data.connections) == 1
    server.data.sweep(time.monotonic_ns() + limit_ns + SECOND_NS)
    answer = await client.read_to_end()
    assert answer.split()[1:2] == ([] if status is None else [str(status).encode()])


async def test_waiting_for_its_delay_does_not_count_as_idle(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?name=t&delay=50"))
    await until(lambda: server.ledger.runs)
    server.data.sweep(time.monotonic_ns() + 1000 * SECOND_NS)
    assert (await client.read_response()).body == b"."


async def test_a_client_that_does_not_read_its_answer_is_cut(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?name=t&delay=0&size=16777216") * 2)
    await client.read_head()
    await until(lambda: server.ledger.runs)
    (connection,) = server.data.connections
    await until(connection.writing)
    server.data.sweep(time.monotonic_ns() + 29 * SECOND_NS)
    assert len(server.data.connections) == 1
    server.data.sweep(time.monotonic_ns() + 60 * SECOND_NS)
    await until(lambda: not server.data.connections)


async def test_a_refused_client_that_never_hangs_up_is_cut(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(b"nonsense\r\n\r\n")
    assert (await client.read_response()).status == 400
    client.send(b"more nonsense")
    assert await client.read_to_end() == b""
    assert len(server.data.connections) == 1
    server.data.sweep(time.monotonic_ns() + 3 * SECOND_NS)
    await until(lambda: not server.data.connections)


async def test_a_client_is_not_blamed_for_the_time_that_its_answers_took(
    start_server: StartServer,
) -> None:
    server = start_server(Limits(pipelined=2))
    client = await server.connect()
    one = request("GET", "/add?name=t&delay=30")
    client.send(one * 3 + one[:20])
    await until(lambda: server.ledger.runs and len(server.ledger.runs["t"]) == 3)
    (connection,) = server.data.connections
    await until(lambda: connection.is_receiving)
    server.data.sweep(time.monotonic_ns() + 1000 * SECOND_NS)
    for _ in range(3):
        assert (await client.read_response()).status == 200
    # Now it is the client's turn, and its time begins.
    server.data.sweep(time.monotonic_ns() + 9 * SECOND_NS)
    client.send(one[20:])
    assert (await client.read_response()).status == 200


@pytest.mark.parametrize("pieces", [1, 2])
async def test_a_refusal_behind_an_upgrade_is_worded_like_any_other(
    server: InProcessServer, pieces: int
) -> None:
    upgrade = request("GET", "/add?delay=0", "Connection: upgrade", "Upgrade: h2c")
    bad = b"GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    client = await server.connect()
    if pieces == 1:
        client.send(upgrade + bad)
        assert (await client.read_response()).status == 200
    else:
        client.send(upgrade)
        assert (await client.read_response()).status == 200
        client.send(bad)
    assert (await client.read_response()).status == 403


async def test_trailers_without_end_are_refused(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("POST", "/add?delay=0", "Transfer-Encoding: chunked"))
    client.send(b"5\r\nhello\r\n0\r\nX: " + b"a" * 1_000_000)
    assert (await client.read_response()).status == 431


async def test_many_small_chunks_are_not_mistaken_for_trailers(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("POST", "/add?delay=0", "Transfer-Encoding: chunked"))
    client.send(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n")
    assert (await client.read_response()).status == 200


async def test_a_refused_head_has_no_body(server: InProcessServer) -> None:
    answer = await server.ask(b"HEAD / HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n")


async def test_white_space_around_a_value_is_not_part_of_it(server: InProcessServer) -> None:
    client = await server.connect()
    data = b"POST /add?delay=0 HTTP/1.1\r\nHost: \tlocalhost \t\r\nContent-Length: 1 \r\n\r\nx"
    client.send(data)
    assert (await client.read_response()).status == 200


async def test_a_long_answer_does_not_count_as_idle_time(server: InProcessServer) -> None:
    client = await server.connect()
    client.send(request("GET", "/add?delay=0&size=16777216"))
    await client.read_head()
    (connection,) = server.data.connections
    await until(connection.writing)
    being_written_ns = time.monotonic_ns()
    await client.read_exactly(16_777_216)
    await until(lambda: not connection.writing())
    server.data.sweep(being_written_ns + 75 * SECOND_NS)
    assert (await client.get("/add?delay=0")).status == 200
