"""Prints the tables of `run --scenario all`: scores, steps, and every run on request."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis.validity import Level
from bench.documents import document
from bench.plan.scenarios import Scenario
from bench.report.finding import verdict_counts
from bench.report.tables import (
    LEVEL_COLOURS,
    Column,
    Table,
    format_number,
    print_table,
    print_text,
)
from bench.results.environment import format_machine, format_versions
from bench.results.store import Store
from bench.scenarios.analysis import (
    CONVERGED_SHARE,
    LOWEST_SCORE,
    BestFixed,
    Entry,
    Ranked,
    ScenariosAnalysis,
    ScoredCell,
)

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN = 3
"""How many cells that are not VALID are shown for each check."""


def print_scenarios(
    store: Store, analysis: ScenariosAnalysis, console: "Console", *, show_all: bool
) -> None:
    """Print the scores, the ranking, all runs if `show_all`, what is doubtful, and the finding."""
    asked = analysis.experiment
    for line in (
        f"{store.path.parent}: {asked.format_plan()}; seed {asked.seed}; {store.created_utc()}",
        f"{format_machine(store.environment())}; {format_versions(analysis.runs)}",
    ):
        print_text(line, console)
    print_text("", console)
    print_table(scores_table(analysis), console)
    print_table(ranking_table(analysis), console)
    if show_all:
        print_table(runs_table(analysis), console)
    _print_doubts(analysis, console)
    missing = store.runs_asked() - len(analysis.runs)
    if missing:
        print_text(f"{missing} of the runs asked for were not done", console)
    print_text(
        verdict_counts(run.trial.verdict.level for cell in analysis.cells for run in cell.runs),
        console,
        indent=2,
    )
    print_text(finding_of_scenarios(analysis), console, indent=2)


@dataclass(frozen=True, slots=True)
class _ScoresRow:
    """The scores of all entries in one scenario, or their totals."""

    name: str
    scores: dict[str, str]
    best: BestFixed | None


def scores_table(analysis: ScenariosAnalysis) -> Table[_ScoresRow]:
    """Return the table of scores: a row for each scenario, a column for each entry."""
    ranked = {one.name: one for one in analysis.ranking()}
    shown = {entry: ranked[str(entry)] for entry in analysis.entries}
    hindsight = list(analysis.with_hindsight())
    everything = [*shown.values(), *hindsight]
    rows = [
        _ScoresRow(
            scenario.name,
            {one.name: _score(one.scores[n]) for one in everything}
            | {
                str(entry): Level.INVALID.name
                for entry in shown
                if (cell := analysis.cell(scenario, entry)) is not None
                if cell.score is None and cell.level is Level.INVALID
            },
            analysis.best[n],
        )
        for n, scenario in enumerate(analysis.experiment.scenarios)
    ]
    rows.append(_ScoresRow("total", {one.name: _score(one.total) for one in everything}, None))
    of = Column[_ScoresRow]
    place = {name: n for n, name in enumerate(ranked)}
    best = of(
        "ideal",
        lambda row: str(row.best.concurrency) if row.best is not None else "",
        "C",
        priority=len(place) + 2,
        about="ideal C: the best fixed concurrency of the ideal client, to which all is compared.",
    )
    columns = (
        of("scenario", lambda row: row.name),
        *(_column(str(entry), _heading(entry), place[str(entry)]) for entry in shown),
        *(_column(one.name, (one.entry.crawler, "its best"), len(place) + 1) for one in hindsight),
        best,
    )
    caption = (
        "Score: (good answers/s within the objective - refusals/s) / the same of the ideal client "
        "at its best fixed concurrency. total: the mean, in which a score below "
        f"{LOWEST_SCORE:g} counts as {LOWEST_SCORE:g}."
    )
    if hindsight:
        caption += " its best: the best concurrency of each scenario, which nobody knows before."
    return Table("Scores (1.00: as good as the best fixed concurrency)", columns, rows, caption)


def _column(name: str, heading: tuple[str, str], rank: int) -> Column[_ScoresRow]:
    title, unit = heading
    return Column(title, lambda row: row.scores[name], unit, priority=rank)


def _heading(entry: Entry) -> tuple[str, str]:
    """Return the two lines of a heading: a fixed concurrency is on a line of its own."""
    return entry.crawler, "adapts" if entry.adapts else f"at {entry.concurrency}"


def _score(score: float | None) -> str:
    # Rounded first, so that there is no "-0.00".
    return format_number(None if score is None else round(score, 2) + 0.0, ".2f")


def ranking_table(analysis: ScenariosAnalysis) -> Table[Ranked]:
    """Return the table of totals: a row for each entry, the best first."""
    of = Column[Ranked]
    steps = [
        _step_column(analysis, scenario, n)
        for scenario in analysis.experiment.scenarios
        for n in range(len(scenario.steps))
    ]
    about = (
        f"{', '.join(column.title for column in steps)}: seconds after this step of the capacity "
        f"until a second has at least {100 * CONVERGED_SHARE:.0f} % of the ideal client's goodput."
    )
    columns = (
        of("entrant", lambda row: row.name),
        of("total", lambda row: _score(row.total)),
        *steps,
        of("best in", lambda row: _named(analysis.best_of(row)), is_text=True, priority=3),
        of("worst in", lambda row: _named(analysis.worst_of(row)), is_text=True, priority=2),
        of("verdicts", lambda row: _levels(analysis, row), is_text=True, priority=1),
    )
    return Table("Ranking", columns, analysis.ranking(), about if steps else "")


def _step_column(analysis: ScenariosAnalysis, scenario: Scenario, n: int) -> Column[Ranked]:
    def value(row: Ranked) -> str:
        cell = analysis.cell(scenario, row.entry)
        if cell is None or cell.goodput is None:
            return "-"
        span_s = cell.converged_s(n)
        return "never" if span_s is None else f"{span_s:.1f}"

    step = scenario.steps[n]
    return Column(f"{step.capacity}@{step.from_s:g}", value, "s", priority=1)


def _named(found: "tuple[Scenario, float] | None") -> str:
    """Return `steps 0.31`."""
    return "-" if found is None else f"{found[0].name} {_score(found[1])}"


def _levels(analysis: ScenariosAnalysis, row: Ranked) -> str:
    """Return `7 VALID, 1 SUSPECT`."""
    levels = [run.trial.verdict.level for cell in analysis.of(row.entry) for run in cell.runs]
    return ", ".join(f"{levels.count(one)} {one.name}" for one in Level if one in levels)


def runs_table(analysis: ScenariosAnalysis) -> Table[ScoredCell]:
    """Return the table of every entry in every scenario."""
    of = Column[ScoredCell]
    ideal_of = dict(zip(analysis.experiment.scenarios, analysis.best, strict=True))
    columns = (
        of("scenario", lambda cell: cell.scenario.name),
        of("entrant", lambda cell: str(cell.entry), is_text=True),
        of("score", lambda cell: _score(cell.score)),
        of(
            "goodput",
            lambda cell: format_number(cell.goodput and cell.goodput.good_per_s, ",.1f"),
            "/s",
            about="goodput: good answers within the objective.",
        ),
        of(
            "ideal",
            lambda cell: format_number(ideal_of[cell.scenario].good_per_s, ",.1f"),
            "/s",
            priority=2,
        ),
        of(
            "refused",
            lambda cell: format_number(cell.goodput and cell.goodput.refused_per_s, ",.1f"),
            "/s",
        ),
        of("p50", lambda cell: _milliseconds(cell, "p50_ns"), "ms", priority=3),
        of("p99", lambda cell: _milliseconds(cell, "p99_ns"), "ms", priority=3),
        of(
            "verdict",
            lambda cell: cell.level.name,
            is_text=True,
            priority=1,
            style=lambda cell: LEVEL_COLOURS[cell.level.name],
        ),
    )
    return Table("Every run (medians over the trials)", columns, analysis.cells)


def _milliseconds(cell: ScoredCell, attribute: str) -> str:
    return format_number(cell.summary.median_of(attribute), ",.0f", 1e6)


def finding_of_scenarios(analysis: ScenariosAnalysis) -> str:
    """Say which entrant is best over all, where it loses, and where to look."""
    ranking = [one for one in analysis.ranking() if one.total is not None]
    if not ranking:
        return "No entrant has a score in every scenario, so none is best over all."
    best = ranking[0]
    text = f"Best over all scenarios: {best.name}, with a total of {_score(best.total)}"
    if len(ranking) > 1:
        text += f"; {ranking[1].name} is next ({_score(ranking[1].total)})"
    worst = analysis.worst_of(best)
    if worst is not None:
        scenario, score = worst
        text += f". It does worst in {scenario.name} ({_score(score)}"
        n = analysis.experiment.scenarios.index(scenario)
        others = [(one.scores[n], one.name) for one in ranking if one.scores[n] is not None]
        most, name = max(others)
        text += f", where {name} has {_score(most)})" if name != best.name else ")"
    return f"{text}: see scenarios.png, and {document('scenarios.md')}."


def _print_doubts(analysis: ScenariosAnalysis, console: "Console") -> None:
    """Print why runs are not VALID, a few for each check."""
    doubts: dict[tuple[Level, str], list[str]] = {}
    for cell in analysis.cells:
        for run in cell.runs:
            for reason in run.trial.verdict.reasons:
                if reason.level:
                    doubts.setdefault((reason.level, reason.check), []).append(
                        f"{reason.level.name}: {cell.scenario.name}, {cell.entry}, "
                        f"trial {run.trial.run.trial}: {reason.text}"
                    )
    for (level, check), lines in sorted(doubts.items(), reverse=True):
        for line in lines[:_SHOWN]:
            print_text(line, console, style=LEVEL_COLOURS[level.name])
        if len(lines) > _SHOWN:
            more = f"{level.name}: {check}: {len(lines)} in all ({document('validity.md')})"
            print_text(more, console, style=LEVEL_COLOURS[level.name])
    if doubts:
        print_text("", console)
