import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import StoreError
from bench.results.schema import ARRIVAL_COLUMNS, SCHEMA_VERSION
from bench.results.store import FILE_NAME, Store
from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS, LIMIT_COLUMNS, Recorder
from crawlers.spec import Outcome
from crawlers.work import WorkLog
from server.ledger import COLUMNS, LOAD_COLUMNS, RunLedger
from tests.factories import experiment, planned, record_of, result, usage


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.create(
        tmp_path / FILE_NAME, experiment(), 3, {"cpu": "x"}, "2026-01-01T00:00:00"
    ) as store:
        yield store


big = st.integers(-(2**63), 2**63 - 1)
fetch_rows = st.lists(
    st.tuples(big, big, big, st.integers(0, 999), big, st.sampled_from(ERROR_WORDS)), max_size=20
)


@settings(max_examples=25)
@given(fetch_rows)
def test_raw_requests_survive_the_store(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int, int, int, str]]
) -> None:
    recorder = Recorder()
    ledger = RunLedger(b"head")
    for row in rows:
        seq, at, until, status, size, word = row
        recorder(seq, min(at, until), max(at, until), status, size, word)
        recorder.limit(at, max(1, until))
        # Of a server, no other numbers are taken.
        ledger.arrive(max(-1, seq // 2), 2**32 - 1, abs(at // 4), 60_000_000, status)
    path = tmp_path_factory.mktemp("store") / FILE_NAME
    made = result(planned())
    outcome = Outcome(
        usage(), {"python": "3"}, recorder.columns(), WorkLog().columns(), limits=recorder.limits()
    )
    with Store.create(path, experiment(), 1, {}, "now") as store:
        store.append(replace(made, outcome=outcome, ledger=record_of(ledger)))
    with Store.open(path) as store:
        for name in FETCH_COLUMNS:
            assert store.fetches(1)[name].tolist() == list(recorder.columns()[name])
        for name in LIMIT_COLUMNS:
            assert store.limits(1)[name].tolist() == list(recorder.limits()[name])
        for name in ARRIVAL_COLUMNS:
            assert store.arrivals(1)[name].tolist() == list(getattr(ledger, name))
        (run,) = store.runs()
        assert (run.usage, run.versions) == (outcome.usage, {"python": "3"})
        assert (run.unrecorded, run.request_head) == (0, b"head")


def test_resends_are_kept_with_their_number_and_their_condition(store: Store) -> None:
    store.append(result(planned("tornado")))
    (run,) = store.runs()
    assert (run.resends, run.conditions.resend_condition) == (5, "kept")


def test_a_file_of_before_resends_had_a_condition_is_read(store: Store) -> None:
    store.append(result(planned()))
    with sqlite3.connect(store.path) as connection:
        connection.execute(
            "UPDATE run SET conditions = json_remove(conditions, '$.resend_condition')"
        )
    connection.close()
    (run,) = store.runs()
    assert (run.resends, run.conditions.resend_condition) == (1, "")


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("fetch", Recorder().columns()),
        ("arrival", dict(COLUMNS)),
        ("server_load", LOAD_COLUMNS),
        ("work", WorkLog().columns()),
        ("limit_change", LIMIT_COLUMNS),
    ],
)
def test_the_tables_of_the_store_have_the_columns_that_are_recorded(
    store: Store, table: str, columns: Iterable[str]
) -> None:
    with sqlite3.connect(store.path) as connection:
        made = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    connection.close()
    names = [name for (name,) in made]
    # Columns are added at the end of a table, so that their order may differ.
    assert (names[:2], sorted(names[2:])) == (["run", "ordinal"], sorted(columns))


def test_what_was_asked_and_on_what_survives(store: Store) -> None:
    with Store.open(store.path) as again:
        assert again.experiment() == experiment()
        assert again.environment() == {"cpu": "x"}
        assert again.created_utc() == "2026-01-01T00:00:00"
        assert again.runs_asked() == 3


def test_a_crawl_that_failed_is_kept_with_what_the_server_saw(store: Store) -> None:
    store.append(result(planned(), failure="crashed with exit code 1"))
    (run,) = store.runs()
    assert (run.failure, run.usage, run.versions) == ("crashed with exit code 1", None, {})
    assert len(store.fetches(1)["seq"]) == 0
    assert len(store.arrivals(1)["seq"]) == 100


def test_a_run_is_kept_whole_or_not_at_all(store: Store) -> None:
    store.append(result(planned(number=1)))
    with pytest.raises(StoreError, match=r"run 1 is already in .*: is another crawlbench writing"):
        store.append(result(planned(number=1)))
    assert len(store.runs()) == 1
    assert len(store.fetches(1)["seq"]) == 100


