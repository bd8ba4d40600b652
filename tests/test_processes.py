"""Runs that several crawler processes share."""

import io
import os
import signal
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from queue import SimpleQueue
from time import monotonic_ns
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.parser import parse
from bench.errors import UsageError
from bench.measure.carriers import Carried, LocalCarrier, Orders, Share, crawl_together
from bench.measure.crawler_process import CrawlerProcess
from bench.measure.merging import merged_outcome, merged_usage
from bench.measure.pinning import (
    UNPINNED,
    Pinning,
    choose_pinning,
    choose_server_processes,
    of_running_server,
)
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant, EntrantError, multiplied, parse_entrant
from bench.plan.experiment import Cell, PlannedRun, share_of
from bench.plan.ideal import expected_ns, makespan_ns, simulate
from bench.results.run_result import RunResult
from crawlers.__main__ import StartGate
from crawlers.contract import Recorder
from crawlers.runtime import Runtime
from crawlers.spec import Outcome, Spec, parse_start_line, start_line, write_outcome
from crawlers.work import WorkLog
from server.process import ServerProcess
from server.service import PLAIN, CapacityStep, Service
from tests.factories import usage


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


def run(
    server: ServerProcess,
    crawler: str,
    processes: int,
    requests: int,
    on_interrupt: Callable[[], None] | None = None,
    delay_us: int = 5000,
) -> RunResult:
    entrant = Entrant(crawler, crawler, processes=processes)
    cell = Cell(crawler, 5, Delay.fixed(delay_us))
    runner = ProcessRunner(Target(*server.addresses), 10.0, UNPINNED, on_interrupt=on_interrupt)
    return runner.run(PlannedRun(1, 1, cell, requests, entrant))


def test_each_process_fetches_its_share_and_the_ledger_has_all(server: ServerProcess) -> None:
    result = run(server, "protocol", 2, 41)
    assert result.failure == ""
    assert result.outcome is not None
    assert result.ledger is not None
    fetches = result.outcome.fetches
    assert sorted(fetches["seq"]) == list(range(41))
    assert sorted(result.ledger.columns["seq"]) == list(range(41))
    assert list(fetches["end_ns"]) == sorted(fetches["end_ns"])
    first, second = result.processes
    assert [(one.ordinal, one.concurrency, one.requests) for one in result.processes] == [
        (0, 3, 21),
        (1, 2, 20),
    ]
    assert first.runtime == second.runtime == Runtime.of_this_process()
    assert first.usage is not None
    assert second.usage is not None
    assert result.outcome.usage.cpu_ns == first.usage.cpu_ns + second.usage.cpu_ns
    # A connection belongs to one process: no connection has requests of both.
    connections = sorted(
        (connection, seq % 2)
        for connection, seq in zip(
            result.ledger.columns["connection"], result.ledger.columns["seq"], strict=True
        )
    )
    for _, of_one in groupby(connections, key=lambda pair: pair[0]):
        assert len({process for _, process in of_one}) == 1


def test_a_process_that_crashes_fails_the_run_and_stops_the_others(server: ServerProcess) -> None:
    result = run(server, "tests.broken_crawlers:crash_if_second", 2, 1000, delay_us=20_000)
    assert result.failure == "process 2 of 2: crashed with exit code 1"
    assert "the second process crashes" in result.stderr_tail
    assert result.outcome is None


class Mixed(LocalCarrier):
    """Hands each share what another process has left, and says that it ran on other libraries."""

    def __init__(self, turn: int, **versions: str) -> None:
        self._turn, self._versions = turn, versions

    def carry(self, shares: Sequence[Share], orders: Orders) -> list[Carried]:
        carried = super().carry(shares, orders)
        last = carried[-1].outcome
        assert last is not None
        last.versions.update(self._versions)
        return carried[self._turn :] + carried[: self._turn]


@pytest.mark.parametrize(
    ("carrier", "said"),
    [
        (Mixed(1), "process 1 of 2: recorded 2 requests that are in the share of another process"),
        (Mixed(0, aiohttp="1"), "process 2 of 2: has aiohttp 1, and another process none: use"),
    ],
)
def test_a_process_that_did_not_do_its_share_fails_the_run(
    server: ServerProcess, carrier: Mixed, said: str
) -> None:
    """Else one process could fetch all, and the run would count as one of several."""
    entrant = Entrant("protocol", "protocol", processes=2)
    runner = ProcessRunner(Target(*server.addresses), 10.0, UNPINNED, carrier=carrier)
    result = runner.run(PlannedRun(1, 1, Cell("protocol", 2, Delay.fixed(0)), 4, entrant))
    assert result.failure.startswith(said)
    assert result.outcome is None


