"""Makes a single run and judges it, without keeping a file."""

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
    """Make one run. Returns its result, and the trial with its numbers and verdict.

    They are computed from a store in memory, in the same way as for all other runs. The run is not
    compared with the server's ceiling, which is unknown. Raises what the runner raises.
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
