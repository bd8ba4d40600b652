"""The results file: SQLite, one transaction a run, raw requests only. docs/results.md describes it.

Summaries and plots are derived from it and never stored. A file may come from anybody: what is read
of it is checked here, and text becomes printable here, before anything else sees it.
"""

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeVar

from bench.errors import StoreError
from bench.plan.experiment import CALIBRATION, SWEEP, Asked, Experiment
from bench.printable import shortened
from bench.program import PROGRAM
from bench.results.columns import IntColumns
from bench.results.conditions import Conditions
from bench.results.run_result import RunResult
from bench.results.schema import ARRIVAL_COLUMNS, SCHEMA, SCHEMA_VERSION, RunRow
from bench.results.shapes import check_shape, parsed_object
from bench.results.sqlite_file import (
    SqliteFileError,
    check_nothing_added,
    check_tables,
    connect,
    make_durable,
)
from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS
from crawlers.registry import find
from crawlers.spec import Usage
from crawlers.work import WORK_COLUMNS, Work
from server.ledger import LOAD_COLUMNS
from server.packed_columns import Columns

FILE_NAME = "results.sqlite"

_READING_S = 300.0
"""For one question to a file: no real one takes nearly as long."""
_STEPS = 10_000
"""Of SQLite's machine, from one look at the clock to the next."""

_Asked = TypeVar("_Asked", bound=Asked)


