"""Reads results files from untrusted sources: checks them, and makes their text printable."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from bench.errors import StoreError
from bench.plan.advice import ADVICE, AdviceExperiment
from bench.plan.crawl import CRAWL, CrawlExperiment
from bench.plan.experiment import CALIBRATION, SWEEP, Asked, Experiment
from bench.printable import shortened
from bench.program import PROGRAM
from bench.results.codec import decode_object, to_class
from bench.results.columns import IntColumns
from bench.results.environment import Resumption
from bench.results.migrations import OLDEST_VERSION, migrate_copies
from bench.results.rows import PROCESS_COLUMNS, RUN_COLUMNS, from_sql, process_from_sql
from bench.results.run_result import ProcessResult
from bench.results.schema import ARRIVAL_COLUMNS, MEMORY_COLUMNS, SCHEMA_VERSION, RunRow
from bench.results.sqlite_file import (
    SqliteFileError,
    check_tables,
    columns_of,
    connect,
    long_values,
)
from crawlers.contract import FETCH_COLUMNS, LIMIT_COLUMNS
from crawlers.spiders.task import JOB_COLUMNS
from crawlers.work import WORK_COLUMNS
from server import __version__
from server.ledger import LOAD_COLUMNS
from server.request_plan import Plan

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_READING_S = 300.0
"""Time limit of one query. Real queries are much shorter."""
_STEPS = 10_000
"""Steps of SQLite's virtual machine between two checks of the time limit."""
_ROWS_AT_A_TIME = 20_000

