"""Draws figures with Bokeh, as JSON that interactive.js embeds in a page.

All text is outside of Bokeh's canvas, except axes and what is shown under the mouse: names come
from results, and Bokeh would take `$$` in a label for mathematics. Axes are linear here;
interactive.js makes them logarithmic, switches the metric, and adapts colours to a dark page.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from bokeh.embed import json_item
from bokeh.models import (
    ColumnDataSource,
    DataRange1d,
    FixedTicker,
    HoverTool,
    NoOverlap,
    NumeralTickFormatter,
)
from bokeh.models.annotations import Label, Span
from bokeh.plotting import figure as new_plot

from bench.analysis.validity import Level
from plots.looks import LineDashes, LineStyle

INK, QUIET, RULE = "#1b1f24", "#57606a", "#d0d7de"
"""Colours of text, of labels and of grids. interactive.js has those of a dark page for them."""
NOT_CHECKED = "not checked yet"
_HEIGHT = 440
_NEAR = 2
"""A guide up to this multiple of the highest value measured is shown whole."""
_MARKERS = {
    "o": "circle",
    "s": "square",
    "^": "triangle",
    "v": "inverted_triangle",
    "D": "diamond",
    "d": "diamond_cross",
    "P": "plus",
    "X": "square_x",
    "*": "star",
    "<": "triangle_pin",
    ">": "square_pin",
    "h": "hex",
    "H": "circle_cross",
    "p": "hex_dot",
    "8": "circle_x",
}
"""Bokeh's names of matplotlib's markers, or of some that look similar."""
_DASHES = {"-": "solid", "--": "dashed", "-.": "dashdot"}
_FILLED = {Level.VALID.name: 1.0, Level.UNCHECKED.name: 0.4}
"""How opaque a marker is; others are hollow."""
_MARKS = {
    Level.UNCHECKED.name: "half transparent: UNCHECKED, there is no ledger",
    Level.SUSPECT.name: "hollow: SUSPECT",
    Level.INVALID.name: "cross: INVALID",
    NOT_CHECKED: "circle with a dot: not checked yet",
}


@dataclass(frozen=True, slots=True)
class Metric:
    """What the y axis can show."""

    key: str
    label: str
    """With its unit."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the trials with their lowest and highest, or a single value."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        if self.low == self.high:
            return format_number(self.value)
        low, high = format_number(self.low), format_number(self.high)
        return f"{format_number(self.value)} ({low} to {high})"

    @classmethod
    def of(cls, value: float) -> "Spread":
        """Return the spread of a single value."""
        return cls(value, value, value)


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line."""

    x: float
    about: str
    """What it is, as in `C=100, 3 trials`."""
    verdict: str
    """The name of a Level, or NOT_CHECKED."""
    values: Mapping[str, Spread]
    """By the key of the metric; those that are not known are missing."""


@dataclass(frozen=True, slots=True)
class Line:
    """The points of a crawler."""

    name: str
    look: LineStyle
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Guide:
    """A dashed grey line to compare with, as the ideal."""

    name: str
    x: Sequence[float]
    values: Mapping[str, Sequence[float]]
    """By the key of the metric."""


@dataclass(frozen=True, slots=True)
class Series:
    """What a checkbox of the page shows and hides."""

    name: str
    renderers: tuple[str, ...]
    """Names of renderers."""
    colour: str
    is_shown: bool = True


@dataclass(frozen=True, slots=True)
class Table:
    """The numbers of a figure, as text."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with all that interactive.js shows around it."""

    name: str
    """Unique within a result. A later figure with the same name replaces the earlier one."""
    heading: str
    item: Mapping[str, Any]
    how_to_read: str = ""
    finding: str = ""
    note: str = ""
    """How many points of how many are drawn; "" if all are."""
    series: tuple[Series, ...] = ()
    metrics: tuple[Metric, ...] = ()
    """The first one is shown first."""
    axes: Mapping[str, str] = field(default_factory=dict)
    """`linear` or `log` for "x" and "y": what is shown first. Without it there is no choice."""
    table: Table = field(default_factory=Table)
    live: tuple[str, ...] = ()
    """Names of the sources that a page streams rows into."""

    def as_json(self) -> dict[str, Any]:
        """Return the figure as a value that can be written as JSON."""
        found = {name: getattr(self, name) for name in self.__slots__}
        found["series"] = [asdict(one) for one in self.series]
        found["metrics"] = [asdict(one) for one in self.metrics]
        found["table"] = asdict(self.table)
        return found


