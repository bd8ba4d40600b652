"""Renders report.html: one file with the tables, the verdicts and every figure.

The page needs no network: images are embedded, and nothing is loaded. Its links lead to files next
to it, and to the documents of the checkout or of the installed tool. This module has what all pages
share; the modules plots/KIND_page.py provide the content of each kind.
"""

import os
import shlex
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from bench.analysis.validity import Level, Verdict, reasons_by_trials, shared_reasons
from bench.documents import DOCUMENTS
from bench.printable import printable
from bench.program import PROGRAM
from bench.report.tables import Table as Printed
from bench.results.store import Store

READ_ON = {
    "reading-results.md": "how to read the tables and the figures",
    "glossary.md": "the terms: slot, cell, trial, makespan, efficiency, knee and others",
    "results.md": "the tables in results.sqlite, and the definition of every number",
    "validity.md": "what each check looks for, and its threshold",
    "crawlers.md": "how the crawlers differ",
    "patterns.md": "six ways in which people write crawlers, and what each costs",
    "how-many.md": "how many requests at a time, from theory to the command",
    "parallelism.md": "several processes, and what limits them",
    "pythons.md": "the same crawlers on other interpreters and event loops",
    "services.md": "models of delays, services with limits, open loop, the ideal client",
    "scenarios.md": "named services, and how crawlers are scored over all of them",
    "site.md": "spiders that follow links, and what each of them misses",
    "machines.md": "crawlers on several machines: clocks, failures, what is exposed",
    "ui.md": "the pages of a browser: results, figures, experiments",
    "server.md": "how the server delays its responses",
    "primes.md": "the experiment that computes and saves",
    "chapter-8.md": "the questions of the book's chapter, answered with these figures",
    "editions.md": "the book's programs, and the commands that do the same",
    "usage.md": "the verbs and their options",
    "watching.md": "what the terminal shows while an experiment runs",
    "security.md": "what is promised, and what is not",
}
"""The subject of each manual, by file name."""
MEANINGS = {
    Level.VALID: ("filled", "Every check was made, and none found a fault."),
    Level.UNCHECKED: (
        "half filled",
        "There is no ledger: only the crawler's own record could be checked. It shows no fault.",
    ),
    Level.SUSPECT: ("hollow", "Something other than the crawler is in the number, or may be."),
    Level.INVALID: ("cross", "The number says nothing about the crawler."),
}
"""For each verdict, its marker in the figures and its meaning."""
CSV_EXPORTS = (
    (" > runs.csv", "CSV with one row per run"),
    (" --what requests > requests.csv", "CSV with one row per request"),
)
"""Content.exports of an experiment of crawls."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as the page shows it."""

    anchor: str
    file: str
    """Name of the image file in full size, next to the page."""
    heading: str
    crawler: str
    """The crawler whose single run the figure shows, or "" if it shows all crawlers."""
    png: bytes
    how_to_read: str
    finding: str

    @property
    def data_url(self) -> str:
        """The image as a data: URL."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"

    @property
    def width(self) -> int:
        """Width in pixels, from the PNG's header, so that the page does not move while it loads."""
        return int.from_bytes(self.png[16:20])

    @property
    def height(self) -> int:
        """Height in pixels, from the PNG's header."""
        return int.from_bytes(self.png[20:24])


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its heading and its meaning, which is "" if it needs no explanation."""

    name: str
    meaning: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a table: its text, and the key by which its column is sorted."""

    text: str
    key: float | str | None = None
    """Sort key. None if the column cannot be sorted."""
    level: str = ""
    """Name of a verdict's level, which is shown as a badge, or "" for other values."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table. Its first value is its name."""

    values: tuple[Value, ...]
    is_extra: bool = False
    """Whether the row is hidden until all rows are asked for."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a caption. The page explains the columns that have a meaning."""

    anchor: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why runs of a cell are not VALID."""

    where: str
    level: str
    check: str
    text: str
    trials: str
    """How many trials have the reason, as in `2 of 6`. "" if there is only one trial."""


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a page, which each kind of experiment provides."""

    title: str
    plan: str
    note: str
    """What a reader must know to understand the numbers."""
    summary: tuple[Table, ...]
    remarks: tuple[str, ...]
    """Sentences below the tables."""
    verdicts: Sequence[Verdict]
    doubts: tuple[Doubt, ...]
    single_runs: str
    """A sentence that says which runs are shown by the figures of single runs."""
    libraries: str
    """Libraries of the crawlers, with their versions."""
    comparison: Table | None = None
    comparison_text: str = ""
    """What is compared, or why there is no comparison. "" leaves the section out."""
    command: str = ""
    """The command that repeats the experiment, or "" if no single command does."""
    answer: str = ""
    """The answer in words, which comes first; "" if the experiment answers no single question."""
    exports: tuple[tuple[str, str], ...] = ()
    """Arguments after `crawlbench export DIR`, each with a description of what it prints."""