_WRONG = (sqlite3.Error, ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""Exceptions that unexpected content of a file can cause."""

_OF_CRAWLERS: dict[str, type[Experiment]] = {
    SWEEP: Experiment,
    CALIBRATION: Experiment,
    CRAWL: CrawlExperiment,
    ADVICE: AdviceExperiment,
}
"""The kinds of experiments that only measure crawlers. bench.kinds has all kinds."""

_IS_GOOD = "error = 0 AND status BETWEEN 100 AND 399"
"""As crawlers.contract.is_good, of any server. crawlbench's own answers nothing but 200 there."""
_OUTLINES = f"""
    SELECT run, count(*), sum({_IS_GOOD}), min(start_ns), max(end_ns) FROM fetch GROUP BY run
"""

_Asked = TypeVar("_Asked", bound=Asked)


class Outline(NamedTuple):
    """What the fetches of a run say without those of the server: nothing has been checked."""

    fetches: int
    good: int
    """How many got a good response, by the crawler's own record."""
    first_ns: int
    last_ns: int


class Reader:
    """A results file that is open for reading. It is a context manager.

    All methods raise StoreError if the file cannot be read.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection
        self._schema_version = SCHEMA_VERSION
        self._deadline_s = float("inf")
        self._plans: tuple[Plan, ...] | None = None
        connection.set_progress_handler(lambda: monotonic() > self._deadline_s, _STEPS)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an existing file, which is never changed."""
        return cls._open(path, "ro")

    @classmethod
    def _open(cls, path: Path, mode: str) -> Self:
        """Open an existing file in a mode of SQLite. Older schemas are upgraded in memory."""
        if not path.is_file():
            raise StoreError(f"there is no {path}")
        with open_connection(path, mode, "cannot read") as connection:
            reader = cls(path, connection)
            reader._schema_version = reader._read_version()
            is_older = reader._schema_version < SCHEMA_VERSION
            check_tables(connection, reader._schema_version, is_older=is_older)
            reader._prepare(mode)
            if is_older:
                with reader._reading():
                    migrate_copies(connection, reader._schema_version)
        return reader

    def _prepare(self, mode: str) -> None:
        """Prepare the connection for this mode."""

    def _read_version(self) -> int:
        """Return the version of the file's schema. Raises StoreError for an unsupported version."""
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
        """Return which version of crawlbench wrote the file, if it says so."""
        with suppress(StoreError, sqlite3.Error):
            if columns_of(self._connection, "experiment"):
                about = self.environment()
                named = [about[name] for name in ("crawlbench", "commit") if about.get(name)]
                if named:
                    return f"crawlbench {' '.join(map(str, named))}, which wrote it"
        return "the version that wrote it"

    def check(self) -> None:
        """Check the integrity of the whole file with SQLite."""
        with self._reading():
            (said,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise ValueError(said)

    def asked(self) -> dict[str, Any]:
        """Return the experiment as JSON. Its `kind` is the name of a kind of experiment."""
        with self._reading():
            asked = decode_object(self._about("asked"), "asked")
            to_class(asked.get("kind"), str, "asked.kind")
            return asked

    def read_asked(self, kind: type[_Asked]) -> _Asked:
        """Return the experiment as an instance of the class of its kind."""
        asked = self.asked()
        with self._reading():
            experiment = to_class(asked, kind, "asked")
            experiment.check()
            return experiment

    def experiment(self) -> Experiment:
        """Return the experiment, which must be of a kind that measures crawlers."""
        asked = self.asked()
        kind = _OF_CRAWLERS.get(asked["kind"])
        if kind is None:
            raise StoreError(
                f"{self.path} is of kind {asked['kind']}: {PROGRAM} report and {PROGRAM} "
                "plots show it; runs of crawlers alone are compared, or exported"
            )
        return self.read_asked(kind)

    def plans(self) -> tuple[Plan, ...]:
        """Return the plan of each request; empty if plans follow from the run's delay model."""
        if self._plans is None:
            kind = _OF_CRAWLERS.get(self.asked()["kind"])
            self._plans = self.read_asked(kind).plans() if kind is not None else ()
        return self._plans

    def urls(self) -> tuple[str, ...]:
        """Return the list of URLs that was fetched; empty if there is none."""
        kind = _OF_CRAWLERS.get(self.asked()["kind"])
        return self.read_asked(kind).urls if kind is not None else ()

    def environment(self) -> dict[str, Any]:
        """Return the description of machine and software from describe_environment."""
        with self._reading():
            about = decode_object(self._about("environment"), "environment")
            to_class(about.get("libraries", {}), dict[str, Any], "environment.libraries")
            to_class(about.get("resumed", []), tuple[Resumption, ...], "environment.resumed")
            return about

    def created_utc(self) -> str:
        """Return the UTC time at which the experiment started."""
        with self._reading():
            return shortened(self._about("created_utc"))

    def runs_asked(self) -> int:
        """Return the number of runs of the complete experiment."""
        with self._reading():
            return int(self._about("runs"))

    def count_runs(self) -> int:
        """Return the number of runs that were made, without reading them."""
        with self._reading():
            return int(self._connection.execute("SELECT count(*) FROM run").fetchone()[0])

    def runs(self) -> list[RunRow]:
        """Return all runs in the order in which they were made."""
        query = f"SELECT {', '.join(RUN_COLUMNS)} FROM run ORDER BY number"
        with self._reading():
            return [
                from_sql(dict(zip(RUN_COLUMNS, values, strict=True)))
                for values in self._connection.execute(query).fetchall()
            ]

    def processes(self, number: int) -> list[ProcessResult]:
        """Return the crawler processes of a run; none if it is older than schema 9."""
        query = f"SELECT {', '.join(PROCESS_COLUMNS)} FROM crawler_process WHERE run = ?"
        name = f"run {number}.processes"
        with self._reading():
            return [
                process_from_sql(dict(zip(PROCESS_COLUMNS, values, strict=True)), name)
                for values in self._connection.execute(query, (number,)).fetchall()
            ]

    def fetches(self, number: int) -> IntColumns:
        """Return the fetches of a run as FETCH_COLUMNS of int64, in the order of their records."""
        return self._columns("fetch", number, FETCH_COLUMNS)

    def outlines(self) -> dict[int, Outline]:
        """Return an outline of each run that has fetches, by its number.

        It takes a third of a second for a million requests, a tenth of what `fetches` takes.
        """
        with self._reading("fetch"):
            rows = self._connection.execute(_OUTLINES).fetchall()
            return {int(row[0]): Outline(*map(int, row[1:])) for row in rows}

    def failed_seqs(self, number: int) -> "NDArray[np.int64]":
        """Return the seq of each fetch of a run without a good response, in ascending order."""
        import numpy as np

        query = f"SELECT seq FROM fetch WHERE run = ? AND NOT ({_IS_GOOD}) ORDER BY seq"
        with self._reading(f"fetch of run {number}"):
            return np.array(self._connection.execute(query, (number,)).fetchall(), np.int64).ravel()

    def fetches_of(self, number: int, seqs: "Iterable[int]") -> IntColumns:
        """Return the fetches of some requests of a run, in the order of seq."""
        return self._some_columns("fetch", number, FETCH_COLUMNS, seqs)

    def arrivals_of(self, number: int, seqs: "Iterable[int]") -> IntColumns:
        """Return the arrivals of some requests of a run, in the order of seq."""
        return self._some_columns("arrival", number, ARRIVAL_COLUMNS, seqs)

    def arrivals(self, number: int) -> IntColumns:
        """Return the arrivals of a run as ARRIVAL_COLUMNS of int64, in the order of arrival."""
        return self._columns("arrival", number, ARRIVAL_COLUMNS)

    def work(self, number: int) -> IntColumns:
        """Return the work of a run as WORK_COLUMNS of int64, in the order of seq."""
        return self._columns("work", number, WORK_COLUMNS)

    def limits(self, number: int) -> IntColumns:
        """Return the limits that a run recorded as LIMIT_COLUMNS of int64, in the order of time."""
        return self._columns("limit_change", number, LIMIT_COLUMNS)

    def jobs(self, number: int) -> IntColumns:
        """Return the jobs of a spider as JOB_COLUMNS of int64, in the order of seq."""
        return self._columns("job", number, JOB_COLUMNS)

    def memory(self, number: int) -> IntColumns:
        """Return the samples of a spider's memory as MEMORY_COLUMNS of int64."""
        return self._columns("memory", number, MEMORY_COLUMNS)

    def server_load(self, number: int) -> IntColumns:
        """Return the samples of the server's load during a run as LOAD_COLUMNS of int64."""
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
        """Raise StoreError for any fault of the file, and for a query that takes too long.

        `name` says what is read, for causes that do not name it.
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
        with long_values(self._connection) if column == "asked" else nullcontext():
            row = self._connection.execute(f"SELECT {column} FROM experiment").fetchone()
        if row is None:
            raise ValueError("it contains no experiment")
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
            # Rows are stored in the order of seq, for the view. This restores the recorded order.
            while rows := cursor.fetchmany(_ROWS_AT_A_TIME):
                ordinals, *values = np.array(rows, dtype=np.int64).T
                columns[:, ordinals] = values
                is_filled[ordinals] = True
            if not is_filled.all():
                raise ValueError("its ordinals have gaps")
        return dict(zip(names, columns, strict=True))

    def _some_columns(
        self, table: str, number: int, names: tuple[str, ...], seqs: "Iterable[int]"
    ) -> IntColumns:
        import numpy as np

        chosen = "(SELECT value FROM json_each(?))"
        query = (
            f"SELECT {', '.join(names)} FROM {table} WHERE run = ? AND seq IN {chosen} "
            "ORDER BY seq, ordinal"
        )
        with self._reading(f"{table} of run {number}"):
            rows = self._connection.execute(query, (number, json.dumps(list(seqs)))).fetchall()
            columns = np.array(rows, dtype=np.int64).reshape(len(rows), len(names)).T
        return dict(zip(names, columns, strict=True))


@contextmanager
def open_connection(path: Path, mode: str, complaint: str) -> Iterator[sqlite3.Connection]:
    """Open any SQLite file. It stays open unless the block fails. Raises StoreError."""
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
