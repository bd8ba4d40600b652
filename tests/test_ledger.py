import sys
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.ledger import ANSWERED, COLUMNS, WAITING, Ledger, RunLedger
from tests.factories import no_load, unpack

rows = st.tuples(
    st.integers(-1, 10**15 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**61),
    st.integers(0, 60_000_000),
    st.integers(100, 599),
)


def packed(run: RunLedger, name: str = "run") -> bytes:
    return b"".join(run.pack(name, no_load()))


@given(st.lists(rows, max_size=50), st.binary(max_size=200), st.text(max_size=20))
def test_a_run_survives_its_way_over_the_wire(
    arrivals: list[tuple[int, int, int, int, int]], head: bytes, name: str
) -> None:
    run = RunLedger(head)
    for arrival in arrivals:
        run.close_row(run.arrive(*arrival), ANSWERED, arrival[2] + 5)
    record = unpack(packed(run, name))
    assert (record.name, record.rows, record.first_request_head) == (name, len(arrivals), head)
    for column, typecode in COLUMNS:
        assert record.columns[column] == getattr(run, column)
        assert record.columns[column].typecode == typecode == getattr(run, column).typecode


def test_the_columns_take_at_most_64_bytes_a_request() -> None:
    run = RunLedger(b"")
    count = 100_000
    for seq in range(count):
        run.arrive(seq, 1, 2, 3, 200)
    assert sum(sys.getsizeof(getattr(run, column)) for column, _ in COLUMNS) <= 64 * count


def test_rows_may_arrive_while_a_run_is_being_read() -> None:
    run = RunLedger(b"")
    for seq in range(100_000):
        run.arrive(seq, 1, 2, 3, 200)
    pieces = []
    for piece in run.pack("run", no_load()):
        pieces.append(piece)
        run.arrive(0, 1, 2, 3, 200)
    record = unpack(b"".join(pieces))
    assert record.rows == 100_000
    assert list(record.columns["seq"]) == list(range(100_000))
    assert max(len(piece) for piece in pieces) <= 262_144


def test_a_run_cut_short_is_not_taken_for_whole() -> None:
    run = RunLedger(b"")
    run.arrive(1, 1, 2, 3, 200)
    with pytest.raises(ValueError, match="cut short in column outcome"):
        unpack(packed(run)[:-1])


def test_a_ledger_from_a_machine_of_the_other_byte_order_is_understood() -> None:
    run = RunLedger(b"")
    run.arrive(258, 1, 2, 0, 200)
    line, _, data = packed(run).partition(b"\n")
    other = {"little": b"big", "big": b"little"}[sys.byteorder]
    line = line.replace(sys.byteorder.encode(), other)
    swapped = array("q", [258])
    swapped.byteswap()
    record = unpack(line + b"\n" + swapped.tobytes() + data[8:])
    assert list(record.columns["seq"]) == [258]


def test_requests_beyond_the_bound_are_counted_as_unrecorded() -> None:
    ledger = Ledger(max_rows=2)
    run = ledger.begin("a", b"")
    assert run is not None
    taken = 0
    for _ in range(5):
        if ledger.take_row(run):
            run.arrive(0, 1, 2, 3, 200)
            taken += 1
    assert (taken, len(run), run.unrecorded, ledger.unrecorded) == (2, 2, 3, 3)
    assert unpack(packed(run)).unrecorded == 3


def test_deleting_a_run_makes_room_for_another() -> None:
    ledger = Ledger(max_rows=1, max_runs=1)
    run = ledger.begin("a", b"")
    assert run is not None
    assert ledger.take_row(run)
    row = run.arrive(0, 1, 2, 3, 200)
    assert ledger.begin("b", b"") is None
    assert ledger.unrecorded == 1
    assert ledger.delete("a")
    assert not ledger.delete("a")
    run.close_row(row, ANSWERED, 9)  # a request of the deleted run that was still in flight
    other = ledger.begin("b", b"")
    assert other is not None
    assert ledger.take_row(other)


def test_a_run_that_was_announced_has_its_rows_to_itself() -> None:
    ledger = Ledger(max_rows=3, max_runs=1)
    assert ledger.announce("mine", 2)
    assert not ledger.announce("mine", 2)
    stranger = ledger.begin("stranger", b"")
    assert stranger is not None
    while ledger.take_row(stranger):
        stranger.arrive(0, 1, 2, 3, 200)
    assert len(stranger) == 3
    run = ledger.begin("mine", b"head")
    assert run is not None
    for _ in range(2):
        assert ledger.take_row(run)
        run.arrive(0, 1, 2, 3, 200)
    assert not ledger.take_row(run)  # more than it has, and the strangers have the rest
    assert (run.unrecorded, run.first_request_head, ledger.rows) == (1, b"head", 5)
    assert ledger.delete("stranger")
    assert ledger.take_row(run)


def test_a_run_that_was_announced_is_known_before_its_first_request() -> None:
    ledger = Ledger(max_rows=3, max_runs=1)
    assert ledger.announce("mine", 5)
    assert not ledger.announce("another", 1)
    found = ledger.find("mine")
    assert found is not None
    assert len(found) == 0
    assert ledger.delete("mine")
    assert ledger.find("mine") is None
    assert ledger.announce("another", 5)


@given(st.lists(st.tuples(st.sampled_from("aprd"), st.sampled_from("xyz")), max_size=60))
def test_what_is_given_back_is_what_was_taken(steps: list[tuple[str, str]]) -> None:
    ledger = Ledger(max_rows=5, max_runs=2)
    for step, name in steps:
        if step == "p":
            ledger.announce(name, 3)
        elif step == "d":
            ledger.delete(name)
        else:
            run = ledger.runs.get(name)
            if run is None:
                run = ledger.begin(name, b"")
            if run is not None and ledger.take_row(run):
                run.arrive(0, 1, 2, 3, 200)
        assert ledger.rows <= 10
        assert len(ledger.runs) <= 4
    for name in "xyz":
        ledger.delete(name)
    assert (ledger.rows, ledger.runs) == (0, {})
    # All rows and names are free again.
    assert ledger.announce("p", 5)
    assert ledger.announce("q", 0)
    for name, rows in (("p", 10), ("s", 0), ("t", 0)):
        run = ledger.begin(name, b"")
        assert run is not None
        taken = 0
        while ledger.take_row(run):
            run.arrive(0, 1, 2, 3, 200)
            taken += 1
        assert taken == rows


def test_requests_of_a_name_without_a_run_are_counted_for_that_name() -> None:
    ledger = Ledger(max_runs=2)
    for name in ("a", "b", "c", "c", "d", "e", "c"):
        ledger.begin(name, b"")
    assert ledger.unrecorded == 5
    found = {name: ledger.find(name) for name in "abcde"}
    unrecorded = {name: None if run is None else run.unrecorded for name, run in found.items()}
    # No more names are remembered than runs.
    assert unrecorded == {"a": 0, "b": 0, "c": 3, "d": 1, "e": None}
    assert ledger.delete("c")
    assert ledger.find("c") is None


def test_a_request_in_flight_is_a_row_that_waits() -> None:
    run = RunLedger(b"")
    run.arrive(7, 1, 2, 3, 200)
    record = unpack(packed(run))
    assert list(record.columns["outcome"]) == [WAITING]
    assert list(record.columns["replied_ns"]) == [0]
