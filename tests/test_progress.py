"""The line on stderr says how far an experiment is, in 80 columns, and how long it still takes."""

from dataclasses import replace

import pytest

from bench.measure.progress import CrawlProgress, Forecast, PlannedProgress, expected_s
from bench.plan.experiment import PlannedRun
from tests.factories import experiment, result

FOREIGN = "mine:crawl"


def runs_of(*crawlers: str, trials: int = 3) -> tuple[PlannedRun, ...]:
    asked = experiment(crawlers, concurrencies=(1, 10, 100), trials=trials)
    return asked.order(dict.fromkeys(crawlers, 2**31))


def as_serial(run: PlannedRun) -> float:
    """How long a serial crawler takes for a run, whatever it is asked for."""
    return expected_s(run, 1)


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_line_has_the_count_the_time_left_and_what_is_run() -> None:
    runs, clock = runs_of("asyncio", trials=1), Clock()
    progress = PlannedProgress(runs, clock)
    assert progress.line(79) == ""
    progress.start(runs[0])
    assert progress.line(79).startswith("0 of 3 runs, ")
    clock.now_s += 1.0
    progress.done(result(runs[0]))
    progress.start(runs[1])
    line = progress.line(79)
    assert line.startswith("1 of 3 runs, ")
    assert line.endswith(f" left, asyncio at {runs[1].cell.concurrency}, trial 1")


def test_a_name_of_any_length_fits_into_eighty_columns() -> None:
    runs = runs_of("package.of.mine:" + "crawl_" * 30)
    progress = PlannedProgress(runs, Clock())
    progress.start(runs[-1])
    line = progress.line(79)
    assert len(line) <= 79
    assert "…" in line
    assert line.endswith(", trial 3")


def test_the_time_left_goes_down_while_a_run_is_made_and_never_below_nothing() -> None:
    runs, clock = runs_of("asyncio", trials=1), Clock()
    progress = PlannedProgress(runs[:1], clock)
    progress.start(runs[0])
    clock.now_s += 10_000.0
    assert progress.line(79).startswith("0 of 1 runs, 0 s left")


@pytest.mark.parametrize("done", [2, 4, 6])
def test_a_crawler_of_ones_own_that_is_serial_is_found_out(done: int) -> None:
    """Nothing declares it; the first run at a higher concurrency shows it."""
    runs = sorted(runs_of(FOREIGN), key=lambda run: (run.trial, run.cell.concurrency))
    forecast = Forecast(runs)
    assert forecast.left_s() < sum(map(as_serial, runs)) / 10  # as if it took any concurrency
    for run in runs[:done]:
        forecast.learn(run, as_serial(run))
    right_s = sum(map(as_serial, runs[done:]))
    assert forecast.left_s() == pytest.approx(right_s, rel=0.05)
    assert forecast.run_s(runs[done]) == pytest.approx(as_serial(runs[done]), rel=0.05)


def test_a_slow_machine_makes_all_runs_longer_and_no_crawler_serial() -> None:
    runs = runs_of("asyncio", "protocol")
    forecast = Forecast(runs)
    for run in runs[:4]:
        forecast.learn(run, 1.5 * expected_s(run))
    left_s = 1.5 * sum(map(expected_s, runs[4:]))
    assert forecast.left_s() == pytest.approx(left_s, rel=0.05)


def test_when_all_is_done_nothing_is_left() -> None:
    runs = runs_of("asyncio", trials=1)
    forecast = Forecast(runs)
    for run in runs:
        forecast.learn(run, 1.0)
    assert forecast.left_s() == 0


@pytest.mark.parametrize(
    ("done", "line"),
    [
        (420, "420 of 1000 requests, 3 s, about 4 s left"),
        (0, "0 of 1000 requests, 3 s"),
        (1003, "1000 of 1000 requests, 3 s, about 0 s left"),
        (None, "1000 requests, 3 s; the limit is 99 s"),
    ],
)
def test_how_far_a_crawl_is_stands_in_one_line(done: int | None, line: str) -> None:
    (run,) = (replace(one, requests=1000) for one in runs_of("asyncio", trials=1)[:1])
    clock = Clock()
    progress = CrawlProgress(99.0, clock)
    assert progress.line(79) == ""
    progress.start(run)
    clock.now_s += 0.5
    progress.note_requests(0)  # it fetches from here on
    clock.now_s += 2.9
    progress.note_requests(done)
    assert progress.line(79) == line
