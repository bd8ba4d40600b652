"""The content of the page of `crawlbench advise`: the answer, and what was measured for it."""

from collections.abc import Sequence

from bench.advice.analysis import AdviceAnalysis
from bench.advice.report import answers_table, points_table
from bench.advice.words import answer
from bench.results.environment import format_versions
from bench.results.store import Store
from plots.page import (
    CSV_EXPORTS,
    NO_PART,
    Content,
    InteractivePart,
    Picture,
    doubts,
    format_names,
    page_table,
    render,
)

_NOTE = (
    "Each concurrency was measured in boxes of time, and the next one was chosen by what was "
    "found. The recommendation and its neighbours were then measured again in fresh runs. "
    "Throughput counts good requests, and is corrected for delays that were shorter or longer than "
    "their model."
)


def advice_page(
    store: Store,
    advice: AdviceAnalysis,
    pictures: Sequence[Picture],
    interactive: InteractivePart = NO_PART,
) -> str:
    """Return the page as HTML. Raises StoreError."""
    asked, analysis = advice.experiment, advice.analysis
    content = Content(
        title=f"how many at a time, {format_names(asked.crawlers, 'crawlers')}",
        answer=answer(advice),
        plan=f"{asked.format_plan()}; seed {asked.seed}",
        note=_NOTE,
        summary=(
            page_table("answers", answers_table(advice)),
            *(
                page_table(f"points-{number}", points_table(one))
                for number, one in enumerate(advice.crawlers, 1)
            ),
        ),
        remarks=(),
        verdicts=[trial.verdict for trial in advice.trials],
        doubts=doubts(
            [
                ("the server's ceiling", [trial.verdict for trial in analysis.ceilings]),
                *(
                    (
                        f"{cell.cell.crawler} at {cell.cell.concurrency:,}",
                        [trial.verdict for trial in cell.trials],
                    )
                    for cell in analysis.cells
                ),
            ]
        ),
        single_runs="",
        libraries=format_versions(analysis.runs),
        command=asked.command(),
        exports=CSV_EXPORTS,
    )
    return render(store, content, pictures, interactive)
