"""Figures of open loop and of services: by the data of their lines."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis.analyse import Analysis, analyse, load_accounts
from bench.analysis.cells import Trial
from bench.analysis.keeping_up import highest_kept_up, keeps_up, kept_up_share
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.plan.ideal import GOOD, simulate
from bench.plan.load import Load
from bench.plan.rates import Rate
from bench.results.run_result import RunResult
from bench.results.store import FILE_NAME, Store
from crawlers.contract import Recorder
from crawlers.spec import Outcome
from crawlers.work import WorkLog
from plots.figures import delays, figures_of, over_time
from plots.figures.delays import delays_figure, delays_ms
from plots.figures.latency_vs_load import findings, latency_vs_load_figure
from plots.figures.over_time import over_time_figure
from plots.sweep_page import sweep_page
from plots.windows import Windows, windows_of
from server.ledger import ANSWERED, REFUSED, RunLedger
from server.service import SERVED, Admission, Service
from tests.factories import MS, conditions, experiment, record_of, usage
from tests.test_figures import boxes

ABOUT = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y", "pinning": "none"}
BEGIN_NS = 10**12
FIFTY = Delay.fixed(50_000)


def run_at(rate: str, number: int = 1, crawler: str = "asyncio", **changes: Any) -> PlannedRun:
    """A run of two seconds in open loop, with at most 20 in flight."""
    load = Load(Rate.parse(rate), duration_s=2.0)
    cell = Cell(crawler, 20, changes.pop("delay", FIFTY), rate=load.rate)
    entrant = Entrant(crawler, crawler)
    run = PlannedRun(number, 1, cell, load.requests(1), entrant, seed=1, load=load)
    return replace(run, **changes)


def as_simulated(run: PlannedRun, late_ms: float = 0, longer_ms: float = 0) -> RunResult:
    """What the ideal client would have seen, sent later and answered later by so much."""
    delays_us = run.delays_us()
    slots, due_after_ns = run.cell.concurrency, run.due_after_ns()
    ideal = simulate(delays_us, run.service, slots=slots, due_after_ns=due_after_ns)
    recorder, ledger = Recorder(), RunLedger(b"GET / HTTP/1.1\r\n\r\n")
    for seq, status in enumerate(ideal.status):
        start_ns, begin_ns, end_ns = (
            BEGIN_NS + column[seq] + round(late_ms * MS)
            for column in (ideal.start_ns, ideal.begin_ns, ideal.end_ns)
        )
        is_served = status == GOOD
        admission = Admission(SERVED if is_served else status, begin_ns, end_ns)
        delay_us = delays_us[seq]
        row = ledger.arrive(seq, 1 + seq % slots, start_ns, delay_us, status, admission)
        ledger.close_row(row, ANSWERED if is_served else REFUSED, end_ns)
        recorder(seq, start_ns, end_ns + round(longer_ms * MS), status, 1)
    outcome = Outcome(
        usage(), {"python": "3"}, recorder.columns(), WorkLog().columns(), first_due_ns=BEGIN_NS
    )
    return RunResult(
        planned=run,
        started_utc="2026-01-01T00:00:00.000+00:00",
        failure="",
        stderr_tail="",
        outcome=outcome,
        ledger=record_of(ledger),
        conditions=conditions(),
        timeout_s=10.0,
    )


def kept(folder: Path, results: Sequence[RunResult], **asked: Any) -> Store:
    runs = [one.planned for one in results]
    crawlers = tuple(dict.fromkeys(run.cell.crawler for run in runs))
    rates = tuple(dict.fromkeys(run.cell.rate for run in runs))
    plan = experiment(crawlers, concurrencies=(20,), rates=rates, duration_s=2.0, **asked)
    store = Store.create(folder / FILE_NAME, plan, len(runs), ABOUT, "2026-01-01T00:00:00")
    for one in results:
        store.append(one)
    return store


CAPACITY = Service.parse({"capacity": "15"})
"""300 requests/s at 50 ms."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """At 600/s the service has reached its capacity, of which asyncio has a fifth less."""
    results = []
    for number, rate in enumerate(("100", "200", "600"), 1):
        results.append(as_simulated(run_at(rate, number, "protocol", service=CAPACITY)))
        run = run_at(rate, number + 3, service=CAPACITY)
        results.append(as_simulated(run, longer_ms=10))
    with kept(tmp_path, results, delays=(FIFTY,), service=CAPACITY) as made:
        yield made


def lines(figure: Figure | None) -> dict[str, Line2D]:
    assert figure is not None
    return {str(line.get_gid()): line for axes in figure.axes for line in axes.lines}


def data(line: Line2D) -> tuple[list[float], list[float]]:
    return list(np.asarray(line.get_xdata())), list(np.asarray(line.get_ydata()))


def words(figure: Figure) -> str:
    return "\n".join(text.get_text() for axes in figure.axes for text in axes.texts)


def test_response_times_are_drawn_against_the_offered_rate_beside_the_ideal(store: Store) -> None:
    figure = latency_vs_load_figure(analyse(store), "")
    found = lines(figure)
    at, ideal_ms = data(found["ideal p50"])
    assert at == [100, 200, 600]
    assert ideal_ms[:2] == pytest.approx([50, 50])
    assert data(found["protocol p50"])[1] == pytest.approx(ideal_ms)
    assert data(found["asyncio p50"])[1] == pytest.approx([ms + 10 for ms in ideal_ms])
    # Side by side: within a fifth of the distance to the next rate.
    assert data(found["protocol p50"])[0][:2] == pytest.approx([97.5, 195])
    assert data(found["asyncio p50"])[0][:2] == pytest.approx([102.5, 205])
    assert data(found["protocol achieved"])[1][-1] == pytest.approx(300, rel=0.03)
    assert set(data(found["capacity 15 at 50 ms: 300/s"])[0]) == {300}


def test_quantiles_that_are_missing_are_said_and_not_drawn(store: Store) -> None:
    """Only the runs at 600/s have a thousand requests, and none has ten thousand."""
    figure = latency_vs_load_figure(analyse(store), "")
    found = lines(figure)
    assert data(found["ideal p99"])[0] == [600]
    assert len(data(found["asyncio p99"])[0]) == 1
    assert not [gid for gid in found if gid.endswith("p999")]
    assert figure is not None
    assert "no run has the 10,000 requests that a p99.9 needs" in words(figure)
    assert "not drawn where no run\nhas the 1,000 requests\nthat a p99 needs" in words(figure)


def test_a_rate_that_a_run_did_not_keep_up_with_has_a_ring(store: Store) -> None:
    analysis = analyse(store)
    figure = latency_vs_load_figure(analysis, "")
    assert len(data(lines(figure)["protocol behind"])[0]) == 1
    kept_up = {cell.cell.level: keeps_up(cell) for cell in analysis.by_crawler()["asyncio"]}
    assert kept_up == {100: True, 200: True, 600: False}
    assert "asyncio keeps up to 200/s (p50 60.0 ms)" in findings(analysis)
    (cell, *_) = analysis.by_crawler()["asyncio"]
    assert kept_up_share(cell.trials[0]) == pytest.approx(2.04 / 2.05)


def test_a_long_last_answer_is_no_lag(tmp_path: Path) -> None:
    """It takes half a second, as planned: for a while nothing is due any more."""
    long = Delay.parse("weighted:10@3,500@1")
    run = run_at("20", delay=long)
    with kept(tmp_path, [as_simulated(run)], delays=(long,)) as store:
        (cell,) = analyse(store).cells
    # The makespan is longer than the time in which requests are due.
    assert cell.requests_per_s[0] > 0.95 * 20
    assert kept_up_share(cell.trials[0]) == 1
    assert highest_kept_up([cell]) is cell


def test_a_server_that_is_not_ours_has_no_ideal(tmp_path: Path) -> None:
    """Its delays are not known; 50 ms after the last due instant are no lag."""
    results = [
        replace(as_simulated(run_at(rate, number, delay=Delay.fixed(0)), longer_ms=70), ledger=None)
        for number, rate in enumerate(("100", "200"), 1)
    ]
    asked = {"delays": (Delay.fixed(0),), "url": "http://127.0.0.1:9/"}
    with kept(tmp_path, results, **asked) as store:
        analysis = analyse(store)
        (figure, *others) = figures_of(store, analysis)
    found = lines(figure.figure)
    assert data(found["asyncio p50"])[1] == pytest.approx([70, 70])
    assert "asyncio behind" not in found
    assert not [gid for gid in found if gid.startswith("ideal")]
    assert "ideal" not in figure.how_to_read
    assert not any("delay" in one.figure.get_suptitle() for one in others)


def test_a_single_rate_has_no_figure_against_the_rate(tmp_path: Path) -> None:
    with kept(tmp_path, [as_simulated(run_at("100"))], delays=(FIFTY,)) as store:
        analysis = analyse(store)
        stems = {drawn.stem for drawn in figures_of(store, analysis)}
    assert stems == {"timeline-asyncio", "over-time-asyncio"}


def test_an_open_loop_has_no_figure_against_concurrency(store: Store) -> None:
    analysis = analyse(store)
    drawn = list(figures_of(store, analysis))
    assert [one.stem for one in drawn] == [
        "latency-vs-load",
        *("timeline-protocol", "over-time-protocol"),
        *("timeline-asyncio", "over-time-asyncio"),
    ]
    assert "200/s, at most 20 in flight" in drawn[2].figure.get_suptitle()
    assert not any("closed loop" in text.get_text() for text in drawn[0].figure.texts)


def only_run(store: Store) -> tuple[Analysis, Trial]:
    analysis = analyse(store)
    trial = analysis.only_trial
    assert trial is not None
    return analysis, trial


def test_a_stall_is_seen_over_time(tmp_path: Path) -> None:
    """Twenty are in flight from 1.15 s on, and the others wait until it ends at 1.4 s."""
    run = run_at("100", service=Service.parse({"stall": "1:0.4"}))
    with kept(tmp_path, [as_simulated(run)], delays=(FIFTY,), service=run.service) as store:
        _, trial = only_run(store)
        figure = over_time_figure(trial, load_accounts(store, trial.run), "")
        said = over_time.findings(trial)
    found = lines(figure)
    assert set(data(found["offered"])[1][:20]) == {100}
    good = data(found["good"])[1]
    assert good[11:14] == [0, 0, 0]
    assert max(good) > 200
    at, backlog = data(found["backlog"])
    assert at[int(np.argmax(backlog))] == pytest.approx(1.4, abs=0.01)
    # A request that is due at 1.25 s waits for a slot, and takes 50 ms from 1.4 s on.
    assert data(found["response p50"])[1][12] == pytest.approx(200)
    assert np.isnan(data(found["service p50"])[1][12])
    assert figure is not None
    for panel in figure.axes:
        spans = [patch for patch in panel.patches if patch.get_gid() == "stall"]
        edges = [patch.get_extents().transformed(panel.transData.inverted()) for patch in spans]
        assert (edges[0].x0, edges[0].x1) == (pytest.approx(1), pytest.approx(1.4))
    assert said.startswith("100.0 requests/s were offered, ")
    assert "the backlog was at most 25" in said


def test_a_step_of_the_capacity_and_its_refusals_are_seen_over_time(tmp_path: Path) -> None:
    service = Service.parse({"capacity": "15@0,5@1", "queue": "2"})
    run = run_at("200", service=service)
    with kept(tmp_path, [as_simulated(run)], delays=(FIFTY,), service=service) as store:
        _, trial = only_run(store)
        figure = over_time_figure(trial, load_accounts(store, trial.run), "")
    found = lines(figure)
    refused = data(found["refused"])[1]
    assert max(refused[:10]) == 0
    assert np.mean(refused[12:20]) == pytest.approx(100, abs=10)
    assert "errors" not in found
    assert data(found["capacity"])[0] == [1, 1]
    assert figure is not None
    assert "capacity 5" in words(figure)


@given(
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 1000)), min_size=1, max_size=60),
    st.floats(0.01, 1),
)
def test_a_window_has_the_quantile_of_its_own_values(rows: list[tuple[int, int]], q: float) -> None:
    at, values = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    windows = Windows(0, 10**8, 10)
    found = windows.quantiles(at, values, q)
    for number in range(10):
        inside = np.sort(values[windows.of(at) == number])
        if len(inside):
            assert found[number] == inside[max(0, int(np.ceil(q * len(inside))) - 1)]
        else:
            assert np.isnan(found[number])
    assert windows.per_s(at).sum() / 10 == pytest.approx(len(rows))


@given(st.integers(1, 10**13))
def test_windows_are_few_and_cover_the_run(span_ns: int) -> None:
    windows = windows_of(5, 5 + span_ns)
    assert windows.number * windows.width_ns >= span_ns
    assert windows.number <= max(120, span_ns / 3.6e12 + 1)


def test_drawn_and_served_delays_are_beside_the_model(tmp_path: Path) -> None:
    delay = Delay.parse("lognormal:median=50,p99=300")
    run = run_at("600", delay=delay)
    with kept(tmp_path, [as_simulated(run)], delays=(delay,)) as store:
        analysis, trial = only_run(store)
        shares = delays_ms(trial, load_accounts(store, trial.run))
        stems = [drawn.stem for drawn in figures_of(store, analysis)]
    assert "delays" in stems
    found = lines(delays_figure(trial, shares, ""))
    model_ms, at = data(found["model"])
    assert np.interp(0.5, at, model_ms) == pytest.approx(50, rel=0.01)
    assert np.interp(0.99, at, model_ms) == pytest.approx(300, rel=0.01)
    for name in ("drawn", "served"):
        values, at = data(found[name])
        assert np.interp(0.5, at, values) == pytest.approx(50, rel=0.1)
        assert at[-1] == 1
        beyond = data(found[f"{name} tail"])[1]
        assert beyond[-1] == pytest.approx(1 / run.requests)
    assert "planned" not in found
    assert delays.findings(trial, shares).startswith("p50: 50.0 ms by the model, ")


def test_what_a_service_adds_is_apart(tmp_path: Path) -> None:
    """A place is free for one at a time: each takes its delay, and waits for those before."""
    delay = Delay.parse("1-9")
    service = Service.parse({"capacity": "1"})
    run = run_at("300", delay=delay, service=service)
    with kept(tmp_path, [as_simulated(run)], delays=(delay,), service=service) as store:
        _, trial = only_run(store)
        shares = delays_ms(trial, load_accounts(store, trial.run))
    assert shares["planned"][-1] <= 9
    assert np.median(shares["served"]) > 20
    assert {"planned", "planned tail"} < set(lines(delays_figure(trial, shares, "")))


def test_the_page_of_an_open_loop_has_rates_and_response_times(store: Store) -> None:
    page = sweep_page(store, analyse(store), [])
    assert "Open loop" in page
    for said in (">rate</th>", ">response p99 ms</th>", ">600/s</td>", ">60.0</td>"):
        assert said in page, said
    for said in ("Closed loop", "knee at C", ">C</th>", ">refused</th>", 'class="extra"'):
        assert said not in page, said
    assert 'id="comparison"' not in page


def test_no_text_of_a_long_plan_is_cut(tmp_path: Path) -> None:
    names = ("tornado-simple-callback", "protocol-uvloop")
    delay = Delay.parse("weighted:10@160,20@30,30@6,40@3,50@1")
    service = Service.parse(
        {"capacity": "15@0,12@1", "queue": "9", "rate-limit": "500:50", "stall": "1:0.2"}
    )
    rates = ("100", "150", "300")
    results = [
        as_simulated(run_at(rate, number, name, delay=delay, service=service))
        for number, (name, rate) in enumerate(product(names, rates), 1)
    ]
    with kept(tmp_path, results, delays=(delay,), service=service) as store:
        for drawn in figures_of(store, analyse(store)):
            width, height = drawn.figure.bbox.width, drawn.figure.bbox.height
            for text, box in boxes(drawn.figure):
                said = f"{drawn.stem}: {text}"
                assert (box.x0 >= 8, box.y0 >= 0) == (True, True), said
                assert (box.x1 <= width - 8, box.y1 <= height) == (True, True), said
