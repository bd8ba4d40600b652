"""service-time.png: p50, p90 and p99 against concurrency, and a distribution at one of them."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from bench.analysis.analyse import Analysis, load_accounts
from bench.analysis.cells import CellSummary
from bench.analysis.summary import good_service_ns
from bench.plan.delays import Delay
from bench.results.store import Store
from plots.lines import P99_NOTE, Point, draw_line, note_few_requests, plan_and_spread, set_apart
from plots.looks import GREY, LineStyle, styles_of
from plots.scenes import DelayScene, Drawn
from plots.style import (
    LEGEND_INCHES,
    add_small_print,
    add_title,
    marks_explained,
    new_figure,
    spread_ticks_log,
)
from plots.words import lowest_and_highest

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
_PLANNED: dict[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1.2, "zorder": 2}
_STEPS = 400
_CUT = 0.001
"""Share at both ends of a model without an end that is not drawn."""
_MARGIN = 1.15
_FEW_TICKS_FROM = 300
"""Ratio of the ends of a logarithmic axis from which only powers of ten have ticks."""
_LOG_FROM = 10


_BEFORE = (
    "How long a request takes, from taking a slot to the last byte of its body, in a closed loop: "
    "a crawler that falls behind sends less. "
)
_ABOUT_DELAYS = (
    "The dashed line is the same quantile of the planned "
    "delays; at the lower right it is their distribution. A curve close to it adds little to any "
    "request. "
)
_AFTER = (
    "A long tail to the right is a few slow requests. A crawler with queueing starts its "
    "clock before it holds a slot, so that its times are of the queue, too."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw service-time.png. Returns None if no request was good."""
    concurrencies = [cell.cell.concurrency for cell in scene.chosen.values()]
    at = max(concurrencies, key=concurrencies.count)  # the most frequent one
    service_ns = _service_ns(scene.store, scene.chosen, at)
    figure = service_time_figure(scene.analysis, at, service_ns, scene.small_print)
    if figure is None:
        return None
    heading = f"Service time{scene.title}"
    finding = findings(scene.analysis, at)
    has_line = not scene.analysis.experiment.delays[0].is_none
    how_to_read = f"{_BEFORE}{_ABOUT_DELAYS if has_line else ''}{_AFTER}"
    return Drawn(f"service-time{scene.suffix}", heading, figure, how_to_read, finding)


def _service_ns(
    store: Store, chosen: Mapping[str, CellSummary], at: int
) -> "dict[str, NDArray[np.int64]]":
    """Return the sorted service times in ns of each crawler's median trial at concurrency `at`."""
    found = {}
    for name, cell in chosen.items():
        trial = cell.median_trial()
        if trial is not None and cell.cell.concurrency == at:
            found[name] = good_service_ns(trial.run, load_accounts(store, trial.run))
    return found


