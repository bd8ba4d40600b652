"""A server of several processes: one port, one ledger, one life."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import monotonic_ns
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.announcement import parse_greeting
from server.control_client import (
    ControlError,
    LiveClient,
    announce_run,
    clock_offset,
    delete_run,
    estimate,
    fetch_run,
    health,
    stats,
)
from server.control_token import TOKEN_VARIABLE
from server.ledger import ANSWERED, COLUMNS, LOAD_COLUMNS, MISBEHAVED, RunLedger, RunRecord
from server.log_histogram import bucket_of
from server.merge import merge_runs
from server.process import ServerProcess, ServerStartError
from server.service import Service
from tests.factories import unpack

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel must spread by itself")

SEVERAL = ("--processes", "2")


def address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 0


def ask(connection: socket.socket, target: str) -> bytes:
    """The response to one request, whose body has at most one byte."""
    connection.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    answer = b""
    while not answer.partition(b"\r\n\r\n")[2]:
        received = connection.recv(4096)
        assert received, answer
        answer += received
    return answer


def crawl(data_url: str, name: str, connections: int, requests_each: int) -> None:
    """Send requests with a `seq` each, all connections at the same time."""

    def client(number: int) -> None:
        with socket.create_connection(address(data_url), 20) as connection:
            for at in range(requests_each):
                seq = number * requests_each + at
                target = f"/add?name={name}&seq={seq}&delay=0"
                assert ask(connection, target).startswith(b"HTTP/1.1 200")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(client, range(connections)))


@pytest.fixture(scope="module")
def two() -> Iterator[ServerProcess]:
    with ServerProcess(*SEVERAL) as server:
        yield server


def test_no_request_is_lost_or_counted_twice(two: ServerProcess) -> None:
    data_url, control_url = two.addresses
    before = stats(control_url)
    begun_ns = monotonic_ns()
    announce_run(control_url, "exact", 4000)
    with contextlib.closing(LiveClient(control_url)) as client:
        live_before = client.counts()
        crawl(data_url, "exact", connections=60, requests_each=10)
        live = client.counts()
    record = fetch_run(control_url, "exact")
    assert (record.name, record.rows, record.unrecorded, record.processes) == ("exact", 600, 0, 2)
    columns = record.columns
    assert sorted(columns["seq"]) == list(range(600))
    assert list(columns["arrived_ns"]) == sorted(columns["arrived_ns"])
    assert begun_ns < columns["arrived_ns"][0] <= columns["arrived_ns"][-1] < monotonic_ns()
    assert set(columns["outcome"]) == {ANSWERED}
    first = f"GET /add?name=exact&seq={columns['seq'][0]}&delay=0 ".encode()
    assert record.first_request_head.startswith(first)

    # A connection is of one client, and no two have the same number.
    clients = {
        (number, seq // 10)
        for number, seq in zip(columns["connection"], columns["seq"], strict=True)
    }
    assert len(clients) == len({number for number, _ in clients}) == 60
    # Each process counts its own, and the numbers say whose a connection is.
    after = stats(control_url)
    of_process = Counter((number - 1) % 2 for number in columns["connection"])
    grown = [
        now["requests"] - then["requests"]
        for now, then in zip(after["processes"], before["processes"], strict=True)
    ]
    assert grown == [of_process[0], of_process[1]]
    assert sum(grown) == after["requests"] - before["requests"] == 600
    assert min(grown) > 0  # fails once in 2 ** 59 runs
    assert after["connections"]["accepted"] - before["connections"]["accepted"] == 60
    assert after["ledger"]["rows"] == 600
    assert after["answered_by_status"]["200"] - before["answered_by_status"].get("200", 0) == 600

    assert (live.requests - live_before.requests, live.ended - live_before.ended) == (600, 600)
    assert (live.in_flight, live.errors) == (0, live_before.errors)
    taken_ns = map(int.__sub__, columns["replied_ns"], columns["arrived_ns"])
    assert Counter(live.times) - Counter(live_before.times) == Counter(map(bucket_of, taken_ns))

    # There is load of both processes, of each in the order of time, around all of the run.
    for process in (0, 1):
        samples = zip(record.load["at_ns"], record.load["process"], strict=True)
        at_ns = [at for at, of in samples if of == process]
        assert at_ns == sorted(at_ns)
        assert at_ns[-1] > columns["arrived_ns"][-1]
    delete_run(control_url, "exact")
    assert stats(control_url)["ledger"]["rows"] == 0


def test_runs_are_announced_and_deleted_in_all_processes(two: ServerProcess) -> None:
    control_url = two.addresses.control_url
    announce_run(control_url, "both", 5, Service.parse({"fault-share": "500@100"}))
    with pytest.raises(ControlError, match="409, a run of that name already exists"):
        announce_run(control_url, "both", 5)
    statuses = set()
    for _ in range(20):
        with socket.create_connection(address(two.addresses.data_url), 20) as connection:
            statuses.add(ask(connection, "/add?name=both&seq=1&delay=0")[9:12])
    assert statuses == {b"500"}
    delete_run(control_url, "both")
    for gone in (delete_run, fetch_run):
        with pytest.raises(ControlError, match="404, no run of that name"):
            gone(control_url, "both")


def test_a_run_that_one_process_knows_already_is_announced_in_none(two: ServerProcess) -> None:
    data_url, control_url = two.addresses
    with socket.create_connection(address(data_url), 20) as connection:
        ask(connection, "/add?name=begun&seq=1&delay=0")
    with pytest.raises(ControlError, match="409, a run of that name already exists"):
        announce_run(control_url, "begun", 5)
    delete_run(control_url, "begun")
    announce_run(control_url, "begun", 5)
    delete_run(control_url, "begun")


def test_what_one_process_has_to_hold_is_refused_in_one_line(two: ServerProcess) -> None:
    why = "capacity, stall: all requests share the state of this service, which 2 processes cannot"
    service = Service.parse({"capacity": "5", "stall": "10:1", "fault-share": "500@1"})
    with pytest.raises(ControlError, match=f"400, {why}"):
        announce_run(two.addresses.control_url, "refused", 5, service)
    with pytest.raises(ControlError, match="404"):
        fetch_run(two.addresses.control_url, "refused")
    with pytest.raises(ServerStartError, match=f"error: --{why}: start the server with"):
        ServerProcess(*SEVERAL, "--capacity", "5", "--stall", "10:1").start()


def test_a_port_of_several_processes_is_not_shared_with_another_server(two: ServerProcess) -> None:
    port = str(address(two.addresses.data_url)[1])
    with pytest.raises(ServerStartError, match=f"127.0.0.1:{port}: address already in use"):
        ServerProcess("--port", port, *SEVERAL).start()


def test_the_processes_are_told_from_the_one_that_holds_them(two: ServerProcess) -> None:
    data_url, control_url = two.addresses
    told = health(control_url)
    assert told["pid"] == two.pid
    assert told["pids"] == [one["pid"] for one in stats(control_url)["processes"]]
    assert len({two.pid, *told["pids"]}) == 3
    for _ in range(6):  # both processes, very likely
        with socket.create_connection(address(data_url), 20) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            with connection.makefile("rb") as answer:
                greeting = parse_greeting(answer.read().partition(b"\r\n\r\n")[2].decode())
        assert greeting is not None
        assert greeting[1] == control_url


def test_an_option_for_hosts_and_a_token_work_with_several_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "long-enough")
    with ServerProcess(*SEVERAL, "--site-hosts", "2", "--loop", "uvloop") as server:
        port = address(server.addresses.data_url)[1]
        for host in ("127.0.0.1", "127.0.0.2"):
            with socket.create_connection((host, port), 20) as connection:
                ask(connection, "/add?name=hosts&seq=1&delay=0")
        assert fetch_run(server.addresses.control_url, "hosts").rows == 2
        assert clock_offset(server.addresses.control_url, 1).bound_ns > 0
        monkeypatch.delenv(TOKEN_VARIABLE)
        for request in (stats, lambda url: clock_offset(url, 1)):
            with pytest.raises(ControlError, match="401"):
                request(server.addresses.control_url)


@contextlib.contextmanager
def server_by_hand() -> Iterator[tuple["subprocess.Popen[str]", list[int]]]:
    """A server without our helper, and the processes that answer for it.

    They hold its output open: it ends when all of them have ended.
    """
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "server", "--port", "0", *SEVERAL],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, health(process.stdout.readline().split()[-1])["pids"]
        finally:
            process.kill()


def test_with_one_process_less_the_server_ends_and_says_so() -> None:
    with server_by_hand() as (process, pids):
        os.kill(pids[1], signal.SIGKILL)
        _, stderr = process.communicate(timeout=20)
    assert stderr == (
        f"server: its process {pids[1]} was ended by signal 9: the server has ended, because its "
        "ledgers are incomplete\n"
    )
    assert process.returncode == 3


@pytest.mark.parametrize(
    ("end", "number", "code"),
    [(os.kill, signal.SIGKILL, -signal.SIGKILL), (os.killpg, signal.SIGINT, 0)],
    ids=["its parent is killed", "all are interrupted"],
)
def test_no_process_is_left_behind(end: Callable[[int, int], None], number: int, code: int) -> None:
    with server_by_hand() as (process, pids):
        assert all(Path(f"/proc/{pid}").exists() for pid in pids)
        end(process.pid, number)
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (code, "")


def test_the_clock_of_this_machine_is_its_own(two: ServerProcess) -> None:
    began_ns = monotonic_ns()
    found = clock_offset(two.addresses.control_url, 20)
    assert began_ns < found.at_ns < monotonic_ns()
    assert abs(found.offset_ns) <= found.bound_ns
    assert found.bound_ns > 0


AHEAD_NS = 37_500_000


@pytest.mark.parametrize(("late", "lies"), [((True,), 0), ((True, False, True), 10**9)])
def test_a_clock_that_is_ahead_is_found_by_the_shortest_way(
    late: tuple[bool, ...], lies: int
) -> None:
    """The bound holds if only the way back is slow, and of several answers the quick one counts.

    The answers that come late name times that are wrong by `lies`. Each names its own receipt and
    when the one before was sent. The server takes 20 ms to answer, which is no part of the way.
    """

    def answer() -> None:
        sent_ns = 0
        connection, _ = listening.accept()
        with connection, connection.makefile("rb") as lines:
            for is_late in (*late, False):
                while lines.readline() not in (b"\r\n", b""):
                    pass
                wrong_ns = AHEAD_NS + lies * is_late
                received_ns = monotonic_ns() + wrong_ns
                threading.Event().wait(0.02)
                body = b'{"received_ns": %d, "sent_before_ns": %d}' % (received_ns, sent_ns)
                sent_ns = monotonic_ns() + wrong_ns
                if is_late:
                    threading.Event().wait(0.1)
                head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body)
                connection.sendall(head + body)

    with socket.create_server(("127.0.0.1", 0)) as listening, ThreadPoolExecutor(1) as pool:
        answering = pool.submit(answer)
        found = clock_offset(f"http://127.0.0.1:{listening.getsockname()[1]}", len(late))
        answering.result()
    assert abs(found.offset_ns - AHEAD_NS) <= found.bound_ns


def test_the_time_that_the_server_takes_to_answer_is_no_part_of_the_way() -> None:
    """A clock that is 1000 ahead, 10 to the server, 60 in it, 30 back: wrong by 10, at most 20."""
    assert estimate(500, 600, 1510, 1570) == (550, 990, 20)
    with pytest.raises(ValueError, match="longer than the whole round trip"):
        estimate(500, 600, 1510, 1611)


arrivals = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 9), st.booleans()), max_size=30)


@given(st.lists(arrivals, min_size=1, max_size=4))
def test_merged_ledgers_are_that_of_one_process(
    processes: list[list[tuple[int, int, bool]]],
) -> None:
    """Each row keeps its values, and each end of a fault its row, in the order of time."""
    records: list[RunRecord | None] = []
    expected = []
    ends = {}
    for process, rows in enumerate(processes):
        run = RunLedger(b"head %d" % process)
        run.unrecorded = process
        arrived_ns = 0
        for at, (later_ns, connection, fails) in enumerate(rows):
            arrived_ns += later_ns
            seq = 100 * process + at
            row = run.arrive(seq, connection + 1, arrived_ns, 5, 200)
            run.close_row(row, MISBEHAVED if fails else ANSWERED, arrived_ns + 6)
            if fails:
                ends[seq] = 1000 * (connection + 1) + seq
                run.end_fault(row, ends[seq])
            number = connection * len(processes) + process + 1
            expected.append((arrived_ns, process, seq, number))
        load = {name: array("q", [5, 40, 80]) for name in LOAD_COLUMNS}
        load["process"] = array("q", [0, 0, 0])
        records.append(unpack(b"".join(run.pack("run", load))) if rows else None)
    if not any(rows for rows in processes):
        return
    merged = unpack(b"".join(merge_runs(records).pack()))
    expected.sort()
    columns = merged.columns
    names = ("arrived_ns", "seq", "connection")
    found = zip(*(columns[name] for name in names), strict=True)
    assert list(found) == [(at, seq, number) for at, _, seq, number in expected]
    assert list(columns["replied_ns"]) == [at + 6 for at, *_ in expected]
    assert [columns[name].typecode for name, _ in COLUMNS] == [code for _, code in COLUMNS]
    ended = zip(merged.faults["row"], merged.faults["ended_ns"], strict=True)
    assert {columns["seq"][row]: ended_ns for row, ended_ns in ended} == ends
    assert list(merged.faults["ended_ns"]) == sorted(ends.values())
    assert merged.first_request_head == b"head %d" % expected[0][1]
    present = [process for process, rows in enumerate(processes) if rows]
    assert merged.unrecorded == sum(present)
    # The load begins with the last sample before the first arrival.
    first = max([at for at in (5, 40, 80) if at <= expected[0][0]], default=5)
    kept = [at for at in (5, 40, 80) if at >= first]
    assert list(merged.load["at_ns"]) == kept * len(present)
    assert list(merged.load["process"]) == [of for of in present for _ in kept]


@pytest.mark.thorough
def test_two_hundred_thousand_requests_are_all_there() -> None:
    with ServerProcess(*SEVERAL) as server:
        data_url, control_url = server.addresses
        crawl(data_url, "many", connections=100, requests_each=2000)
        record = fetch_run(control_url, "many")
        assert sorted(record.columns["seq"]) == list(range(200_000))
        assert record.rows == stats(control_url)["requests"]
