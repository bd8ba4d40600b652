"""What is told of an experiment while it is measured, to people and to other programs."""

import sqlite3
import subprocess
from pathlib import Path

import pytest

from bench.analysis.analyse import analyse
from bench.analysis.first_look import FirstLook
from bench.measure.events import (
    Begun,
    Ended,
    Event,
    Live,
    RunDone,
    RunStarted,
    Tick,
    format_event,
    parse_event,
)
from bench.measure.watching import live_between, run_done, run_started
from bench.results.run_result import RunResult
from bench.results.store import Store
from server.control_client import LiveCounts
from tests.factories import experiment, planned, result
from tests.test_command_line import BENCH
from tests.this_process import bench, bench_without_figures

WITHIN_S = 60
SMALL = ("run", "--crawlers", "protocol", "--concurrency", "2,4", "--delay", "20", "--trials", "1")


def counts(at_s: float, ended: int, errors: int, times: dict[int, int]) -> LiveCounts:
    return LiveCounts(
        monotonic_ns=round(at_s * 1e9),
        requests=ended + 3,
        ended=ended,
        in_flight=3,
        errors=errors,
        times=times,
    )


def test_the_numbers_of_a_second_are_the_difference_of_two_looks() -> None:
    earlier = counts(10.0, 1000, 7, {5: 900, 6: 100})
    later = counts(11.25, 1500, 9, {5: 900, 6: 100, 7: 500})
    found = live_between(earlier, later, errors_before=2)
    assert found.requests_per_s == 400
    assert (found.in_flight, found.errors) == (3, 7)
    only = live_between(counts(0, 0, 0, {}), counts(1, 500, 0, {7: 500}), 0)
    assert (found.p50_ms, found.p99_ms) == (only.p50_ms, only.p99_ms)  # of the new ones alone


def test_where_nothing_ended_there_are_no_times() -> None:
    look = counts(1.0, 5, 0, {3: 5})
    assert live_between(look, look, 0) == Live(0.0, 3, 0, None, None)


@pytest.mark.parametrize("overhead_ms", [1, 40])
def test_the_first_look_at_a_sound_run_is_what_its_report_says(
    tmp_path: Path, overhead_ms: float
) -> None:
    run = planned(waves=200)
    made = result(run, overhead_ms)
    look = FirstLook.of(made)
    asked = experiment(concurrencies=(10,), waves=200)
    with Store.create(tmp_path / "results.sqlite", asked, 1, {}, "2026-01-01T00:00:00") as store:
        store.append(made)
        summary = analyse(store).runs and analyse(store).cells[0].trials[0].summary
    assert look is not None
    assert summary
    assert (look.ok, look.failed) == (summary.good, 0) == (2000, 0)
    assert look.requests_per_s == summary.requests_per_s
    assert (look.p50_ns, look.p99_ns) == (summary.p50_ns, summary.p99_ns)


def with_errors(made: RunResult, count: int) -> RunResult:
    assert made.outcome is not None
    error = made.outcome.fetches["error"]
    for row in range(count):
        error[row] = 1
    return made


def test_failed_and_missing_fetches_are_counted() -> None:
    made = with_errors(result(planned()), 7)
    assert made.outcome is not None
    for column in made.outcome.fetches.values():
        del column[-3:]
    look = FirstLook.of(made)
    assert look is not None
    assert (look.ok, look.failed) == (90, 10)
    assert look.p99_ns is None  # of 90


def test_a_run_without_an_outcome_has_no_numbers() -> None:
    done = run_done(result(planned(), failure="killed"))
    assert (done.requests_per_s, done.p50_ms, done.failure) == (None, None, "killed")
    assert (done.ok, done.failed) == (0, 100)


EVENTS: tuple[Event, ...] = (
    Begun("/r", "sweep", "", ["a"], [1.0, 10.0], False, ["100"], 3),
    run_started(planned()),
    Tick(1.0, None, 0, "3", "0 of 3 runs", 10, 100, Live(9.5, 1, 0, 3.0, None)),
    run_done(result(planned())),
    Ended("done", "/r"),
)


@pytest.mark.parametrize("event", EVENTS)
def test_an_event_is_a_line_that_can_be_read_again(event: Event) -> None:
    line = format_event(event)
    assert line.count(b"\n") == 1
    assert parse_event(line) == event


@pytest.mark.parametrize("line", ["", "{}", '{"event": "begun"}', '{"event": "x"}', "[]", "\udcff"])
def test_what_is_no_event_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec says what is wrong
        parse_event(line.encode("utf-8", "surrogateescape"))


def events_of(stderr: str) -> list[Event]:
    return [parse_event(line) for line in stderr.splitlines() if line.startswith("{")]


def test_another_program_is_told_what_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.plan.experiment.CEILING_REQUESTS", 20)
    done = bench_without_figures(*SMALL, "-n", "100", "--out", str(tmp_path), "--progress", "json")
    assert done.returncode == 0, done
    begun, *_, ended = found = events_of(done.stderr)
    assert isinstance(begun, Begun)
    assert (begun.crawlers, begun.levels, begun.runs) == (["protocol"], [2.0, 4.0], 4)
    assert isinstance(ended, Ended)
    assert ended.ending == "done"
    assert Path(ended.folder, "results.sqlite").is_file()
    runs = [one for one in found if isinstance(one, RunDone)]
    assert [one.number for one in runs] == [1, 2, 3, 4]
    assert all((one.ok, one.failed) == (one.requests, 0) for one in runs)
    assert [one.number for one in found if isinstance(one, RunStarted)] == [1, 2, 3, 4]
    ticks = [one for one in found if isinstance(one, Tick)]
    live = [one.live for one in ticks if one.live is not None]
    assert live
    assert max(one.in_flight for one in live) <= 100  # that of the run which measures the server
    assert max(one.run_done or 0 for one in ticks) <= max(one.requests for one in runs)


def test_when_the_reader_of_events_goes_the_runs_are_kept(tmp_path: Path) -> None:
    """As after Ctrl-C, since nobody is left who could stop it."""
    many = [*SMALL, "-n", "40", "--trials", "50", "--out", str(tmp_path), "--progress", "json"]
    with subprocess.Popen(
        [*BENCH, *many], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith(b'{"event":"run_done"'):
                break
        process.stderr.close()
        assert process.wait(WITHIN_S) == 130
    with sqlite3.connect(tmp_path / "latest" / "results.sqlite") as file:
        (kept,) = file.execute("SELECT count(*) FROM run").fetchone()
    assert 1 <= kept < 102


def test_what_is_no_terminal_gets_no_view() -> None:
    done = bench("crawl", "protocol", "-n", "20", "-c", "2", "--delay", "1")
    assert done.returncode == 0
    assert "\x1b" not in done.stderr
    assert "{" not in done.stderr
