"""Services over real sockets: what the ports do with what server.service decides."""

import asyncio

import pytest

from server.__main__ import main
from server.control_client import ControlError, announce_run, fetch_run
from server.ledger import ANSWERED, CLIENT_GONE, REFUSED, WAITING, Ledger, RunLedger
from server.service import PLAIN, Service
from tests.conftest import InProcessServer, StartServer
from tests.raw_client import request, until

MS = 1_000_000


def service(**flags: str) -> Service:
    return Service.parse({flag.replace("_", "-"): text for flag, text in flags.items()})


async def announce(server: InProcessServer, name: str, of: Service) -> None:
    await asyncio.to_thread(announce_run, server.addresses.control_url, name, 100, of)


async def test_requests_wait_for_a_place_and_the_ledger_says_so(server: InProcessServer) -> None:
    await announce(server, "t", service(capacity="1"))
    clients = [await server.connect() for _ in range(3)]
    for seq, (client, method) in enumerate(zip(clients, ("GET", "HEAD", "POST"), strict=True)):
        client.send(request(method, f"/add?name=t&seq={seq}&delay=20"))
    for client, is_head in zip(clients, (False, True, False), strict=True):
        assert (await client.read_response(is_head)).status == 200
    record = await asyncio.to_thread(fetch_run, server.addresses.control_url, "t")
    arrived, begin, due, replied = (
        record.columns[name].tolist() for name in ("arrived_ns", "begin_ns", "due_ns", "replied_ns")
    )
    assert begin == [arrived[0], *due[:-1]]
    assert [end - start for start, end in zip(begin, due, strict=True)] == [20 * MS] * 3
    assert all(end >= start for start, end in zip(due, replied, strict=True))
    assert list(record.columns["outcome"]) == [ANSWERED] * 3


async def test_a_request_beyond_the_queue_is_refused_and_costs_no_place(
    server: InProcessServer,
) -> None:
    await announce(server, "t", service(capacity="1", queue="0"))
    served, refused = await server.connect(), await server.connect()
    served.send(request("GET", "/add?name=t&seq=0&delay=50"))
    run = await begun(server, "t")
    for seq in (1, 2):
        response = await refused.get(f"/add?name=t&seq={seq}&delay=50")
        assert (response.status, response.headers["retry-after"]) == (503, "1")
        assert response.body == b"the queue is full: try again after 1 s\n"
    assert (await served.read_response()).status == 200
    assert (await served.get("/add?name=t&seq=3&delay=0")).status == 200
    assert list(run.outcome) == [ANSWERED, REFUSED, REFUSED, ANSWERED]
    assert list(run.status) == [200, 503, 503, 200]
    assert list(run.begin_ns[1:3]) == list(run.due_ns[1:3]) == list(run.arrived_ns[1:3])
    assert list(run.delay_us[1:3]) == [50_000] * 2


async def test_beyond_the_rate_limit_a_request_is_refused(server: InProcessServer) -> None:
    await announce(server, "t", service(rate_limit="0.001:2"))
    client = await server.connect()
    client.send(request("PUT", "/add?name=t&delay=0"))  # which asks the service for nothing
    assert (await client.read_response()).status == 405
    statuses = [(await client.get(f"/add?name=t&seq={seq}&delay=0")).status for seq in range(3)]
    assert statuses == [200, 200, 429]
    client.send(request("POST", "/add?name=t&seq=3&delay=0"))
    response = await client.read_response()
    assert (response.status, response.headers["retry-after"]) == (429, "1000")
    client.send(request("HEAD", "/add?name=t&seq=4&delay=0"))
    assert (await client.read_response(is_head=True)).headers["retry-after"] == "1000"


async def test_a_client_that_leaves_keeps_its_place(server: InProcessServer) -> None:
    await announce(server, "t", service(capacity="1", queue="0"))
    leaver, other = await server.connect(), await server.connect()
    leaver.send(request("GET", "/add?name=t&seq=0&delay=60000"))
    run = await begun(server, "t")
    leaver.abort()
    await until(lambda: run.outcome[0] == CLIENT_GONE)
    response = await other.get("/add?name=t&seq=1&delay=0")
    assert (response.status, int(response.headers["retry-after"]) > 50) == (503, True)


