"""Writes results files, which are SQLite files, with one transaction per run.

They only contain raw records; summaries and figures are derived from them. docs/results.md
describes the files.
"""

import os
import sqlite3
from array import array
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from bench.errors import StoreError
from bench.plan.experiment import Asked
from bench.results.codec import encode
from bench.results.environment import Resumption
from bench.results.migrations import migrate_file
from bench.results.reader import Reader, open_connection
from bench.results.rows import (
    PROCESS_COLUMNS,
    RUN_COLUMNS,
    process_to_sql,
    row_of,
    to_sql,
)
from bench.results.run_result import RunResult
from bench.results.schema import ARRIVAL_COLUMNS, MEMORY_COLUMNS, SCHEMA, SCHEMA_VERSION
from bench.results.sqlite_file import check_nothing_added, long_values, make_durable
from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS, LIMIT_COLUMNS
from crawlers.spiders.task import JOB_COLUMNS
from crawlers.work import WORK_COLUMNS
from server.ledger import LOAD_COLUMNS
from server.packed_columns import Columns

FILE_NAME = "results.sqlite"


class Store(Reader):
    """A results file that is open for reading or writing. Use `create` or `open` to get one."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, *, may_write: bool = False
    ) -> None:
        super().__init__(path, connection)
        self._may_write = may_write

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
        """Create a file for `runs` runs in an existing folder. Raises StoreError.

        If `is_in_memory`, there is no file, and everything is lost when the store is closed.
        """
        mode = "memory" if is_in_memory else "rwc"
        about = (created_utc, encode(experiment), runs, encode(environment))
        with open_connection(path, mode, "cannot write") as connection:
            make_durable(connection)
            with connection:
                connection.executescript(f"BEGIN;{SCHEMA}")
                connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
                connection.executemany(
                    "INSERT INTO error_word VALUES (?, ?)", enumerate(ERROR_WORDS)
                )
                with long_values(connection):
                    connection.execute("INSERT INTO experiment VALUES (1, ?, ?, ?, ?)", about)
        return cls(path, connection, may_write=True)

    @classmethod
    def open(cls, path: Path, *, may_write: bool = False) -> Self:
        """Open an existing file, to read it or to add runs to it. Raises StoreError."""
        return cls._open(path, "rw" if may_write else "ro")

    def upgrade(self) -> Path | None:
        """Upgrade a file of an older schema, so that runs can be added to it.

        Returns the path of a copy of the original file, or None if the file has the present schema.
        Raises StoreError.
        """
        version = self._schema_version
        if version == SCHEMA_VERSION:
            return None
        copy = self.path.with_name(f"{self.path.name}.schema-{version}")
        self._copy_to(copy)
        with self._transaction():
            self._connection.execute("BEGIN IMMEDIATE")
            migrate_file(self._connection, version)
        self._schema_version = SCHEMA_VERSION
        return copy

    def _prepare(self, mode: str) -> None:
        if mode == "rw":
            check_nothing_added(self._connection)
            make_durable(self._connection)
            self._may_write = True

    def _copy_to(self, path: Path) -> None:
        """Copy the file atomically to a path that does not exist yet. Raises StoreError."""
        if os.path.lexists(path):
            raise StoreError(f"cannot copy the results to {path}, which exists: move it away")
        draft = path.with_name(f".{path.name}-{os.getpid()}")
        try:
            draft.unlink(missing_ok=True)  # in somebody else's folder it may be a link to anywhere
            with closing(sqlite3.connect(draft)) as copy:
                self._connection.backup(copy)
                copy.execute("PRAGMA journal_mode = DELETE")
            draft.replace(path)
        except (sqlite3.Error, OSError) as error:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
            raise StoreError(f"cannot write {path}: {error}") from error

    def append(self, result: RunResult) -> None:
        """Add a run and all its requests in one transaction. Raises StoreError."""
        number, outcome, ledger = result.planned.number, result.outcome, result.ledger
        row = to_sql(row_of(result))
        try:
            with self._writing():
                self._connection.execute(_insertion("run", RUN_COLUMNS), row)
                if outcome:
                    self._insert("fetch", number, outcome.fetches, FETCH_COLUMNS)
                    self._insert("work", number, outcome.work, WORK_COLUMNS)
                    self._insert("limit_change", number, outcome.limits, LIMIT_COLUMNS)
                    if outcome.site:
                        self._insert("job", number, outcome.site.jobs, JOB_COLUMNS)
                insertion = _insertion("crawler_process", ("run", *PROCESS_COLUMNS))
                for process in result.processes:
                    self._connection.execute(insertion, (number, *process_to_sql(process)))
                if result.memory:
                    self._insert("memory", number, result.memory, MEMORY_COLUMNS)
                if ledger:
                    self._insert("arrival", number, ledger.columns, ARRIVAL_COLUMNS)
                    if ledger.load:
                        self._insert("server_load", number, ledger.load, LOAD_COLUMNS)
        except sqlite3.IntegrityError as error:
            raise StoreError(
                f"run {number} is already in {self.path}: is another crawlbench writing to it?"
            ) from error

    def note_resumption(self, at_utc: str, different: list[str]) -> None:
        """Note that the experiment is resumed, and what has changed. Raises StoreError."""
        about = self.environment()
        about.setdefault("resumed", []).append(Resumption(at_utc, different))
        with self._writing():
            self._connection.execute("UPDATE experiment SET environment = ?", (encode(about),))

    def close(self) -> None:
        """Close the file. Without a log, it can then be read in a folder that is not writable."""
        if self._may_write:
            with suppress(sqlite3.Error):
                self._connection.execute("PRAGMA main.journal_mode = DELETE")
        super().close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Start a transaction. Older schemas are refused, because their tables may be copies."""
        if self._schema_version != SCHEMA_VERSION:
            raise StoreError(f"cannot write {self.path}: it has schema {self._schema_version}")
        with self._transaction():
            yield

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """Start a transaction. Raises StoreError, or IntegrityError if a row already exists."""
        try:
            with self._connection:
                yield
        except sqlite3.IntegrityError:
            raise
        except sqlite3.Error as error:
            raise StoreError(f"cannot write {self.path}: {error}") from error

    def _insert(self, table: str, number: int, columns: Columns, names: tuple[str, ...]) -> None:
        arrays: list[array[int]] = [columns[name] for name in names]
        rows = (
            (number, ordinal, *values) for ordinal, values in enumerate(zip(*arrays, strict=True))
        )
        self._connection.executemany(_insertion(table, ("run", "ordinal", *names)), rows)


def _insertion(table: str, columns: tuple[str, ...]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
