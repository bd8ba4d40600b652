"""Runs that the workers of a Dask cluster carry."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.cluster.address import ClusterAddress
from bench.cluster.carrier import ClusterCarrier, held_interrupt
from bench.cluster.errors import ClusterError
from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.results.run_result import RunResult
from bench.results.store import FILE_NAME, Store
from server.control_client import stats
from server.process import ServerProcess

distributed = pytest.importorskip("distributed", reason="distributed is not installed")

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


@pytest.fixture(scope="module")
def carrier() -> Iterator[ClusterCarrier]:
    with ClusterCarrier(ClusterAddress(local_workers=2)) as found:
        yield found


def run(
    server: ServerProcess,
    carrier: ClusterCarrier,
    crawler: str,
    requests: int,
    on_interrupt: Callable[[], None] | None = None,
) -> RunResult:
    entrant = Entrant(crawler, crawler, processes=2)
    cell = Cell(crawler, 5, Delay.fixed(5000))
    target = Target(*server.addresses)
    runner = ProcessRunner(target, 10.0, UNPINNED, on_interrupt=on_interrupt, carrier=carrier)
    return runner.run(PlannedRun(1, 1, cell, requests, entrant))


def once_some_are_done(server: ServerProcess, do: Callable[[], None]) -> None:
    """Do something in a thread when 20 requests have arrived."""

    def wait() -> None:
        pause = threading.Event()
        while stats(server.addresses.control_url)["ledger"]["rows"] < 20:
            pause.wait(0.01)
        do()

    threading.Thread(target=wait, daemon=True).start()


def crawler_processes() -> list[psutil.Process]:
    """The crawler processes that descend from this process. Their parents are Dask workers."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.cmdline()[-2:] == ["crawlers", "--worker"]:
                found.append(process)
    return found


def test_an_interrupt_waits_until_a_cluster_has_started() -> None:
    """Dask cannot close one that is half started, and prints tracebacks of it at the end."""
    done = []

    def start() -> None:
        with held_interrupt():
            os.kill(os.getpid(), signal.SIGINT)
            # A worker that is loading Dask would print a traceback.
            assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
            done.append("started")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            start()
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["started"]
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_without_certificates_nothing_is_connected() -> None:
    with pytest.raises(ClusterError, match="or use tcp://"):
        ClusterCarrier(ClusterAddress.parse("tls://127.0.0.1:9")).__enter__()


