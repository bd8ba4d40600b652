"""Both ends of a run are joined once, and the view of a results file says the same."""

import sqlite3
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.analysis.join import Join
from bench.results.store import FILE_NAME, Store
from crawlers.contract import Recorder
from crawlers.spec import Outcome
from crawlers.work import WorkLog
from server.ledger import ANSWERED, RunLedger
from tests.accounts import arrivals, fetches
from tests.factories import experiment, planned, record_of, result, usage

seqs = st.lists(st.integers(-1, 6), max_size=12)


def joined(fetched: list[int], arrived: list[int]) -> Join:
    """Of fetches and arrivals of which only the seq matters."""
    return Join.of(
        fetches(*((seq, 0, 1, 200, 1, 0) for seq in fetched)),
        arrivals(*((seq, row % 3, 0, 1, 0, 200, 1) for row, seq in enumerate(arrived))),
    )


@given(seqs, seqs)
def test_a_request_is_joined_with_the_last_of_its_seq_at_the_other_end(
    fetched: list[int], arrived: list[int]
) -> None:
    join = joined(fetched, arrived)
    rows = {seq: row for row, seq in enumerate(arrived)}
    assert join.arrival_of.tolist() == [rows.get(seq, -1) for seq in fetched]
    assert join.has_arrived.tolist() == [seq in arrived for seq in fetched]
    rows_of_fetches = {seq: row for row, seq in enumerate(fetched)}
    assert join.fetch_of().tolist() == [rows_of_fetches.get(seq, -1) for seq in arrived]
    assert join.left_over().tolist() == [
        row for row, seq in enumerate(arrived) if seq not in fetched or rows[seq] != row
    ]
    assert join.is_sent_again.tolist() == [
        seq in arrived[row + 1 :] for row, seq in enumerate(arrived)
    ]
    connections = [row % 3 for row in range(len(arrived))]
    assert join.is_first_on_connection.tolist() == [row < 3 for row in range(len(connections))]


def test_a_reply_is_that_of_the_last_arrival_and_0_without_one() -> None:
    arrived = arrivals((0, 1, 1, 2, 0, 200, 2), (0, 1, 3, 4, 0, 200, 1))
    join = Join.of(fetches((1, 0, 9, 0, 0, 1), (0, 0, 9, 200, 1, 0)), arrived)
    assert join.replied_ns.tolist() == [0, 4_000_000]
    nothing = Join.of(fetches((1, 0, 9, 0, 0, 1)), arrivals())
    assert nothing.replied_ns.tolist() == [0]


@settings(max_examples=20)  # each writes a file
@given(seqs, seqs)
def test_the_view_of_a_results_file_is_the_join(
    tmp_path_factory: pytest.TempPathFactory, fetched: list[int], arrived: list[int]
) -> None:
    """It has a row more for each arrival that the join leaves over: next to each fetch of its seq,
    or alone.
    """
    recorder, ledger = Recorder(), RunLedger(b"head")
    for row, seq in enumerate(fetched):
        recorder(seq, row, row + 1, 200, 1)
    for row, seq in enumerate(arrived):
        ledger.close_row(ledger.arrive(seq, 1, 1000 + row, 0, 200), ANSWERED, 2000 + row)
    outcome = Outcome(usage(), {}, recorder.columns(), WorkLog().columns())
    made = replace(result(planned()), outcome=outcome, ledger=record_of(ledger))
    path: Path = tmp_path_factory.mktemp("join") / FILE_NAME
    with Store.create(path, experiment(), 1, {}, "now") as store:
        store.append(made)
        join = Join.of(store.fetches(1), store.arrivals(1))
    with sqlite3.connect(path) as connection:
        view = connection.execute("SELECT seq, start_ns, arrived_ns FROM ledger").fetchall()
    connection.close()

    def fetch(row: int) -> int:
        return int(join.fetches["start_ns"][row])

    def arrival(row: int) -> int | None:
        return int(join.arrivals["arrived_ns"][row]) if row >= 0 else None

    expected: Counter[tuple[int, int | None, int | None]] = Counter()
    for row, seq in enumerate(fetched):
        expected[seq, fetch(row), arrival(int(join.arrival_of[row]))] += 1
    for row in join.left_over().tolist():
        seq = arrived[row]
        beside = np.flatnonzero(join.fetches["seq"] == seq).tolist()
        for one in map(fetch, beside) if beside else (None,):
            expected[seq, one, arrival(row)] += 1
    assert Counter(view) == expected
