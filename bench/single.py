"""One run by itself: made, kept in memory for a moment, and judged."""

from pathlib import Path

from bench.analysis import load_run
from bench.cells import Trial
from bench.experiment import Experiment, PlannedRun
from bench.runner import Runner, RunResult
from bench.store import FILE_NAME, Store
from bench.summary import summarise
from bench.validity import judge


def run_once(asked: Experiment, planned: PlannedRun, runner: Runner) -> tuple[RunResult, Trial]:
    """What came of it, and its numbers with their verdict. Raises what the runner raises.

    Through a store of results, so that there is one way from a run to its numbers. There is no
    ceiling to judge it by.
    """
    result = runner.run(planned)
    with Store.create(
        Path(FILE_NAME), asked, 1, {}, result.started_utc, is_in_memory=True
    ) as store:
        store.append(result)
        (kept,) = store.runs()
        run, accounts = load_run(store, kept)
        summary = summarise(run, accounts)
    return result, Trial(run, summary, judge(run, summary, ceiling_per_s=None))
