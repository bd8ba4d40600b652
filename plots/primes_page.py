"""What the page of `crawlbench primes` shows: how each saver did at each work. Rows -> text."""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.primes.analysis import PrimesAnalysis, key_of
from bench.primes.report import times_table, work_shown, work_table
from bench.report.tables import Table as Printed
from bench.results.environment import versions_shown
from bench.results.store import Store
from plots.page import Column, Content, Picture, Row, Table, Value, doubts, names_shown, render


def primes_page(store: Store, analysis: PrimesAnalysis, pictures: Sequence[Picture]) -> str:
    """The whole page. Raises StoreError."""
    asked = analysis.experiment
    runs = [run for cell in analysis.cells for run in cell.runs]
    failures = sum(len(run.failures) for run in runs)
    content = Content(
        title=f"compute and save, {names_shown(analysis.savers(), 'savers')}",
        plan=f"{asked.plan_shown()}; seed {asked.seed}",
        note="Each saver computes the same items and saves each one to a slow service.",
        summary=tuple(_tables(analysis)),
        remarks=(f"{failures:,} saves failed.",) if failures else (),
        verdicts=[run.verdict for run in runs],
        doubts=doubts(
            (f"{cell.saver}, {work_shown(key_of(cell.work))}", [run.verdict for run in cell.runs])
            for cell in analysis.cells
        ),
        single_runs="For each saver, the trial with the median time.",
        libraries=versions_shown(run.run for run in runs),
    )
    return render(store, content, pictures)


def _tables(analysis: PrimesAnalysis) -> Iterator[Table]:
    """One for each work that says most, then one for all works of each kind."""
    by_work = analysis.by_work()
    for number, key in enumerate(analysis.shown_works()):
        yield _shown(f"work-{number}", work_table(key, by_work[key]))
    for kind in dict.fromkeys(kind for kind, _, _ in by_work):
        yield _shown(f"times-{kind}", times_table(kind, analysis))


def _shown(anchor: str, table: Printed[Any]) -> Table:
    """A table of the report, as the page has it: with verdicts as badges."""
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
    """What a column says about itself, without the name that the page puts before it."""
    text = about.partition(": ")[2]
    return text[:1].upper() + text[1:]