def test_an_interrupted_run_has_what_all_processes_had_fetched(server: ServerProcess) -> None:
    came = threading.Event()

    def interrupt_when_some_are_done() -> None:
        while len(server_rows(server)) < 20:
            came.wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        threading.Thread(target=interrupt_when_some_are_done, daemon=True).start()
        result = run(server, "protocol", 2, 100_000, on_interrupt=came.set)
    finally:
        signal.signal(signal.SIGINT, before)
    assert came.is_set()
    assert result.failure.startswith("interrupted after ")
    assert result.outcome is not None
    assert {seq % 2 for seq in result.outcome.fetches["seq"]} == {0, 1}


def server_rows(server: ServerProcess) -> range:
    from server.control_client import stats

    return range(stats(server.addresses.control_url)["ledger"]["rows"])


@given(st.integers(1, 500), st.integers(1, 64))
def test_the_shares_of_a_concurrency_are_all_of_it_and_differ_by_one(
    concurrency: int, processes: int
) -> None:
    shares = [share_of(concurrency, one, processes) for one in range(processes)]
    assert sum(shares) == concurrency
    assert max(shares) - min(shares) <= 1


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 5), st.integers(0, 4))
def test_the_ideal_of_a_split_is_the_slowest_of_the_ideals_of_its_shares(
    delays_us: list[int], processes: int, more: int
) -> None:
    slots = processes + more
    shares = [
        simulate(delays_us[one::processes], PLAIN, slots=share_of(slots, one, processes))
        for one in range(processes)
    ]
    split = simulate(delays_us, PLAIN, slots=slots, processes=processes)
    for one, share in enumerate(shares):
        assert split.end_ns[one::processes] == share.end_ns
    slowest = max(share.makespan_ns for share in shares)
    assert split.makespan_ns == slowest
    assert makespan_ns(delays_us, PLAIN, slots=slots, processes=processes) == slowest


def test_the_shares_of_a_split_meet_in_the_queue_of_the_service() -> None:
    """Two processes of two slots each, at a service that has one place: one after another."""
    service = Service(capacity=(CapacityStep(1, 0.0),))
    ideal = simulate([10] * 8, service, slots=4, processes=2)
    assert sorted(ideal.end_ns) == [10_000 * at for at in range(1, 9)]


def test_a_run_of_an_odd_number_of_requests_ends_with_its_larger_share() -> None:
    cell = Cell("x", 4, Delay.fixed(1000))
    planned = PlannedRun(1, 1, cell, 9, Entrant("x", "x", processes=2))
    assert expected_ns(planned, 4) == 3_000_000  # 5 requests on 2 slots


def test_what_processes_used_adds_up_and_waits_are_those_of_the_busiest() -> None:
    one = replace(usage(), cpu_ns=100, main_cpu_ns=90, descriptors=5000)
    other = replace(usage(), cpu_ns=20, main_cpu_ns=10, descriptors=1000)
    merged = merged_usage([one, other, replace(usage(), cpu_ns=0, descriptors=None)])
    assert merged.descriptors == 1000
    assert merged.cpu_ns == 120
    assert merged.wall_ns == max(one.wall_ns, other.wall_ns)
    assert merged.peak_memory_bytes == 3 * one.peak_memory_bytes
    assert merged_outcome([]) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("asyncio*4", Entrant("asyncio*4", "asyncio", processes=4)),
        ("asyncio+uvloop", Entrant("asyncio+uvloop", "asyncio", loop="uvloop")),
        (
            "asyncio+uvloop*2@/x/v/bin/python",
            Entrant("asyncio+uvloop*2@v", "asyncio", "/x/v/bin/python", "", 2, "uvloop"),
        ),
        ("fast=./mine.py:crawl*2", Entrant("fast", "./mine.py:crawl", processes=2)),
    ],
)
def test_an_entrant_says_on_which_loop_and_in_how_many_processes(
    text: str, expected: Entrant
) -> None:
    assert parse_entrant(text) == expected
    assert parse_entrant(str(expected)) == expected


@pytest.mark.parametrize("text", ["asyncio*", "asyncio*0", "asyncio*x", "asyncio+", "*2", "a*2+b"])
def test_what_is_no_number_of_processes_is_refused(text: str) -> None:
    with pytest.raises(EntrantError):
        parse_entrant(text)


