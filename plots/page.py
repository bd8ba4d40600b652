"""report.html: one file with the tables, the verdicts and every figure. Rows -> text.

It needs nothing but itself: images are within it, and nothing is loaded from anywhere.
"""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.analysis import Analysis
from bench.bottleneck import bottleneck
from bench.cells import CellSummary, Series, best_cells, knee
from bench.store import Store
from bench.tables import errors_shown
from bench.validity import Level
from plots.floor import times_floor
from plots.scenes import small_print_of


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure as it is shown."""

    anchor: str
    heading: str
    png: bytes
    how_to_read: str
    """"" where it has been said of one before."""
    finding: str

    @property
    def data_url(self) -> str:
        """The image itself, as an address."""
        return f"data:image/png;base64,{b64encode(self.png).decode()}"


@dataclass(frozen=True, slots=True)
class Value:
    """Of a table: what is read, and what it is sorted by."""

    text: str
    key: float | str


@dataclass(frozen=True, slots=True)
class Row:
    """A cell of the experiment."""

    values: tuple[Value, ...]
    level: str
    is_best: bool


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why runs of a cell are not VALID."""

    where: str
    level: str
    check: str
    text: str
    trials: str


COLUMNS = (
    "crawler",
    "verdict",
    "delay",
    "C",
    "requests/s",
    "min-max",
    "in flight",
    "efficiency",
    "p50 ms",
    "p99 ms",
    "CPU us",
    "x floor",
    "peak MB",
    "errors",
    "limited by",
    "knee at C",
)
_NAMED = 3
"""Crawlers; of more the heading has their number."""
WORDS = ("crawler", "errors", "limited by")
"""Columns that are sorted as words."""


def page(store: Store, analysis: Analysis, pictures: Sequence[Picture]) -> str:
    """The whole page. Raises StoreError."""
    environment = Environment(
        loader=PackageLoader("plots", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    verdicts = [
        trial.verdict.level.name
        for trial in (*analysis.ceilings, *(one for cell in analysis.cells for one in cell.trials))
    ]
    about = store.environment()
    return environment.get_template("report.html").render(
        created=store.created_utc().replace("T", " ").removesuffix("+00:00"),
        crawlers=_crawlers_shown(analysis),
        plan=analysis.experiment.plan_shown(),
        seed=analysis.experiment.seed,
        command=analysis.experiment.command(),
        small_print=small_print_of(store, analysis).splitlines(),
        environment={
            name: ", ".join(f"{key} {one}" for key, one in value.items())
            if isinstance(value, dict)
            else value
            for name, value in about.items()
            if name != "resumed"
        },
        resumed=about.get("resumed", []),
        missing=store.runs_asked() - len(store.runs()),
        verdicts={level.name: verdicts.count(level.name) for level in Level},
        ceilings=[
            f"{trial.summary.requests_per_s:,.0f}"
            for trial in analysis.ceilings
            if trial.summary is not None
        ],
        columns=_columns(analysis),
        words=WORDS,
        rows=_rows(analysis),
        doubts=_doubts(analysis),
        pictures=pictures,
    )


def _crawlers_shown(analysis: Analysis) -> str:
    names = analysis.experiment.crawlers
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} crawlers"


def _columns(analysis: Analysis) -> list[str]:
    """Without the delay, where there is one only."""
    has_several = len(analysis.experiment.delays) > 1
    return [name for name in COLUMNS if has_several or name != "delay"]


def _rows(analysis: Analysis) -> list[Row]:
    best = {id(cell) for cell in best_cells(analysis.cells).values()}
    shown = [COLUMNS.index(name) for name in _columns(analysis)]
    rows = [_row(cell, analysis, id(cell) in best) for cell in analysis.cells]
    return [replace(row, values=tuple(row.values[i] for i in shown)) for row in rows]


def _row(cell: CellSummary, analysis: Analysis, is_best: bool) -> Row:
    at = cell.cell
    name = Value(at.crawler, at.crawler)
    verdict = Value(cell.level.name, float(cell.level))
    point = (Value(str(at.delay), at.delay.mean_us), Value(str(at.concurrency), at.concurrency))
    if not cell.measured:
        blank = tuple(Value("-", -1.0) for _ in COLUMNS[4:])
        return Row((name, verdict, *point, *blank), "INVALID", is_best)
    rate, least, most = cell.requests_per_s
    form = ",.0f" if rate >= 100 else ".1f"
    flying = [one.in_flight.mean for one in cell.measured if one.in_flight is not None]
    trial = cell.median_trial()
    assert trial is not None
    assert trial.summary is not None
    values = (
        name,
        verdict,
        *point,
        _number(rate, form),
        Value(f"{least:{form}}-{most:{form}}" if len(cell.rates) > 1 else "-", least),
        _number(median(flying) if flying else None, ".1f"),
        _number(cell.median_of("efficiency"), ".3f"),
        _number(cell.median_of("p50_ns"), ".1f", 1e6),
        _number(cell.median_of("p99_ns"), ".1f", 1e6),
        _number(cell.median_of("cpu_us_per_request"), ",.0f"),
        _number(times_floor(cell, analysis, "cpu_us_per_request"), ".1f"),
        _number(cell.median_of("peak_memory_bytes"), ".0f", 1e6),
        Value(errors_shown(cell.errors), errors_shown(cell.errors)),
        _word(bottleneck(trial.summary, trial.verdict).word),
        _knee(cell, analysis),
    )
    return Row(values, cell.level.name, is_best)


def _number(value: float | None, form: str, unit: float = 1) -> Value:
    if value is None:
        return Value("-", -1.0)
    return Value(format(value / unit, form), value)


def _word(word: str) -> Value:
    return Value(word, word)


def _knee(cell: CellSummary, analysis: Analysis) -> Value:
    series = Series.of(cell.cell)
    at = knee([one for one in analysis.cells if Series.of(one.cell) == series])
    return Value(str(at), -1.0 if at.concurrency is None else float(at.concurrency))


def _doubts(analysis: Analysis) -> list[Doubt]:
    found = []
    groups = [("the server's ceiling", analysis.ceilings)]
    groups += [
        (f"{analysis.series_shown(cell.cell)} at {cell.cell.concurrency}", cell.trials)
        for cell in analysis.cells
    ]
    for where, trials in groups:
        texts: dict[tuple[Level, str], list[str]] = {}
        for trial in trials:
            by_check: dict[tuple[Level, str], list[str]] = {}
            for reason in trial.verdict.reasons:
                if reason.level:
                    by_check.setdefault((reason.level, reason.check), []).append(reason.text)
            for key, said_of_one in by_check.items():
                texts.setdefault(key, []).append("; ".join(said_of_one))
        for (level, check), said in sorted(texts.items(), key=lambda item: -item[0][0]):
            of_all = f"{len(said)} of {len(trials)}"
            found.append(Doubt(where, level.name, check, said[0], of_all))
    return found
