"""Whatever a crawler leaves behind is the failure of its own run, and of no other."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.results.run_result import RunResult
from crawlers.contract import FETCH_COLUMNS, Recorder
from crawlers.runtime import Runtime
from crawlers.spec import Outcome, write_outcome
from crawlers.work import WorkLog
from server.packed_columns import read_packed
from server.process import ServerProcess
from tests.factories import usage
from tests.hostile_crawlers import BEGIN, CRAWLS

MARK = "CRAWLBENCH_TEST_MARK"

RUNTIME = Runtime.of_this_process()


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process
        assert_next_run_is_good(process)  # after all of them


def run(server: ServerProcess, name: str, number: int = 1) -> RunResult:
    runner = ProcessRunner(Target(*server.addresses), 10.0, UNPINNED, {MARK: str(os.getpid())})
    cell = Cell(name, 1, Delay.fixed(0))
    return runner.run(PlannedRun(number, 1, cell, 4, Entrant(name, name)))


def left_behind() -> list[str]:
    """The commands of processes that crawlers have started, and that have not ended."""
    entry = f"{MARK}={os.getpid()}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if entry in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text())
        except OSError:
            continue
    return found


def assert_next_run_is_good(server: ServerProcess) -> None:
    done = run(server, "protocol", number=2)
    assert (done.failure, done.stderr_tail) == ("", "")
    assert done.outcome is not None
    assert done.ledger is not None
    assert list(done.outcome.fetches["seq"]) == list(done.ledger.columns["seq"]) == [0, 1, 2, 3]
    assert not done.conditions.beside


def siblings() -> Iterator[str]:
    """Crawlers of whose outcome the same is said as of another one's, but for numbers."""
    said: set[str] = set()
    for name, (_, words) in CRAWLS.items():
        if words in said:
            yield name
        said.add(words)


_SIBLINGS = (
    *siblings(),
    *("negative_length", "length_of_text", "other_columns", "no_layout", "usage_huge"),
    *("usage_of_text", "versions_a_list", "start_huge", "status_huge", "error_unknown"),
)
"""Crawlers whose outcome is refused where that of another one is; any number and any header are in
the tests below, without processes."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] if name in _SIBLINGS else [])
        for name in CRAWLS
    ],
)
def test_an_outcome_that_is_none_is_the_failure_of_its_run_alone(
    server: ServerProcess, name: str
) -> None:
    done = run(server, f"tests.hostile_crawlers:{name}")
    assert CRAWLS[name][1] in done.failure
    assert len(done.failure) < 200
    assert done.failure.isprintable()
    assert done.outcome is None
    assert left_behind() == []


def test_of_all_that_a_crawler_says_the_end_is_kept(server: ServerProcess) -> None:
    done = run(server, "tests.hostile_crawlers:flood")
    assert done.failure == ""
    assert len(done.stderr_tail) < 4000
    assert done.stderr_tail.endswith("x499")


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="orphans are found on Linux")
def test_what_a_crawler_starts_ends_with_its_run(server: ServerProcess) -> None:
    done = run(server, "tests.hostile_crawlers:settle")
    assert left_behind() == []
    assert done.failure == ""
    assert_next_run_is_good(server)


def outcome() -> bytes:
    recorder, stream = Recorder(), io.BytesIO()
    for seq in range(3):
        recorder(seq, 10 + seq, 20 + seq, 200, 1)
        recorder.limit(10 + seq, 1 + seq)
    write_outcome(stream, usage(), {"python": "3.11"}, recorder, WorkLog(), RUNTIME)
    return stream.getvalue()


def test_what_is_whole_is_read_whatever_was_printed_before() -> None:
    read = Outcome.read(io.BytesIO(b"a sitecustomize says hello" + outcome()), 3)
    assert list(read.fetches["start_ns"]) == [10, 11, 12]
    assert asdict(read.usage) == asdict(usage())


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    at=st.integers(0, len(outcome())),
    cut=st.integers(0, 40),
    put=st.binary(max_size=40),
)
def test_an_outcome_that_was_tampered_with_is_read_or_refused(
    at: int, cut: int, put: bytes
) -> None:
    whole = outcome()
    changed = whole[:at] + put + whole[at + cut :]
    with suppress(ValueError):
        read = Outcome.read(io.BytesIO(changed), 3)
        for columns in (read.fetches, read.limits):
            assert {len(column) for column in columns.values()} <= {0, 1, 2, 3}


@given(
    header=json_values, fields=st.dictionaries(st.sampled_from(["usage", "columns"]), json_values)
)
def test_any_header_is_read_or_refused(header: object, fields: dict[str, object]) -> None:
    columns = [[name, "q", 0] for name in FETCH_COLUMNS]
    made = {"byteorder": "big", "columns": columns, "versions": header, **fields}
    for line in (header, made):
        packed = BEGIN + json.dumps(line).encode() + b"\n"
        with pytest.raises(ValueError, match=r"."):  # there is no work behind it
            Outcome.read(io.BytesIO(packed), 3)


@given(st.binary(max_size=200), st.integers(0, 100))
def test_any_bytes_are_packed_columns_or_not(data: bytes, most: int) -> None:
    try:
        header, columns = read_packed(io.BytesIO(data), {"a": "B"}, most)
    except ValueError:
        return
    assert len(columns["a"]) <= most
    assert isinstance(header, dict)
