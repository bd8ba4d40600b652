"""A million requests with mixed delays, sizes and faults, and clients that give up.

Each request must have arrived once and ended as planned, in the ledger and in the counters.
Afterwards the server must hold as much memory, and as many descriptors and threads, as before. The
exit code is 1 if anything does not balance.
"""

import argparse
import sys
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from time import monotonic, sleep
from typing import Any

import numpy as np
import psutil
import uvloop

from bench.measure.pinning import choose_pinning, pin
from crawlers.asyncio_protocol import crawl_on
from crawlers.contract import ERROR_WORDS, Job, Recorder
from server.control_client import announce_run, delete_run, fetch_run, stats
from server.faults import STATUSES
from server.ledger import ANSWERED, CLIENT_GONE, MISBEHAVED
from server.process import ServerProcess
from server.request_plan import FAULTS, Plan, to_target

_RUN_REQUESTS = 100_000
_DELAYS_US = (0, 0, 250, 1_000, 5_000, 20_000, 50_000, 100_000)
_SIZES_BYTES = (0, 1, 1, 1, 100, 3_000, 20_000)
_GIVEN_UP_US = 60_000_000
_SLOW = ("hang", "drip-body", "drip-headers")
"""Faults that each cost the client its full timeout."""
_SLOW_SHARE = 0.002
_FAULT_SHARE = 0.02
_SPARE_BYTES = 16_000_000
"""Allowed growth of the memory, for what an allocator keeps after the busiest moment. Within a
million requests it grew by 4 to 8 MB; rounds of 10 000 connections then left it level."""
_SPARE_BLOCKS = 50_000
"""Allowed growth of the number of Python objects: garbage that has not been collected yet moves it
by 20 000. A leak of one object per request would be 20 times as much for a million requests."""
_OUTCOMES = {ANSWERED: "answered", CLIENT_GONE: "client gone", MISBEHAVED: "misbehaved"}


@dataclass(frozen=True, slots=True)
class Level:
    """The resources that an idle server holds."""

    memory_bytes: int
    descriptors: int
    threads: int
    blocks: int
    """Python objects, as sys.getallocatedblocks counts them."""

    @classmethod
    def of(cls, pid: int, blocks: int) -> "Level":
        """Return the minimum over half a second, in which control connections close."""
        process = psutil.Process(pid)
        levels = []
        for _ in range(10):
            sleep(0.05)
            memory_bytes = process.memory_info().rss
            levels.append((memory_bytes, process.num_fds(), process.num_threads()))
        memory_bytes, descriptors, threads = map(min, zip(*levels, strict=True))
        return cls(memory_bytes, descriptors, threads, blocks)


class Soak:
    """Sends requests to one server, and lists everything that does not balance."""

    def __init__(self, server: ServerProcess, concurrency: int, timeout_s: float) -> None:
        self.wrong: list[str] = []
        self.outcomes: Counter[int] = Counter()
        self.statuses: Counter[str] = Counter()
        self.sent = self.arrived = 0
        self._server = server
        self._data_url, self._control_url = server.addresses
        self._concurrency = concurrency
        self._timeout_s = timeout_s
        self._random = Random(1)  # noqa: S311 - the same requests every time

    def run(self, name: str, requests: int) -> None:
        """Send requests; compare each with its row of the ledger."""
        plans = [self._plan(name, seq, requests) for seq in range(requests)]
        expected = array("q", map(_expected, plans))
        recorder = Recorder()
        announce_run(self._control_url, name, requests)
        crawl_on(
            uvloop.new_event_loop,
            (Job(plan.seq, self._data_url + to_target(plan)) for plan in plans),
            self._concurrency,
            self._timeout_s,
            recorder,
        )
        self.at_rest()
        record = fetch_run(self._control_url, name)
        delete_run(self._control_url, name)
        self.sent += len(recorder)
        self.arrived += record.rows
        self.outcomes.update(record.columns["outcome"])
        self.statuses.update(
            str(STATUSES.get(plan.fault, 200)) for plan in plans if plan.delay_us != _GIVEN_UP_US
        )
        fetches = {key: np.array(column) for key, column in recorder.columns().items()}
        by_seq = np.argsort(fetches["seq"])
        arrived = np.array(record.columns["seq"])
        order = np.argsort(arrived)
        every = np.arange(requests)
        if not np.array_equal(fetches["seq"][by_seq], every):
            self.wrong.append(f"{name}: the client did not record each request once")
        elif not np.array_equal(arrived[order], every):
            self.wrong.append(f"{name}: {len(arrived)} arrivals, but not one of each request")
        else:
            outcomes = np.array(record.columns["outcome"])[order]
            self._compare(name, plans, outcomes, np.array(expected))
            errors = fetches["error"][by_seq]
            failed = (np.array(expected) == ANSWERED) & (errors != 0)
            for seq in np.flatnonzero(failed)[:5]:
                self.wrong.append(f"{plans[seq]} failed: {ERROR_WORDS[errors[seq]]}")

    def at_rest(self) -> dict[str, Any]:
        """Return the counters once the server has noticed that no connection is open."""
        deadline = monotonic() + 10
        while True:
            counted = stats(self._control_url)
            if not counted["connections"]["open"] or monotonic() > deadline:
                return counted
            sleep(0.05)

    def level(self) -> Level:
        """Return the resources of the server."""
        blocks = stats(self._server.addresses.control_url)["allocated_blocks"]
        return Level.of(self._server.pid, blocks)

    def _plan(self, name: str, seq: int, requests: int) -> Plan:
        delay_us = self._random.choice(_DELAYS_US)
        size_bytes = self._random.choice(_SIZES_BYTES)
        drawn = self._random.random()
        if drawn < _SLOW_SHARE and seq < requests // 2:  # otherwise the end would be all waiting
            fault = self._random.choice((*_SLOW, ""))
            return Plan(name, seq, 0 if fault else _GIVEN_UP_US, 1, fault)
        if drawn > 1 - _FAULT_SHARE:
            fault = self._random.choice([fault for fault in FAULTS if fault not in _SLOW])
            return Plan(name, seq, delay_us, 1, fault)
        return Plan(name, seq, delay_us, size_bytes)

    def _compare(
        self, name: str, plans: list[Plan], outcomes: "np.ndarray[Any, Any]", expected: Any
    ) -> None:
        differs = np.flatnonzero(outcomes != expected)
        for seq in differs[:5]:
            said = _OUTCOMES.get(int(outcomes[seq]), "waiting")
            self.wrong.append(f"{plans[seq]}: {said}, not {_OUTCOMES[int(expected[seq])]}")
        if len(differs) > 5:
            self.wrong.append(f"{name}: and {len(differs) - 5} more like it")


