"""Rules about slots, queues and connections, from a run with a delay."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.join import Join
from bench.analysis.limits import Limits
from bench.contract.evidence import require
from bench.contract.rules import MUST, Rule
from bench.contract.runs import ContractRunner, accounts_of
from bench.results.columns import IntColumns
from crawlers.registry import NOT_DECLARED
from crawlers.work import Work, numbers

_DELAY_MS = 300
_WAVES_TO_ADAPT = 6
"""A crawler that adapts begins with a few requests at a time, and is given time to find C."""
_JOBS_AHEAD = 2
"""Jobs that may be taken before a slot is free: one in a queue, and one in its producer's hand."""
_LONG_WAIT_NS = _DELAY_MS * 1_000_000 // 2
"""A request that waits for the end of another waits for a whole delay. An honest one is on its way
for a few ms."""


def slot_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Do a run with a delay and yield its rules."""
    run = _SlotRun.of(runner)
    yield Rule(MUST, "all C slots are used", run.all_used)
    yield Rule(MUST, "connections are kept as declared", run.connections)
    yield Rule(
        MUST, "a job is taken when a slot is free, or all at once if declared", run.taken_when_free
    )
    yield Rule(
        MUST, "a clock starts when a slot is held, or before it if declared", run.clock_of_slot
    )
    if runner.info.adapts:
        yield Rule(MUST, "never more in flight than the limit that it recorded", run.within_limit)


@dataclass(frozen=True, slots=True)
class _SlotRun:
    """A run of three waves or more; each method looks at one rule."""

    runner: ContractRunner
    slots: int
    requests: int
    fetches: IntColumns
    arrivals: IntColumns
    taken_ns: "np.typing.NDArray[np.int64]"
    """When each job was taken, in the order of seq."""
    limits: IntColumns
    """The limits that it recorded."""

    @classmethod
    def of(cls, runner: ContractRunner) -> "_SlotRun":
        slots = runner.slots(12)
        waves = _WAVES_TO_ADAPT if runner.info.adapts else 3
        requests = max(waves * slots, slots + _JOBS_AHEAD + 1)
        work = Work(f"{numbers.__module__}:{numbers.__name__}", requests)
        result = runner.run(requests, slots, delay_ms=_DELAY_MS, work=work)
        assert result.outcome is not None
        taken_ns = np.array(result.outcome.work["start_ns"], dtype=np.int64)
        columns = result.outcome.limits.items()
        limits = {name: np.array(column, dtype=np.int64) for name, column in columns}
        return cls(runner, slots, requests, *accounts_of(result), taken_ns, limits)

    @property
    def most(self) -> int:
        """How many may be in flight at most: C, or the highest limit of a crawler that adapts."""
        return Limits.of(self.limits, self.slots).peak if self.runner.info.adapts else self.slots

    def all_used(self) -> str:
        levels = Levels.at_server(self.arrivals)
        peak = levels.peak if levels is not None else 0
        said = f"{peak} in flight at the server, {self.slots} were asked for"
        if self.runner.info.adapts:
            said += f", and its limit reached {self.most}"
        require(peak == self.most, said)
        return said

    def connections(self) -> str:
        count = len(np.unique(self.arrivals["connection"]))
        if not self.runner.info.is_declared:
            return f"{count} for {self.requests} requests; {NOT_DECLARED}"
        wanted = self.most if self.runner.info.keep_alive else self.requests
        require(
            count == wanted, f"{count} for {self.requests} requests, by its declaration {wanted}"
        )
        return f"{count} for {self.requests} requests, as declared"

    def taken_when_free(self) -> str:
        require(len(self.taken_ns) > 0, "no job was taken")
        seqs, ends_ns = self.fetches["seq"], self.fetches["end_ns"]
        never_ns = max(self.taken_ns.max(), ends_ns.max(initial=0)) + 1
        done_ns = np.full(len(self.taken_ns), never_ns)
        is_job = seqs < len(done_ns)
        done_ns[seqs[is_job]] = ends_ns[is_job]
        peak = Levels.of(self.taken_ns, done_ns).peak
        said = f"{peak} of {self.requests} jobs taken and not done, with {self.slots} slots"
        is_all = peak > self.slots + _JOBS_AHEAD
        allowed = (
            "and takes_all is declared"
            if self.runner.info.takes_all
            else f"and at most {_JOBS_AHEAD} may wait in a queue"
        )
        require(is_all == self.runner.info.takes_all, f"{said}, {allowed}")
        return f"{said}{', as declared' if is_all else ''}"

    def within_limit(self) -> str:
        count = len(self.limits["most"])
        require(count > 0, "it declares adapts, and recorded no limit")
        limits = Limits.of(self.limits, self.slots)
        beyond = limits.beyond(self.fetches["start_ns"], self.fetches["end_ns"])
        require(beyond == 0, f"{beyond} of {self.requests} requests started beyond its limit")
        return f"{count} limits recorded, up to {limits.peak}, and none exceeded"

    def clock_of_slot(self) -> str:
        # The first wave opens connections, which takes long if the machine is busy.
        join = Join.of(self.fetches, self.arrivals)
        is_later = join.has_arrived & (self.fetches["seq"] >= self.slots)
        require(bool(is_later.any()), "no request after the first wave arrived")
        starts_ns = self.fetches["start_ns"][is_later]
        waits_ns = self.arrivals["arrived_ns"][join.arrival_of[is_later]] - starts_ns
        wait_ns = float(np.median(waits_ns))
        said = f"a median of {wait_ns / 1e6:.1f} ms from start to arrival"
        is_long = wait_ns > _LONG_WAIT_NS
        wrong = (
            "queues is declared, and nothing waits"
            if self.runner.info.queues
            else "its clock runs while the request waits inside it"
        )
        require(is_long == self.runner.info.queues, f"{said}: {wrong}")
        return f"{said}{', as declared' if is_long else ''}"
