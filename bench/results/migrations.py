"""Upgrades results files of older schemas to the present one, with one step per version.

To add a column or a field of JSON:

1. In schema.py, add the column at the end of its table, with a DEFAULT for older rows, or add the
   field to its class; increase SCHEMA_VERSION by one.
2. Add a step below. It gives the field to older rows; for a column, DEFAULT has done that already.
3. Describe it in docs/results.md.
4. Add a file that the new version wrote to tests/data/schema-N; tests/test_older_results.py reads
   one of each version.

To add a table, add it to SCHEMA, and to TABLES and _SINCE in sqlite_file.py; it is empty in older
files. The rest is the same.
"""

import json
import re
import sqlite3
from collections.abc import Callable
from typing import Any

from bench.plan.delays import Delay
from bench.plan.load import CLOSED
from bench.plan.sizes import ONE_BYTE
from bench.results.codec import decode_object, encode
from bench.results.schema import SCHEMA_VERSION
from bench.results.sqlite_file import (
    TABLES,
    columns_as_made,
    columns_of,
    definition_of,
    has_table,
    long_values,
)
from server.service import PLAIN

_CHANGED_UP_TO = {"experiment": SCHEMA_VERSION, "run": SCHEMA_VERSION, "arrival": 5}
"""Tables whose rows steps change, each with the last version whose step may do so. `experiment` and
`run` have few rows, so every step may."""


def migrate_copies(connection: sqlite3.Connection, version: int) -> None:
    """Upgrade an older file for a reader, without changing the file.

    Temporary tables replace those that differ, because SQLite looks them up first.
    """
    with connection:
        for table in TABLES:
            if not has_table(version, table):
                connection.execute(definition_of(table).replace("CREATE", "CREATE TEMP", 1))
            elif version <= _CHANGED_UP_TO.get(table, 0) or _lacking(connection, table):
                names = ", ".join(name for _, name, *_ in columns_of(connection, table))
                connection.execute(definition_of(table).replace("CREATE", "CREATE TEMP", 1))
                connection.execute(
                    f"INSERT INTO temp.{table} ({names}) SELECT {names} FROM main.{table}"
                )
        _take_steps(connection, version)


def migrate_file(connection: sqlite3.Connection, version: int) -> None:
    """Upgrade an older file, inside a transaction of the caller's."""
    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
    for table in TABLES:
        if not has_table(version, table):
            connection.execute(definition_of(table))
            continue
        for declaration in _lacking(connection, table):
            connection.execute(f"ALTER TABLE main.{table} ADD COLUMN {declaration}")
    _take_steps(connection, version)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _lacking(connection: sqlite3.Connection, table: str) -> list[str]:
    """Return the declarations of the columns that a table of the file lacks."""
    count = len(columns_of(connection, table))
    return [
        f"{name} {kind}{' NOT NULL' if is_not_null else ''} DEFAULT {default or 'NULL'}"
        for _, name, kind, is_not_null, default, *_ in columns_as_made()[table][count:]
    ]


def _take_steps(connection: sqlite3.Connection, version: int) -> None:
    for before in range(version, SCHEMA_VERSION):
        STEPS[before](connection)


def _from_4(connection: sqlite3.Connection) -> None:
    """Add the fields that files of schema 4 lack."""
    _add_fields(connection, "usage", {"unwaited_cpu_ns": 0})
    _add_fields(connection, "conditions", {"accepted": None, "resend_condition": ""})


def _add_fields(connection: sqlite3.Connection, column: str, fields: dict[str, object]) -> None:
    """Add fields to a JSON column of each run, unless the run has them already."""
    query = f"SELECT number, {column} FROM run WHERE {column} NOT NULL"
    for number, text in connection.execute(query).fetchall():
        filled = encode({**fields, **decode_object(text, f"run {number}.{column}")})
        connection.execute(f"UPDATE run SET {column} = ? WHERE number = ?", (filled, number))


_RENAMED_IN_6 = {
    "tornado": "tornado-simple",
    "tornado-callback": "tornado-simple-callback",
    "tornado-curl": "tornado",
}
"""In files of schema 5 and older, `tornado` is Tornado's own client. Since then, it is on curl."""


