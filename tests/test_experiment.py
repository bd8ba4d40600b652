from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.limits import MAX_RUNS, TooMuchError, check_count
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import (
    CEILING,
    CEILING_CONCURRENCY,
    CEILING_REQUESTS,
    CELL,
    Cell,
    Experiment,
    ideal_makespan_ns,
)
from bench.primes.experiment import PrimesCell, PrimesExperiment, work_of
from bench.results.codec import decode_object, encode, to_class

LIMITS = {"serial": 1, "pair": 2, "any": 1_000_000}


def experiment(**changes: object) -> Experiment:
    fields: dict[str, object] = {
        "entrants": tuple(Entrant(name, name) for name in ("serial", "pair", "any")),
        "concurrencies": (1, 2, 10),
        "delays": (Delay.fixed(1000),),
        "trials": 3,
        "waves": 10,
        "seed": 1,
        "timeout_s": 10.0,
    }
    return Experiment(**(fields | changes))  # type: ignore[arg-type]


delays = st.lists(st.integers(0, 1_000_000), max_size=60)
slots = st.integers(1, 12)


def run_list(durations_ns: list[int], slots: int) -> int:
    """Slots that each take the next job as soon as they are free: a crawl, event by event."""
    free_at = [0] * slots
    for duration_ns in durations_ns:
        slot = min(range(slots), key=free_at.__getitem__)
        free_at[slot] += duration_ns
    return max(free_at)


@given(delays, slots, st.lists(st.integers(0, 10**9), min_size=60, max_size=60))
def test_no_overhead_can_beat_the_ideal(
    delays_us: list[int], slots: int, overheads_ns: list[int]
) -> None:
    real = [delay * 1000 + extra for delay, extra in zip(delays_us, overheads_ns, strict=False)]
    assert ideal_makespan_ns(delays_us, slots) <= run_list(real, slots)


@given(delays, slots)
def test_the_ideal_is_what_a_crawl_without_overhead_takes(delays_us: list[int], slots: int) -> None:
    assert ideal_makespan_ns(delays_us, slots) == run_list([d * 1000 for d in delays_us], slots)


@given(st.integers(0, 500), st.integers(1, 60_000_000), slots)
def test_for_a_fixed_delay_the_ideal_is_full_waves(count: int, delay_us: int, slots: int) -> None:
    waves = -(-count // slots)
    assert ideal_makespan_ns([delay_us] * count, slots) == waves * delay_us * 1000


def test_every_trial_visits_every_cell_once() -> None:
    runs = experiment().order(LIMITS)
    cells = experiment().cells(LIMITS)
    assert len(runs) == 3 * len(cells) == 3 * 6
    for trial in (1, 2, 3):
        assert Counter(run.cell for run in runs if run.trial == trial) == Counter(cells)
    assert [run.number for run in runs] == list(range(1, 19))
    assert len({run.name for run in runs}) == 18
    assert {run.requests / run.cell.concurrency for run in runs} == {10}


def test_the_order_is_drawn_anew_for_each_trial_and_again_the_same_from_the_seed() -> None:
    runs = experiment().order(LIMITS)
    orders = {tuple(run.cell for run in runs if run.trial == trial) for trial in (1, 2, 3)}
    assert len(orders) == 3
    assert runs == experiment().order(LIMITS)
    assert runs != experiment(seed=2).order(LIMITS)


def test_a_crawler_is_not_asked_for_more_than_it_can_do() -> None:
    cells = experiment(concurrencies=(10, 20)).cells(LIMITS)
    by_crawler = {name: [c.concurrency for c in cells if c.crawler == name] for name in LIMITS}
    assert by_crawler == {"serial": [1], "pair": [2], "any": [10, 20]}


def test_the_servers_ceiling_is_measured_first_and_last() -> None:
    first, *between, last = experiment(floor="protocol").order(LIMITS)
    assert [run.cell for run in between] == [run.cell for run in experiment().order(LIMITS)]
    assert {run.role for run in between} == {CELL}
    for run in (first, last):
        assert (run.role, run.trial, run.requests) == (CEILING, 0, CEILING_REQUESTS)
        assert run.cell == Cell("protocol", CEILING_CONCURRENCY, Delay.fixed(0))
    assert [run.number for run in (first, *between, last)] == list(range(1, 21))


def test_all_runs_of_a_trial_have_the_same_delays_at_the_same_seq() -> None:
    runs = experiment(delays=(Delay.between(1000, 9000),)).order(LIMITS)
    for trial in (1, 2, 3):
        drawn = [run.delays_us() for run in runs if run.trial == trial]
        longest = max(drawn, key=len)
        assert all(delays == longest[: len(delays)] for delays in drawn)
    assert len({tuple(run.delays_us()[:10]) for run in runs if len(run.delays_us()) >= 10}) == 3


def test_a_run_may_have_a_number_of_requests_of_its_own() -> None:
    assert {run.requests for run in experiment(requests=77).order(LIMITS)} == {77}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "entrants": (Entrant("old", "any", "/x/python"),),
            "delays": (Delay.between(0, 5),),
            "floor": "x",
        },
    ],
)
def test_an_experiment_survives_json(changes: dict[str, object]) -> None:
    asked = experiment(**changes)
    assert to_class(decode_object(encode(asked), "asked"), Experiment, "asked") == asked


@pytest.mark.parametrize("floor", ["", "any"])
def test_runs_are_counted_without_being_made(floor: str) -> None:
    asked = experiment(floor=floor, delays=(Delay.fixed(0), Delay.fixed(1)))
    assert asked.count(LIMITS) == len(asked.order(LIMITS))
    of_primes = PrimesExperiment(
        cells=(PrimesCell("serial", work_of("primes", 10)),) * 3,
        concurrency=1,
        delay=Delay.fixed(0),
        trials=4,
        seed=1,
        timeout_s=1.0,
    )
    assert of_primes.count({}) == len(of_primes.order({})) == 12


def test_an_experiment_has_so_many_runs_and_not_one_more() -> None:
    check_count(MAX_RUNS)
    with pytest.raises(TooMuchError, match=r"100,001 runs are more than .* fewer --trials"):
        check_count(MAX_RUNS + 1)