async def test_each_run_has_a_service_of_its_own_and_requests_without_a_run_share_one(
    start_server: StartServer,
) -> None:
    limited = service(rate_limit="0.001:1")
    server = start_server(ledger=Ledger(default_service=limited))
    await announce(server, "announced", PLAIN)
    client = await server.connect()
    asked = ("name=a&", "name=a&", "name=b&", "", "seq=1&", "name=announced&", "name=announced&")
    statuses = [(await client.get(f"/add?{run}delay=0")).status for run in asked]
    assert statuses == [200, 429, 200, 200, 429, 200, 200]


async def test_a_share_of_the_requests_fails_unless_they_ask_for_a_fault(
    server: InProcessServer,
) -> None:
    always = service(fault_share="429@100")
    await announce(server, "t", always)
    client = await server.connect()
    response = await client.get("/add?name=t&seq=0&delay=0")
    # It is a fault, and no refusal: it took a place and the delay.
    assert (response.status, response.headers["retry-after"]) == (429, "1")
    assert (await client.get("/add?name=t&seq=1&delay=0&fault=302")).status == 302
    assert list(server.ledger.runs["t"].outcome) == [ANSWERED] * 2
    half = service(fault_share="500@50", fault_seed="7")
    await announce(server, "half", half)
    client.send(b"".join(request("GET", f"/add?name=half&seq={seq}&delay=0") for seq in range(50)))
    statuses = [(await client.read_response()).status for _ in range(50)]
    assert statuses == [500 if half.fault_of(seq) else 200 for seq in range(50)]
    assert set(statuses) == {200, 500}


async def test_a_request_that_has_not_been_refused_yet_waits(server: InProcessServer) -> None:
    await announce(server, "t", service(capacity="1", queue="0"))
    client = await server.connect()
    # The refusal of the second is written after the response to the first.
    client.send(request("GET", "/add?name=t&seq=0&delay=60000") * 2)
    run = await begun(server, "t")
    await until(lambda: len(run) == 2)
    assert (list(run.status), list(run.outcome)) == ([200, 503], [WAITING] * 2)
    client.abort()
    await until(lambda: list(run.outcome) == [CLIENT_GONE] * 2)


async def begun(server: InProcessServer, name: str) -> RunLedger:
    """Wait for the first request of a run."""
    await until(lambda: server.ledger.runs.get(name))
    return server.ledger.runs[name]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("capacity=0", "capacity 0: give 1 to 1000000 requests"),
        ("queue=5", "queue 5: without a capacity nothing waits; add --capacity"),
        ("rate-limit=nan", "rate-limit 'nan': 'nan' is not a number; write it as in 200 or 200:20"),
        ("capacity=5&capacity=6", "'capacity' is given twice"),
        ("capcity=5", "'capcity' is no property of a service: choose from capacity, queue, "),
        ("capacity=%0D%0AX:1", "capacity 'X:1': give whole numbers of requests"),
        ("capacity=%E2%98%83", r"capacity '\u2603': give whole numbers of requests"),
        ("rows=1", "'rows' is given twice"),
    ],
)
async def test_a_service_that_makes_no_sense_is_refused_in_one_line(
    server: InProcessServer, arguments: str, said: str
) -> None:
    port = int(server.addresses.control_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request("PUT", f"/runs/t?rows=1&{arguments}", "Connection: close"))
    head, _, body = (await reader.read()).decode("latin-1").partition("\r\n\r\n")
    writer.close()
    await writer.wait_closed()  # or the loop may end before the transport does
    assert head.startswith("HTTP/1.1 400 ")
    assert body.startswith(said)
    assert body.count("\n") == 1
    assert server.ledger.find("t") is None


async def test_what_the_client_asks_for_arrives_as_it_was(server: InProcessServer) -> None:
    asked = service(
        capacity="50@0,20@10",
        queue="10",
        rate_limit="200:20",
        slowdown="0.02,0.0005",
        stall="10:1.4",
        fault_share="500@1,reset@0.5",
        fault_seed="7",
    )
    await announce(server, "t", asked)
    client = await server.connect()
    await client.get("/add?name=t&delay=0")
    state = server.ledger.runs["t"].service
    assert state is not None
    assert state.service == asked
    with pytest.raises(ControlError, match="409"):
        await announce(server, "t", asked)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--capacity", "0"], "--capacity 0: give 1 to 1000000 requests"),
        (["--queue", "5"], "--queue 5: without a capacity nothing waits; add --capacity"),
        (["--stall", "1:2"], "--stall 1:2: a stall must end before the next one begins"),
    ],
)
def test_the_server_refuses_a_service_that_makes_no_sense(
    flags: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(flags)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.endswith(f"server: error: {said}\n")
