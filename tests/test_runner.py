"""The runner with real processes: crawlers that crash, hang or lie, a server that goes."""

import contextlib
import os
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import numpy as np
import pytest

import bench.measure.runner
from bench.analysis.join import Join
from bench.analysis.reconciliation import Reconciliation
from bench.measure.pinning import UNPINNED, choose_pinning
from bench.measure.runner import ProcessRunner, ServerGoneError, Target
from bench.measure.targets import recognise
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.results.columns import IntColumns
from bench.results.run_result import RunResult
from server.control_client import announce_run, delete_run, stats
from server.packed_columns import Columns
from server.process import ServerProcess


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


def run(
    server: ServerProcess,
    crawler: str,
    requests: int = 4,
    delay_us: int = 0,
    grace_s: float = 30.0,
) -> RunResult:
    runner = ProcessRunner(Target(*server.addresses), 10.0, UNPINNED, grace_s=grace_s)
    name = crawler if crawler == "asyncio" else f"tests.broken_crawlers:{crawler}"
    cell = Cell(name, 1, Delay.fixed(delay_us))
    return runner.run(PlannedRun(1, 1, cell, requests, Entrant(name, name)))


@pytest.mark.parametrize(
    ("crawler", "failure", "said"),
    [
        ("crash", "crashed with exit code 1", "RuntimeError: this crawler crashes"),
        ("die", "died of SIGABRT", ""),
        ("missing", "crashed with exit code 3", "cannot be imported"),
        ("end_quietly", "ended without an outcome", ""),
        ("die_strangely", "died of signal 40", ""),
    ],
)
def test_a_crawler_that_crashes_is_a_result_with_its_last_words(
    server: ServerProcess, crawler: str, failure: str, said: str
) -> None:
    done = run(server, crawler)
    assert done.failure == failure
    assert said in done.stderr_tail
    assert done.outcome is None


def test_a_crawler_that_hangs_is_killed_when_its_time_is_over(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.measure.runner, "_TIMEOUTS", 0)
    began = time.monotonic()
    done = run(server, "hang", grace_s=6.0)
    assert time.monotonic() - began < 60
    assert done.failure == "not done after 6 s, and killed"
    assert done.stderr_tail == "hanging"
    assert no_child_is_left()


def no_child_is_left() -> bool:
    try:
        return os.waitpid(-1, os.WNOHANG) == (0, 0)
    except ChildProcessError:
        return True


def test_what_a_crawler_prints_does_not_matter(server: ServerProcess) -> None:
    done = run(server, "chat")
    assert done.failure == ""
    assert done.outcome is not None
    assert len(done.outcome.fetches["seq"]) == 4


@pytest.mark.parametrize(
    ("crawler", "expected"),
    [
        ("asyncio", "4 matched, 0 resent, 0 lost, 0 abandoned, 0 duplicate, 0 server-only"),
        ("skip_half", "2 matched, 0 resent, 2 lost, 0 abandoned, 0 duplicate, 0 server-only"),
        ("fetch_twice", "4 matched, 0 resent, 0 lost, 0 abandoned, 4 duplicate, 0 server-only"),
    ],
)
def test_the_ledger_finds_a_crawler_out(server: ServerProcess, crawler: str, expected: str) -> None:
    done = run(server, crawler)
    assert done.outcome is not None
    assert done.ledger is not None
    found = Reconciliation.of(
        4, Join.of(numbers(done.outcome.fetches), numbers(done.ledger.columns))
    )
    assert str(found) == expected
    # The server has forgotten the run, and has room for the next.
    assert stats(server.addresses.control_url)["ledger"]["rows"] == 0


def test_strangers_who_fill_the_ledger_take_nothing_from_a_run() -> None:
    with ServerProcess("--ledger-rows", "1000") as crowded:
        parts = urlsplit(crowded.addresses.data_url)
        stranger = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
        with contextlib.closing(stranger):
            for number in range(1100):  # more names and more rows than there are
                stranger.request("GET", f"/add?name=stranger{number}&delay=0")
                stranger.getresponse().read()
            done = run(crowded, "asyncio")
    assert done.outcome is not None
    assert done.ledger is not None
    assert done.ledger.unrecorded == 0
    found = Reconciliation.of(
        4, Join.of(numbers(done.outcome.fetches), numbers(done.ledger.columns))
    )
    assert (found.matched, found.unexplained) == (4, ())


def test_a_run_that_is_known_already_is_refused_and_not_mixed_up(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ProcessRunner, "_name", lambda *_: "mine")
    announce_run(server.addresses.control_url, "mine", 1)
    with pytest.raises(ServerGoneError, match=r"the server refuses the run: .* already exists"):
        run(server, "asyncio")
    delete_run(server.addresses.control_url, "mine")


def numbers(columns: Columns) -> IntColumns:
    return {name: np.array(column, dtype=np.int64) for name, column in columns.items()}


def test_a_server_that_is_gone_is_said_and_ends_the_sweep() -> None:
    with ServerProcess() as doomed:
        pass
    with pytest.raises(ServerGoneError, match=r"the server is gone: PUT http://127\.0\.0\.1"):
        run(doomed, "asyncio")


def test_a_server_of_ours_is_recognised_and_no_other(server: ServerProcess) -> None:
    data_url, control_url = server.addresses
    assert recognise(data_url) == Target(data_url, control_url)
    assert recognise(f"{data_url}/") == Target(f"{data_url}/", control_url)
    assert recognise(f"{data_url}/add?delay=0") == Target(f"{data_url}/add?delay=0", "")
    assert recognise(control_url) == Target(control_url, "")
    assert recognise("http://127.0.0.1:9") == Target("http://127.0.0.1:9", "")


def test_server_and_crawler_are_pinned_apart_or_not_at_all() -> None:
    pinning = choose_pinning()
    assert pinning.note
    assert not pinning.server & (pinning.single_core_crawler | pinning.multi_core_crawler)
    assert bool(pinning.server) == bool(pinning.single_core_crawler)