def _from_5(connection: sqlite3.Connection) -> None:
    """Give Tornado's crawlers their present names, and add what was not declared or recorded."""
    connection.execute(
        "UPDATE arrival SET begin_ns = arrived_ns, due_ns = arrived_ns + delay_us * 1000"
    )
    _add_fields(connection, "conditions", {"takes_all": False, "queues": False})
    _add_models(connection)
    labels: dict[str, str] = {}
    with long_values(connection):
        for (text,) in connection.execute("SELECT asked FROM experiment").fetchall():
            asked = _object_or_none(text)
            if asked is not None:
                labels = _rename_entrants(asked)
                _name_delays(asked)
                connection.execute("UPDATE experiment SET asked = ?", (encode(asked),))
    query = "SELECT number, crawler, program FROM run"
    for number, label, program in connection.execute(query).fetchall():
        name, at, python = str(program).partition("@")
        if name in _RENAMED_IN_6:
            renamed = (labels.get(label, label), f"{_RENAMED_IN_6[name]}{at}{python}", number)
            connection.execute("UPDATE run SET crawler = ?, program = ? WHERE number = ?", renamed)


def _add_models(connection: sqlite3.Connection) -> None:
    """Describe each run by models. Until schema 6, all delays were uniform, and all else plain."""
    query = "SELECT number, delay_low_us, delay_high_us FROM run"
    for number, low_us, high_us in connection.execute(query).fetchall():
        if isinstance(low_us, int) and isinstance(high_us, int):
            delay = encode(Delay.between(low_us, high_us))
            connection.execute("UPDATE run SET delay = ? WHERE number = ?", (delay, number))
    plain = (encode(ONE_BYTE), encode(CLOSED), encode(PLAIN))
    connection.execute("UPDATE run SET size = ?, load = ?, service = ?", plain)


def _name_delays(asked: dict[str, Any]) -> None:
    """Replace the bounds of the delays of an experiment by texts."""
    delays = asked.get("delays")
    if isinstance(delays, list):
        asked["delays"] = [_named_delay(one) for one in delays]
    if "delay" in asked:
        asked["delay"] = _named_delay(asked["delay"])


def _named_delay(bounds: object) -> object:
    """Return the model of a delay. What is not of the right type is left alone, and refused."""
    if isinstance(bounds, dict) and set(bounds) == {"low_us", "high_us"}:
        low_us, high_us = bounds["low_us"], bounds["high_us"]
        if isinstance(low_us, int) and isinstance(high_us, int):
            return {"text": Delay.between(low_us, high_us).text}
    return bounds


def _rename_entrants(asked: dict[str, Any]) -> dict[str, str]:
    """Rename the crawlers of an experiment, and return the new label of each one by its old label.

    A label that a user chose stays. All labels stay if two of the new ones would be equal. What is
    not of the right type is left alone, and refused when it is read.
    """
    given = asked.get("entrants")
    entrants = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    renamed = [one for one in entrants if str(one.get("crawler")) in _RENAMED_IN_6]
    labels = {
        str(one.get("label")): _new_label(str(one.get("label")), one["crawler"]) for one in renamed
    }
    before = [str(one.get("label")) for one in entrants]
    if len({labels.get(label, label) for label in before}) < len(before):
        labels = {label: label for label in labels}
    for one in renamed:
        one["crawler"], one["label"] = _RENAMED_IN_6[one["crawler"]], labels[str(one.get("label"))]
    return labels


def _new_label(label: str, crawler: str) -> str:
    """Return the label after the renaming: `tornado`, `tornado@old` and `tornado#2` are changed."""
    is_own = re.fullmatch(rf"{re.escape(crawler)}([@#].*)?", label)
    return _RENAMED_IN_6[crawler] + label.removeprefix(crawler) if is_own else label


def _object_or_none(text: object) -> dict[str, Any] | None:
    """Return a JSON object, or None for anything else, which is refused when it is read."""
    try:
        parsed = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _from_6(connection: sqlite3.Connection) -> None:
    """No crawler chose its own limit."""
    _add_fields(connection, "conditions", {"adapts": False})


def _from_7(connection: sqlite3.Connection) -> None:
    """Nothing: no run was of a site, which is what the defaults say."""


def _from_8(connection: sqlite3.Connection) -> None:
    """Add what was not counted: the server was one process."""
    _add_fields(connection, "conditions", {"server_processes": 1})


STEPS: dict[int, Callable[[sqlite3.Connection], None]] = {
    4: _from_4,
    5: _from_5,
    6: _from_6,
    7: _from_7,
    8: _from_8,
}
"""The steps, by the version that each one starts from. A step changes `experiment`, `run` and so
on, which are the tables of the file or copies of them."""

OLDEST_VERSION = min(STEPS)
