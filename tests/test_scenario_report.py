"""What is said and drawn of scores over all scenarios: of some made by hand, and of a file."""

import shutil
from pathlib import Path

import pytest

from bench.analysis.validity import Level
from bench.plan.entrants import Entrant
from bench.plan.scenarios import SCENARIOS, Scenario, find_scenario
from bench.results.store import FILE_NAME
from bench.scenarios.analysis import (
    BestFixed,
    Entry,
    Goodput,
    ScenariosAnalysis,
    ScoredCell,
    ScoredRun,
)
from bench.scenarios.experiment import ScenariosExperiment
from bench.scenarios.report import finding_of_scenarios, ranking_table, runs_table, scores_table
from plots.__main__ import PAGE, draw_all
from plots.figures.scenarios import scenarios_figure
from tests.accounts import cell

STEADY, PARTNER, STEPS = (find_scenario(name) for name in ("steady", "partner", "steps"))
AIMD, TEN, FIFTY = Entry("aimd", 50, True), Entry("fixed", 10, False), Entry("fixed", 50, False)
NEVER = (None, None)


def scored(
    scenario: Scenario,
    entry: Entry,
    score: float,
    converged_s: tuple[float | None, ...] = (),
    level: Level = Level.VALID,
) -> ScoredCell:
    (trial,) = cell(entry.crawler, entry.concurrency, 100.0, level=level).trials
    known = None if level is Level.INVALID else score
    run = ScoredRun(trial, Goodput(200 * max(0, score), 8.0), known, converged_s)
    return ScoredCell(scenario, entry, (run,))


def analysis(*cells: ScoredCell) -> ScenariosAnalysis:
    scenarios = tuple(one for one in SCENARIOS if one in {cell.scenario for cell in cells})
    entrants = (Entrant("aimd", "aimd"), Entrant("fixed", "fixed"))
    asked = ScenariosExperiment(scenarios, entrants, ("aimd",), (10, 50), 1, 1, 10.0)
    return ScenariosAnalysis(asked, cells, tuple(BestFixed(20, 200.0) for _ in scenarios))


SCORES = {
    (STEADY, AIMD): 0.8,
    (STEADY, TEN): 0.2,
    (STEADY, FIFTY): 1.0,
    (PARTNER, AIMD): 0.6,
    (PARTNER, TEN): 0.5,
    (PARTNER, FIFTY): -25.0,
}
TOTALS = {"aimd": 0.7, "fixed at 10": 0.35, "fixed at 50": 0.0}
WHOLE = analysis(*(scored(*key, score) for key, score in SCORES.items()))


def test_entrants_are_ranked_by_their_totals() -> None:
    ranking = WHOLE.ranking()
    assert {one.name: one.total for one in ranking} == pytest.approx(TOTALS)
    assert [one.name for one in ranking] == ["aimd", "fixed at 10", "fixed at 50"]
    (hindsight,) = WHOLE.with_hindsight()
    assert (hindsight.name, hindsight.scores) == ("fixed at its best", (1.0, 0.5))
    assert hindsight.total == pytest.approx(0.75)


def test_the_finding_says_who_is_best_and_where_it_loses() -> None:
    said = finding_of_scenarios(WHOLE)
    assert said.startswith(
        "Best over all scenarios: aimd, with a total of 0.70; fixed at 10 is next (0.35). "
        "It does worst in partner (0.60): see scenarios.png"
    )
    beaten = analysis(
        scored(STEADY, AIMD, 0.5),
        scored(STEADY, FIFTY, 0.9),
        scored(PARTNER, AIMD, 0.6),
        scored(PARTNER, FIFTY, -1.0),
    )
    assert "worst in steady (0.50, where fixed at 50 has 0.90)" in finding_of_scenarios(beaten)