def test_options_for_all_multiply_the_entrants() -> None:
    named = [parse_entrant("asyncio"), parse_entrant("mine=threads")]
    several = multiplied(named, processes=(1, 2), loops=("uvloop",))
    assert [(one.label, str(one)) for one in several] == [
        ("asyncio+uvloop", "asyncio+uvloop"),
        ("asyncio+uvloop*2", "asyncio+uvloop*2"),
        ("mine+uvloop", "mine+uvloop=threads+uvloop"),
        ("mine+uvloop*2", "mine+uvloop*2=threads+uvloop*2"),
    ]
    with pytest.raises(EntrantError, match=r"asyncio\*2: leave out --processes"):
        multiplied([parse_entrant("asyncio*2")], processes=(1, 2))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --crawlers asyncio --processes 4 --concurrency 2", "needs a --concurrency of 4"),
        ("crawl asyncio*4 -c 2", "a run in 4 processes needs a --concurrency of 4"),
        ("run --crawlers asyncio*4 --processes 2", "leave out --processes, or this part"),
        ("run --crawlers asyncio-aimd --processes 2", "asyncio-aimd cannot share a run"),
        ("run --crawlers asyncio --processes 2 --duration 3", "(--duration 3) cannot be shared"),
        ("run --scenario steady --processes 2", "(--scenario steady) cannot be shared"),
        ("run --scenario all --processes 2", "(--scenario all) cannot be shared"),
        ("run --scenario all --crawlers asyncio*2", "(--scenario all) cannot be shared"),
        (
            "run --scenario all --cluster local:2 --server-processes 2",
            "--server-processes, --cluster is for one sweep",
        ),
        ("crawl asyncio*2 --url http://127.0.0.1:9 --server-processes 2", "that crawlbench starts"),
        ("run --crawlers asyncio --server-processes 2 --capacity 5", "--capacity must be kept by"),
        ("advise asyncio*2", "only the verbs run and crawl share a run"),
        ("site --spiders ./mine.py:crawl*2", "a spider runs in one process"),
    ],
)
def test_what_cannot_be_shared_is_one_line(words: str, said: str) -> None:
    verb, arguments = parse(words.split())
    with pytest.raises(UsageError) as refused:
        verb.load().run(arguments)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("run --processes 9999", "from 1 to 1024"),
        ("crawl asyncio --server-processes 0", "from 1 to 64"),
        ("crawl asyncio --server-processes 100", "from 1 to 64"),
        ("crawl asyncio --processes 2,4", "crawl takes one; ./benchmark.sh run measures several"),
        ("crawl asyncio --python 3.11,3.13", "crawl takes one"),
    ],
)
def test_a_number_that_cannot_be_is_refused_with_the_limits(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(words.split())
    assert said in capsys.readouterr().err


def test_single_core_processes_have_a_cpu_each_or_share_all() -> None:
    two, many = frozenset((0, 1)), frozenset((1, 2, 3))
    small = Pinning(frozenset((0,)), frozenset((1,)), frozenset((1,)), two, "")
    assert small.of_crawlers(1, 1) == [frozenset((1,))]
    assert small.of_crawlers(2, 1) == [two, two]
    large = Pinning(frozenset((0,)), frozenset((1,)), many, many | {0}, "")
    assert large.of_crawlers(3, 1) == [frozenset((1,)), frozenset((2,)), frozenset((3,))]
    assert large.of_crawlers(4, 1) == [many | {0}] * 4
    assert large.of_crawlers(1, 8) == [many]


def test_what_is_pinned_is_said_of_shared_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.pinning._cores", lambda: [[0], [1]])
    assert choose_pinning(1, 1).note == "server on CPU 0, single-core crawlers on CPU 1"
    two = choose_pinning(1, 2)
    assert two.note.endswith(", 2 processes of a crawler together on CPUs 0, 1")
    assert of_running_server(two).note == f"{two.crawlers_note}; the server is not pinned"
    monkeypatch.setattr("bench.measure.pinning._cores", lambda: [[one] for one in range(4)])
    assert choose_pinning(2, 2).note == (
        "server of 2 processes on CPUs 0, 1, single-core crawlers on CPU 2, "
        "2 processes of a crawler on one each"
    )


def test_more_server_processes_only_where_there_are_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def chosen(cores: int, crawler_processes: int) -> int:
        monkeypatch.setattr("bench.measure.pinning._cores", lambda: [[one] for one in range(cores)])
        return choose_server_processes(0, crawler_processes)

    assert [chosen(2, 4), chosen(3, 4), chosen(4, 4), chosen(16, 1), chosen(16, 8)] == [
        1,
        1,
        1,
        1,
        5,
    ]
    assert choose_server_processes(3, 1) == 3
    assert choose_server_processes(0, 8, has_shared_state=True) == 1


def test_a_process_begins_at_the_instant_that_it_is_told() -> None:
    gate, left = StartGate(), []
    at_ns = monotonic_ns() + 20_000_000
    line = start_line(at_ns)
    gate.read(lambda: left.append("early"), line[:7])
    gate.read(lambda: left.append("early"), line[7:])
    gate.wait()
    assert monotonic_ns() >= at_ns
    assert left == []
    gate.read(lambda: left.append("early"), b"\n")
    assert left == ["early"]


def test_a_line_that_is_no_start_means_to_leave() -> None:
    assert parse_start_line(start_line(17)) == 17
    with pytest.raises(ValueError, match="not a line that starts"):
        parse_start_line(b"\n")
    gate, left = StartGate(), []
    gate.read(lambda: left.append("early"), b"\n")
    assert left == ["early"]


def test_the_requests_of_a_share_have_every_so_many_th_number() -> None:
    spec = Spec("x", 1, 1.0, "http://h:1/", True, "r", array("I", [5, 6]), first_seq=1, seq_step=3)
    jobs = list(spec.jobs(WorkLog()))
    assert [job.seq for job in jobs] == [1, 4]
    assert "seq=4" in jobs[1].url
    listed = Spec(
        "x", 1, 1.0, "", False, "r", array("I", [0] * 3), urls=["a", "b", "c"], first_seq=1,
        seq_step=2,
    )  # fmt: skip
    assert [(job.seq, job.url) for job in listed.jobs(WorkLog())] == [(1, "b"), (3, "a"), (5, "c")]


@pytest.mark.parametrize(
    "runtime", [None, {}, {"version": "3"}, {"loop": "x" * 200, "version": "3"}, 7]
)
def test_an_outcome_with_an_impossible_interpreter_is_refused(runtime: object) -> None:
    with pytest.raises(ValueError, match="interpreter in the right form"):
        Runtime.parse(runtime)


def test_a_runtime_arrives_as_it_was_written() -> None:
    stream, runtime = io.BytesIO(), Runtime("CPython", "3.14.2", True, False, None, "rloop")
    write_outcome(stream, usage(), {"python": "3"}, Recorder(), WorkLog(), runtime)
    stream.seek(0)
    assert Outcome.read(stream, 1).runtime == runtime
    with pytest.raises(ValueError, match="has_gil"):
        Runtime.parse({**dict.fromkeys(("implementation", "version"), "x"), "loop": "",
                       "is_free_threaded": True, "has_gil": 3, "has_jit": None})  # fmt: skip


def test_a_label_that_was_given_stays_if_nothing_is_asked_for_all() -> None:
    old = parse_entrant("old=asyncio@/no/such/python")
    assert multiplied([old]) == (old,)
    assert [one.label for one in multiplied([old], processes=(1, 2))] == ["old", "old*2"]
    assert multiplied([parse_entrant("mine=a")], pythons=("/x/3.13/bin/python",))[0].label == (
        "mine@3.13"
    )


class Stub:
    """A crawler process that ends before it is ready, or is ready and waits for the start."""

    def __init__(self, ends: bool, ended: "SimpleQueue[CrawlerProcess]") -> None:
        self.is_loaded, self.exit_code, self.began = not ends, 0 if ends else None, False
        if ends:
            ended.put(cast(CrawlerProcess, self))

    def is_ready_within(self, _: float) -> bool:
        return self.is_loaded

    def begin(self, _: int) -> None:
        self.began = True


@pytest.mark.parametrize("first_ends", [True, False])
def test_a_process_that_ends_before_the_start_ends_the_run_at_once(first_ends: bool) -> None:
    """Even with success: the others wait for a start that does not come."""
    ended: SimpleQueue[CrawlerProcess] = SimpleQueue()
    stubs = [Stub(ends, ended) for ends in (first_ends, not first_ends)]
    processes = [cast(CrawlerProcess, stub) for stub in stubs]
    assert crawl_together(processes, ended) is processes[not first_ends]
    assert not any(stub.began for stub in stubs)
