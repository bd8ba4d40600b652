"""Rules about the open loop: jobs start when they are due, in their order, and none is dropped."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from bench.contract.evidence import abbreviated, require
from bench.contract.rules import MUST, Rule
from bench.contract.runs import ContractRunner, UnknownError, accounts_of
from bench.plan.load import Load
from bench.plan.rates import Rate
from bench.results.columns import IntColumns

_REQUESTS = 40
_RATE = "50@0,20000@0.1,50@0.101"
"""20 jobs are due within a millisecond, which keep the slots busy while others become due."""
_SLOTS = 5
_DELAY_MS = 30
_LATE_NS = 5_000_000
_SWAP_NS = 50_000_000
"""Threads may swap jobs that are due at nearly the same time."""


def open_loop_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Do a run in open loop and yield its rules, unless it is declared that there is no such run.

    Raises BrokenError if it leaves nothing.
    """
    if runner.info.is_declared and not runner.info.open_loop:
        return
    run = _OpenRun.of(runner)
    yield Rule(MUST, "in open loop, no job is started before it is due", run.never_early)
    if run.is_closed_only:
        return
    yield Rule(MUST, "in open loop, jobs are started in their order", run.in_order)
    yield Rule(MUST, "in open loop, late jobs are not dropped", run.none_dropped)


@dataclass(frozen=True, slots=True)
class _OpenRun:
    """A run with a burst that no crawler can keep up with; each method looks at one rule."""

    runner: ContractRunner
    fetches: IntColumns
    """Of jobs that there are, in the order of their start."""
    due_ns: "np.typing.NDArray[np.int64]"
    """When each of these fetches was due."""
    early_ns: "np.typing.NDArray[np.int64]"
    """How long before it was due each of them was started."""

    @classmethod
    def of(cls, runner: ContractRunner) -> "_OpenRun":
        load = Load(Rate.parse(_RATE))
        result = runner.run(_REQUESTS, runner.slots(_SLOTS), _DELAY_MS, load=load)
        fetches, _ = accounts_of(result)
        require(len(fetches["seq"]) > 0, "nothing was recorded")
        is_job = fetches["seq"] < _REQUESTS
        order = np.argsort(fetches["start_ns"][is_job], kind="stable")
        fetches = {name: column[is_job][order] for name, column in fetches.items()}
        assert result.outcome is not None
        after_ns = np.array(result.planned.due_after_ns(), dtype=np.int64)
        due_ns = result.outcome.first_due_ns + after_ns[fetches["seq"]]
        return cls(runner, fetches, due_ns, due_ns - fetches["start_ns"])

    @property
    def is_closed_only(self) -> bool:
        """Whether it does not wait, and need not: nothing is declared of a user's own crawler."""
        return bool((self.early_ns > 0).any()) and not self.runner.info.is_declared

    def never_early(self) -> str:
        early = self.fetches["seq"][self.early_ns > 0].tolist()
        said = f"started before they were due: {abbreviated(early)}"
        if self.is_closed_only:
            raise UnknownError(f"{said}: it cannot be used in open loop")
        require(not early, f"{said}, by up to {self.early_ns.max() / 1e6:.3f} ms")
        return f"the promptest was started {-self.early_ns.max() / 1e6:.3f} ms after it was due"

    def in_order(self) -> str:
        # By how much each job was due before one that was started earlier.
        swapped_ns = np.maximum.accumulate(self.due_ns) - self.due_ns
        swapped = self.fetches["seq"][swapped_ns > _SWAP_NS].tolist()
        require(
            not swapped,
            f"started after jobs that were due {_SWAP_NS / 1e6:.0f} ms later: "
            f"{abbreviated(swapped)}",
        )
        return "started in the order in which they were due"

    def none_dropped(self) -> str:
        dropped = sorted({*range(_REQUESTS)} - {*self.fetches["seq"].tolist()})
        require(not dropped, f"{_REQUESTS} jobs, never started: {abbreviated(dropped)}")
        late = int((self.early_ns < -_LATE_NS).sum())
        return f"{_REQUESTS} jobs, all done, {late} of them late"