def test_an_entrant_with_an_invalid_or_a_missing_run_has_no_total() -> None:
    partly = analysis(
        scored(STEADY, AIMD, 0.9, level=Level.INVALID),
        scored(STEADY, TEN, 0.2),
        scored(PARTNER, AIMD, 0.9),
        scored(PARTNER, TEN, 0.2, level=Level.SUSPECT),
        scored(STEADY, FIFTY, 1.0),
    )
    totals = {one.name: one.total for one in partly.ranking()}
    assert totals == {"fixed at 10": pytest.approx(0.2), "aimd": None, "fixed at 50": None}
    assert not partly.is_sound
    assert WHOLE.is_sound
    rows = scores_table(partly).cells()
    assert [row[:2] for row in rows] == [["steady", "INVALID"], ["partner", "0.90"], ["total", "-"]]
    assert "fixed at 10, with a total of 0.20" in finding_of_scenarios(partly)
    nobody = analysis(scored(STEADY, AIMD, 0.9, level=Level.INVALID))
    assert finding_of_scenarios(nobody).startswith("No entrant has a score in every scenario")


def test_the_tables_have_the_scores_the_steps_and_the_refusals() -> None:
    of_steps = analysis(
        scored(STEPS, AIMD, 1.1, (2.5, 0.4)),
        scored(STEPS, FIFTY, 0.9, (None, 0.1)),
        scored(STEADY, AIMD, 0.9),
        scored(STEADY, FIFTY, 0.9),
    )
    table = ranking_table(of_steps)
    assert [column.heading for column in table.columns[2:4]] == ["20@10 s", "50@20 s"]
    assert [row[:4] for row in table.cells()] == [
        ["aimd", "1.00", "2.5", "0.4"],
        ["fixed at 50", "0.90", "never", "0.1"],
    ]
    assert runs_table(of_steps).cells()[0][:6] == ["steps", "aimd", "1.10", "220.0", "200.0", "8.0"]
    assert [column.heading for column in scores_table(WHOLE).columns] == [
        *("scenario", "aimd adapts", "fixed at 10", "fixed at 50", "fixed its best", "ideal C")
    ]


def test_the_figure_has_every_score_as_a_number() -> None:
    figure = scenarios_figure(WHOLE, "small print")
    assert figure is not None
    (axes,) = figure.axes
    shown = {text.get_gid(): text.get_text() for text in axes.texts}
    for (scenario, entry), score in SCORES.items():
        assert float(shown[f"{entry} {scenario.name}"]) == pytest.approx(score)
    assert {name: float(shown[f"{name} total"]) for name in TOTALS} == pytest.approx(TOTALS)
    assert shown["fixed at its best partner"] == "0.50"


def test_the_figure_marks_what_is_not_valid_and_is_not_drawn_without_scores() -> None:
    doubtful = analysis(
        scored(STEADY, AIMD, 0.9, level=Level.SUSPECT),
        scored(PARTNER, AIMD, 0.9, level=Level.INVALID),
    )
    figure = scenarios_figure(doubtful, "small print")
    assert figure is not None
    shown = {text.get_gid(): text.get_text() for text in figure.axes[0].texts}
    assert (shown["aimd steady"], shown["aimd partner"]) == ("(0.90)", "×")
    assert scenarios_figure(analysis(scored(STEADY, AIMD, 0.9, level=Level.INVALID)), "") is None


def test_the_page_of_a_file_has_all_figures_and_tables(tmp_path: Path) -> None:
    stored = Path(__file__).parent / "data" / "schema-7" / "scenarios.sqlite"
    shutil.copy(stored, tmp_path / FILE_NAME)
    drawn = [path.name for path in draw_all(tmp_path)]
    assert drawn[0] == "scenarios.png"
    assert {"over-time-adapting.png", "limit-over-time-adapting.png"} < set(drawn)
    page = (tmp_path / PAGE).read_text()
    assert all(f'id="{anchor}"' in page for anchor in ("scores", "ranking", "runs", "scenarios"))
    assert "run --scenario all" in page
