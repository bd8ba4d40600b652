"""What the page of `crawlbench primes` shows: how each saver did at each work. Rows -> text."""

from collections.abc import Iterator, Sequence

from bench.primes.analysis import PrimesAnalysis, key_of
from bench.primes.report import WORK_COLUMNS, times_rows, work_rows, work_shown, work_title
from bench.results.environment import versions_shown
from bench.results.store import Store
from plots.page import Column, Content, Picture, Row, Table, Value, doubts, names_shown, render

_MEANINGS = {
    "time s": "Seconds from before the first item is computed to after the last one is saved; the "
    "median of the trials.",
    "min-max": "Shortest and longest time of the trials.",
    "x no-io": "Time, divided by the time of the saver that computes and saves nothing.",
    "faster than serial": "Time of the serial saver, divided by this time.",
    "overlap": "Of the time that saves wait at the service, the share in which work is computed.",
    "CPU s": "CPU seconds of the saver and of the processes that it started.",
    "x bound": "Time, divided by the longer of two that it cannot beat: its own CPU time (shared "
    "out over its processes), and the shortest schedule of its items and delays in the slots that "
    "it has.",
    "saved": "Items that the service's ledger has once each.",
    "verdict": "The worst of the trials.",
}


def primes_page(store: Store, analysis: PrimesAnalysis, pictures: Sequence[Picture]) -> str:
    """The whole page. Raises StoreError."""
    asked = analysis.experiment
    runs = [run for cell in analysis.cells for run in cell.runs]
    failures = sum(len(run.failures) for run in runs)
    content = Content(
        title=f"compute and save, {names_shown(analysis.savers(), 'savers')}",
        plan=f"{asked.format_plan()}; seed {asked.seed}",
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
    """One of each work that says most, then one of all works of each kind."""
    by_work = analysis.by_work()
    columns = tuple(
        Column(name, _MEANINGS.get(name, ""), is_text=name in ("saver", "verdict"))
        for name in WORK_COLUMNS
    )
    for number, key in enumerate(analysis.shown_works()):
        savers = by_work[key]
        rows = work_rows(savers)
        yield Table(f"work-{number}", work_title(key, savers), columns, _rows(columns, rows))
    columns = (
        Column("work", is_text=True),
        Column("items"),
        *(Column(name) for name in analysis.savers()),
    )
    for kind in dict.fromkeys(kind for kind, _, _ in by_work):
        rows = times_rows(kind, analysis)
        yield Table(f"times-{kind}", f"Seconds, all work: {kind}", columns, _rows(columns, rows))


def _rows(columns: Sequence[Column], rows: Iterator[tuple[str, ...]]) -> tuple[Row, ...]:
    """With verdicts as badges."""
    return tuple(
        Row(
            tuple(
                Value(text, level=text if column.name == "verdict" else "")
                for column, text in zip(columns, row, strict=True)
            )
        )
        for row in rows
    )
