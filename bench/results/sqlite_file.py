"""Opens results files as what they may be: SQLite files that somebody else has made."""

import sqlite3
import stat
import sys
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import Any

from bench.printable import shortened
from bench.results.schema import SCHEMA

TABLES = ("experiment", "run", "fetch", "arrival", "server_load", "work")
"""The tables that are read."""
_MOST_BYTES = 1_000_000
"""Of a value that is read."""


class SqliteFileError(ValueError):
    """A file that cannot be read as it is, or is not as crawlbench makes it; the text says why."""


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in a mode of SQLite: `rwc` to create, `rw` to go on, `ro` to read.

    Raises SqliteFileError, sqlite3.Error.
    """
    _check_beside(path, mode)
    address = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(address, uri=True)
    if mode == "ro":
        try:
            connection.execute("PRAGMA schema_version")
        except sqlite3.Error as error:
            connection.close()
            # To read what a crash left, SQLite writes beside it. Where it cannot, and nothing is in
            # the log, the file by itself is all there is.
            cannot_write = error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))
            if not cannot_write:
                raise
            if _size_of(_beside(path, "-wal")):
                raise SqliteFileError(
                    f"runs are in {path.name}-wal beside it, which is read only where files can be "
                    "written: copy the folder to such a place"
                ) from error
            connection = sqlite3.connect(f"{address}&immutable=1", uri=True)
    _distrust(connection)
    return connection


def make_durable(connection: sqlite3.Connection) -> None:
    """From now on a transaction is on the disk when it is over."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


def _distrust(connection: sqlite3.Connection) -> None:
    """As https://sqlite.org/security.html has it, for a file that somebody else may have made."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _MOST_BYTES)
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)


def check_tables(connection: sqlite3.Connection, *, is_older: bool = False) -> None:
    """Raises SqliteFileError where what is read is no table, or not the one that crawlbench makes.

    A view of that name may never end, and a virtual table may do anything. A table of an older file
    may lack the last columns.
    """
    for table in TABLES:
        columns, made = columns_of(connection, table), columns_as_made()[table]
        if not columns or columns != (made[: len(columns)] if is_older else made):
            raise SqliteFileError(f"its {table} is not the table that crawlbench makes")


def check_nothing_added(connection: sqlite3.Connection) -> None:
    """Raises SqliteFileError for what may run when a run is added: triggers, indexes, and so on."""
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
            f"its {added[0]} {shortened(added[1])!r} is none that crawlbench makes; drop it first"
        )


def columns_of(connection: sqlite3.Connection, table: str) -> list[Any]:
    """Return all that SQLite says of the columns of a table of the file; [] for a view and so on.

    A row is that of `PRAGMA table_xinfo`: position, name, type, not null, default, and more.
    """
    # A virtual table and a view have no page.
    query = "SELECT 1 FROM main.sqlite_master WHERE name = ? AND type = 'table' AND rootpage > 0"
    if connection.execute(query, (table,)).fetchone() is None:
        return []
    return connection.execute(f"PRAGMA main.table_xinfo({table})").fetchall()


@lru_cache
def columns_as_made() -> dict[str, list[Any]]:
    """Return the columns of each table that crawlbench makes, as columns_of does."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return {table: columns_of(connection, table) for table in TABLES}


def definition_of(table: str) -> str:
    """Return the statement that creates a table of the present schema."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        query = "SELECT sql FROM sqlite_master WHERE name = ?"
        return str(connection.execute(query, (table,)).fetchone()[0])


def _check_beside(path: Path, mode: str) -> None:
    """Raises SqliteFileError where a file of SQLite's beside the results is none of its making."""
    for suffix in ("-wal", "-shm", "-journal"):
        beside = _beside(path, suffix)
        size = _size_of(beside)
        if size is None:
            raise SqliteFileError(f"{beside.name} beside it is no regular file")
        # Rolling it back may delete a file that it names; crawlbench itself writes a log instead.
        if mode == "rw" and suffix == "-journal" and size:
            raise SqliteFileError(
                f"{beside.name} beside it is to be rolled back first: if it is yours, open the "
                "file with sqlite3"
            )


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _size_of(path: Path) -> int | None:
    """0 where there is nothing; None of what is no regular file."""
    try:
        status = path.lstat()
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else None
