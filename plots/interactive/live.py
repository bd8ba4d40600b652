"""Figures that are empty at first: a page streams rows into their sources while runs are made."""

from collections.abc import Iterator, Mapping
from typing import Any

from bokeh.layouts import column
from bokeh.models import ColumnDataSource, HoverTool

from plots.interactive.drawing import Drawn, Metric, Series, empty_plot, item_of
from plots.looks import CLIENT, FAILED, SERVER, styles_of

_HALF_HEIGHT = 240
_METRICS = (
    Metric("requests_per_s", "throughput (good requests / s)"),
    Metric("p50_ms", "p50 of times (ms)"),
    Metric("p99_ms", "p99 of times (ms)"),
)
_NOW = (("requests_per_s", SERVER), ("p50_ms", CLIENT), ("p99_ms", FAILED))


def _from_zero(x_label: str, y_label: str) -> Any:
    plot = empty_plot(x_label, y_label)
    plot.y_range.update(start=0)  # of a single point, a range would be its surroundings
    return plot


def live_figures(begun: Mapping[str, Any]) -> Iterator[Drawn]:
    """Yield the figures of an experiment that begins, from its event `begun`.

    The sources `run:CRAWLER` have the columns x (the level), about, and those of _METRICS. The
    source `now` has x (seconds since the experiment began), requests_per_s, p50_ms and p99_ms.
    """
    yield _curves(begun)
    yield _now()


def _curves(begun: Mapping[str, Any]) -> Drawn:
    plot = _from_zero(
        "offered rate (requests / s)" if begun["is_open"] else "concurrency (requests in flight)",
        _METRICS[0].label,
    )
    styles = styles_of(begun["crawlers"])
    series, renderers = [], []
    for rank, (name, look) in enumerate(styles.items()):
        columns: dict[str, list[float]] = {f"y_{one.key}": [] for one in _METRICS}
        columns |= {f"text_{one.key}": [] for one in _METRICS}
        names = [f"points:{rank}"]
        source = ColumnDataSource(
            {"x": [], "y": [], "about": [], "name": [], **columns}, name=f"run:{name}"
        )
        renderers.append(
            plot.scatter(
                "x",
                "y",
                source=source,
                marker="circle_dot",
                fill_alpha=0,
                size=9,
                color=look.colour,
                line_width=1.5,
                name=names[0],
            )
        )
        if len(begun["delays"]) <= 1:  # medians of several delays would say nothing
            lines: dict[str, list[float]] = {f"y_{one.key}": [] for one in _METRICS}
            medians = ColumnDataSource({"x": [], "y": [], **lines}, name=f"medians:run:{name}")
            names.append(f"line:{rank}")
            plot.line("x", "y", source=medians, color=look.colour, line_width=2, name=names[-1])
        series.append(Series(name, tuple(names), look.colour))
    tips = [("crawler", "@name"), ("at", "@about")]
    tips += [(one.label, f"@text_{one.key}") for one in _METRICS]
    plot.add_tools(HoverTool(renderers=renderers, tooltips=tips))
    return Drawn(
        "curves",
        "Finished runs",
        item_of(plot),
        how_to_read="Each point is a run, and lines lead through the medians. The crawlers' own "
        "records say so; nothing is checked before the end.",
        series=tuple(series),
        metrics=_METRICS,
        axes={"x": "linear", "y": "linear"},
        live=tuple(f"run:{name}" for name in styles),
    )


def _now() -> Drawn:
    source = ColumnDataSource({"x": [], **{key: [] for key, _ in _NOW}}, name="now")
    rates = _from_zero("", "requests per second")
    times = _from_zero("time since the experiment began (s)", "time at the server (ms)")
    times.x_range = rates.x_range
    for key, colour in _NOW:
        plot = rates if key == "requests_per_s" else times
        plot.line("x", key, source=source, color=colour, line_width=2, name=key)
    for plot in (rates, times):
        plot.height = _HALF_HEIGHT
        plot.update(toolbar_location=None)
    return Drawn(
        "now",
        "At the server, now",
        item_of(column(rates, times, sizing_mode="stretch_width")),
        series=tuple(
            Series(text, (key,), colour)
            for (key, colour), text in zip(_NOW, ("requests per second", "p50", "p99"), strict=True)
        ),
        live=("now",),
    )
