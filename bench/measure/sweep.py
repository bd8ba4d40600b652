"""Does the runs of an experiment one after another, and keeps each when it is done."""

from collections.abc import Callable, Iterable
from typing import Protocol

from bench.measure.runner import Runner
from bench.plan.experiment import PlannedRun
from bench.results.run_result import RunResult


class Keeper(Protocol):
    """The place where results are kept."""

    def append(self, result: RunResult) -> None:
        """Keep the whole run, or nothing of it."""


def sweep(
    runs: Iterable[PlannedRun],
    runner: Runner,
    keeper: Keeper,
    on_start: Callable[[PlannedRun], None],
    on_done: Callable[[RunResult], None],
) -> list[RunResult]:
    """Do all runs, also after a crawler has failed. Return the runs that failed.

    Raises what the runner and the keeper raise: ServerGoneError, StoreError, KeyboardInterrupt.
    Results kept before that stay.
    """
    failed = []
    for planned in runs:
        on_start(planned)
        result = runner.run(planned)
        keeper.append(result)
        if result.failure:
            failed.append(result)
        on_done(result)
    return failed
