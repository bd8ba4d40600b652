"""Reads a results file that anybody may have made: it is checked, and text becomes printable."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, Self, TypeVar

from bench.errors import StoreError
from bench.plan.experiment import CALIBRATION, SWEEP, Asked, Experiment
from bench.printable import shortened
from bench.program import PROGRAM
from bench.results.codec import decode_object, to_class
from bench.results.columns import IntColumns
from bench.results.environment import Resumption
from bench.results.migrations import OLDEST_VERSION, migrate_copies
from bench.results.rows import RUN_COLUMNS, from_sql
from bench.results.schema import ARRIVAL_COLUMNS, SCHEMA_VERSION, RunRow
from bench.results.sqlite_file import SqliteFileError, check_tables, columns_of, connect
from crawlers.contract import FETCH_COLUMNS
from crawlers.work import WORK_COLUMNS
from server import __version__
from server.ledger import LOAD_COLUMNS

_READING_S = 300.0
"""The longest time for one query; no real one takes nearly as long."""
_STEPS = 10_000
"""Steps of SQLite's machine from one look at the clock to the next."""
_ROWS_AT_A_TIME = 20_000

_WRONG = (sqlite3.Error, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What is raised for a file that holds something else than it should."""

_Asked = TypeVar("_Asked", bound=Asked)


class Reader:
    """One results file, open for reading; it is a context manager.

    All its methods raise StoreError for a file that cannot be read.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._schema_version = SCHEMA_VERSION
        self._deadline_s = float("inf")
        connection.set_progress_handler(lambda: monotonic() > self._deadline_s, _STEPS)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing file. Nothing is ever written to it."""
        return cls._open(path, "ro")

    @classmethod
    def _open(cls, path: Path, mode: str) -> Self:
        """Open an existing file in a mode of SQLite; an older one is read as a present one."""
        if not path.is_file():
            raise StoreError(f"there is no {path}")
        with open_connection(path, mode, "cannot read") as connection:
            reader = cls(path, connection)
            reader._schema_version = reader._read_version()
            is_older = reader._schema_version < SCHEMA_VERSION
            check_tables(connection, is_older=is_older)
            reader._prepare(mode)
            if is_older:
                with reader._reading():
                    migrate_copies(connection, reader._schema_version)
        return reader

    def _prepare(self, mode: str) -> None:
        """Make the connection what it must be to be used in this mode."""

    def _read_version(self) -> int:
        """The version of the file's schema. Raises StoreError if it cannot be read."""
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            raise StoreError(f"cannot read {self.path}: it is no results file, or was never begun")
        if not OLDEST_VERSION <= version <= SCHEMA_VERSION:
            raise StoreError(
                f"{self.path} has schema {version}, and crawlbench {__version__} reads schemas "
                f"{OLDEST_VERSION} to {SCHEMA_VERSION}: use {self._writer()}"
            )
        return int(version)

    def _writer(self) -> str:
        """Which crawlbench wrote the file, as far as it says so."""
        with suppress(StoreError, sqlite3.Error):
            if columns_of(self._connection, "experiment"):
                about = self.environment()
                named = [about[name] for name in ("crawlbench", "commit") if about.get(name)]
                if named:
                    return f"crawlbench {' '.join(map(str, named))}, which wrote it"
        return "the version that wrote it"

    def check(self) -> None:
        """Read all of the file, as far as SQLite can tell what is whole."""
        with self._reading():
            (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise ValueError(said)

    def asked(self) -> dict[str, Any]:
        """What was asked, as JSON; its `kind` is the name of a kind of experiment."""
        with self._reading():
            asked = decode_object(self._about("asked"), "asked")
            to_class(asked.get("kind"), str, "asked.kind")
            return asked

    def read_asked(self, kind: type[_Asked]) -> _Asked:
        """What was asked, as the class of its kind of experiment."""
        asked = self.asked()
        with self._reading():
            experiment = to_class(asked, kind, "asked")
            experiment.check()
            return experiment

    def experiment(self) -> Experiment:
        """What was asked of crawlers."""
        asked = self.asked()
        if asked["kind"] not in (SWEEP, CALIBRATION):
            raise StoreError(
                f"{self.path} is of {PROGRAM} {asked['kind']}: {PROGRAM} report and {PROGRAM} "
                "plots show it; runs of crawlers alone are compared, or exported"
            )
        return self.read_asked(Experiment)

    def environment(self) -> dict[str, Any]:
        """On what it was measured."""
        with self._reading():
            about = decode_object(self._about("environment"), "environment")
            to_class(about.get("libraries", {}), dict[str, Any], "environment.libraries")
            to_class(about.get("resumed", []), tuple[Resumption, ...], "environment.resumed")
            return about

    def created_utc(self) -> str:
        """When the experiment began."""
        with self._reading():
            return shortened(self._about("created_utc"))

    def runs_asked(self) -> int:
        """How many runs there are once all is done."""
        with self._reading():
            return int(self._about("runs"))

    def runs(self) -> list[RunRow]:
        """All runs, in the order in which they were done."""
        query = f"SELECT {', '.join(RUN_COLUMNS)} FROM run ORDER BY number"
        with self._reading():
            return [
                from_sql(dict(zip(RUN_COLUMNS, values, strict=True)))
                for values in self._connection.execute(query).fetchall()
            ]

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

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self, name: str = "") -> Iterator[None]:
        """Raise StoreError for whatever is wrong with the file, and for a query without end.

        `name`: what is read, where the cause does not say so itself.
        """
        self._deadline_s = monotonic() + _READING_S
        try:
            yield
        except RecursionError as error:
            raise StoreError(f"cannot read {self.path}: its JSON is nested too deeply") from error
        except _WRONG as error:
            text = f"it takes more than {_READING_S:g} s" if _is_late(error) else error
            what = f"{name}: {text}" if name else text
            raise StoreError(f"cannot read {self.path}: {what}") from error
        finally:
            self._deadline_s = float("inf")

    def _about(self, column: str) -> str:
        row = self._connection.execute(f"SELECT {column} FROM experiment").fetchone()
        if row is None:
            raise ValueError("it is of no experiment")
        return str(row[0])

    def _columns(self, table: str, number: int, names: tuple[str, ...]) -> IntColumns:
        import numpy as np

        query = f"SELECT ordinal, {', '.join(names)} FROM {table} WHERE run = ?"
        count = f"SELECT count(*) FROM {table} WHERE run = ?"
        with self._reading(f"{table} of run {number}"):
            (length,) = self._connection.execute(count, (number,)).fetchone()
            columns = np.empty((len(names), length), dtype=np.int64)
            is_filled = np.zeros(length, dtype=bool)
            cursor = self._connection.execute(query, (number,))
            # Rows lie in the order of seq, where the view finds them, and go to their ordinals.
            while rows := cursor.fetchmany(_ROWS_AT_A_TIME):
                ordinals, *values = np.array(rows, dtype=np.int64).T
                columns[:, ordinals] = values
                is_filled[ordinals] = True
            if not is_filled.all():
                raise ValueError("its ordinals have gaps")
        return dict(zip(names, columns, strict=True))


@contextmanager
def open_connection(path: Path, mode: str, complaint: str) -> Iterator[sqlite3.Connection]:
    """Open any SQLite file; it stays open, unless the block fails. Raises StoreError."""
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


def _is_late(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT"
