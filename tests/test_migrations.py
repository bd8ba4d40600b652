"""Results files of older schemas are read as they are, and brought up to date to be resumed."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bench.analysis.validity import Level
from bench.errors import StoreError
from bench.kinds import kind_of
from bench.measure.session import Ending, resume
from bench.report.comparison import compare_two
from bench.results import migrations, reader, schema, sqlite_file, store
from bench.results.schema import SCHEMA, SCHEMA_VERSION
from bench.results.store import FILE_NAME, Store
from crawlers.contract import FETCH_COLUMNS
from tests.factories import experiment, planned, result
from tests.hostile_results import MUTATIONS, Mutation, edit, make_results, name_first, sql
from tests.this_process import bench

DATA = Path(__file__).parent / "data"
VERSIONS = sorted(int(one.name.removeprefix("schema-")) for one in DATA.glob("schema-*"))


@pytest.fixture
def older(tmp_path: Path) -> Path:
    """A sweep of schema 4, in a folder of its own."""
    return Path(shutil.copy(DATA / "schema-4" / "sweep.sqlite", tmp_path / FILE_NAME))


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def value(path: Path, query: str) -> object:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(query).fetchone()[0]


def rows(path: Path, table: str) -> list[object]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_there_is_a_file_and_a_step_for_every_version_that_is_read() -> None:
    assert list(range(migrations.OLDEST_VERSION, SCHEMA_VERSION + 1)) == VERSIONS
    assert list(range(migrations.OLDEST_VERSION, SCHEMA_VERSION)) == sorted(migrations.STEPS)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_stored_file_has_the_version_of_its_folder(version: int) -> None:
    for path in (DATA / f"schema-{version}").iterdir():
        assert value(path, "PRAGMA user_version") == version


def test_what_is_written_now_has_the_columns_and_fields_of_the_newest_stored_file(
    tmp_path: Path,
) -> None:
    """If this fails, the schema has changed: bench/results/migrations.py says what else must."""
    newest = DATA / f"schema-{SCHEMA_VERSION}" / "sweep.sqlite"
    with Store.create(tmp_path / FILE_NAME, experiment(), 1, {}, "now") as made:
        made.append(result(planned()))
    with (
        closing(sqlite3.connect(newest)) as stored,
        closing(sqlite3.connect(tmp_path / FILE_NAME)) as fresh,
    ):
        for table in sqlite_file.TABLES:
            before = sqlite_file.columns_of(stored, table)
            assert sqlite_file.columns_of(fresh, table) == before, table
        for column, table in (("asked", "experiment"), ("usage", "run"), ("conditions", "run")):
            query = f"SELECT {column} FROM {table}"
            was, now = (json.loads(one.execute(query).fetchone()[0]) for one in (stored, fresh))
            assert fields_of(now) == fields_of(was), column


def fields_of(values: object) -> object:
    """The names in an object, and in what is in it."""
    if isinstance(values, dict):
        return {name: fields_of(one) for name, one in values.items()}
    return [fields_of(values[0])] if isinstance(values, list) and values else None


def test_an_older_file_is_read_with_the_fields_of_today_and_not_written(older: Path) -> None:
    before = older.read_bytes()
    with Store.open(older) as opened:
        runs = opened.runs()
        assert len(runs) == 26
        assert len(opened.fetches(2)["seq"]) == 40
        for run in runs:
            assert run.usage is not None
            assert run.usage.unwaited_cpu_ns == 0
            assert (run.conditions.accepted, run.conditions.resend_condition) == (None, "")
            assert (run.conditions.takes_all, run.conditions.queues) == (False, False)
            assert not run.conditions.adapts
            assert not len(opened.limits(run.number)["most"])
    assert older.read_bytes() == before
    assert [one.name for one in older.parent.iterdir()] == [FILE_NAME]


def test_what_an_older_file_knows_already_is_kept(older: Path) -> None:
    """Versions between two releases wrote some of it."""
    edit("run.conditions", lambda was: was | {"accepted": 7, "resend_condition": "kept"})(
        connection := sqlite3.connect(older)
    )
    connection.commit()
    connection.close()
    with Store.open(older) as opened:
        run = opened.runs()[0]
    assert (run.conditions.accepted, run.conditions.resend_condition) == (7, "kept")


def with_entrants(path: Path, *entrants: tuple[str, str]) -> None:
    """Make a sweep of schema 5, of two crawlers, one of other crawlers: labels and programs."""
    shutil.copy(DATA / "schema-5" / "sweep.sqlite", path)
    with closing(sqlite3.connect(path)) as connection, connection:
        named = [
            {"label": label, "crawler": name, "python": python, "declared_as": ""}
            for label, program in entrants
            for name, _, python in [program.partition("@")]
        ]
        edit("experiment.asked", lambda was: was | {"entrants": named})(connection)
        for was, now in zip(("protocol", "tornado-curl"), entrants, strict=False):
            connection.execute(
                "UPDATE run SET crawler = ?, program = ? WHERE crawler = ? AND role = 'cell'",
                (*now, was),
            )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            (("tornado", "tornado"), ("tornado-curl", "tornado-curl")),
            (("tornado-simple", "tornado-simple"), ("tornado", "tornado")),
        ),
        (
            (("tornado-callback", "tornado-callback"), ("asyncio", "asyncio")),
            (("tornado-simple-callback", "tornado-simple-callback"), ("asyncio", "asyncio")),
        ),
        (
            (("tornado@old", "tornado@/old/bin/python"), ("tornado#2", "tornado")),
            (
                ("tornado-simple@old", "tornado-simple@/old/bin/python"),
                ("tornado-simple#2", "tornado-simple"),
            ),
        ),
        # Labels that somebody chose.
        (
            (("mine", "tornado-curl"), ("tornado", "asyncio")),
            (("mine", "tornado"), ("tornado", "asyncio")),
        ),
        (
            (("tornado", "asyncio"), ("tornado-curl", "tornado-curl")),
            (("tornado", "asyncio"), ("tornado-curl", "tornado")),
        ),
        # A module and a file are no crawlers of ours.
        (
            (("tornado:crawl", "tornado:crawl"), ("mine:crawl", "/tornado@x/mine.py:crawl")),
            (("tornado:crawl", "tornado:crawl"), ("mine:crawl", "/tornado@x/mine.py:crawl")),
        ),
    ],
)
def test_crawlers_of_before_schema_6_are_read_with_the_names_that_they_have_now(
    tmp_path: Path, before: tuple[tuple[str, str], ...], after: tuple[tuple[str, str], ...]
) -> None:
    path = tmp_path / FILE_NAME
    with_entrants(path, *before)
    held = path.read_bytes()
    with Store.open(path) as opened:
        read = names_in(opened)
    assert path.read_bytes() == held
    with Store.open(path, may_write=True) as opened:
        opened.upgrade()
    with Store.open(path) as opened:
        assert read == names_in(opened) == (set(after), set(after))


def names_in(opened: Store) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """Labels and programs: those that were asked for, and those of the runs."""
    asked = {
        (one.label, f"{one.crawler}@{one.python}" if one.python else one.crawler)
        for one in opened.experiment().entrants
    }
    return asked, {(run.crawler, run.program) for run in opened.runs() if run.role == "cell"}


def test_an_older_experiment_and_a_newer_one_are_compared_by_present_names(tmp_path: Path) -> None:
    for version in (5, 6):
        (tmp_path / str(version)).mkdir()
        shutil.copy(
            DATA / f"schema-{version}" / "sweep.sqlite", tmp_path / str(version) / FILE_NAME
        )
    older, newer = str(tmp_path / "5"), str(tmp_path / "6")
    compared = compare_two(older, newer, None, "throughput", Level.SUSPECT)
    assert set(compared.results) == {
        f"{name}, C={at}" for name in ("protocol", "tornado") for at in (1, 4)
    }
    assert not compared.gaps
    compared = compare_two("tornado-curl", "protocol", Path(older), "throughput", Level.SUSPECT)
    assert (compared.baseline, compared.candidate) == ("tornado", "protocol")


def test_an_experiment_with_a_renamed_crawler_is_resumed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(shutil.copy(DATA / "schema-5" / "sweep.sqlite", tmp_path / FILE_NAME))
    query = "SELECT number FROM run WHERE crawler = 'tornado-curl' LIMIT 1"
    number = value(path, query)
    for table, column in (("run", "number"), ("fetch", "run"), ("arrival", "run")):
        change(path, f"DELETE FROM {table} WHERE {column} = {number}")
    change(path, f"DELETE FROM server_load WHERE run = {number}")
    assert resume(tmp_path, kind_of, allow_foreign=False).ending is Ending.DONE
    assert "1 run, " in capsys.readouterr().err
    assert value(path, f"SELECT crawler FROM run WHERE number = {number}") == "tornado"


def test_without_its_step_an_older_file_is_not_read(
    older: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(migrations.STEPS, 4, lambda _: None)
    with (
        Store.open(older) as opened,
        pytest.raises(StoreError, match=r"run 1\.\w+: Object missing required field"),
    ):
        opened.runs()


def test_an_older_experiment_is_resumed_and_a_copy_of_it_is_kept(
    older: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change(older, "DELETE FROM run WHERE number = 25")
    change(
        older, *(f"DELETE FROM {one} WHERE run = 25" for one in ("fetch", "arrival", "server_load"))
    )
    before = {table: rows(older, table) for table in ("experiment", "run", "fetch")}
    assert resume(older.parent, kind_of, allow_foreign=False).ending is Ending.DONE
    said = capsys.readouterr().err
    copy = older.with_name(f"{FILE_NAME}.schema-4")
    assert (
        f"crawlbench: {older} has an older format and is upgraded; the original is kept as {copy}\n"
    ) in said
    assert value(older, "PRAGMA user_version") == SCHEMA_VERSION
    assert value(copy, "PRAGMA user_version") == 4
    assert {table: rows(copy, table) for table in before} == before
    with Store.open(older) as opened:
        runs = {run.number: run for run in opened.runs()}
        assert len(runs) == 26
        assert len(opened.environment()["resumed"]) == 1
    assert (runs[24].conditions.accepted, runs[25].conditions.accepted is None) == (None, False)
    assert {one.name for one in older.parent.iterdir()} == {FILE_NAME, copy.name}


@pytest.mark.parametrize("why", ["have been made already", "not part of crawlbench"])
def test_an_older_file_stays_as_it_is_where_nothing_is_added(
    older: Path, why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if why == "not part of crawlbench":
        with closing(sqlite3.connect(older)) as connection, connection:
            name_first("protocol", crawler="evil:crawl")(connection)
            connection.execute("DELETE FROM run WHERE number = 25")
    before = rows(older, "run")
    try:
        resume(older.parent, kind_of, allow_foreign=False)
        said = capsys.readouterr().err
    except StoreError as error:
        said = str(error)
    assert why in said
    assert value(older, "PRAGMA user_version") == 4
    assert rows(older, "run") == before
    assert not list(older.parent.glob("*.schema-4"))


def test_a_copy_replaces_nothing(older: Path) -> None:
    copy = older.with_name(f"{FILE_NAME}.schema-4")
    copy.write_text("mine")
    with (
        Store.open(older, may_write=True) as opened,
        pytest.raises(StoreError, match=r"schema-4, which exists: move it away"),
    ):
        opened.upgrade()
    assert copy.read_text() == "mine"
    assert value(older, "PRAGMA user_version") == 4


def test_nothing_is_added_to_a_file_that_was_not_brought_up_to_date(older: Path) -> None:
    with Store.open(older, may_write=True) as opened:
        with pytest.raises(StoreError, match=r"cannot write .* it has schema 4"):
            opened.append(result(planned(number=99)))
        with pytest.raises(StoreError, match=r"cannot write .* it has schema 4"):
            opened.note_resumption("now", [])
        assert opened.upgrade() is not None
        assert opened.upgrade() is None
        opened.append(result(planned(number=99)))
        assert opened.runs()[-1].number == 99
    assert value(older, "SELECT count(*) FROM run") == 27
    with Store.open(older) as opened:
        assert not len(opened.limits(99)["most"])


def test_what_an_older_file_has_in_place_of_a_table_of_today_is_not_read(older: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
    change(older, f"CREATE VIEW limit_change AS {endless} SELECT 1 AS run, i AS ordinal FROM n")
    with Store.open(older) as opened:
        assert not len(opened.limits(1)["most"])
    with (
        Store.open(older, may_write=True) as opened,
        pytest.raises(StoreError, match=r"cannot write .* limit_change already exists"),
    ):
        opened.upgrade()
    assert value(older, "PRAGMA user_version") == 4


def test_a_step_that_fails_changes_nothing(older: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows(older, "run")
    with Store.open(older, may_write=True) as opened:

        def fail(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE run SET requests = 5")
            raise sqlite3.OperationalError("disk full")

        monkeypatch.setitem(migrations.STEPS, 4, fail)
        with pytest.raises(StoreError, match=r"cannot write .*: disk full"):
            opened.upgrade()
        with pytest.raises(StoreError, match="it has schema 4"):
            opened.append(result(planned(number=99)))
    assert (rows(older, "run"), value(older, "PRAGMA user_version")) == (before, 4)


NEWER = SCHEMA_VERSION + 1
READS = f"has schema {NEWER}, and crawlbench 0.1.0 reads schemas 4 to {SCHEMA_VERSION}: use"


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            'UPDATE experiment SET environment = \'{"crawlbench": "0.9.0", "commit": "abc"}\'',
            f"{READS} crawlbench 0.9.0 abc, which wrote it\n",
        ),
        ("UPDATE experiment SET environment = '{}'", f"{READS} the version that wrote it\n"),
        ("DROP TABLE experiment", f"{READS} the version that wrote it\n"),
    ],
)
def test_a_file_of_a_newer_schema_names_the_version_that_reads_it(
    tmp_path: Path, statement: str, said: str
) -> None:
    path = make_results(tmp_path, sql(statement, f"PRAGMA user_version = {NEWER}"))
    done = bench("report", str(tmp_path))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"crawlbench: {path} {said}"


def test_a_file_of_a_schema_before_the_first_that_is_read_is_refused(older: Path) -> None:
    change(older, "PRAGMA user_version = 3")
    with pytest.raises(StoreError, match=r"has schema 3, .* use crawlbench 0\.1\.0 c6f0925, which"):
        Store.open(older)


HOSTILE = [
    one
    for one in MUTATIONS
    if one.name in ("nothing", "a trigger", "no experiment", "bytes for text", "no table")
    or one.name.startswith(("endless", "virtual", "generated", "column", "run.usage", "run.cond"))
]


@pytest.mark.parametrize("mutation", HOSTILE, ids=[one.name for one in HOSTILE])
def test_what_a_stranger_sends_as_an_older_file_is_read_or_refused(
    tmp_path: Path, mutation: Mutation
) -> None:
    path = make_results(tmp_path, mutation.change, sql("PRAGMA user_version = 4"))
    before = path.read_bytes()
    if mutation.is_shown:
        assert read_all(path) == 2
    else:
        with pytest.raises(StoreError, match="cannot read") as caught:
            read_all(path)
        assert str(caught.value).isprintable()
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]


def read_all(path: Path) -> int:
    with Store.open(path) as opened:
        opened.experiment()
        opened.environment()
        return len(opened.runs())


@pytest.fixture
def with_a_new_column(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A schema that is one column ahead of ours, as bench/results/migrations.py says to do it."""
    column = "error INTEGER NOT NULL REFERENCES error_word,\n    "
    ahead = SCHEMA.replace(column, f"{column}due_ns INTEGER NOT NULL DEFAULT -1,\n    ")
    assert ahead != SCHEMA
    monkeypatch.setattr(sqlite_file, "SCHEMA", ahead)
    for module in (schema, migrations, reader, store):
        monkeypatch.setattr(module, "SCHEMA_VERSION", NEWER)
    monkeypatch.setattr(reader, "FETCH_COLUMNS", (*FETCH_COLUMNS, "due_ns"))
    monkeypatch.setitem(migrations.STEPS, SCHEMA_VERSION, lambda _: None)
    sqlite_file.columns_as_made.cache_clear()
    yield
    sqlite_file.columns_as_made.cache_clear()


@pytest.mark.usefixtures("with_a_new_column")
@pytest.mark.parametrize("version", VERSIONS)
def test_a_column_that_is_added_has_its_default_in_older_files(
    tmp_path: Path, version: int
) -> None:
    source = DATA / f"schema-{version}" / "sweep.sqlite"
    path = Path(shutil.copy(source, tmp_path / FILE_NAME))
    before = path.read_bytes()
    with Store.open(path) as opened:
        fetches = opened.fetches(2)
        assert set(fetches["due_ns"].tolist()) == {-1}
    assert path.read_bytes() == before
    with Store.open(path, may_write=True) as opened:
        opened.upgrade()
    with Store.open(path) as opened:
        again = opened.fetches(2)
    assert {name: one.tolist() for name, one in again.items()} == {
        name: one.tolist() for name, one in fetches.items()
    }
    assert value(path, "PRAGMA user_version") == NEWER
    with closing(sqlite3.connect(path)) as connection:
        assert sqlite_file.columns_of(connection, "fetch")[-1][1] == "due_ns"
