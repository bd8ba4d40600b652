"""The order of a sweep and what survives of it, with a runner that does not wait."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.measure.runner import ServerGoneError
from bench.measure.sweep import sweep
from bench.plan.experiment import PlannedRun
from bench.results.run_result import RunResult
from bench.results.store import FILE_NAME, Store
from tests.factories import experiment, result

RUNS = experiment(("serial", "asyncio"), trials=2).order({"serial": 1, "asyncio": 1000})


class FakeRunner:
    """Gives made-up results; at some runs it fails, or raises, as told."""

    def __init__(self, at: dict[int, str | BaseException]) -> None:
        self.at = at
        self.done: list[PlannedRun] = []

    def run(self, planned: PlannedRun) -> RunResult:
        self.done.append(planned)
        told = self.at.get(planned.number, "")
        if isinstance(told, BaseException):
            raise told
        return result(planned, failure=told)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(tmp_path / FILE_NAME, experiment(), 8, {}, "now") as store:
        yield store


def nothing(_: object) -> None:
    pass


def kept(store: Store) -> list[int]:
    return [run.number for run in store.runs()]


def test_all_runs_are_done_in_their_order_and_kept(store: Store) -> None:
    runner = FakeRunner({})
    started: list[PlannedRun] = []
    finished: list[RunResult] = []
    assert sweep(RUNS, runner, store, started.append, finished.append) == []
    assert runner.done == started == [made.planned for made in finished] == list(RUNS)
    assert kept(store) == [run.number for run in RUNS]


def test_a_crawler_that_fails_does_not_stop_the_others(store: Store) -> None:
    runner = FakeRunner({2: "crashed with exit code 1", 4: "not done after 30 s, and killed"})
    failed = sweep(RUNS, runner, store, nothing, nothing)
    assert [made.planned.number for made in failed] == [2, 4]
    assert len(runner.done) == len(RUNS)
    assert kept(store) == [run.number for run in RUNS]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ServerGoneError("the server is gone")])
def test_what_was_done_before_the_end_is_kept(store: Store, error: BaseException) -> None:
    with pytest.raises(type(error)):
        sweep(RUNS, FakeRunner({4: error}), store, nothing, nothing)
    assert kept(store) == [1, 2, 3]
    with Store.open(store.path) as again:
        assert len(again.fetches(3)["seq"]) == RUNS[2].requests


def test_a_run_is_kept_before_the_next_begins(store: Store) -> None:
    seen = []
    sweep(RUNS, FakeRunner({}), store, lambda run: seen.append(len(kept(store))), nothing)
    assert seen == list(range(len(RUNS)))


def test_a_store_that_fails_ends_the_sweep() -> None:
    class Full:
        def append(self, result: RunResult) -> None:
            raise StoreError("cannot write results.sqlite: database or disk is full")

    runner = FakeRunner({})
    with pytest.raises(StoreError, match="disk is full"):
        sweep(RUNS, runner, Full(), nothing, nothing)
    assert len(runner.done) == 1
