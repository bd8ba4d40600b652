"""report.html: one file with the tables, the verdicts and every figure. Rows -> text.

It shows all of that without a network: the images are in it, and nothing is loaded. Its links lead
to files next to it, and to the documents of the checkout or of the installed tool. What all pages
have is here; plots/sweep_page.py and plots/primes_page.py have what only theirs have.
"""

import os
import shlex
from base64 import b64encode
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.analysis.validity import Level, Verdict
from bench.documents import DOCUMENTS
from bench.printable import printable
from bench.program import PROGRAM
from bench.results.store import Store

READ_ON = {
    "reading-results.md": "how to read the tables and the figures",
    "glossary.md": "the terms: slot, cell, trial, makespan, efficiency, knee and others",
    "results.md": "the tables in results.sqlite, and the definition of every number",
    "validity.md": "what each check looks for, and its threshold",
    "crawlers.md": "how the crawlers differ",
    "server.md": "how the server delays its responses",
    "primes.md": "the experiment that computes and saves",
    "chapter-8.md": "the questions of the book's chapter, answered with these figures",
    "usage.md": "the verbs and their options",
    "security.md": "what is promised, and what is not",
}
"""What each manual is about."""
MEANINGS = {
    Level.VALID: ("filled", "Every check was made, and none found a fault."),
    Level.UNCHECKED: (
        "half filled",
        "There is no ledger: only the crawler's own record could be checked. It shows no fault.",
    ),
    Level.SUSPECT: ("hollow", "Something other than the crawler is in the number, or may be."),
    Level.INVALID: ("cross", "The number says nothing about the crawler."),
}
"""Of each verdict: its marker in the figures, and what it says."""
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as it is shown."""

    anchor: str
    file: str
    """Its name next to the page, where it can be opened full size."""
    heading: str
    crawler: str
    """Whose single run it shows; "" for a figure of all crawlers."""
    png: bytes
    how_to_read: str
    finding: str

    @property
    def data_url(self) -> str:
        """The image itself, as an address."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"

    @property
    def width(self) -> int:
        """In pixels, as the PNG's header says: a page that knows it does not jump."""
        return int.from_bytes(self.png[16:20])

    @property
    def height(self) -> int:
        """In pixels."""
        return int.from_bytes(self.png[20:24])


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table: its heading, and what that means; "" where it needs no words."""

    name: str
    meaning: str = ""
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """Of a table: what is read, and what its column is sorted by."""

    text: str
    key: float | str | None = None
    """None: its column cannot be sorted."""
    level: str = ""
    """Of a verdict, which is shown as a badge."""


@dataclass(frozen=True, slots=True)
class Row:
    """The first value names it."""

    values: tuple[Value, ...]
    is_extra: bool = False
    """Whether it is shown only with all rows."""


@dataclass(frozen=True, slots=True)
class Table:
    """With a caption; the page explains those of its columns that have a meaning."""

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
    """`2 of 6`; "" where there is one only."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a kind of experiment puts on its page."""

    title: str
    plan: str
    note: str
    """How the experiment must be understood."""
    summary: tuple[Table, ...]
    remarks: tuple[str, ...]
    """Said below the tables."""
    verdicts: Sequence[Verdict]
    doubts: tuple[Doubt, ...]
    single_runs: str
    """Which runs the figures of single runs show."""
    libraries: str
    """Of the crawlers, with their versions."""
    comparison: Table | None = None
    comparison_text: str = ""
    """What the comparison is, or why there is none; "" without a section on it."""
    command: str = ""
    """What repeats the experiment, where one command does."""
    exports: tuple[tuple[str, str], ...] = ()
    """Further words of `crawlbench export DIR`, and what they print."""


def render(store: Store, content: Content, pictures: Sequence[Picture]) -> str:
    """The whole page. Raises StoreError."""
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
        missing=store.runs_asked() - len(store.runs()),
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
    """Of each group by its name: the checks that found something, the worst first."""
    found = []
    for where, verdicts in groups:
        texts: dict[tuple[Level, str], list[str]] = {}
        for verdict in verdicts:
            of_one: dict[tuple[Level, str], list[str]] = {}
            for reason in verdict.reasons:
                if reason.level:
                    of_one.setdefault((reason.level, reason.check), []).append(reason.text)
            for key, said in of_one.items():
                texts.setdefault(key, []).append("; ".join(said))
        for (level, check), said in sorted(texts.items(), key=lambda item: -item[0][0]):
            of_all = f"{len(said)} of {len(verdicts)}" if len(verdicts) > 1 else ""
            found.append(Doubt(where, level.name, check, said[0], of_all))
    return tuple(found)


def names_shown(names: Sequence[str], what: str) -> str:
    """All of a few; how many of more."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} {what}"


def word(text: str) -> Value:
    """A value that is sorted as it is read."""
    return Value(text, text)


def number(value: float | None, form: str, unit: float = 1) -> Value:
    """A value in its unit; `-` for None, which comes before all others."""
    if value is None:
        return Value("-", -1.0)
    return Value(format(value / unit, form), value)


def badge(level: Level) -> Value:
    """A verdict."""
    return Value(level.name, float(level), level.name)


def _explained_once(pictures: Iterable[Picture]) -> list[Picture]:
    """Without a text on how to read a figure that another one had before."""
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
    """Where each manual is, as seen from a page in this folder; of those that there are."""
    beside = os.path.relpath(DOCUMENTS, folder.resolve())
    return {name: quote(f"{beside}/{name}") for name in READ_ON if (DOCUMENTS / name).is_file()}