def test_the_view_joins_both_ends(store: Store) -> None:
    made = result(planned(concurrency=2, waves=2))
    assert made.ledger is not None
    made.ledger.columns["seq"][3] = 77  # one that was never asked for
    store.append(made)
    with sqlite3.connect(store.path) as connection:
        rows = connection.execute(
            "SELECT seq, arrived_ns - start_ns, error, outcome FROM ledger ORDER BY seq"
        ).fetchall()
    connection.close()
    assert rows == [
        (0, 1_000_000, "", 1),
        (1, 1_000_000, "", 1),
        (2, 1_000_000, "", 1),
        (3, None, "", None),
        (77, None, None, 1),
    ]


def test_a_file_of_another_version_is_refused(store: Store) -> None:
    with sqlite3.connect(store.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(
        StoreError, match=f"has schema 99, .* reads schemas 4 to {SCHEMA_VERSION}: use the v"
    ):
        Store.open(store.path)


def test_what_is_no_results_file_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text("nothing of the kind, but long enough to be looked at")
    with pytest.raises(StoreError, match=r"cannot read .*not a database"):
        Store.open(tmp_path / FILE_NAME)
    with pytest.raises(StoreError, match="there is no"):
        Store.open(tmp_path / "elsewhere")


def test_a_damaged_file_is_said_to_be_one(store: Store) -> None:
    store.append(result(planned()))
    store.close()
    with store.path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 20_000)
    with Store.open(store.path) as damaged, pytest.raises(StoreError, match="cannot read"):
        damaged.experiment()
    with Store.open(store.path) as damaged, pytest.raises(StoreError, match="cannot read"):
        damaged.runs()


def test_a_closed_file_is_one_file(store: Store) -> None:
    store.append(result(planned()))
    store.close()
    assert [path.name for path in store.path.parent.iterdir()] == [FILE_NAME]


def test_each_run_is_on_the_disk_when_it_is_kept(tmp_path: Path) -> None:
    path = tmp_path / FILE_NAME
    with Store.create(path, experiment(), 2, {}, "now") as store:
        assert durability(store) == ("wal", 2)
        store.append(result(planned()))
    with Store.open(path, may_write=True) as store:
        assert durability(store) == ("wal", 2)


def durability(store: Store) -> tuple[str, int]:
    """The mode of the journal; and whether what is written is synced (2: at each commit)."""
    connection = vars(store)["_connection"]
    pragmas = ("journal_mode", "synchronous")
    (mode,), (synchronous,) = (connection.execute(f"PRAGMA {one}").fetchone() for one in pragmas)
    return mode, synchronous


def test_who_reads_writes_nothing(store: Store) -> None:
    store.append(result(planned()))
    with Store.open(store.path) as reader:
        assert len(reader.runs()) == 1
        with pytest.raises(StoreError, match=r"cannot write .*readonly"):
            reader.append(result(planned(number=2)))
        with pytest.raises(StoreError, match=r"cannot write .*readonly"):
            reader.note_resumption("now", [])
    store.append(result(planned(number=2)))


def test_what_a_crash_left_in_the_log_is_read(store: Store, tmp_path: Path) -> None:
    store.append(result(planned()))
    copy = tmp_path / "copy"
    copy.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{store.path}{suffix}", copy)
    assert (copy / f"{FILE_NAME}-wal").stat().st_size
    with Store.open(copy / FILE_NAME) as reader:
        assert len(reader.runs()) == 1
    with Store.open(copy / FILE_NAME, may_write=True) as again:
        assert len(again.runs()) == 1
    assert [one.name for one in copy.iterdir()] == [FILE_NAME]


def test_a_question_that_takes_too_long_is_given_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.append(result(planned(concurrency=1000)))
    assert len(store.fetches(1)["seq"]) == 10_000
    monkeypatch.setattr("bench.results.reader._READING_S", -1.0)
    with pytest.raises(StoreError, match="it takes more than -1 s"):
        store.fetches(1)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write anywhere")
def test_where_nothing_can_be_written_what_is_whole_is_read(store: Store, tmp_path: Path) -> None:
    store.append(result(planned()))
    crashed, whole = tmp_path / "crashed", tmp_path / "whole"
    for folder in (crashed, whole):
        folder.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(f"{store.path}{suffix}", crashed)
    store.close()
    shutil.copy(store.path, whole)
    connection = sqlite3.connect(whole / FILE_NAME)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    for folder in (crashed, whole):
        folder.chmod(0o555)
    try:
        with pytest.raises(StoreError, match=r"some runs are only in results\.sqlite-wal"):
            Store.open(crashed / FILE_NAME)
        with Store.open(whole / FILE_NAME) as reader:
            assert len(reader.runs()) == 1
    finally:
        for folder in (crashed, whole):
            folder.chmod(0o755)


def test_a_usage_says_what_is_not_known_and_nothing_impossible() -> None:
    replace(usage(), unwaited_cpu_ns=None).check()
    for name, value in (("unwaited_cpu_ns", -1), ("cpu_ns", None), ("wall_ns", 2**62)):
        with pytest.raises(ValueError, match=f"{name} is {value}"):
            replace(usage(), **{name: value}).check()  # type: ignore[arg-type]
