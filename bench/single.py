"""One run by itself: made, kept in a results file for a moment, and judged."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.analysis import load_accounts
from bench.cells import Trial
from bench.experiment import Experiment, PlannedRun
from bench.runner import Runner, RunResult
from bench.store import FILE_NAME, Store
from bench.summary import summarise
from bench.validity import judge
from server.request_plan import Plan


def run_once(
    asked: Experiment, planned: PlannedRun, runner: Runner, plans: tuple[Plan, ...] = ()
) -> tuple[RunResult, Trial]:
    """What came of it, and its numbers with their verdict. Raises what the runner raises.

    Through a results file, so that there is one way from a run to its numbers. There is no ceiling
    to judge it by. `plans` are of a run whose requests do not follow the model of the experiment.
    """
    result = runner.run(planned)
    with TemporaryDirectory(prefix="crawlbench-") as folder:
        path = Path(folder) / FILE_NAME
        with Store.create(path, asked, 1, {}, result.started_utc) as store:
            store.append(result)
            (run,) = store.runs()
            summary = summarise(run, replace(load_accounts(store, run), plans=plans))
    return result, Trial(run, summary, judge(run, summary, ceiling_per_s=None))
