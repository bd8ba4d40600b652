"""Results files as strangers may send them: a good small one, and what is done to it."""

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.results.store import FILE_NAME, Store
from server.ledger import REFUSED
from tests.factories import experiment, planned, result

EVIL = (
    "=1\x1b[2J\x1b[1A\x1b]0;title\x07\x9b31m\u202eevil\u2066\u2028\u2029\r\nVALID: forged\x7f\b"
    "[/b][red]:bomb:<script>alert(1)</script>\"'>&$x$/../../../etc/x"
)
"""Moves the cursor, erases, turns letters around, begins lines of its own, closes what is open."""
SURROGATE = "\udcff"
"""No UTF-8: it can be in JSON alone."""

ENVIRONMENT = {
    "crawlbench": "0",
    "commit": None,
    "python": "3.11",
    "cpu": "x",
    "cpus": 2,
    "system": "y",
    "pinning": "none",
    "libraries": {"tornado": "6"},
}

Change = Callable[[sqlite3.Connection], None]


def make_results(folder: Path, *changes: Change) -> Path:
    """Two crawlers, one trial at a concurrency of 2; then what is changed of it."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / FILE_NAME
    asked = experiment(("asyncio", "serial"), concurrencies=(2,), waves=5)
    with Store.create(path, asked, 2, ENVIRONMENT, "2026-01-01T00:00:00+00:00") as store:
        for number, crawler in enumerate(asked.crawlers, 1):
            run = planned("asyncio", 2, number, waves=5)
            store.append(result(replace(run, cell=replace(run.cell, crawler=crawler))))
    connection = sqlite3.connect(path)
    for change in changes:
        change(connection)
    connection.commit()
    connection.close()
    return path


def created(text: str) -> Change:
    """When it was made, in these words."""

    def change(connection: sqlite3.Connection) -> None:
        connection.execute("UPDATE experiment SET created_utc = ?", [text])

    return change


def sql(*statements: str) -> Change:
    """These, one after another."""

    def change(connection: sqlite3.Connection) -> None:
        for statement in statements:
            connection.execute(statement)

    return change


def put(column: str, value: object) -> Change:
    """`table.column` of all rows."""
    table, _, name = column.partition(".")

    def change(connection: sqlite3.Connection) -> None:
        connection.execute(f"UPDATE {table} SET {name} = ?", (value,))

    return change


def edit(column: str, edited: Callable[[Any], Any]) -> Change:
    """JSON in `table.column` of all rows."""
    table, _, name = column.partition(".")

    def change(connection: sqlite3.Connection) -> None:
        rows = connection.execute(f"SELECT rowid, {name} FROM {table}").fetchall()
        for row, text in rows:
            new = json.dumps(edited(json.loads(text)))
            connection.execute(f"UPDATE {table} SET {name} = ? WHERE rowid = ?", (new, row))

    return change


def setting(name: str, value: object) -> Callable[[Any], Any]:
    """An edit that sets a name in an object."""
    return lambda was: was | {name: value}


def name_first(label: str, **others: object) -> Change:
    """The first entrant, in what was asked, and in its run."""

    def named(asked: dict[str, Any]) -> dict[str, Any]:
        asked["entrants"][0] |= {"label": label, **others}
        return asked

    def change(connection: sqlite3.Connection) -> None:
        edit("experiment.asked", named)(connection)
        connection.execute("UPDATE run SET crawler = ? WHERE number = 1", (label,))

    return change


def _process(bound_ns: int) -> str:
    """Return SQL for a process of the first run on a machine whose clock is known that well."""
    offset = {"at_ns": 1, "offset_ns": -(2**61), "bound_ns": bound_ns}
    clock = json.dumps({"before": offset, "after": offset})
    machine = EVIL.replace("'", "")
    return f"INSERT INTO crawler_process VALUES (1, 0, '{machine}', 1, 10, '', '', '{clock}')"


class Mutation(NamedTuple):
    """What is done to a good file, and whether it is shown then, or refused in one line."""

    name: str
    change: Change
    is_shown: bool = False


_ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
_DEEP = "[" * 100_000 + "]" * 100_000
_QUOTED = EVIL.replace('"', '""')
_JSON_COLUMNS = (
    *("experiment.asked", "experiment.environment"),
    *("run.conditions", "run.usage", "run.versions", "run.work"),
)
_WRONG_JSON = ("5", "[1]", '"x"', "null", "NaN", "{", '{"a": NaN}', '{"a": 1e999}', _DEEP)
_WRONG_VALUES: dict[str, tuple[tuple[str, object], ...]] = {
    "experiment.asked": (
        *(("trials", 10**18), ("trials", 0), ("trials", True), ("trials", 10**400)),
        *(("waves", -1), ("timeout_s", "x"), ("timeout_s", -1), ("seed", None), ("floor", 5)),
        *(("concurrencies", [10**30]), ("concurrencies", "10"), ("concurrencies", [])),
        *(("entrants", "x"), ("entrants", [[]]), ("entrants", [{"label": 5, "crawler": []}])),
        *(("delays", [{"text": "9-1"}]), ("delays", [{"text": "trace:/etc/passwd"}])),
        *(("kind", EVIL), ("kind", []), ("kind", "primes"), (EVIL, 5)),
    ),
    "experiment.environment": (
        *(("libraries", [1]), ("resumed", 5), ("resumed", [5]), ("resumed", [{"at_utc": 5}])),
        ("resumed", [{"at_utc": "x", "different": [[]]}]),
    ),
    "run.conditions": (
        *(("span_ns", "x"), ("span_ns", 10**30), ("stolen_ns", []), ("beside", 0.5), (EVIL, 1)),
    ),
    "run.usage": (("wall_ns", 10**400), ("cpu_ns", -1), ("waited_ns", "x"), (EVIL, 1)),
    "run.versions": (("python", 5), ("python", None), ("python", ["x"]), ("python", {})),
}
_NAMED = {"resumed": [{"at_utc": EVIL + SURROGATE, "different": [EVIL]}], "libraries": {EVIL: EVIL}}

MUTATIONS = (
    # Text that goes to the terminal, into figures, the page, and tables of others.
    Mutation("nothing", sql(), True),
    Mutation("label", name_first(EVIL), True),
    Mutation("label of markup", name_first("[/x]"), True),
    Mutation("long label", name_first("x" * 100_000), True),
    Mutation("no label", name_first(""), True),
    *(
        Mutation(column, put(column, EVIL), True)
        for column in ("run.failure", "run.program", "run.name", "run.role", "run.started_utc")
    ),
    Mutation("created", put("experiment.created_utc", EVIL), True),
    Mutation(
        "failed", sql(f"UPDATE run SET usage = NULL, failure = '{EVIL.replace(chr(39), '')}'"), True
    ),
    Mutation("versions", edit("run.versions", lambda _: {EVIL: EVIL + SURROGATE}), True),
    Mutation("environment", edit("experiment.environment", lambda was: was | _NAMED), True),
    Mutation(
        "all of the environment",
        edit("experiment.environment", lambda was: dict.fromkeys(was, EVIL) | {EVIL: 1} | _NAMED),
        True,
    ),
    # Tables that are none, or other ones.
    Mutation("column", sql(f'ALTER TABLE run ADD COLUMN "{_QUOTED}" TEXT')),
    Mutation("column renamed", sql(f'ALTER TABLE run RENAME failure TO "{_QUOTED}"')),
    Mutation(
        "endless view of fetches",
        sql(
            "ALTER TABLE fetch RENAME TO old",
            f"CREATE VIEW fetch AS {_ENDLESS} SELECT 1 AS run, i AS ordinal, i AS seq, 1 AS "
            "start_ns, 2 AS end_ns, 200 AS status, 1 AS size_bytes, 0 AS error FROM n",
        ),
    ),
    Mutation(
        "endless view of the experiment",
        sql(
            "ALTER TABLE experiment RENAME TO old",
            f"CREATE VIEW experiment AS {_ENDLESS} SELECT max(i) AS id, created_utc, asked, runs, "
            "environment FROM n, old",
        ),
    ),
    Mutation(
        "virtual table",
        sql("DROP TABLE server_load", "CREATE VIRTUAL TABLE server_load USING fts5(a)"),
    ),
    Mutation(
        "generated column",
        sql(
            "ALTER TABLE work RENAME TO old",
            "CREATE TABLE work (run INTEGER NOT NULL, ordinal INTEGER NOT NULL, item INTEGER NOT "
            "NULL, start_ns INTEGER NOT NULL, end_ns INTEGER AS (length(hex(zeroblob(1e8)))), "
            "PRIMARY KEY (run, ordinal)) WITHOUT ROWID",
        ),
    ),
    Mutation("no table", sql("DROP TABLE arrival")),
    Mutation("no experiment", sql("DELETE FROM experiment")),
    Mutation("a trigger", sql("CREATE TRIGGER run AFTER INSERT ON run BEGIN SELECT 1; END"), True),
    # Values of other types than their columns, or out of all bounds.
    Mutation("text for a number", put("run.slots", "two")),
    Mutation("part of a number", put("run.concurrency", 0.5)),
    Mutation("bytes for text", put("run.crawler", b"\xff")),
    Mutation("text for bytes", put("run.request_head", "GET")),
    Mutation("text that is no UTF-8", sql("UPDATE run SET failure = CAST(x'1bff' AS TEXT)")),
    Mutation("a long text", put("experiment.environment", '{"cpu": "' + "x" * 10_000_000 + '"}')),
    Mutation("no runs", sql("DELETE FROM run"), True),
    Mutation("ordinals apart", sql("UPDATE fetch SET ordinal = 0 WHERE ordinal = 1")),
    Mutation("ordinals beyond", sql("UPDATE fetch SET ordinal = 99 WHERE ordinal = 1")),
    Mutation("text among requests", put("fetch.status", "x")),
    Mutation("an infinite request", put("fetch.status", float("inf"))),
    *(
        Mutation(f"{column} of {value:.0e}", put(column, value), True)
        for column in (
            *("fetch.start_ns", "fetch.end_ns", "fetch.error", "fetch.size_bytes", "fetch.status"),
            *("arrival.arrived_ns", "arrival.replied_ns", "arrival.delay_us", "arrival.outcome"),
            *("arrival.connection", "run.delay_seed", "run.timeout_ns", "run.trial"),
        )
        for value in (-(2**63), 2**63 - 1)
    ),
    Mutation("over before it began", put("fetch.end_ns", 1), True),
    Mutation(
        "not our server", sql("UPDATE run SET unrecorded = NULL", "DELETE FROM arrival"), True
    ),
    # Processes and machines that cannot be.
    *(
        Mutation(f"a clock wrong by {bound}", sql(_process(bound)), bound == 2**61)
        for bound in (-1, 2**61, 2**70)
    ),
    Mutation("more processes than requests", put("run.processes", 1000), True),
    Mutation("no process", put("run.processes", 0)),
    *(
        Mutation(
            f"{count} server processes",
            sql(f"UPDATE run SET conditions = json_set(conditions, '$.server_processes', {count})"),
        )
        for count in (0, 2**40)
    ),
    # A crawler that adapts, with limits that no crawler has.
    *(
        Mutation(
            f"limits {rows}",
            sql(
                "UPDATE run SET conditions = json_set(conditions, '$.adapts', json('true'))",
                f"INSERT INTO limit_change VALUES {rows}",
            ),
            True,
        )
        for rows in (
            f"(1, 0, {-(2**63)}, {2**63 - 1})",
            "(1, 0, 9, 1), (1, 1, 5, 2)",
            "(1, 0, 9, 0)",
        )
    ),
    # A service that refuses, and an open loop.
    Mutation(
        "refused",
        sql(
            """UPDATE run SET service = '{"rate_limit_per_s": 1, "burst": 1}'""",
            "UPDATE fetch SET status = 429, size_bytes = 0",
            f"UPDATE arrival SET status = 429, outcome = {REFUSED}, begin_ns = arrived_ns",
        ),
        True,
    ),
    *(
        Mutation(
            f"first due at {value:.0e}",
            sql(
                """UPDATE run SET load = '{"rate": {"text": "0.01"}}', first_due_ns = """
                f"{value}"
            ),
            True,
        )
        for value in (-(2**63), 0, 2**63 - 1)
    ),
    *(
        Mutation(f"{column}: {value}", put(column, f'{{"text": "trace:x", "{name}": [{value}]}}'))
        for column, name in (("run.delay", "trace_us"), ("run.size", "trace_bytes"))
        for value in (-1, 2**33)
    ),
    Mutation("first due as text", put("run.first_due_ns", "x")),
    # JSON that is none, or of another shape.
    *(
        Mutation(f"{column}: {text:.12}", put(column, text))
        for column in _JSON_COLUMNS
        for text in _WRONG_JSON
    ),
    *(
        Mutation(
            f"{column}, {name:.12} {value!r:.12}",
            edit(column, setting(name, value)),
        )
        for column, values in _WRONG_VALUES.items()
        for name, value in values
    ),
)
