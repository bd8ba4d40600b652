"""The limit that a crawler chose itself, and what is judged against it."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import CellSummary, Trial
from bench.analysis.in_flight import Levels
from bench.analysis.limits import Limits
from bench.analysis.stalls import IdleSpans, idle_slots
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, Verdict, judge
from bench.report.sweep import cells_table
from bench.results.columns import IntColumns
from crawlers.contract import LIMIT_COLUMNS
from plots.figures import limit_over_time
from plots.scenes import RunScene
from server.service import Service
from tests.accounts import arrivals, fetches, load
from tests.factories import MS, conditions, experiment, run_row, usage

SLOTS, DELAY_MS = 8, 10

changes = st.dictionaries(st.integers(0, 60), st.integers(1, 12), min_size=1, max_size=8).map(
    lambda found: sorted(found.items())
)
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20)), min_size=1, max_size=20)


def limits(*rows: tuple[int, int]) -> IntColumns:
    """Rows of at_ms, most."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 2)
    return dict(zip(LIMIT_COLUMNS, (table[:, 0] * MS, table[:, 1]), strict=True))


def limit_at(rows: Sequence[tuple[int, int]], ms: int) -> int:
    """What holds at an instant, by looking at one change after another."""
    now = 0
    for at_ms, most in rows:
        now = min(most, SLOTS) if at_ms <= ms else now
    return now


@given(changes, spans)
def test_a_limit_and_what_is_beyond_it_are_what_a_look_at_every_instant_says(
    rows: list[tuple[int, int]], stays: list[tuple[int, int]]
) -> None:
    found = Limits.of(limits(*rows), SLOTS)
    every = [limit_at(rows, ms) for ms in range(90)]
    assert found.at(np.arange(90) * MS).tolist() == every
    assert found.mean(7 * MS, 80 * MS) == pytest.approx(np.mean(every[7:80]))
    assert found.peak == max(min(most, SLOTS) for _, most in rows)

    stays.sort()
    starts = np.array([at for at, _ in stays]) * MS
    ends = np.array([at + stay for at, stay in stays]) * MS
    beyond = 0
    for place, (at, _) in enumerate(stays):
        running = 1 + sum(first + stay > at for first, stay in stays[:place])
        beyond += running > max(every[max(0, at - 3) : at + 1])
    assert found.beyond(starts, ends) == beyond

    levels = Levels.of(starts, ends)
    idle = idle_slots([IdleSpans.of(levels, found, len(stays) + 1, starts, None)])
    first, last = stays[0][0], max(at + stay for at, stay in stays)
    in_flight = [sum(at <= ms < at + stay for at, stay in stays) for ms in range(first, last)]
    free = [max(0, every[ms] - in_flight[ms - first]) for ms in range(first, last)]
    slots = sum(every[first:last])
    assert idle.share * max(1, slots) == pytest.approx(sum(free) if slots else 0)
    assert idle.time_share == pytest.approx(np.mean([one > 0 for one in free]))


def crawl(rows: Sequence[tuple[int, int]], requests: int) -> list[tuple[int, ...]]:
    """The fetches of a client that always has as many in flight as these limits allow."""
    made: list[tuple[int, ...]] = []
    ms = 0
    while len(made) < requests:
        running = sum(end > ms for _, _, end, *_ in made)
        for _ in range(min(limit_at(rows, ms) - running, requests - len(made))):
            made.append((len(made), ms, ms + DELAY_MS, 200, 1, 0))
        ms += 1
    return made


def trial_of(
    fetched: Sequence[tuple[int, ...]], rows: Sequence[tuple[int, int]], **changes: object
) -> tuple[Trial, Accounts]:
    run = run_row(
        len(fetched),
        DELAY_MS * 1000,
        SLOTS,
        conditions=conditions(adapts=True),
        usage=replace(usage(), wall_ns=fetched[-1][2] * MS, cpu_ns=50 * MS),
    )
    run = replace(run, **changes)  # type: ignore[arg-type]
    arrived = arrivals(
        *((seq, seq % 3, start, end, DELAY_MS * 1000, 200, 1) for seq, start, end, *_ in fetched)
    )
    accounts = Accounts(fetches(*fetched), arrived, load(), limits=limits(*rows))
    found = summarise(run, accounts)
    assert found is not None
    return Trial(run, found, judge(run, found, None)), accounts


def summary_of(
    fetched: Sequence[tuple[int, ...]], rows: Sequence[tuple[int, int]], **changes: object
) -> tuple[RunSummary, Verdict]:
    trial, _ = trial_of(fetched, rows, **changes)
    assert trial.summary is not None
    return trial.summary, trial.verdict


STEPS = [(0, 3), (100, 6), (200, 2), (400, 4)]