def main() -> int:
    """Measure, print, and report what does not balance; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument(
        "--requests", type=int, default=1_000_000, help="number (default: %(default)s)"
    )
    parser.add_argument(
        "--concurrency", type=int, default=1000, help="in flight (default: %(default)s)"
    )
    parser.add_argument(
        "--timeout", type=float, default=5.0, help="of a fetch, in s (default: %(default)s)"
    )
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    arguments = parser.parse_args()
    if arguments.requests < 1 or arguments.concurrency < 1:
        parser.error("--requests and --concurrency are at least 1")
    pinning = choose_pinning()
    with ServerProcess("--loop", arguments.loop) as server:
        pin(server.pid, pinning.server)
        pin(0, pinning.single_core_crawler)
        soak = Soak(server, arguments.concurrency, arguments.timeout)
        soak.run("warm-up", min(_RUN_REQUESTS, -(-arguments.requests // 4)))
        level = soak.level()
        start = monotonic()
        for name, requests in _runs(arguments.requests):
            soak.run(name, requests)
            print(f"{soak.sent:,} sent, {monotonic() - start:.0f} s", file=sys.stderr)
        seconds = monotonic() - start
        counted = soak.at_rest()
        _check_counters(soak, counted)
        _print(soak, counted, level, soak.level(), seconds)
    for line in soak.wrong:
        print(f"does not balance: {line}")
    if not soak.wrong:
        print(
            f"all balances; memory may grow by {_SPARE_BYTES / 1e6:.0f} MB and {_SPARE_BLOCKS:,} "
            "objects, descriptors and threads by none"
        )
    return 1 if soak.wrong else 0


def _runs(requests: int) -> Iterator[tuple[str, int]]:
    for start in range(0, requests, _RUN_REQUESTS):
        yield f"soak-{start}", min(_RUN_REQUESTS, requests - start)


def _expected(plan: Plan) -> int:
    if plan.delay_us == _GIVEN_UP_US:
        return CLIENT_GONE
    return MISBEHAVED if plan.fault and plan.fault not in STATUSES else ANSWERED


def _check_counters(soak: Soak, counted: dict[str, Any]) -> None:
    expected = {
        "requests": soak.sent,
        "answered_by_status": dict(sorted(soak.statuses.items())),
        "client_gone": soak.outcomes[CLIENT_GONE],
        "in_flight": 0,
    }
    for key, value in expected.items():
        said = counted[key]
        said = dict(sorted(said.items())) if isinstance(said, dict) else said
        if said != value:
            soak.wrong.append(f"{key} is {said}, but should be {value}")
    if counted["connections"]["open"] or counted["connections"]["turned_away"]:
        soak.wrong.append(f"connections: {counted['connections']}")
    if any(counted["ledger"].values()):
        soak.wrong.append(f"the ledger is not empty: {counted['ledger']}")


def _print(
    soak: Soak, counted: dict[str, Any], before: Level, after: Level, seconds: float
) -> None:
    settled = ", ".join(f"{name} {soak.outcomes[code]:,}" for code, name in _OUTCOMES.items())
    statuses = ", ".join(f"{key} {count:,}" for key, count in sorted(soak.statuses.items()))
    print(f"requests      {soak.sent:,} sent, with those of the warm-up; {soak.arrived:,} arrived")
    print(f"settled       {settled}")
    print(f"status        {statuses}")
    print(f"connections   {counted['connections']['accepted']:,}")
    print(f"time          {seconds:.0f} s, the server's CPU {counted['cpu_seconds']:.0f} s")
    print(
        f"memory        {before.memory_bytes / 1e6:.1f} MB before, "
        f"{after.memory_bytes / 1e6:.1f} MB after, "
        f"{counted['peak_memory_bytes'] / 1e6:.1f} MB at most"
    )
    print(f"objects       {before.blocks:,} before, {after.blocks:,} after")
    print(f"descriptors   {before.descriptors} before, {after.descriptors} after")
    print(f"threads       {before.threads} before, {after.threads} after")
    if after.memory_bytes > before.memory_bytes + _SPARE_BYTES:
        soak.wrong.append("the server's memory has grown")
    if after.blocks > before.blocks + _SPARE_BLOCKS:
        soak.wrong.append("the server has more objects than before")
    if after.descriptors != before.descriptors:
        soak.wrong.append("the server has left descriptors open")
    if after.threads != before.threads:
        soak.wrong.append("the server has left threads behind")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("soak: interrupted", file=sys.stderr)
        sys.exit(130)
