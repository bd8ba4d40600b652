"""The content of the page of `crawlbench primes`: how each saver did for each work."""

from collections.abc import Iterator, Sequence

from bench.primes.analysis import PrimesAnalysis, key_of
from bench.primes.report import format_work, times_table, work_table
from bench.results.environment import format_versions
from bench.results.store import Store
from plots.page import (
    NO_PART,
    Content,
    InteractivePart,
    Picture,
    Table,
    doubts,
    format_names,
    page_table,
    render,
)


def primes_page(
    store: Store,
    analysis: PrimesAnalysis,
    pictures: Sequence[Picture],
    interactive: InteractivePart = NO_PART,
) -> str:
    """Return the page as HTML. Raises StoreError."""
    asked = analysis.experiment
    runs = [run for cell in analysis.cells for run in cell.runs]
    failures = sum(len(run.failures) for run in runs)
    content = Content(
        title=f"compute and save, {format_names(analysis.savers(), 'savers')}",
        plan=f"{asked.format_plan()}; seed {asked.seed}",
        note="Each saver computes the same items and saves each one to a slow service.",
        summary=tuple(_tables(analysis)),
        remarks=(f"{failures:,} saves failed.",) if failures else (),
        verdicts=[run.verdict for run in runs],
        doubts=doubts(
            (f"{cell.saver}, {format_work(key_of(cell.work))}", [run.verdict for run in cell.runs])
            for cell in analysis.cells
        ),
        single_runs="For each saver, the trial with the median time.",
        libraries=format_versions(run.run for run in runs),
    )
    return render(store, content, pictures, interactive)


def _tables(analysis: PrimesAnalysis) -> Iterator[Table]:
    """Yield a table for each of the most informative works, then one for each kind of work."""
    by_work = analysis.by_work()
    for number, key in enumerate(analysis.shown_works()):
        yield page_table(f"work-{number}", work_table(key, by_work[key]))
    for kind in dict.fromkeys(kind for kind, _, _ in by_work):
        yield page_table(f"times-{kind}", times_table(kind, analysis))