def format_number(value: float) -> str:
    """Return `12,345`, `98.76` or `0.001235`."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def draw_lines(
    name: str,
    heading: str,
    lines: Sequence[Line],
    metrics: Sequence[Metric],
    x_label: str,
    *,
    guides: Sequence[Guide] = (),
    ticks: Sequence[float] = (),
    tick_names: Sequence[str] = (),
    axes: Mapping[str, str] | None = None,
    x_name: str = "",
    marked: tuple[float, str] | None = None,
    has_points: bool = True,
    how_to_read: str = "",
    finding: str = "",
    note: str = "",
) -> Drawn | None:
    """Draw lines of one of several metrics, with a marker for the verdict of each point.

    `x_name` is the heading of the table's column of what each point is; without it there is no
    table. `marked` is an x with a vertical line, and its label. Returns None if no point has any of
    the metrics.
    """
    known = [
        one for one in metrics if any(one.key in p.values for line in lines for p in line.points)
    ]
    if not known:
        return None
    plot = empty_plot(x_label, known[0].label)
    if ticks:
        plot.xaxis[0].update(ticker=FixedTicker(ticks=list(ticks)))
    if tick_names:
        texts = [one.replace("$$", "$ $") for one in tick_names]
        plot.xaxis[0].update(major_label_overrides=dict(zip(ticks, texts, strict=True)))
    series = []
    for rank, guide in enumerate(guides):
        series.append(_draw_guide(plot, f"guide:{rank}", guide, known))
    hovered, drawn = [], []
    for rank, line in enumerate(lines):
        names = (f"spread:{rank}", f"line:{rank}", f"points:{rank}")
        source = ColumnDataSource(_columns(line, known, has_texts=has_points))
        dashes, colour = _dashes(line.look.line), line.look.colour
        if has_points:
            of_spread = plot.segment(
                "x", "low", "x", "high",
                source=source, color=colour, line_width=1.5, name=names[0],
            )  # fmt: skip
            drawn.append(of_spread)
        of_line = plot.line(
            "x", "y",
            source=source, color=colour, line_dash=dashes, line_width=2, name=names[1],
        )  # fmt: skip
        if has_points:
            of_points = plot.scatter(
                "x", "y",
                source=source, marker="marker", fill_alpha="filled", size=10,
                color=colour, line_width=1.5, name=names[2],
            )  # fmt: skip
        drawn.append(of_line)
        hovered.append(of_points if has_points else of_line)
        series.append(Series(line.name, names if has_points else names[1:2], colour))
    # A steep ideal must not press what was measured to the bottom.
    highest = max(
        p.values[known[0].key].high
        for line in lines
        for p in line.points
        if known[0].key in p.values
    )
    near = [
        plot.select_one({"name": one.renderers[0]})
        for one, guide in zip(series, guides, strict=False)
        if max(guide.values.get(known[0].key, ()), default=math.inf) <= _NEAR * highest
    ]
    plot.x_range.renderers = drawn
    plot.y_range.renderers = drawn + near
    if marked is not None:
        _mark(plot, *marked)
    shown = "text_" if has_points else "y_"
    plot.add_tools(
        HoverTool(
            renderers=hovered,
            tooltips=[
                ("crawler", "@name"),
                *([("at", "@about"), ("verdict", "@verdict")] if has_points else [(x_label, "@x")]),
                *((one.label, f"@{shown}{one.key}") for one in known),
            ],
        )
    )
    table = Table()
    if x_name:
        table = _table(lines, known, x_name)
    verdicts = {point.verdict for line in lines for point in line.points}
    marks = "; ".join(text for verdict, text in _MARKS.items() if verdict in verdicts)
    return Drawn(
        name,
        heading,
        item_of(plot),
        how_to_read=f"{how_to_read} Markers: {marks}." if marks and has_points else how_to_read,
        finding=finding,
        note=note,
        series=tuple(series),
        metrics=tuple(known),
        axes=axes or {"x": "linear", "y": "linear"},
        table=table,
    )


def empty_plot(x_label: str, y_label: str) -> Any:
    """Return a plot with the style that all have. Its axes are named "x-axis" and "y-axis"."""
    plot = new_plot(
        height=_HEIGHT,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        active_drag="box_zoom",
        x_range=DataRange1d(only_visible=True),
        y_range=DataRange1d(only_visible=True),
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=RULE,
    )
    plot.update(toolbar_location="above")
    plot.toolbar.update(logo=None)
    plot.x_range.name, plot.y_range.name = "x-range", "y-range"
    for axis, label, name in ((plot.xaxis, x_label, "x-axis"), (plot.yaxis, y_label, "y-axis")):
        axis[0].update(
            name=name,
            axis_label=label,
            formatter=NumeralTickFormatter(format="0,0.[0000]"),
            major_label_policy=NoOverlap(),
            axis_label_text_color=INK,
            axis_label_text_font_style="normal",
            major_label_text_color=QUIET,
            axis_line_color=RULE,
            major_tick_line_color=RULE,
            minor_tick_line_color=None,
        )
    for grid in plot.grid:
        grid.update(grid_line_color=RULE, grid_line_alpha=0.6)
    return plot


def item_of(layout: Any) -> Mapping[str, Any]:
    """Return a plot, or several, as interactive.js embeds it."""
    item: Mapping[str, Any] = json_item(layout)
    return item


def _columns(line: Line, metrics: Sequence[Metric], *, has_texts: bool) -> dict[str, Any]:
    points = line.points
    columns: dict[str, Any] = {"x": np.array([one.x for one in points], dtype=np.float64)}
    columns["name"] = [line.name] * len(points)
    if has_texts:
        columns["about"] = [one.about for one in points]
        columns["verdict"] = [one.verdict for one in points]
        columns["filled"] = np.array([_FILLED.get(one.verdict, 0.0) for one in points])
        columns["marker"] = [_marker(line.look, one.verdict) for one in points]
    for metric in metrics:
        found = [one.values.get(metric.key) for one in points]
        for part in ("value", "low", "high") if has_texts else ("value",):
            key = "y" if part == "value" else part
            columns[f"{key}_{metric.key}"] = np.array(
                [np.nan if one is None else getattr(one, part) for one in found]
            )
        if has_texts:
            texts = ["-" if one is None else str(one) for one in found]
            columns[f"text_{metric.key}"] = texts
    for key in ("y", "low", "high") if has_texts else ("y",):
        columns[key] = columns[f"{key}_{metrics[0].key}"]
    return columns


def _draw_guide(plot: Any, name: str, guide: Guide, metrics: Sequence[Metric]) -> Series:
    columns = {f"y_{key}": np.array(values, float) for key, values in guide.values.items()}
    nothing = np.full(len(guide.x), np.nan)
    columns |= {"x": np.array(guide.x, float), "y": columns.get(f"y_{metrics[0].key}", nothing)}
    source = ColumnDataSource(columns)
    plot.line("x", "y", source=source, color=QUIET, line_dash="dashed", line_width=1.5, name=name)
    plot.scatter("x", "y", source=source, color=QUIET, marker="dash", size=12, name=f"{name}:at")
    return Series(guide.name, (name, f"{name}:at"), QUIET)


def _mark(plot: Any, x: float, text: str) -> None:
    plot.add_layout(Span(location=x, dimension="height", line_color=QUIET, line_dash="dotted"))
    plot.add_layout(
        Label(
            x=x, y=6, y_units="screen", x_offset=5, text=text, text_color=INK, text_font_size="13px"
        )
    )


def _marker(look: LineStyle, verdict: str) -> str:
    if verdict == Level.INVALID.name:
        return "x"
    return "circle_dot" if verdict == NOT_CHECKED else _MARKERS[look.marker]


def _dashes(line: LineDashes) -> Any:
    return _DASHES[line] if isinstance(line, str) else [2 * part for part in line[1]]


def _table(lines: Sequence[Line], metrics: Sequence[Metric], x_name: str) -> Table:
    return Table(
        ("crawler", x_name, "verdict", *(one.label for one in metrics)),
        tuple(
            (
                line.name,
                point.about,
                point.verdict,
                *(
                    str(point.values[one.key]) if one.key in point.values else "-"
                    for one in metrics
                ),
            )
            for line in lines
            for point in line.points
        ),
    )