class Store:
    """One results file. `create` or `open` it; it is a context manager."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, may_write: bool) -> None:
        self.path = path
        self._connection = connection
        self._may_write = may_write
        self._deadline_s = float("inf")
        connection.set_progress_handler(lambda: monotonic() > self._deadline_s, _STEPS)

    @classmethod
    def create(
        cls,
        path: Path,
        experiment: Asked,
        runs: int,
        environment: dict[str, Any],
        created_utc: str,
        *,
        is_in_memory: bool = False,
    ) -> Self:
        """A new file in a folder that exists, for so many runs. Raises StoreError.

        In memory there is no file: it is gone when it is closed.
        """
        mode = "memory" if is_in_memory else "rwc"
        with _opened(path, mode, "cannot write") as connection:
            make_durable(connection)
            with connection:
                connection.executescript(f"BEGIN;{SCHEMA}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.executemany(
                    "INSERT INTO error_word VALUES (?, ?)", enumerate(ERROR_WORDS)
                )
                asked = json.dumps(experiment.to_json())
                connection.execute(
                    "INSERT INTO experiment VALUES (1, ?, ?, ?, ?)",
                    (created_utc, asked, runs, json.dumps(environment)),
                )
        return cls(path, connection, may_write=True)

    @classmethod
    def open(cls, path: Path, *, may_write: bool = False) -> Self:
        """An existing file, to be read, or to be gone on with. Raises StoreError."""
        if not path.is_file():
            raise StoreError(f"there is no {path}")
        with _opened(path, "rw" if may_write else "ro", "cannot read") as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version == 0:
                raise StoreError(f"cannot read {path}: it is no results file, or was never begun")
            if version != SCHEMA_VERSION:
                raise StoreError(
                    f"{path} has schema {version}, and this version of crawlbench reads "
                    f"{SCHEMA_VERSION}: use the version that wrote it"
                )
            check_tables(connection)
            if may_write:
                check_nothing_added(connection)
                make_durable(connection)
        return cls(path, connection, may_write=may_write)

    def append(self, result: RunResult) -> None:
        """Add a run and all its requests in one transaction. Raises StoreError."""
        planned, ledger, outcome = result.planned, result.ledger, result.outcome
        cell = planned.cell
        entrant = planned.entrant
        info = find(entrant.crawler, entrant.declared_as)
        row = RunRow(
            number=planned.number,
            role=planned.role,
            trial=planned.trial,
            crawler=cell.crawler,
            program=entrant.crawler + (f"@{entrant.python}" if entrant.python else ""),
            concurrency=cell.concurrency,
            slots=min(cell.concurrency, info.max_concurrency),
            cores=max(info.cores, planned.work.processes if planned.work else 1),
            keep_alive=info.keep_alive,
            resends=info.resends,
            delay_low_us=cell.delay.low_us,
            delay_high_us=cell.delay.high_us,
            delay_seed=planned.seed,
            requests=planned.requests,
            name=planned.name,
            started_utc=result.started_utc,
            failure=shortened(result.failure),
            unrecorded=ledger.unrecorded if ledger else None,
            request_head=ledger.first_request_head if ledger else None,
            usage=outcome.usage if outcome else None,
            versions=outcome.versions if outcome else {},
            conditions=replace(result.conditions, resend_condition=info.resend_condition),
            timeout_ns=round(result.timeout_s * 1e9),
            work=planned.work,
        )
        try:
            with self._connection as connection:
                connection.execute(
                    f"INSERT INTO run VALUES ({', '.join('?' * len(fields(RunRow)))})",
                    _to_sql(row),
                )
                if outcome:
                    self._insert("fetch", planned.number, outcome.fetches, FETCH_COLUMNS)
                    self._insert("work", planned.number, outcome.work, WORK_COLUMNS)
                if ledger:
                    self._insert("arrival", planned.number, ledger.columns, ARRIVAL_COLUMNS)
                    if ledger.load:
                        self._insert("server_load", planned.number, ledger.load, LOAD_COLUMNS)
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"run {planned.number} is in {self.path} already: is another crawlbench at work "
                "there?"
            ) from error
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {self.path}: {error}") from error

    def _insert(self, table: str, number: int, columns: Columns, names: tuple[str, ...]) -> None:
        arrays: list[array[int]] = [columns[name] for name in names]
        rows = (
            (number, ordinal, *values) for ordinal, values in enumerate(zip(*arrays, strict=True))
        )
        marks = ", ".join("?" * (len(names) + 2))
        self._connection.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever is wrong with the file is a StoreError."""
        self._deadline_s = monotonic() + _READING_S
        try:
            yield
        except RecursionError as error:
            raise StoreError(f"cannot read {self.path}: its JSON is nested too deeply") from error
        except _WRONG as error:
            text = f"it takes more than {_READING_S:g} s" if _is_late(error) else error
            raise StoreError(f"cannot read {self.path}: {text}") from error
        finally:
            self._deadline_s = float("inf")

    def check(self) -> None:
        """Read all of it, as far as SQLite can tell what is whole. Raises StoreError."""
        with self._reading():
            (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise ValueError(said)

    def asked(self) -> dict[str, Any]:
        """What was asked, as JSON; its `kind` says what of. Raises StoreError, as all that read."""
        with self._reading():
            asked = parsed_object(self._about("asked"))
            check_shape(asked["kind"], str, "kind")
            return asked

    def read_asked(self, parse: Callable[[Mapping[str, Any]], _Asked]) -> _Asked:
        """What was asked, as `parse` makes it of JSON. Raises StoreError for whatever it raises."""
        asked = self.asked()
        with self._reading():
            parsed = parse(asked)
            check_shape(parsed, type(parsed), "what was asked")
            parsed.check()
            return parsed

    def experiment(self) -> Experiment:
        """What was asked of crawlers."""
        asked = self.asked()
        if asked["kind"] not in (SWEEP, CALIBRATION):
            raise StoreError(
                f"{self.path} is of {PROGRAM} {asked['kind']}: {PROGRAM} report and {PROGRAM} "
                "plots show it; runs of crawlers alone are compared, or exported"
            )
        return self.read_asked(Experiment.from_json)

    def environment(self) -> dict[str, Any]:
        """On what it was measured."""
        with self._reading():
            about = parsed_object(self._about("environment"))
            if not isinstance(about.get("libraries", {}), dict):
                raise ValueError("its environment has libraries that are no object")
            for resumed in about.get("resumed", []):
                check_shape(resumed["at_utc"], str, "resumed at")
                check_shape(resumed["different"], list[str], "resumed")
            return about

    def created_utc(self) -> str:
        """When the experiment began."""
        with self._reading():
            return self._about("created_utc")

    def note_resumption(self, at_utc: str, different: list[str]) -> None:
        """The experiment goes on, on a machine that differs in this. Raises StoreError."""
        about = self.environment()
        about.setdefault("resumed", []).append({"at_utc": at_utc, "different": different})
        try:
            with self._connection as connection:
                connection.execute("UPDATE experiment SET environment = ?", (json.dumps(about),))
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {self.path}: {error}") from error

    def runs_asked(self) -> int:
        """How many runs there are once all is done."""
        with self._reading():
            return int(self._about("runs"))

    def _about(self, column: str) -> str:
        row = self._connection.execute(f"SELECT {column} FROM experiment").fetchone()
        if row is None:
            raise ValueError("it is of no experiment")
        return shortened(str(row[0])) if column == "created_utc" else str(row[0])

    def runs(self) -> list[RunRow]:
        """All runs, in the order in which they were done."""
        rows: list[RunRow] = []
        names = [field.name for field in fields(RunRow)]
        query = f"SELECT {', '.join(names)} FROM run ORDER BY number"
        with self._reading():
            for values in self._connection.execute(query).fetchall():
                row: dict[str, Any] = dict(zip(names, values, strict=True))
                row["keep_alive"] = bool(row["keep_alive"])
                usage, work = row["usage"], row["work"]
                row["usage"] = Usage.from_json(parsed_object(usage)) if usage else None
                row["versions"] = parsed_object(row["versions"])
                row["conditions"] = Conditions(**parsed_object(row["conditions"]))
                row["work"] = Work(**parsed_object(work)) if work else None
                for name in ("role", "crawler", "program", "name", "started_utc", "failure"):
                    row[name] = shortened(row[name])
                rows.append(RunRow(**row))
                rows[-1].check()
        return rows

    def fetches(self, number: int) -> IntColumns:
        """The fetches of a run as FETCH_COLUMNS of int64, in the order of their records."""
        return self._columns("fetch", number, FETCH_COLUMNS)

    def arrivals(self, number: int) -> IntColumns:
        """The arrivals of a run as ARRIVAL_COLUMNS of int64, in the order of arrival."""
        return self._columns("arrival", number, ARRIVAL_COLUMNS)

    def work(self, number: int) -> IntColumns:
        """What was computed in a run as WORK_COLUMNS of int64, in the order of seq."""
        return self._columns("work", number, WORK_COLUMNS)

    def server_load(self, number: int) -> IntColumns:
        """The samples of the server's load in a run as LOAD_COLUMNS of int64."""
        return self._columns("server_load", number, LOAD_COLUMNS)

    def _columns(self, table: str, number: int, names: tuple[str, ...]) -> IntColumns:
        import numpy as np

        query = f"SELECT ordinal, {', '.join(names)} FROM {table} WHERE run = ?"
        count = f"SELECT count(*) FROM {table} WHERE run = ?"
        with self._reading():
            (length,) = self._connection.execute(count, (number,)).fetchone()
            columns = np.empty((len(names), length), dtype=np.int64)
            is_filled = np.zeros(length, dtype=bool)
            cursor = self._connection.execute(query, (number,))
            # Rows lie in the order of seq, where the view finds them, and go to their ordinals.
            while rows := cursor.fetchmany(20_000):
                ordinals, *values = np.array(rows, dtype=np.int64).T
                columns[:, ordinals] = values
                is_filled[ordinals] = True
            if not is_filled.all():
                raise ValueError(f"the ordinals of {table} in run {number} have gaps")
        return dict(zip(names, columns, strict=True))

    def close(self) -> None:
        """Close the file: one file from now on, that can be read where nothing can be written."""
        if self._may_write:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA journal_mode = DELETE")
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def _opened(path: Path, mode: str, complaint: str) -> Iterator[sqlite3.Connection]:
    """A connection that stays open, unless the block fails."""
    connection = None
    try:
        connection = connect(path, mode)
        yield connection
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error | SqliteFileError):
            raise StoreError(f"{complaint} {path}: {error}") from error
        raise


_WRONG = (sqlite3.Error, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What is raised of a file that holds something else than it should."""


def _is_late(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT"


def _to_sql(row: RunRow) -> tuple[Any, ...]:
    values = asdict(row)
    values["usage"] = json.dumps(values["usage"]) if row.usage else None
    values["versions"] = json.dumps(row.versions)
    values["conditions"] = json.dumps(values["conditions"])
    values["work"] = json.dumps(values["work"]) if row.work else ""
    return tuple(values.values())
