"""Sweeps that are stopped, killed, or lose their server: what was done is kept, nothing is left."""

import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from bench.results.folder import exclusive_lock
from bench.results.store import FILE_NAME
from tests.test_command_line import BENCH, call
from tests.this_process import bench


def start_long_run(folder: Path) -> "subprocess.Popen[str]":
    """A sweep of short runs, of which some are kept when this returns."""
    process = subprocess.Popen(
        [
            *(*BENCH, "run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "1"),
            *("--waves", "1", "--trials", "1000", "--out", str(folder)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while kept(folder) < 2:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    return process


def kept(folder: Path) -> int:
    path = folder / "latest" / FILE_NAME
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        (count,) = connection.execute("SELECT count(*) FROM run").fetchone()
    except sqlite3.OperationalError:  # between two steps of its making
        return 0
    finally:
        connection.close()
    return int(count)


def family(process: "subprocess.Popen[Any]") -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def assert_all_end(children: list[psutil.Process]) -> None:
    assert children
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not [child for child in alive if child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.thorough)]
)
def test_an_interrupted_sweep_keeps_what_was_done_and_leaves_no_process(
    tmp_path: Path, number: signal.Signals
) -> None:
    process = start_long_run(tmp_path)
    children = family(process)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in stderr
    assert "Traceback" not in stderr
    assert_all_end(children)
    done = kept(tmp_path)
    assert done >= 2
    assert f"; {done} of 1002 runs are kept in " in stderr
    folder = (tmp_path / "latest").resolve()
    for words in (f"report {folder}", f"plots {folder}", f"run --resume {folder}"):
        assert [line for line in stderr.splitlines() if line.endswith(f"benchmark.sh {words}")]
    report = bench("report", str(tmp_path / "latest"))
    assert report.returncode == 0
    assert f"{1002 - done} of the runs asked for were not done" in report.stdout


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_sweep_keeps_what_was_done_and_leaves_no_process(tmp_path: Path) -> None:
    process = start_long_run(tmp_path)
    children = family(process)
    process.kill()
    process.communicate()
    assert_all_end(children)
    assert kept(tmp_path) >= 2
    assert bench("report", str(tmp_path / "latest")).returncode == 0
    assert bench("plots", str(tmp_path / "latest")).returncode == 0


def test_a_server_that_goes_in_mid_sweep_ends_it_with_what_was_done(tmp_path: Path) -> None:
    process = start_long_run(tmp_path)
    for child in family(process):
        if child.cmdline()[3:4] == ["server"]:
            child.kill()
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 3
    last = stderr.splitlines()[-1]
    assert "the server is gone" in last
    folder = (tmp_path / "latest").resolve()
    assert last.endswith(f"run --resume {folder} makes the others")
    assert "Traceback" not in stderr
    assert kept(tmp_path) >= 2


@pytest.mark.without_coverage  # which writes a file of its own
@pytest.mark.skipif(sys.platform == "win32", reason="no limits of files there")
def test_a_full_disk_ends_it_with_its_reason_the_file_and_the_command_that_goes_on(
    tmp_path: Path,
) -> None:
    sweep = [*BENCH, "run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "0"]
    sweep += ["--waves", "100", "--out", str(tmp_path)]
    # In units of 1024 bytes: no file can grow further, as on a disk that is full.
    done = call("/bin/bash", "-c", 'ulimit -f 100; exec "$@"', "bash", *sweep)
    (folder,) = (path for path in tmp_path.iterdir() if not path.is_symlink())
    last = done.stderr.splitlines()[-1]
    assert done.returncode == 3
    assert f"cannot write {folder / FILE_NAME}: " in last
    assert last.endswith(f"run --resume {folder} makes the others")
    assert "Traceback" not in done.stderr


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_killed_sweep_is_resumed_no_run_twice_and_none_missing(tmp_path: Path) -> None:
    sweep = [
        *("run", "--chapter", "--crawlers", "protocol", "--concurrency", "1,3,4,5"),
        *("--delay", "1,2", "-n", "4", "--out", str(tmp_path)),
    ]
    process = subprocess.Popen(
        [*BENCH, *sweep],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while kept(tmp_path) < 2:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = family(process)
    process.kill()
    process.wait()
    assert_all_end(children)
    before = rows(tmp_path)
    assert 2 <= len(before) < 10

    resumed = bench("run", "--resume", str(tmp_path / "latest"))
    assert resumed.returncode == 0, resumed
    assert f"{10 - len(before)} runs, about" in resumed.stderr
    after = rows(tmp_path)
    assert after[: len(before)] == before
    assert [number for number, *_ in after] == list(range(1, 11))
    cells = [cell for _, role, *cell in after if role == "cell"]
    assert sorted(map(str, cells)) == sorted(
        str([crawler, concurrency, delay_us, 4])
        for crawler in ("protocol",)
        for concurrency in (1, 3, 4, 5)
        for delay_us in (1000, 2000)
    )
    assert "interrupted, and resumed" in resumed.stdout

    again = bench("run", "--resume", str(tmp_path / "latest"))
    assert again.returncode == 0
    assert "have been made already" in again.stderr
    assert rows(tmp_path) == after

    other = bench("run", "--resume", str(tmp_path / "latest"), "--trials", "2", "--seed", "1")
    assert other.returncode == 2
    assert "leave out --trials, --seed" in other.stderr

    with exclusive_lock((tmp_path / "latest").resolve()):
        beside = bench("run", "--resume", str(tmp_path / "latest"))
    assert (beside.returncode, beside.stderr.count("\n")) == (3, 1)
    assert "another crawlbench process is writing to" in beside.stderr


def rows(folder: Path) -> list[tuple[object, ...]]:
    """Number, role, crawler, concurrency, delay in us and requests of each run, by number."""
    connection = sqlite3.connect(folder / "latest" / FILE_NAME)
    try:
        return connection.execute(
            "SELECT number, role, crawler, concurrency, delay_low_us, requests FROM run "
            "ORDER BY number"
        ).fetchall()
    finally:
        connection.close()
