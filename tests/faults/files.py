"""Results files that are damaged, hostile or in use."""

import fcntl
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from bench.results.store import FILE_NAME
from tests.faults.place import Place, must, must_be_plain
from tests.faults.table import fault

GROUP = "file"
ESCAPE = "\x1b[2K\x1b[1Aowned"
_ONE_LINE = "each verb that reads says one line, or shows what can be read; no traceback"


@cache
def _good_results() -> Path:
    """A small sweep, measured once for all faults of this file."""
    with Place(0) as place:
        done = place.call(
            *("run", "--crawlers", "protocol,serial", "--concurrency", "1,2", "--delay", "1"),
            *("-n", 6, "--trials", 2, "--out", place.out),
        )
        must(done.code in (0, 1), f"a plain sweep: exit {done.code}: {done.last_line}")
        kept = Path(mkdtemp(prefix="crawlbench-fault-results-"))
        shutil.copy(place.newest() / FILE_NAME, kept)
    import atexit

    atexit.register(shutil.rmtree, kept, ignore_errors=True)
    return kept / FILE_NAME


def _copy(place: Place) -> Path:
    """The good results, in a folder of this place."""
    folder = place.out / "results"
    folder.mkdir(parents=True)
    return Path(shutil.copy(_good_results(), folder))


def _read(place: Place, path: Path) -> str:
    """Every verb that reads, on one file."""
    codes = {}
    verbs: tuple[tuple[str, ...], ...] = (
        ("report", "--all", "--split"),
        ("export", "--what", "requests"),
        ("export", "--format", "json"),
        ("plots",),
        ("compare", "serial", "protocol", "--in"),
    )
    for words in verbs:
        done = place.call(*words, path.parent)
        must_be_plain(done.stderr if words[0] == "export" else done.stdout + done.stderr)
        must(done.code in (0, 1, 2, 3), f"{words[0]}: exit {done.code}: {done.last_line}")
        must(
            done.code == 0 or done.last_line or done.stdout, f"{words[0]}: exit {done.code}, silent"
        )
        if words[0] == "export":
            raw = [one for one in done.stdout if not one.isprintable() and one not in "\n\t"]
            must(not raw, f"export writes {raw[:3]}")
        codes[" ".join(map(str, words))] = done.code
    return f"exit codes {sorted(set(codes.values()))}"


def _damage(name: str, is_fast: bool = False) -> "Callable[[Callable[[Place, Path], None]], None]":
    def enter(do: Callable[[Place, Path], None]) -> None:
        def inject(place: Place) -> str:
            path = _copy(place)
            do(place, path)
            return _read(place, path)

        fault(GROUP, name, _ONE_LINE, is_fast=is_fast)(inject)

    return enter


