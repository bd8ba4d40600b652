"""What the analysis makes of runs with a service: waits, refusals, and work that was given up."""

from dataclasses import astuple

import numpy as np
import pytest

from bench.analysis.abandoned import Abandoned
from bench.analysis.anomalies import Clusters, impossible
from bench.analysis.join import Join
from bench.analysis.reconciliation import Reconciliation
from bench.analysis.slot_time import SlotTime
from bench.analysis.split import Split
from bench.results.columns import IntColumns
from server.ledger import ANSWERED, CLIENT_GONE, REFUSED, WAITING
from tests.accounts import arrivals, fetches
from tests.factories import MS


def with_service(arrived: IntColumns, *spans_ms: tuple[int, int]) -> IntColumns:
    """The same arrivals, with the begin and the due instant of each, in ms."""
    begin, due = np.array(spans_ms, dtype=np.int64).T * MS
    return {**arrived, "begin_ns": begin, "due_ns": due}


def test_a_wait_for_the_service_is_neither_lateness_nor_a_dropped_syn() -> None:
    # Capacity 1, 1000 ms each: the second waits for a second.
    fetched = fetches((0, 0, 1010, 200, 1, 0), (1, 0, 2010, 200, 1, 0))
    arrived = with_service(
        arrivals((0, 1, 5, 1006, 10**6, 200, 1), (1, 2, 5, 2006, 10**6, 200, 1)),
        *((5, 1005), (1005, 2005)),
    )
    split = Split.of(Join.of(fetched, arrived), np.ones(2, dtype=bool))
    parts = [split.to_server, split.service_wait, split.delay, split.late, split.back]
    assert [(part // MS).tolist() for part in parts] == [
        *([5, 5], [0, 1000], [1000, 1000], [1, 1], [4, 4])
    ]
    assert Clusters.of(split) == Clusters(0, 0)
    assert impossible(split, np.array([10**6] * 2)) == ()
    times = SlotTime.of(split, slots=2, makespan_ns=2010 * MS, ideal_ns=2000 * MS)
    assert times.service_wait == pytest.approx(1000 / 4020)
    assert sum(astuple(times)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("replied_ms", "due_ms"),
    [
        (1990, 2005),  # before it was due
        (104, 104),  # before its delay was over, whatever the server says about when it was due
    ],
)
def test_a_response_before_its_time_is_impossible(replied_ms: int, due_ms: int) -> None:
    fetched = fetches((0, 0, 2010, 200, 1, 0))
    arrived = with_service(arrivals((0, 1, 5, replied_ms, 10**6, 200, 1)), (5, due_ms))
    split = Split.of(Join.of(fetched, arrived), np.ones(1, dtype=bool))
    found = impossible(split, np.array([10**6]))
    assert [one.what for one in found] == ["were answered before their delay was over"]


def test_a_refusal_is_an_answer() -> None:
    fetched = fetches((0, 0, 5, 429, 60, 0), (1, 0, 5, 429, 60, 0))
    arrived = arrivals((0, 1, 1, 2, 0, 429, REFUSED), (1, 1, 1, 2, 0, 429, WAITING))
    (mismatch,) = Reconciliation.of(2, Join.of(fetched, arrived)).unexplained
    assert (mismatch.what, mismatch.seqs) == ("recorded as fetched, and never answered", (1,))


def test_what_the_service_did_for_clients_that_had_gone() -> None:
    arrived = with_service(
        arrivals(
            (0, 1, 0, 100, 10**5, 200, ANSWERED),
            (1, 2, 0, 40, 10**5, 200, CLIENT_GONE),  # 60 of its 100 ms were left
            (2, 3, 0, 50, 10**5, 200, CLIENT_GONE),  # it had not begun yet
            (3, 4, 0, 390, 10**5, 200, CLIENT_GONE),  # it was due, and could not be written
            (4, 5, 0, 0, 10**5, 200, WAITING),
        ),
        *((0, 100), (0, 100), (100, 200), (200, 300), (300, 400)),
    )
    assert Abandoned.of(arrived) == Abandoned(3, (60 + 100) * MS)
    nobody = arrivals((0, 1, 0, 100, 10**5, 200, ANSWERED))
    assert Abandoned.of(nobody) == Abandoned(0, 0)
