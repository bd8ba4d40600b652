"""Does the runs of an experiment one after another, and keeps each as soon as it is done."""

from collections.abc import Callable, Iterable
from typing import Protocol

from bench.measure.runner import Runner
from bench.plan.experiment import PlannedRun
from bench.results.run_result import RunResult


class Keeper(Protocol):
    """Where results go."""

    def append(self, result: RunResult) -> None:
        """Keep a run, whole or not at all."""


def sweep(
    runs: Iterable[PlannedRun],
    runner: Runner,
    keeper: Keeper,
    on_start: Callable[[PlannedRun], None],
    on_done: Callable[[RunResult], None],
) -> list[RunResult]:
    """Do all runs; a crawler that fails does not stop the others. Returns those that failed.

    Raises what the runner and the keeper raise: ServerGoneError, StoreError, KeyboardInterrupt.
    What was kept before stays kept.
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
