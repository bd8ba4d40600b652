"""One run by itself: made, kept in memory for a moment, and judged."""

from pathlib import Path

from bench.analysis.analyse import load_run
from bench.analysis.cells import Trial
from bench.analysis.summary import summarise
from bench.analysis.validity import judge
from bench.measure.runner import Runner
from bench.plan.experiment import Experiment, PlannedRun
from bench.results.run_result import RunResult
from bench.results.store import FILE_NAME, Store


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
