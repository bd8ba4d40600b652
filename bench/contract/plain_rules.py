"""Rules about a plain run: jobs, order, times, and what is sent."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.join import Join
from bench.contract.evidence import abbreviated, failure_counts, require
from bench.contract.rules import MUST, SHOULD, Rule
from bench.contract.runs import ContractRunner, accounts_of
from bench.results.columns import IntColumns

_PLAIN_TIMEOUT_S = 3.0
_DELAY_MS = 5


def plain_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Do a plain run and yield its rules. Raises BrokenError if it leaves nothing."""
    run = _PlainRun.of(runner)
    yield Rule(MUST, "each job is fetched once and recorded once", run.each_once)
    yield Rule(MUST, "a good response is no error", run.all_good)
    yield Rule(MUST, "jobs are started in their order", run.in_order)
    yield Rule(MUST, "never more than C at a time", run.at_most)
    yield Rule(
        MUST, "the times are true: slot held, nothing sent yet, to the last byte", run.true_times
    )
    yield Rule(MUST, "it asks with GET", run.method)
    yield Rule(SHOULD, "it asks for the same bytes as all other crawlers", run.encoding)
    yield Rule(MUST, "no proxy of the environment is used", run.no_proxy)


@dataclass(frozen=True, slots=True)
class _PlainRun:
    """A run of short delays; each method looks at one rule."""

    runner: ContractRunner
    slots: int
    requests: int
    fetches: IntColumns
    arrivals: IntColumns
    head: str
    """Request line and headers of its first request, in lower case."""

    @classmethod
    def of(cls, runner: ContractRunner) -> "_PlainRun":
        slots = runner.slots(7)
        requests = 10 * slots
        result = runner.run(requests, slots, delay_ms=_DELAY_MS, timeout_s=_PLAIN_TIMEOUT_S)
        fetches, arrivals = accounts_of(result)
        require(len(fetches["seq"]) > 0, "nothing was recorded: is it a plain function, not async?")
        assert result.ledger is not None
        head = result.ledger.first_request_head.decode("latin-1").lower()
        return cls(runner, slots, requests, fetches, arrivals, head)

    def each_once(self) -> str:
        jobs = list(range(self.requests))
        recorded = sorted(self.fetches["seq"].tolist())
        sent = sorted(self.arrivals["seq"].tolist())
        require(recorded == jobs, f"{self.requests} jobs, recorded: {abbreviated(recorded)}")
        require(sent == jobs, f"{self.requests} jobs, sent: {abbreviated(sent)}")
        return f"{self.requests} jobs, recorded and sent once each"

    def all_good(self) -> str:
        bad = failure_counts(self.fetches)
        require(not bad, f"failed without reason: {bad}")
        sizes = sorted(set(self.fetches["size_bytes"].tolist()))
        require(sizes == [1], f"bodies of 1 byte, recorded as {abbreviated(sizes)}")
        return "no error, status 200, a body of 1 byte"

    def in_order(self) -> str:
        seqs = self.fetches["seq"]
        order = seqs[np.argsort(self.fetches["start_ns"], kind="stable")].tolist()
        require(order == sorted(order), f"started in this order: {abbreviated(order)}")
        return "started in the order of the jobs"

    def at_most(self) -> str:
        levels, where = Levels.of(self.fetches["start_ns"], self.fetches["end_ns"]), ""
        if self.runner.info.queues:  # its clocks run while its requests wait
            levels, where = Levels.at_server(self.arrivals) or levels, " at the server"
        peak = levels.peak
        require(
            peak <= self.slots,
            f"{peak} at a time{where or ' by its own clocks'}, {self.slots} were asked for",
        )
        return f"{peak} at a time{where}, {self.slots} were asked for"

    def true_times(self) -> str:
        fetches, arrivals = self.fetches, self.arrivals
        arrival_of = Join.of(fetches, arrivals).arrival_of
        seqs, starts, ends = fetches["seq"], fetches["start_ns"], fetches["end_ns"]
        for seq, start, end, row in zip(seqs, starts, ends, arrival_of, strict=True):
            require(row >= 0, f"seq {seq} is recorded, but never arrived")
            arrived, replied = arrivals["arrived_ns"][row], arrivals["replied_ns"][row]
            require(start < arrived, f"seq {seq} arrived before its start")
            require(replied < end, f"seq {seq} ended before its response")
            require(end - start >= _DELAY_MS * 1_000_000, f"seq {seq} took less than its delay")
        return "start < arrival < reply < end for each"

    def method(self) -> str:
        require(self.head.startswith("get /add?"), f"it sends: {self.head.splitlines()[:1]}")
        return "GET"

    def encoding(self) -> str:
        is_there = "accept-encoding: identity\r\n" in self.head
        require(is_there, "no Accept-Encoding: identity, so that a server may compress")
        return "Accept-Encoding: identity"

    def no_proxy(self) -> str:
        proxied, _ = accounts_of(self.runner.run(2, 1, has_proxy=True))
        words = failure_counts(proxied)
        require(not words, f"fails if the environment names a proxy that does not exist: {words}")
        return "a proxy in the environment is ignored"
