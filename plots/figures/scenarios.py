"""scenarios.png: the score of every entrant in every scenario."""

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from bench.analysis.validity import Level
from bench.scenarios.analysis import LOWEST_SCORE, Ranked, ScenariosAnalysis
from bench.scenarios.report import finding_of_scenarios
from plots.scenes import Drawn, ScenariosScene
from plots.style import add_small_print, add_title, new_figure

_HOW_TO_READ = (
    "A row for each entrant, the best total first; a column for each scenario. 1.00 is as good as "
    "the ideal client at its best fixed concurrency in this scenario, 0 is no use, and below 0 "
    "more was refused than answered in time. A row that is blue throughout is good wherever it is "
    "used. A fixed concurrency is good where the service suits it, and white or orange elsewhere. "
    "A row `at its best` takes the best concurrency of each scenario, which nobody knows before."
)
_BEST = 1.2
"""The score from which on colours no longer change."""
_COLOURS = LinearSegmentedColormap.from_list("scores", ("#D55E00", "#FFFFFF", "#0072B2"))
"""Orange and blue, which colour-blind readers can tell apart."""
_ROW_INCHES, _OTHER_INCHES = 0.5, 2.6
_GAP = 0.25
"""Room between the scenarios and the total, and between the entrants and the row below them."""
_LIGHT_TEXT_FROM = 0.75


def draw(scene: ScenariosScene) -> Drawn | None:
    """Draw scenarios.png. Returns None if nothing has a score."""
    figure = scenarios_figure(scene.analysis, scene.small_print)
    if figure is None:
        return None
    finding = finding_of_scenarios(scene.analysis)
    return Drawn("scenarios", "Scores in all scenarios", figure, _HOW_TO_READ, finding)


def scenarios_figure(analysis: ScenariosAnalysis, small_print: str) -> Figure | None:
    """Return a heat map with numbers. The gid of each number is `ENTRANT SCENARIO`.

    Returns None if nothing has a score.
    """
    ranking = analysis.ranking()
    if not any(score is not None for one in ranking for score in one.scores):
        return None
    hindsight = list(analysis.with_hindsight())
    scenarios = analysis.experiment.scenarios
    rows = len(ranking) + len(hindsight)
    figure = new_figure()
    figure.set_figheight(_OTHER_INCHES + _ROW_INCHES * rows)
    axes = figure.add_subplot()
    places = [n + _GAP * (n >= len(ranking)) for n in range(rows)]
    columns = [float(n) for n in range(len(scenarios))] + [len(scenarios) + _GAP]
    for y, one in zip(places, (*ranking, *hindsight), strict=True):
        _draw_row(axes, analysis, one, y, columns, is_entry=y < len(ranking))
    axes.set_xlim(-0.5, columns[-1] + 0.5)
    axes.set_ylim(places[-1] + 0.5, -0.5)
    axes.set_xticks(columns, [*(_wrapped(one.name) for one in scenarios), "total"], fontsize=10.5)
    axes.set_yticks(places, [one.name for one in (*ranking, *hindsight)])
    axes.tick_params(length=0, top=False, bottom=False, labeltop=True, labelbottom=False)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    add_title(
        figure,
        "Scores in all scenarios",
        "goodput within the objective less refusals, over the same of the ideal client at its best "
        "fixed concurrency",
    )
    levels = {cell.level for cell in analysis.cells}
    marks = "; in brackets: SUSPECT" * (Level.SUSPECT in levels)
    marks += "; cross: INVALID" * (Level.INVALID in levels)
    add_small_print(figure, f"{small_print}{marks}")
    return figure


def _draw_row(
    axes: Axes,
    analysis: ScenariosAnalysis,
    one: Ranked,
    y: float,
    columns: list[float],
    *,
    is_entry: bool,
) -> None:
    names = [*(scenario.name for scenario in analysis.experiment.scenarios), "total"]
    shade = Normalize(LOWEST_SCORE * _BEST, _BEST, clip=True)
    for x, name, score in zip(columns, names, (*one.scores, one.total), strict=True):
        cells = [cell for cell in analysis.of(one.entry) if cell.scenario.name == name]
        level = cells[0].level if is_entry and cells else Level.VALID
        text = (
            "-"
            if score is None
            else f"{round(score, 2) + 0.0:.2f}"
            if score > -10
            else f"{score:.0f}"
        )
        text = {Level.SUSPECT: f"({text})", Level.INVALID: "×"}.get(level, text)
        colour = _COLOURS(shade(score)) if score is not None else "#EEEEEE"
        axes.fill(
            [x - 0.47, x + 0.47, x + 0.47, x - 0.47],
            [y - 0.45, y - 0.45, y + 0.45, y + 0.45],
            color=colour,
            linewidth=0,
        )
        axes.text(
            x,
            y,
            text,
            ha="center",
            va="center",
            fontsize=12,
            fontweight="bold" if name == "total" else "normal",
            color="white" if score is not None and abs(score) >= _LIGHT_TEXT_FROM else "black",
            gid=f"{one.name} {name}",
        )


def _wrapped(name: str) -> str:
    """Return a name of two words on two lines."""
    return name.replace("-", "-\n")
