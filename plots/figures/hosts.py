"""hosts.png: what each host of a site saw of each spider: how many at once, and how often."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.plan.site import SiteExperiment
from bench.sites.analysis import HostSummary, SiteCell
from bench.sites.validity import SHORT_GAP_SHARE, broken_gap
from plots.figures.site_coverage import name_cell
from plots.looks import FAILED, GREY, SERVER
from plots.scenes import Drawn, SiteScene
from plots.style import LEGEND_INCHES, add_small_print, add_title, new_figure

_HOW_TO_READ = (
    "A row of panels for each spider, at the concurrency at which it is fastest, and in each a row "
    "for each host, as its server saw it. Left: requests in flight over time; a host that is white "
    "was left alone. Middle: the most at once. Right: the time from one arrival to the next, from "
    "the least to the median, which is the dot. Limits that were asked for are dashed, and a red "
    "cross is a host whose limit was broken, as the verdict says. A single gap may be shorter than "
    "the delay and break nothing: the one after robots.txt, whose Crawl-delay is not known before "
    "it is read, and one after a request that was long on its way."
)
_LEAST_MS = 0.001
"""Shorter gaps are drawn here, because the axis is logarithmic."""
_FEW_TICKS = 20
"""From this ratio of the ends of the axis on, only powers of ten have ticks."""
_STEPS = (1, 2, 5, 10)
_ALL_NAMED = 12
"""Of more hosts than this, not every one is named."""
_SHADES = ListedColormap(colormaps["Blues"](np.linspace(0.25, 1, 256))).with_extremes(under="white")
"""Of requests in flight; nothing in flight is white."""
_LIMIT: dict[str, Any] = {"color": GREY, "linestyle": "--", "linewidth": 1.3, "zorder": 1}

_BROKEN: dict[str, Any] = {"marker": "x", "color": FAILED, "markeredgewidth": 2.0}


def draw(scene: SiteScene) -> Drawn | None:
    """Draw hosts.png. Returns None for a single host without limits."""
    cells = list(scene.chosen.values())
    figure = hosts_figure(scene.analysis.experiment, cells, scene.small_print)
    if figure is None:
        return None
    finding = findings(scene.analysis.experiment, cells)
    heading = f"What each host saw{scene.title}"
    return Drawn(f"hosts{scene.suffix}", heading, figure, _HOW_TO_READ, finding)


def hosts_figure(
    asked: SiteExperiment, cells: Sequence[SiteCell], small_print: str
) -> Figure | None:
    """Return a figure with a row of panels for each of these cells, as in their median trials.

    The gids are `SPIDER in flight`, `SPIDER at once`, `SPIDER least` and `SPIDER median`, those of
    what breaks a limit `SPIDER too many` and `SPIDER too soon`. Returns None for a single host
    without limits.
    """
    shown = [(cell, hosts) for cell in cells if (hosts := _hosts(cell))]
    if not shown or not (asked.spec.hosts > 1 or asked.per_host or _asked_ms(asked)):
        return None
    heights = [min(3.2, max(0.7, 0.2 * len(hosts))) for _, hosts in shown]
    figure = new_figure()
    figure.set_size_inches(12.0, 2.3 + sum(height + 0.85 for height in heights))
    grid = figure.subplots(
        len(shown), 3, squeeze=False, sharey="row", height_ratios=heights, width_ratios=(5, 2, 3)
    )
    darkest = max(host.most_at_once for _, hosts in shown for host in hosts)
    for (flying, at_once, gaps), (cell, hosts) in zip(grid, shown, strict=True):
        end_s = _end_s(cell)
        for y, host in enumerate(hosts):
            _draw_flying(flying, y, host, end_s, darkest, f"{cell.spider} in flight")
        _draw_at_once(at_once, cell.spider, hosts, asked.per_host)
        _draw_gaps(gaps, cell, hosts, _asked_ms(asked))
        _name_hosts(flying, hosts)
        flying.set_xlim(0, end_s)
        name_cell(flying, cell)
    for axes, what in zip(
        grid[-1], ("time (s)", "most requests at once", "least and median gap (ms)"), strict=True
    ):
        axes.set_xlabel(what)
    handles = _shades(darkest)
    if asked.per_host or _asked_ms(asked):
        handles += [
            Line2D([], [], label="limit asked for", **_LIMIT),
            Line2D([], [], linestyle="", label="breaks a limit", **_BROKEN),
        ]
    figure.legend(handles=handles, loc="upper right", fontsize=10, ncols=2)
    add_title(figure, "What each host saw", asked.format_site(), LEGEND_INCHES + 1.8)
    add_small_print(figure, small_print)
    return figure


def _hosts(cell: SiteCell) -> Sequence[HostSummary]:
    trial = cell.middle
    return trial.summary.hosts if trial is not None and trial.summary is not None else ()


def _end_s(cell: SiteCell) -> float:
    trial = cell.middle
    assert trial is not None
    assert trial.summary is not None
    return trial.summary.makespan_ns / 1e9


def _asked_ms(asked: SiteExperiment) -> float:
    """Return the longest delay between requests of a host that was asked for, in ms."""
    return 1000 * max(asked.host_delay_s, asked.spec.crawl_delay_s)


def _draw_flying(
    axes: Axes, y: int, host: HostSummary, end_s: float, darkest: int, gid: str
) -> None:
    curve = host.in_flight
    if not curve.at_s:
        return
    edges = [*curve.at_s, max(end_s, curve.at_s[-1])]
    cells = axes.pcolormesh(
        edges, [y - 0.45, y + 0.45], [curve.values], cmap=_SHADES, norm=_shade_of(darkest)
    )
    cells.set_gid(gid)
    axes.grid(visible=False)


def _shades(darkest: int) -> list[Artist]:
    """Return the entries of the legend for the colours of requests in flight."""
    shown = sorted({1, -(-darkest // 2), darkest})
    shade = _shade_of(darkest)
    return [
        Patch(color=_SHADES(shade(number)), label=f"{number} request{'s' * (number > 1)} in flight")
        for number in shown
    ]


def _shade_of(darkest: int) -> Normalize:
    return Normalize(0.5, max(1, darkest))


def _name_hosts(axes: Axes, hosts: Sequence[HostSummary]) -> None:
    step = -(-len(hosts) // _ALL_NAMED)
    named = range(0, len(hosts), step)
    axes.set_yticks(named, [hosts[n].host for n in named], fontsize=9)
    axes.set_ylim(len(hosts) - 0.4, -0.6)


def _draw_at_once(axes: Axes, spider: str, hosts: Sequence[HostSummary], limit: int) -> None:
    points = [(float(host.most_at_once), y) for y, host in enumerate(hosts)]
    broken = [limit and host.most_at_once > limit for host in hosts]
    _draw_points(axes, points, broken, f"{spider} at once", f"{spider} too many")
    if limit:
        axes.axvline(limit, gid="limit", **_LIMIT)
    axes.set_xlim(0, 1.15 * max(limit, *(x for x, _ in points)))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=_STEPS))


def _draw_gaps(axes: Axes, cell: SiteCell, hosts: Sequence[HostSummary], asked_ms: float) -> None:
    spider = cell.spider
    known = [
        (y, _gap_ms(host.least_gap_ns), _gap_ms(host.median_gap_ns))
        for y, host in enumerate(hosts)
        if host.least_gap_ns is not None and host.median_gap_ns is not None
    ]
    axes.set_xscale("log")
    for y, least, middle in known:
        axes.plot([least, middle], [y, y], color=SERVER, linewidth=1.5, alpha=0.6)
    least_points = [(least, y) for y, least, _ in known]
    broken = [_breaks(cell) and is_too_soon(hosts[y], asked_ms) for y, _, _ in known]
    axes.plot(
        *_columns([(middle, y) for y, _, middle in known]),
        "o",
        color=SERVER,
        markersize=5,
        gid=f"{spider} median",
    )
    _draw_points(axes, least_points, broken, f"{spider} least", f"{spider} too soon", "|")
    if asked_ms:
        axes.axvline(asked_ms, gid="asked", **_LIMIT)
    every = [x for _, *gaps in known for x in gaps] + [asked_ms] * bool(asked_ms)
    axes.set_xlim(min(every, default=1) / 1.5, max(every, default=1) * 1.5)
    subs = (1,) if every and max(every) > _FEW_TICKS * min(every) else (1, 2, 3, 5)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _gap_ms(gap_ns: int | None) -> float:
    return max(_LEAST_MS, (gap_ns or 0) / 1e6)


def _draw_points(
    axes: Axes,
    points: Sequence[tuple[float, int]],
    broken: Sequence[bool | int],
    gid: str,
    gid_of_broken: str,
    marker: str = "o",
) -> None:
    kept = [point for point, is_broken in zip(points, broken, strict=True) if not is_broken]
    wrong = [point for point, is_broken in zip(points, broken, strict=True) if is_broken]
    axes.plot(*_columns(kept), marker, color=SERVER, markersize=5, gid=gid)
    axes.plot(*_columns(wrong), linestyle="", gid=gid_of_broken, **_BROKEN)


def _columns(points: Sequence[tuple[float, int]]) -> tuple[list[float], list[int]]:
    return [x for x, _ in points], [y for _, y in points]


def is_too_soon(host: HostSummary, asked_ms: float) -> bool:
    """Return whether a host was asked more often than the delay allows. Single gaps may be short:
    the one after robots.txt, and those after a request that was long on its way."""
    return bool(asked_ms and broken_gap(host, round(asked_ms * 1e6), SHORT_GAP_SHARE))


def _breaks(cell: SiteCell) -> bool:
    """Return whether the shown run was found to break a limit of a host."""
    trial = cell.middle
    return trial is not None and trial.verdict.finds("host limit")


def findings(asked: SiteExperiment, cells: Sequence[SiteCell]) -> str:
    """Say for each spider how many requests a host had at once, and how close they came.

    Of the hosts, the one with the shortest median gap is taken.
    """
    limit, asked_ms = asked.per_host, _asked_ms(asked)
    texts = []
    for cell in cells:
        hosts = _hosts(cell)
        if not hosts:
            continue
        most = max(host.most_at_once for host in hosts)
        text = f"{cell.spider}: at most {most} at a time at one host"
        gaps = [host.median_gap_ns for host in hosts if host.median_gap_ns is not None]
        if asked_ms and gaps:
            text += f", with a median gap of {min(gaps) / 1e6:,.1f} ms"
        texts.append(f"{text} (breaks the limits)" if _breaks(cell) else text)
    limits = [f"at most {limit} at a time"] * bool(limit)
    limits += [f"{asked_ms:g} ms from one request to the next"] * bool(asked_ms)
    allowed = f" Asked for: {' and '.join(limits)}." if limits else ""
    return f"{'; '.join(texts)}.{allowed}" if texts else ""
