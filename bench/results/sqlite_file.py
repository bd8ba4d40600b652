"""Opens results files as SQLite files from untrusted sources."""

import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.printable import shortened
from bench.results.schema import SCHEMA

TABLES = (
    "experiment",
    "run",
    "fetch",
    "arrival",
    "server_load",
    "work",
    "limit_change",
    "job",
    "memory",
    "crawler_process",
)
"""The tables that crawlbench reads."""
_SINCE = {"limit_change": 7, "job": 8, "memory": 8, "crawler_process": 9}
"""Tables that were added, each with the first version of the schema that has it."""
_MOST_BYTES = 1_000_000
"""Maximum size of a value that is read or written."""
_MOST_ASKED_BYTES = 100_000_000
"""The same for what was asked, which may have a list of URLs."""


class SqliteFileError(ValueError):
    """A file that cannot be read, or that crawlbench would not have created; the text says why."""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Connect to a file in a mode of SQLite: `rwc` to create, `rw` to add to, `ro` to read it.

    Raises SqliteFileError and sqlite3.Error.
    """
    _check_companions(path, mode)
    address = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True)
    if mode == "ro":
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            connection.close()
            # To read a file after a crash, SQLite must write files next to it. If it cannot, and
            # the log is empty, the file alone is complete.
            cannot_write = error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
            if not cannot_write:
                raise
            if _size_of(_companion(path, "-wal")):
                raise SqliteFileError(
                    f"some runs are only in {path.name}-wal, which cannot be read in a folder that "
                    "is not writable: copy the folder to a place where you can write"
                ) from error
            connection = sqlite3.connect(f"{address}&immutable=1", uri=True)
    _distrust(connection)
    return connection


def make_durable(connection: sqlite3.Connection) -> None:
    """Make each transaction wait until its data is on the disk."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _distrust(connection: sqlite3.Connection) -> None:
    """Follow https://sqlite.org/security.html for files from untrusted sources."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)


@contextmanager
def long_values(connection: sqlite3.Connection) -> Iterator[None]:
    """Allow values as long as what may be asked, for a while."""
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_ASKED_BYTES)
    try:
        yield
    finally:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)


def has_table(version: int, table: str) -> bool:
    """Return whether a version of the schema has one of the TABLES."""
    return version >= _SINCE.get(table, 0)


def check_tables(connection: sqlite3.Connection, version: int, *, is_older: bool) -> None:
    """Raise SqliteFileError unless each table is an ordinary one with the expected columns.

    Reading a view instead may never end, and a virtual table may do anything. Tables of an older
    file may lack the last columns. What has the name of a table that was added later is not read.
    """
    for table in (one for one in TABLES if has_table(version, one)):
        columns, made = columns_of(connection, table), columns_as_made()[table]
        if not columns or columns != (made[: len(columns)] if is_older else made):
            raise SqliteFileError(f"its table {table} differs from the one that crawlbench creates")


def check_nothing_added(connection: sqlite3.Connection) -> None:
    """Raise SqliteFileError for additions that could act on inserts: triggers, indexes etc."""
    ours = (*TABLES, "error_word", "ledger")
    marks = ", ".join("?" * len(ours))
    added = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type = 'trigger' "
        "OR (type = 'index' AND sql NOT NULL) "
        f"OR (name NOT IN ({marks}) AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\') LIMIT 1",
        ours,
    ).fetchone()
    if added is not None:
        raise SqliteFileError(
            f"its {added[0]} {shortened(added[1])!r} was not created by crawlbench; drop it first"
        )


def columns_of(connection: sqlite3.Connection, table: str) -> list[Any]:
    """Return SQLite's description of the columns of a table; [] if it is not an ordinary table.

    Rows are those of `PRAGMA table_xinfo`: position, name, type, not null, default, and more.
    """
    # Virtual tables and views have no root page.
    query = "SELECT 1 FROM main.sqlite_master WHERE name = ? AND type = 'table' AND rootpage > 0"
    if connection.execute(query, (table,)).fetchone() is None:
        return []
    return connection.execute(f"PRAGMA main.table_xinfo({table})").fetchall()


@lru_cache
def columns_as_made() -> dict[str, list[Any]]:
    """Return the columns of each table as crawlbench creates it, in the form of columns_of."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return {table: columns_of(connection, table) for table in TABLES}


def definition_of(table: str) -> str:
    """Return the statement that creates a table of the present schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        query = "SELECT sql FROM sqlite_master WHERE name = ?"
        return str(connection.execute(query, (table,)).fetchone()[0])


def _check_companions(path: Path, mode: str) -> None:
    """Raise SqliteFileError if a file that SQLite keeps next to the results is not acceptable."""
    for suffix in ("-wal", "-shm", "-journal"):
        companion = _companion(path, suffix)
        size = _size_of(companion)
        if size is None:
            raise SqliteFileError(f"{companion.name} next to it is not a regular file")
        # A rollback may delete a file that the journal names. crawlbench itself uses a log instead.
        if mode == "rw" and suffix == "-journal" and size:
            raise SqliteFileError(
                f"{companion.name} next to it must be rolled back first: if you trust it, open the "
                "results file with sqlite3"
            )


def _companion(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size_of(path: Path) -> int | None:
    """Return the size of a file: 0 if it does not exist, None if it is not a regular file."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None