def test_what_accepts_connections_and_says_nothing_is_no_scheduler(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Dask's client waits for it for ever."""
    monkeypatch.setattr("bench.cluster.carrier._CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ClusterError, match="no Dask scheduler answers at"):
            ClusterCarrier(ClusterAddress.parse(address)).__enter__()


@pytest.mark.skipif(sys.platform == "win32", reason="a bash script")
@pytest.mark.parametrize(
    ("words", "code"),
    [("--help", 0), ("", 2), ("--offset 37.5", 2), ("--offset abc true", 2), ("--wire true", 2)],
)
def test_two_machines_says_how_it_is_used_before_it_sets_anything_up(words: str, code: int) -> None:
    done = two_machines(*words.split())
    assert done.returncode == code
    assert "usage: scripts/two_machines [--offset MS]" in (done.stderr if code else done.stdout)


def test_each_worker_carries_its_share(server: ServerProcess, carrier: ClusterCarrier) -> None:
    result = run(server, carrier, "protocol", 41)
    assert result.failure == ""
    assert result.outcome is not None
    assert result.ledger is not None
    assert sorted(result.outcome.fetches["seq"]) == list(range(41))
    assert sorted(result.ledger.columns["seq"]) == list(range(41))
    assert [(one.machine, one.requests, one.clock) for one in result.processes] == [
        ("local-0", 21, None),  # which has our clock
        ("local-1", 20, None),
    ]


def test_a_crawler_that_crashes_fails_the_run_with_the_name_of_its_worker(
    server: ServerProcess, carrier: ClusterCarrier
) -> None:
    result = run(server, carrier, "tests.broken_crawlers:crash_if_second", 1000)
    assert result.failure.endswith("local-1: crashed with exit code 1")
    assert "the second process crashes" in result.stderr_tail
    assert crawler_processes() == []


def test_an_interrupted_run_has_what_all_workers_had_fetched(
    server: ServerProcess, carrier: ClusterCarrier
) -> None:
    came = threading.Event()
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        once_some_are_done(server, lambda: os.kill(os.getpid(), signal.SIGINT))
        result = run(server, carrier, "protocol", 100_000, on_interrupt=came.set)
    finally:
        signal.signal(signal.SIGINT, before)
    assert came.is_set()
    assert result.failure.startswith("interrupted after ")
    assert result.outcome is not None
    assert {seq % 2 for seq in result.outcome.fetches["seq"]} == {0, 1}


def test_an_interrupt_of_a_sweep_leaves_no_crawler(
    server: ServerProcess, carrier: ClusterCarrier
) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        once_some_are_done(server, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            run(server, carrier, "protocol", 100_000)
    finally:
        signal.signal(signal.SIGINT, before)
    assert crawler_processes() == []


def test_a_worker_that_is_killed_fails_its_run_and_no_other(
    server: ServerProcess, carrier: ClusterCarrier
) -> None:
    once_some_are_done(server, lambda: crawler_processes()[0].parent().kill())  # type: ignore[union-attr]
    result = run(server, carrier, "protocol", 100_000)
    assert result.failure.endswith(": the worker died")
    assert "local-" in result.failure
    assert crawler_processes() == []
    assert run(server, carrier, "protocol", 41).failure == ""


@pytest.mark.thorough
def test_no_crawler_outlives_a_bench_that_is_killed(tmp_path: Path) -> None:
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        words = f"crawl protocol -n 100000 -c 2 --cluster {cluster.scheduler_address} --out"
        command = [sys.executable, "-P", "-m", "bench", *words.split(), str(tmp_path)]
        bench = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        pause = threading.Event()
        while not crawler_processes():
            assert bench.poll() is None
            pause.wait(0.01)
        left = crawler_processes()
        bench.kill()
        bench.wait()
        gone, alive = psutil.wait_procs(left, timeout=30)
        assert gone
        assert not alive


def two_machines(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [str(ROOT / "scripts" / "two_machines"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=55, check=False)


needs_root = pytest.mark.skipif(
    sys.platform != "linux" or os.getuid() != 0, reason="only root makes network namespaces"
)


@pytest.mark.thorough
@needs_root
def test_a_clock_that_is_off_is_found_on_a_machine_behind_a_slow_wire(tmp_path: Path) -> None:
    words = "crawl asyncio -n 200 -c 20 --delay 20 --cluster tcp://10.77.1.1:8786 --bind 10.77.1.1"
    bench = [sys.executable, "-P", "-m", "bench", *words.split(), "--out", str(tmp_path)]
    done = two_machines("--offset", "37.5", *bench)
    assert done.returncode == 0, done.stderr
    assert "0 lost" in done.stdout
    (folder,) = (path for path in tmp_path.iterdir() if not path.is_symlink())
    with Store.open(folder / FILE_NAME) as store:
        one, two = store.processes(1)
    assert (one.machine, two.machine) == ("one", "two")
    assert one.clock is None  # it has the server's
    assert two.clock is not None
    for offset in (two.clock.before, two.clock.after):
        assert offset.bound_ns >= 2_000_000  # half of 2 ms there and 2 ms back
        assert abs(offset.offset_ns + 37_500_000) <= offset.bound_ns


@pytest.mark.thorough
@needs_root
def test_namespaces_go_when_the_command_ends() -> None:
    assert two_machines("false").returncode == 1
    assert (
        "crawlbench-"
        not in subprocess.run(
            ["ip", "netns", "list"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    )