@dataclass(frozen=True, slots=True)
class InteractivePart:
    """The interactive figures of a page, and what they need, as text to be put into it."""

    scripts: tuple[str, ...] = ()
    style: str = ""
    figures: tuple[str, ...] = ()
    """JSON, as interactive.js shows it."""
    why_none: str = ""
    """A sentence that says why there are none; "" if there are, or if there is nothing to say."""

    @property
    def figures_in_html(self) -> tuple[Markup, ...]:
        """The JSON in a form that cannot end the element that it is in."""
        return tuple(Markup(one.replace("<", "\\u003c")) for one in self.figures)  # noqa: S704


NO_PART = InteractivePart()
"""A page without interactive figures."""


def render(
    store: Store,
    content: Content,
    pictures: Sequence[Picture],
    interactive: InteractivePart = NO_PART,
) -> str:
    """Return the page as HTML. Raises StoreError."""
    environment = Environment(
        loader=PackageLoader("plots", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    about = store.environment()
    folder = store.path.parent
    counts = Counter(verdict.level for verdict in content.verdicts)
    kinds = {one.heading: one.how_to_read for one in pictures if one.crawler}
    return environment.get_template("report.html").render(
        content=content,
        interactive=interactive,
        created=store.created_utc().replace("T", " ").removesuffix("+00:00"),
        environment={
            name: ", ".join(f"{key} {one}" for key, one in value.items())
            if isinstance(value, dict)
            else value
            for name, value in about.items()
            if name != "resumed"
        },
        resumed=about.get("resumed", []),
        asked=store.runs_asked(),
        missing=max(0, store.runs_asked() - len(store.runs())),  # a search asks for no number
        verdicts=[(level.name, counts[level], *MEANINGS[level]) for level in Level],
        doubtful=len(content.verdicts) - counts[Level.VALID],
        figures=_explained_once(one for one in pictures if not one.crawler),
        kinds=kinds,
        by_crawler=_by_crawler(pictures),
        results=store.path.name,
        exports=[
            (printable(f"{PROGRAM} export {shlex.quote(str(folder))}{words}"), what)
            for words, what in content.exports
        ],
        manuals=_manuals(folder),
        read_on=READ_ON,
    )


def doubts(groups: Iterable[tuple[str, Sequence[Verdict]]]) -> tuple[Doubt, ...]:
    """Return the checks that found something in each named group of runs, worst first."""
    groups = [(where, list(verdicts)) for where, verdicts in groups]
    shared = shared_reasons(verdicts for _, verdicts in groups)
    found = [
        Doubt("every run", one.level.name, one.check, one.text, "")
        for one in sorted(shared, key=lambda one: (-one.level, one.check))
        if one.level
    ]
    for where, verdicts in groups:
        others = (
            Verdict(tuple(one for one in verdict.reasons if one.level and one not in shared))
            for verdict in verdicts
        )
        for one, count in reasons_by_trials(others):
            of_all = f"{count} of {len(verdicts)}" if len(verdicts) > 1 else ""
            found.append(Doubt(where, one.level.name, one.check, one.text, of_all))
    return tuple(found)


def format_names(names: Sequence[str], what: str) -> str:
    """Return the names if there are at most _NAMED; otherwise their number, as in `5 crawlers`."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} {what}"


def word(text: str) -> Value:
    """Return a text that is sorted alphabetically."""
    return Value(text, text)


def number(value: float | None, form: str, unit: float = 1) -> Value:
    """Return value / unit in format `form`; `-` for None, which is sorted before all numbers."""
    if value is None:
        return Value("-", -1.0)
    return Value(format(value / unit, form), value)


def badge(level: Level) -> Value:
    """Return a verdict, to be shown as a badge."""
    return Value(level.name, float(level), level.name)


def page_table(anchor: str, table: Printed[Any]) -> Table:
    """Convert a table of the terminal report to one of the page, with verdicts as badges."""
    columns = tuple(
        Column(one.heading, _meaning(one.about), is_text=at == 0 or one.is_text)
        for at, one in enumerate(table.columns)
    )
    rows = tuple(
        Row(
            tuple(
                Value(text, level=text if column.name == "verdict" else "")
                for column, text in zip(columns, row, strict=True)
            )
        )
        for row in table.cells()
    )
    return Table(anchor, table.title, columns, rows)


def _meaning(about: str) -> str:
    """Return a column's explanation without its name, because the page adds the name."""
    text = about.partition(": ")[2]
    return text[:1].upper() + text[1:]


def _explained_once(pictures: Iterable[Picture]) -> list[Picture]:
    """Return the pictures, and drop explanations that an earlier picture has already given."""
    explained: set[str] = set()
    shown = []
    for one in pictures:
        shown.append(replace(one, how_to_read="") if one.how_to_read in explained else one)
        explained.add(one.how_to_read)
    return shown


def _by_crawler(pictures: Iterable[Picture]) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {}
    for one in pictures:
        if one.crawler:
            found.setdefault(one.crawler, []).append(one)
    return found


def _manuals(folder: Path) -> dict[str, str]:
    """Return the relative URL of each document that exists, seen from a page in this folder."""
    beside = os.path.relpath(DOCUMENTS, folder.resolve())
    return {name: quote(f"{beside}/{name}") for name in READ_ON if (DOCUMENTS / name).is_file()}
