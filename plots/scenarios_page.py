"""The content of the page of `run --scenario all`: the scores, the ranking and every run."""

from collections.abc import Sequence

from bench.results.environment import format_versions
from bench.results.store import Store
from bench.scenarios.analysis import ScenariosAnalysis
from bench.scenarios.report import finding_of_scenarios, ranking_table, runs_table, scores_table
from plots.page import (
    NO_PART,
    Content,
    InteractivePart,
    Picture,
    doubts,
    format_names,
    page_table,
    render,
)


def scenarios_page(
    store: Store,
    analysis: ScenariosAnalysis,
    pictures: Sequence[Picture],
    interactive: InteractivePart = NO_PART,
) -> str:
    """Return the page as HTML. Raises StoreError."""
    asked = analysis.experiment
    content = Content(
        title=f"scenarios, {format_names([one.label for one in asked.entrants], 'crawlers')}",
        plan=f"{asked.format_plan()}; seed {asked.seed}",
        note="Each crawler fetches from each of the named services, in a closed loop.",
        summary=(
            page_table("scores", scores_table(analysis)),
            page_table("ranking", ranking_table(analysis)),
            page_table("runs", runs_table(analysis)),
        ),
        remarks=(finding_of_scenarios(analysis), scores_table(analysis).notes()),
        verdicts=[run.trial.verdict for cell in analysis.cells for run in cell.runs],
        doubts=doubts(
            (f"{cell.scenario.name}, {cell.entry}", [run.trial.verdict for run in cell.runs])
            for cell in analysis.cells
        ),
        single_runs="For each crawler that adapts, the trial with the median throughput in a "
        "scenario whose capacity changes.",
        libraries=format_versions(analysis.runs),
        command=asked.command(),
    )
    return render(store, content, pictures, interactive)