def service_time_figure(
    analysis: Analysis,
    at: int,
    service_ns: "Mapping[str, NDArray[np.int64]]",
    small_print: str,
) -> Figure | None:
    """Return a figure with three panels of quantiles against concurrency, and one distribution.

    Quantiles are medians over the trials. `service_ns` has, for each crawler, the sorted service
    times of the good requests of one run at concurrency `at`. The gids of lines are `CRAWLER p50`,
    `CRAWLER p90`, `CRAWLER p99`, and `CRAWLER all` for the distribution. Those of the planned
    delays have `planned` instead of the crawler. Returns None if no request was good.
    """
    by_crawler = analysis.by_crawler()
    if not any(
        one.good for cells in by_crawler.values() for cell in cells for one in cell.measured
    ):
        return None
    figure = new_figure()
    figure.set_size_inches(12.0, 8.0)
    panels = figure.subplots(2, 2).flat
    styles = styles_of(analysis.experiment.crawlers)
    (delay,) = analysis.experiment.delays
    asked = sorted({cell.cell.concurrency for cell in analysis.cells})
    curves = list(panels)[:3]
    drawn: list[Point] = []
    for panel, (quantile, q) in zip(curves, _QUANTILES.items(), strict=True):
        panel.set_autoscale_on(False)  # limits are set after everything is drawn
        drawn += _draw_quantile(panel, by_crawler, quantile, styles)
        panel.set_title(f"{quantile} against concurrency", fontsize=12)
        panel.set_xscale("log")
        panel.set_xlim(min(asked) / 1.25, max(asked) * 1.25)
        panel.xaxis.set_major_locator(FixedLocator(spread_ticks_log(asked)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        panel.set_xlabel("concurrency asked for")
        panel.set_ylabel("service time (ms)")
        if not delay.is_none:
            panel.axhline(delay.quantile_us(q) / 1e3, gid=f"planned {quantile}", **_PLANNED)
    # All three panels have the same scale, so that they can be compared directly.
    values = [value for point in drawn for value in (point.low, point.high)]
    values += [delay.quantile_us(q) / 1e3 for q in _QUANTILES.values() if not delay.is_none]
    for panel in curves:
        _scale(panel, "y", values)
        panel.set_ylim(*_limits(values))
    ecdf = figure.axes[3]
    _draw_shares(ecdf, service_ns, styles, at, delay)
    handles = [
        figure.axes[0].plot(
            [],
            [],
            color=style.colour,
            linestyle=style.line,
            marker=style.marker,
            label=analysis.latency_label(name),
        )[0]
        for name, style in styles.items()
        if name in by_crawler
    ]
    if not delay.is_none:
        handles.append(Line2D([], [], label=f"planned delay,\n{_folded(delay)}", **_PLANNED))
    figure.legend(handles=handles, loc="outside right upper", fontsize=10)
    add_title(
        figure, "Service time (closed loop)", plan_and_spread(analysis.experiment), LEGEND_INCHES
    )
    marks = marks_explained(point.level for point in drawn)
    add_small_print(figure, f"{small_print}; {P99_NOTE}{marks}")
    return figure


def _folded(delay: Delay) -> str:
    """Return a delay as text for a narrow legend."""
    return str(delay).replace(":", ":\n").replace(",", ",\n")


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"


def _draw_quantile(
    panel: Axes,
    by_crawler: Mapping[str, Sequence[CellSummary]],
    quantile: str,
    styles: Mapping[str, LineStyle],
) -> list[Point]:
    drawn = []
    shifts = set_apart(by_crawler)
    for name, cells in by_crawler.items():
        points = []
        for cell in cells:
            known = [getattr(one, f"{quantile}_ns") for one in cell.measured]
            values = [value / 1e6 for value in known if value is not None]
            if values:
                at = cell.cell.concurrency
                points.append(
                    Point(
                        at, at * shifts[name], median(values), min(values), max(values), cell.level
                    )
                )
        if points:
            draw_line(panel, f"{name} {quantile}", styles[name], points)
            drawn += points
    measured = {cell.cell.concurrency for cells in by_crawler.values() for cell in cells}
    note_few_requests(panel, quantile, {point.concurrency for point in drawn}, measured)
    return drawn


def _draw_shares(
    panel: Axes,
    service_ns: "Mapping[str, NDArray[np.int64]]",
    styles: Mapping[str, LineStyle],
    at: int,
    delay: Delay,
) -> None:
    """Draw the empirical distribution function for each crawler and for the planned delays."""
    panel.set_autoscale_on(False)
    service_ns = {name: values for name, values in service_ns.items() if len(values)}
    for name, values in service_ns.items():
        # Only as many ranks as can be distinguished; the last percent gets a finer grid.
        ranks = np.unique(
            np.concatenate(
                [
                    np.linspace(0, len(values) - 1, _STEPS),
                    np.linspace(0.99 * (len(values) - 1), len(values) - 1, _STEPS // 4),
                ]
            ).astype(np.int64)
        )
        panel.step(
            values[ranks] / 1e6,
            (ranks + 1) / len(values),
            where="post",
            color=styles[name].colour,
            linestyle=styles[name].line,
            linewidth=1.6,
            gid=f"{name} all",
        )
    ends = [float(values[rank]) / 1e6 for values in service_ns.values() for rank in (0, -1)]
    if not delay.is_none:
        # A model without an end has no longest delay, and maybe hardly any shortest one.
        cut = 0.0 if delay.model.is_bounded else _CUT
        shares = np.linspace(cut, 1 - cut, _STEPS)
        planned_ms = [delay.quantile_us(share) / 1e3 for share in shares.tolist()]
        panel.plot(planned_ms, shares, gid="planned all", **_PLANNED)
        ends += [planned_ms[0], planned_ms[-1]]
    _scale(panel, "x", ends or [1.0])
    panel.set_xlim(*_limits(ends or [1.0]))
    panel.set_ylim(0, 1.02)
    panel.set_xlabel("service time (ms)")
    panel.set_ylabel("share of requests done")
    panel.set_title(f"all requests of the median trial at concurrency {at}", fontsize=12)


def _limits(values_ms: Sequence[float]) -> tuple[float, float]:
    """Return axis limits that include all values, with a margin."""
    low, high = max(min(values_ms), 1e-3), max(values_ms)
    if high > _LOG_FROM * low:
        return low / _MARGIN, high * _MARGIN
    margin = (high - low or low) * (_MARGIN - 1) / 2
    return low - margin, high + margin


def _scale(panel: Axes, name: Literal["x", "y"], values_ms: Sequence[float]) -> None:
    """Make an axis logarithmic if the largest value is over _LOG_FROM times the smallest."""
    axis = panel.xaxis if name == "x" else panel.yaxis
    if max(values_ms) > _LOG_FROM * max(min(values_ms), 1e-3):
        (panel.set_xscale if name == "x" else panel.set_yscale)("log")
        is_long = max(values_ms) > _FEW_TICKS_FROM * max(min(values_ms), 1e-3)
        axis.set_major_locator(LogLocator(subs=(1,) if is_long else (1, 2, 5)))
        axis.set_minor_formatter(NullFormatter())
    axis.set_major_formatter(FuncFormatter(_plain))


def findings(analysis: Analysis, at: int) -> str:
    """Say which crawlers have the lowest and the highest median at one concurrency."""
    cells = [cell for cell in analysis.cells if cell.cell.concurrency == at]
    said = lowest_and_highest(cells, "p50_ns", "p50", lambda value: f"{value / 1e6:.1f} ms")
    if not said:
        return "No request was good."
    (delay,) = analysis.experiment.delays
    is_known = analysis.experiment.knows_delays
    return f"Median service time at {at}{f', with a delay of {delay}' if is_known else ''}: {said}."
