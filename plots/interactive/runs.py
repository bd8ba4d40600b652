"""Figures of single runs: the distribution of times, the timeline, and rates over time.

The timeline is drawn from a sample that is looked up in the results file, so that it is there at
once, however many requests a run has. The other two need all requests of a run.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from bokeh.models import ColumnDataSource, HoverTool

from bench.analysis.good import recorded_good, recorded_results
from bench.analysis.in_flight import Levels
from bench.analysis.quantiles import quantile, tail_quantile
from bench.analysis.response import DueTimes
from bench.analysis.window import Window
from bench.results.columns import IntColumns
from bench.results.reader import Outline
from bench.results.schema import RunRow
from bench.results.store import Store
from plots.interactive.downsample import (
    MOST_POINTS,
    denser_at_the_end,
    one_of_each_stratum,
    with_all_of,
)
from plots.interactive.drawing import (
    NOT_CHECKED,
    Drawn,
    Line,
    Metric,
    Point,
    Series,
    Spread,
    Table,
    draw_lines,
    empty_plot,
    format_number,
    item_of,
)
from plots.looks import CLIENT, FAILED, SERVER, LineStyle
from plots.windows import windows_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_QUANTILES = (0.5, 0.9, 0.99, 0.999)
_LEAST_OF_TAIL = 0.95
_COLUMNS_OF_TIMES = (
    *("crawler", "run", "verdict", "good requests", "others"),
    *(f"p{100 * q:g} (ms)" for q in _QUANTILES),
    "max (ms)",
)
_HOW_TO_READ_TIMES = (
    "For each time, the share of the good requests of one run that took at most so long: left is "
    "better. To see the tail, choose those that took longer, and a logarithmic y axis."
)
_HOW_TO_READ_TIMELINE = (
    "Each bar is a request: its span at the client, and over it its span at the server. Where the "
    "client's colour shows on the left, the request was on its way or in a queue; on the right, "
    "the answer was on its way or waited for the client."
)
_TOOLTIPS = [
    ("request", "@seq"),
    ("where", "$name"),
    ("from", "@from_s{0.000000} s"),
    ("took", "@ms{0.000} ms"),
    ("result", "@result"),
]
_AT_MOST = Metric("at_most", "requests that took at most this long (%)")
_LONGER = Metric("longer", "requests that took longer (%)")
_OVER_TIME = (
    Metric("good_per_s", "good answers per second"),
    Metric("failed_per_s", "other ends per second"),
    Metric("in_flight", "requests in flight at the client"),
    Metric("p50_ms", "p50 of times (ms)"),
    Metric("max_ms", "slowest request (ms)"),
)


@dataclass(frozen=True, slots=True)
class Times:
    """The times of the good requests of a run."""

    name: str
    look: LineStyle
    about: str
    """Which run it is."""
    sorted_ns: "NDArray[np.int64]"
    others: int
    """How many requests got no good response."""
    number: int
    """Of the run."""
    verdict: str = NOT_CHECKED


def times_of(run: RunRow, fetches: IntColumns, look: LineStyle, label: str = "") -> Times:
    """Return the response times of a run in open loop, or else its service times.

    Those of the warm-up are left out. There must be at least one fetch.
    """
    good = recorded_good(run, fetches)
    due = DueTimes.of(run, fetches)
    times_ns = fetches["end_ns"] - fetches["start_ns"] if due is None else due.response_ns
    begin_ns = int(fetches["start_ns"].min()) if due is None else run.first_due_ns
    due_ns = due.due_ns if due is not None else None
    window = Window.of(run.load, fetches, due_ns, begin_ns, int(fetches["end_ns"].max()))
    sorted_ns = np.sort(times_ns[good & window.is_counted])
    name, others = f"{run.crawler}{label}", int((~good & window.is_counted).sum())
    return Times(name, look, format_run(run), sorted_ns, others, run.number)


def format_run(run: RunRow) -> str:
    """Return `C=100, trial 2`, or `200/s, trial 2` in open loop."""
    return f"{run.cell.format_level()}, trial {run.trial}"


def _runs_shown(runs: Iterable[tuple[str, str]]) -> str:
    return f"The runs shown: {'; '.join(f'{name} at {about}' for name, about in runs)}."


def distribution(every: Sequence[Times], *, is_open: bool) -> Drawn | None:
    """Draw which share of the requests took at most a time. Returns None without requests."""
    every = [one for one in every if len(one.sorted_ns)]
    if not every:
        return None
    lines = [_shares(one, MOST_POINTS // len(every)) for one in every]
    what = "response time" if is_open else "service time"
    drawn = draw_lines(
        "times",
        f"Distribution of the {what}",
        lines,
        (_AT_MOST, _LONGER),
        f"{what} (ms)",
        axes={"x": "log", "y": "linear"},
        has_points=False,
        how_to_read=f"{_HOW_TO_READ_TIMES} {_runs_shown((one.name, one.about) for one in every)}",
        note=_note(
            sum(len(line.points) for line in lines),
            sum(len(one.sorted_ns) for one in every),
            "points are drawn: evenly spread quantiles, and more of them in the tail",
        ),
    )
    if drawn is None:
        return None
    rows = tuple(
        (
            one.name,
            one.about,
            one.verdict,
            f"{len(one.sorted_ns):,}",
            f"{one.others:,}",
            *(_quantile(one.sorted_ns, q) for q in _QUANTILES),
            format_number(one.sorted_ns[-1] / 1e6),
        )
        for one in every
    )
    return replace(drawn, table=Table(_COLUMNS_OF_TIMES, rows))


def _shares(one: Times, most: int) -> Line:
    count = len(one.sorted_ns)
    chosen = denser_at_the_end(count, most)
    shares = (chosen + 1) / count * 100
    times_ms = one.sorted_ns[chosen] / 1e6
    points = [
        Point(x, "", "", {_AT_MOST.key: Spread.of(y), _LONGER.key: Spread.of(100 - y)})
        for x, y in zip(times_ms.tolist(), shares.tolist(), strict=True)
    ]
    return Line(one.name, one.look, points)


def _quantile(sorted_ns: "NDArray[np.int64]", q: float) -> str:
    value = tail_quantile(sorted_ns, q) if q > _LEAST_OF_TAIL else quantile(sorted_ns, q)
    return "-" if value is None else format_number(value / 1e6)


def timeline(store: Store, run: RunRow, outline: Outline) -> Drawn:
    """Draw requests of a run as bars over time, at the client and at the server.

    If they are too many, a sample of them is looked up. Raises StoreError.
    """
    most = MOST_POINTS if run.unrecorded is None else MOST_POINTS // 2
    chosen = one_of_each_stratum(run.requests, most)
    if run.requests > most:
        chosen = with_all_of(chosen, store.failed_seqs(run.number), most)
    fetches = store.fetches_of(run.number, chosen.tolist())
    first = {name: column[:most] for name, column in fetches.items()}  # of a hostile file
    good = recorded_good(run, first)
    plot = empty_plot(
        "time since the first request (s)", "request, in the order in which they were to be made"
    )
    plot.y_range.update(flipped=True)
    height = max(0.8, 0.9 * run.requests / max(1, len(good)))
    series = []
    for name, colour, of in (("at the client", CLIENT, good), ("failed", FAILED, ~good)):
        if of.any():
            own = {key: column[of] for key, column in first.items()}
            results = own["status"].astype(np.int32) if name != "failed" else recorded_results(own)
            _bars(
                plot,
                name,
                colour,
                height,
                own["seq"],
                own["start_ns"],
                own["end_ns"],
                results,
                outline.first_ns,
            )
            series.append(Series(name, (name,), colour))
    if run.unrecorded is not None:
        arrivals = store.arrivals_of(run.number, first["seq"].tolist())
        known = np.flatnonzero(arrivals["replied_ns"] > 0)[:most]
        own = {key: column[known] for key, column in arrivals.items()}
        height /= 2 if run.requests <= most else 1
        _bars(
            plot,
            "at the server",
            SERVER,
            height,
            own["seq"],
            own["arrived_ns"],
            own["replied_ns"],
            own["status"].astype(np.int32),
            outline.first_ns,
        )
        series.append(Series("at the server", ("at the server",), SERVER))
    plot.add_tools(HoverTool(tooltips=_TOOLTIPS))
    return Drawn(
        f"timeline:{run.crawler}",
        f"Requests over time: {run.crawler}, {format_run(run)}",
        item_of(plot),
        how_to_read=_HOW_TO_READ_TIMELINE,
        note=_note(
            len(good),
            outline.fetches,
            "requests are drawn: one at random of each equal part of them, and those that failed",
        ),
        series=tuple(series),
    )


def _bars(
    plot: Any,
    name: str,
    colour: str,
    height: float,
    seq: "NDArray[np.int64]",
    from_ns: "NDArray[np.int64]",
    to_ns: "NDArray[np.int64]",
    results: Any,
    origin_ns: int,
) -> None:
    columns = {
        # Half the bytes of what they are made from, and precise enough to look at.
        "seq": seq.astype(np.int32),
        "from_s": ((from_ns - origin_ns) / 1e9).astype(np.float32),
        "to_s": ((to_ns - origin_ns) / 1e9).astype(np.float32),
        "ms": ((to_ns - from_ns) / 1e6).astype(np.float32),
        "result": results,
    }
    plot.hbar(
        y="seq", left="from_s", right="to_s", height=height,
        source=ColumnDataSource(columns), color=colour, line_width=1, name=name,
    )  # fmt: skip


def over_time(
    every: Sequence[tuple[RunRow, IntColumns]], styles: Mapping[str, LineStyle]
) -> Drawn | None:
    """Draw what each run did in windows of time. Returns None if no run has a fetch."""
    lines = [
        Line(run.crawler, styles[run.crawler], _windows(run, fetches))
        for run, fetches in every
        if len(fetches["seq"])
    ]
    return draw_lines(
        "over-time",
        "Over time",
        lines,
        _OVER_TIME,
        "time since the run began (s)",
        has_points=False,
        how_to_read="Windows of time of equal width. The times of a window are those of the "
        "requests that began, or were due, in it. "
        f"{_runs_shown((run.crawler, format_run(run)) for run, _ in every)}",
    )


def _windows(run: RunRow, fetches: IntColumns) -> list[Point]:
    start_ns, end_ns = fetches["start_ns"], fetches["end_ns"]
    good = recorded_good(run, fetches)
    due = DueTimes.of(run, fetches)
    begin_ns = start_ns if due is None else due.due_ns
    windows = windows_of(int(begin_ns.min()), int(end_ns.max()))
    took_ns = end_ns - begin_ns
    edges_ns = windows.origin_ns + np.arange(windows.number + 1) * windows.width_ns
    levels = Levels.of(start_ns, end_ns)
    area = np.concatenate([[0.0], np.cumsum(levels.level[:-1] * np.diff(levels.instant_ns) / 1e9)])
    in_flight = np.diff(np.interp(edges_ns, levels.instant_ns, area)) / (windows.width_ns / 1e9)
    columns = {
        "good_per_s": windows.per_s(end_ns[good]),
        "failed_per_s": windows.per_s(end_ns[~good]),
        "in_flight": in_flight,
        "p50_ms": windows.quantiles(begin_ns, took_ns, 0.5) / 1e6,
        "max_ms": windows.quantiles(begin_ns, took_ns, 1.0) / 1e6,
    }
    middles_s = windows.edges_s[:-1] + windows.width_ns / 2e9
    return [
        Point(
            float(at_s),
            "",
            "",
            {
                key: Spread.of(float(column[i]))
                for key, column in columns.items()
                if not np.isnan(column[i])
            },
        )
        for i, at_s in enumerate(middles_s)
    ]


def _note(drawn: int, total: int, how: str) -> str:
    return f"{drawn:,} of {total:,} {how}" if drawn < total else ""
