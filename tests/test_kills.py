"""kill -9 of the bench, at whatever instant: no process, and nothing in TMPDIR, is left of it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from bench.results.store import FILE_NAME, Store
from tests.factories import experiment, planned, result
from tests.test_command_line import BENCH

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc, and uses prctl")

MARK = "CRAWLBENCH_TEST_KILL"
WITHIN_S = 30.0
CRAWL = ["crawl", "protocol", "-n", "1", "--delay", "9000"]
SWEEP = ["run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "1", "--trials", "20"]


class Bench:
    """A bench of which all processes can be found."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self.entry = f"{MARK}={folder}"
        environment = {**os.environ, MARK: str(folder), "TMPDIR": str(self.temporary)}
        self.process = subprocess.Popen(
            [*BENCH, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,
        )

    def left(self) -> list[psutil.Process]:
        """Whatever runs, or is stopped, with the mark."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if MARK in process.environ() and f"{MARK}={process.environ()[MARK]}" == self.entry:
                    found.append(process)
        return found

    def child(self, *words: str) -> psutil.Process | None:
        """The child whose command has these words."""
        for process in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if set(words) <= set(process.cmdline()):
                    return process
        return None

    def wait_for(self, what: Callable[[], object]) -> None:
        deadline = time.monotonic() + WITHIN_S
        while not what():
            assert time.monotonic() < deadline
            assert self.process.poll() is None
            time.sleep(0.002)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        deadline = time.monotonic() + WITHIN_S
        while left := self.left():
            assert time.monotonic() < deadline, [one.cmdline() for one in left]
            time.sleep(0.01)
        assert not list(self.temporary.iterdir())


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    started: list[Bench] = []

    def start(*words: str) -> Bench:
        started.append(Bench(tmp_path, *words))
        return started[-1]

    yield start
    for one in started:
        for process in one.left():  # of a test that failed
            process.kill()
        one.process.wait()


@pytest.mark.parametrize("child", [pytest.param("server", marks=pytest.mark.thorough), "--worker"])
def test_a_bench_killed_when_it_has_started_a_process_leaves_nothing_running(
    start: Callable[..., Bench], tmp_path: Path, child: str
) -> None:
    bench = start(*CRAWL, "--out", str(tmp_path / "results"))
    bench.wait_for(lambda: bench.child(child))
    bench.kill()


def test_a_bench_killed_when_it_stores_a_run_leaves_nothing_but_results(
    start: Callable[..., Bench], tmp_path: Path
) -> None:
    bench = start(*SWEEP, "--out", str(tmp_path / "results"))
    bench.wait_for(lambda: bench.child("--worker"))
    bench.wait_for(lambda: bench.child("--worker") is None)
    bench.kill()


@pytest.mark.parametrize(
    "stopped",
    [*(pytest.param(one, marks=pytest.mark.thorough) for one in ("", "server")), "--worker"],
)
def test_a_bench_killed_in_mid_crawl_leaves_nothing_not_even_what_was_stopped(
    start: Callable[..., Bench], tmp_path: Path, stopped: str
) -> None:
    bench = start(*CRAWL, "--out", str(tmp_path / "results"))
    bench.wait_for(lambda: has_connection(bench.child("--worker")))
    if stopped:
        process = bench.child(stopped)
        assert process is not None
        process.suspend()
    bench.kill()


@pytest.mark.parametrize("is_stopped", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_what_draws_ends_too_and_removes_its_draft(
    start: Callable[..., Bench], tmp_path: Path, is_stopped: bool
) -> None:
    bench = start("plots", str(made_up_results(tmp_path)))
    bench.wait_for(lambda: bench.child("--end-with-stdin"))
    drawing = bench.child("--end-with-stdin")
    assert drawing is not None
    bench.wait_for(lambda: drawing.num_threads() > 1)  # one waits for the end of stdin
    if is_stopped:
        drawing.suspend()
    bench.kill()
    assert not list(tmp_path.glob(".*"))


def test_a_process_that_draws_and_is_killed_is_told_with_the_way_out(tmp_path: Path) -> None:
    made_up_results(tmp_path)
    with subprocess.Popen(
        [*BENCH, "plots", str(tmp_path)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as bench:
        deadline = time.monotonic() + WITHIN_S
        while not (children := psutil.Process(bench.pid).children()):
            assert time.monotonic() < deadline
            time.sleep(0.002)
        children[0].send_signal(signal.SIGKILL)
        _, stderr = bench.communicate(timeout=WITHIN_S)
    assert bench.returncode == 3
    (line,) = stderr.splitlines()
    assert "the process that draws figures died of SIGKILL" in line
    assert f"plots {tmp_path} does it again" in line


def has_connection(process: psutil.Process | None) -> bool:
    with suppress(psutil.Error):
        return process is not None and bool(process.net_connections())
    return False


def made_up_results(folder: Path) -> Path:
    with Store.create(folder / FILE_NAME, experiment(), 2, {"python": "3.11"}, "now") as store:
        for number, concurrency in enumerate((1, 10), 1):
            store.append(result(planned(concurrency=concurrency, number=number)))
    return folder