@_damage("results cut in the middle")
def _(place: Place, path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@_damage("results with 200 random bytes changed")
def _(place: Place, path: Path) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(200):
        data[place.random.randrange(100, len(data))] = place.random.randrange(256)
    path.write_bytes(data)


@_damage("results of random bytes")
def _(place: Place, path: Path) -> None:
    path.write_bytes(place.random.randbytes(20_000))


@_damage("results of no bytes")
def _(place: Place, path: Path) -> None:
    path.write_bytes(b"")


def _sql(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    try:
        with connection:
            for statement in statements:
                connection.execute(statement)
    finally:
        connection.close()


@_damage("results whose labels and times hold escape sequences")
def _(place: Place, path: Path) -> None:
    connection = sqlite3.connect(path)
    with connection:
        (text,) = connection.execute("SELECT asked FROM experiment").fetchone()
        asked = json.loads(text)
        asked["entrants"][0]["label"] = ESCAPE
        connection.execute(
            "UPDATE experiment SET asked = ?, created_utc = ?", (json.dumps(asked), ESCAPE)
        )
        connection.execute("UPDATE run SET crawler = ? WHERE crawler = 'protocol'", (ESCAPE,))
        connection.execute("UPDATE run SET failure = ?, usage = NULL WHERE number = 3", (ESCAPE,))
        connection.execute("UPDATE run SET started_utc = ?, program = ?", (ESCAPE, ESCAPE))
    connection.close()


@_damage("results with a column named by an escape sequence")
def _(place: Place, path: Path) -> None:
    _sql(path, f'ALTER TABLE run RENAME COLUMN slots TO "{ESCAPE}"')


@_damage("results whose requests are a view without end")
def _(place: Place, path: Path) -> None:
    _sql(
        path,
        "DROP VIEW IF EXISTS ledger",
        "DROP TABLE fetch",
        "CREATE VIEW fetch AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
        "SELECT 1 AS run, i AS ordinal, i AS seq, 1 AS start_ns, 2 AS end_ns, 200 AS status, "
        "1 AS size_bytes, 0 AS error FROM n",
    )


@_damage("results of which a table is missing")
def _(place: Place, path: Path) -> None:
    _sql(path, "DROP VIEW IF EXISTS ledger", "DROP TABLE arrival")


@_damage("results that ask for 10^18 requests")
def _(place: Place, path: Path) -> None:
    _sql(path, "UPDATE run SET requests = 1000000000000000000")


@_damage("results with deeply nested JSON")
def _(place: Place, path: Path) -> None:
    nested = "[" * 100_000 + "]" * 100_000
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE experiment SET environment = ?", (nested,))
    connection.close()


@_damage("results with text where numbers belong")
def _(place: Place, path: Path) -> None:
    _sql(path, "UPDATE fetch SET start_ns = 'soon'", "UPDATE run SET concurrency = 'many'")


@_damage("results of a schema yet to come")
def _(place: Place, path: Path) -> None:
    _sql(path, "PRAGMA user_version = 999")


@fault(
    GROUP,
    "results that name a foreign program, with --resume",
    "refused in one line that names it and --allow-foreign; it is not run",
)
def _(place: Place) -> str:
    path = _copy(place)
    proof = place.folder / "was-run"
    (place.folder / "evil.py").write_text(f"open({str(proof)!r}, 'w').close()\n")
    connection = sqlite3.connect(path)
    with connection:
        (text,) = connection.execute("SELECT asked FROM experiment").fetchone()
        asked = json.loads(text)
        asked["entrants"][0]["crawler"] = "evil:crawl"
        connection.execute("UPDATE experiment SET asked = ?", (json.dumps(asked),))
        connection.execute("DELETE FROM run WHERE number > 4")
    connection.close()
    done = place.call("run", "--resume", path.parent, environment={"PYTHONPATH": str(place.folder)})
    must(done.code in (2, 3), f"exit code {done.code}: {done.last_line}")
    must("--allow-foreign" in done.stderr, f"no way out: {done.last_line}")
    must(not proof.exists(), "the program was run")
    return f"exit {done.code}: {done.last_line[:120]}"


@fault(GROUP, "results that another crawlbench holds, with --resume", "exit 3; one line says so")
def _(place: Place) -> str:
    path = _copy(place)
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        return place.call("run", "--resume", path.parent).must_say(3, "another crawlbench")
    finally:
        os.close(descriptor)


@fault(
    GROUP,
    "results that another program has locked for writing",
    "they are read, or one line says so",
)
def _(place: Place) -> str:
    path = _copy(place)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        connection.execute("BEGIN EXCLUSIVE")
        done = place.call("report", path.parent)
    finally:
        connection.close()
    must(done.code in (0, 1, 3), f"exit code {done.code}")
    must_be_plain(done.stderr)
    return f"exit {done.code}: {done.last_line or 'shown'}"


@fault(GROUP, "CSV of labels that begin with = and @", "a spreadsheet takes them for text")
def _(place: Place) -> str:
    path = _copy(place)
    _sql(path, "UPDATE run SET failure = '=HYPERLINK(1)', usage = NULL WHERE number = 3")
    done = place.call("export", path.parent)
    must(done.code == 0, f"exit code {done.code}: {done.last_line}")
    must(",=HYPERLINK" not in done.stdout, "a formula")
    must("=HYPERLINK" in done.stdout, "it is not there at all")
    return "quoted"


@fault(
    GROUP,
    "`latest` is a file of the user's",
    "it is left as it is; the results are kept",
)
def _(place: Place) -> str:
    place.out.mkdir()
    place.latest.write_text("precious")
    done = place.call(
        *("run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "1", "-n", 6),
        *("--trials", 1, "--out", place.out),
    )
    must(done.code in (0, 1), f"exit code {done.code}: {done.last_line}")
    must(place.latest.read_text() == "precious", "it was replaced")
    must(not list(place.out.glob(".latest*")), "a temporary link is left")
    return f"exit {done.code}; the file is as it was"


@fault(
    GROUP,
    "another experiment begins during --resume .../latest",
    "the tables are those of the one that was resumed",
)
def _(place: Place) -> str:
    process = place.sweep()
    place.wait_for("runs are kept", lambda: place.kept() >= 2)
    process.kill()
    process.communicate()
    first = place.newest()
    must(place.latest.resolve() == first.resolve(), "latest is not the newest")
    resumed = place.start("run", "--resume", place.latest)
    place.wait_for("it goes on", lambda: place.child("crawlers"))
    other = place.call(
        *("run", "--crawlers", "serial", "--concurrency", "1", "--delay", "1", "-n", 3),
        *("--trials", 1, "--out", place.out),
    )
    must(other.code in (0, 1), f"the other: exit {other.code}: {other.last_line}")
    done = place.end(resumed)
    must("serial" not in done.stdout, "the tables are those of the other experiment")
    must(first.name in done.stdout, f"the tables do not name {first.name}")
    return "the tables are its own"


@fault(GROUP, "an experiment that never kept a run", "`latest` stays with the one before")
def _(place: Place) -> str:
    done = place.call(
        *("run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "1", "-n", 6),
        *("--trials", 1, "--out", place.out),
    )
    must(done.code in (0, 1), f"exit code {done.code}: {done.last_line}")
    before = place.latest.resolve()
    process = place.sweep()
    place.wait_for("the server is there", lambda: place.child("server"))
    process.kill()
    process.communicate()
    must(place.latest.resolve() == before, "latest names an experiment without a run")
    return "latest is as it was"