def test_a_crawler_that_keeps_its_own_limit_is_valid_and_its_slots_are_those_of_the_limit() -> None:
    summary, verdict = summary_of(crawl(STEPS, 150), STEPS)
    assert verdict == Verdict(())
    # 30, 60 and 40 requests in the first 400 ms, and the last 20 in waves of 4.
    assert summary.makespan_ns == 450 * MS
    assert summary.limit_mean == pytest.approx((3 * 100 + 6 * 100 + 2 * 200 + 4 * 50) / 450)
    assert (summary.limit_peak, summary.beyond_limit) == (6, 0)
    assert summary.idle_slots.share == 0
    assert summary.slot_time is not None
    assert summary.slot_time.delay == pytest.approx(1)
    found = bottleneck(summary, verdict)
    assert found.word == "its own limit"
    assert "allowed itself 3 at a time on average, of 8; 100 % of the slots' time" in found.evidence


def test_a_limit_that_is_all_it_may_have_is_not_what_limits() -> None:
    summary, verdict = summary_of(crawl([(0, SLOTS)], 160), [(0, SLOTS)])
    assert bottleneck(summary, verdict).word == "delay"


def test_without_the_declaration_limits_are_ignored() -> None:
    fetched = crawl(STEPS, 150)
    ignored = summary_of(fetched, STEPS, conditions=conditions())
    assert ignored == summary_of(fetched, [], conditions=conditions())
    assert (ignored[0].limit_mean, ignored[0].limit_peak, ignored[0].beyond_limit) == (None,) * 3


def test_one_that_has_more_in_flight_than_its_own_limit_is_invalid() -> None:
    _, verdict = summary_of(crawl([(0, 6)], 150), STEPS)
    assert verdict.level is Level.INVALID
    (text,) = (one.text for one in verdict.reasons if one.check == "own limit")
    assert "of 150 requests were started with more in flight than the limit" in text
    # Requests before the first limit are beyond it, too.
    _, verdict = summary_of(crawl([(0, 3)], 150), [(90, 3)])
    assert verdict.finds("own limit")


def test_one_that_says_that_it_adapts_and_records_no_limit_is_suspect() -> None:
    summary, verdict = summary_of(crawl([(0, SLOTS)], 160), [])
    assert [(one.level, one.check) for one in verdict.reasons] == [(Level.SUSPECT, "own limit")]
    assert summary.limit_mean is None


def test_a_cap_is_below_the_limit_of_that_time() -> None:
    """Its limit says 6 from 100 ms on, and it never has more than 3 in flight."""
    rows = [(0, 3), (100, 6)]
    summary, verdict = summary_of(crawl([(0, 3)], 150), rows)
    assert summary.client_plateau is not None
    assert summary.client_plateau.level == 3
    assert summary.client_plateau.share == pytest.approx(390 / 480)
    assert verdict.finds("capped")
    assert summary.idle_slots.share == pytest.approx(3 * 390 / (100 * 3 + 400 * 6))
    assert not summary_of(crawl(rows, 150), rows)[1].finds("capped")


def test_the_figure_has_the_limit_and_what_the_service_allowed() -> None:
    service = Service.parse({"capacity": "6@0,3@0.2"})
    trial, accounts = trial_of(crawl(STEPS, 150), STEPS, service=service)
    drawn = limit_over_time.draw(RunScene(trial, accounts, ""))
    assert drawn is not None
    assert drawn.stem == "limit-over-time-asyncio"
    assert drawn.finding == (
        "The limit was 3.3 on average and 6 at most; the service allowed 6 from 0 s on, and it was "
        "4.5 then; the service allowed 3 from 0.2 s on, and it was 2.4 then."
    )
    found = {line.get_gid(): line for line in drawn.figure.axes[0].get_lines()}
    assert set(found) == {"limit", "in flight", "ideal"}
    assert np.asarray(found["ideal"].get_xydata()).tolist() == [[0, 6], [0.2, 3], [0.45, 3]]
    corners = [[0, 3], [0.1, 6], [0.2, 2], [0.4, 4], [0.45, 4]]
    assert np.asarray(found["limit"].get_xydata()).tolist() == corners
    trial, accounts = trial_of(crawl([(0, 4)], 40), [], conditions=conditions())
    assert limit_over_time.draw(RunScene(trial, accounts, "")) is None


def test_a_table_has_a_column_for_it_only_if_a_crawler_in_it_adapts() -> None:
    own, _ = trial_of(crawl(STEPS, 150), STEPS)
    other, _ = trial_of(crawl(STEPS, 150), [], conditions=conditions())
    cells = [CellSummary(one.run.cell, (one,)) for one in (other, own)]
    analysis = Analysis(experiment(), tuple(cells), ())
    table = cells_table("", cells, analysis)
    at = [column.title for column in table.columns].index("own limit")
    assert [row[at] for row in table.cells()] == ["-", "3.3/6"]
    titles = [column.title for column in cells_table("", cells[:1], analysis).columns]
    assert "own limit" not in titles
