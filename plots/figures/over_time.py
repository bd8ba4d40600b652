"""over-time-CRAWLER.png: rates, requests in flight and latency of one run, in windows of time."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from bench.analysis.accounts import Accounts
from bench.analysis.cells import Trial
from bench.analysis.good import GoodRequests
from bench.analysis.in_flight import Levels
from bench.analysis.quantiles import least_requests
from bench.analysis.response import DueTimes
from bench.analysis.summary import RunSummary
from bench.results.schema import RunRow
from plots.figures.in_flight import binned
from plots.looks import CLIENT, FAILED, GREY, SERVER
from plots.scenes import Drawn, RunScene
from plots.style import add_small_print, add_title, format_doubt, new_figure
from plots.windows import Windows, windows_of
from plots.words import format_delay_of, format_load_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MOST_STALLS = 200
"""More of them than this are not drawn one by one."""
_SENT = "#CC79A7"
_GOOD = "#009E73"
_REFUSED = "#8C6D31"
_OFFERED = "#BBBBBB"

_HOW_TO_READ = (
    "One run from left to right. Above: what was due, what was sent and what was answered per "
    "second; where they part, requests pile up. In the middle: the requests that the client had in "
    "flight, and in open loop its backlog, which was due and not yet sent. Below: how long "
    "requests took that were due (in closed loop: sent) at that moment; a window's line at the top "
    "is its slowest request. The response time counts from the due instant, the service time from "
    "the start, so that only the former shows what users wait while a service stands still."
)


def draw(scene: RunScene) -> Drawn | None:
    """Draw over-time-CRAWLER.png. Returns None for a run in which nothing changes over time."""
    figure = over_time_figure(scene.trial, scene.accounts, scene.small_print)
    if figure is None:
        return None
    return Drawn(
        f"over-time-{scene.file_name}",
        "Rates and latency over time",
        figure,
        _HOW_TO_READ,
        findings(scene.trial),
        scene.trial.run.crawler,
    )


def over_time_figure(trial: Trial, accounts: Accounts, small_print: str) -> Figure | None:
    """Return a figure with three panels over the same time.

    The gids of lines are "offered", "sent", "good", "refused" and "errors"; "in flight" and
    "backlog"; and "response p50", "response max", "service p50" and "service max". Stalls have the
    gid "stall", steps of the capacity "capacity", and the warm-up "warm-up". Returns None for a run
    in closed loop that has a number of requests and a plain service.
    """
    run, fetches = trial.run, accounts.fetches
    is_steady = not run.load.is_open and not run.load.duration_s and run.service.is_plain
    if is_steady or not len(fetches["seq"]):
        return None
    due = DueTimes.of(run, fetches)
    origin_ns = run.first_due_ns if due is not None else int(fetches["start_ns"].min())
    windows = windows_of(origin_ns, int(fetches["end_ns"].max()))
    figure = new_figure()
    figure.set_size_inches(12.0, 9.0)
    rates, levels, times = figure.subplots(3, 1, sharex=True)
    _draw_rates(rates, run, accounts, windows, due)
    _draw_levels(levels, run, accounts, windows, due)
    _draw_times(times, accounts, windows, due, GoodRequests.of(run, accounts).is_good)
    first_arrival_ns = origin_ns
    if accounts.arrivals is not None and len(accounts.arrivals["arrived_ns"]):
        first_arrival_ns = int(accounts.arrivals["arrived_ns"].min())
    marks = _draw_moments(
        (rates, levels, times), run, (first_arrival_ns - origin_ns) / 1e9, windows.edges_s[-1]
    )
    times.set_xlim(0, windows.edges_s[-1])
    times.set_xlabel(f"time since the first {'due instant' if due is not None else 'start'} (s)")
    for panel, more in ((rates, marks), (levels, []), (times, [])):
        handles = [line for line in panel.get_lines() if not str(line.get_label()).startswith("_")]
        panel.legend(
            handles=[*handles, *more], loc="upper left", bbox_to_anchor=(1.005, 1.03), fontsize=10
        )
    add_title(figure, f"Over time: {run.crawler}", _subtitle(trial))
    begin = "was due" if due is not None else "was sent"
    width = f"windows of {windows.width_ns / 1e9:g} s; times are where a request {begin}"
    add_small_print(figure, f"{small_print}; {width}")
    return figure


def _subtitle(trial: Trial) -> str:
    run = trial.run
    parts = [format_load_of(run), format_delay_of(run), str(run.service), f"trial {run.trial}"]
    return "; ".join(filter(None, parts)) + format_doubt(trial.verdict).replace("\n", "; ")


def _draw_rates(
    panel: Axes, run: RunRow, accounts: Accounts, windows: Windows, due: DueTimes | None
) -> None:
    fetches = accounts.fetches
    requests = GoodRequests.of(run, accounts)
    ends_ns = fetches["end_ns"]
    is_bad = ~requests.is_good & ~requests.is_refused
    lines: list[tuple[str, NDArray[np.int64], dict[str, Any]]] = [
        ("sent", fetches["start_ns"], {"color": _SENT, "linewidth": 1.2}),
        ("good", ends_ns[requests.is_good], {"color": _GOOD, "linewidth": 1.8}),
        ("refused", ends_ns[requests.is_refused], {"color": _REFUSED, "linewidth": 1.8}),
        ("errors", ends_ns[is_bad], {"color": FAILED, "linewidth": 1.8}),
    ]
    if due is not None:
        looks = {"color": _OFFERED, "linewidth": 4.5}
        lines.insert(0, ("offered", due.due_ns, looks))
    labels = {"offered": "offered (due)", "good": "achieved (good)"}
    for name, at_ns, looks in lines:
        if len(at_ns):
            label = labels.get(name, name)
            _steps(panel, windows, windows.per_s(at_ns), name, label, looks)
    top = panel.get_ylim()[1]
    limit = run.service.rate_limit_per_s
    if limit and limit < top:
        text = f"rate limit {limit:,.10g}/s"
        panel.axhline(limit, color=GREY, linestyle="-.", linewidth=1.2, gid=text, label=text)
    panel.set_ylim(0, top)
    panel.yaxis.set_major_formatter(FuncFormatter(_plain))
    panel.set_ylabel("requests / s")


def _draw_levels(
    panel: Axes, run: RunRow, accounts: Accounts, windows: Windows, due: DueTimes | None
) -> None:
    fetches = accounts.fetches
    found = {"in flight": (Levels.of(fetches["start_ns"], fetches["end_ns"]), CLIENT)}
    if due is not None and (due.send_lag_ns > 0).any():
        waits = due.send_lag_ns > 0
        found["backlog"] = (Levels.of(due.due_ns[waits], fetches["start_ns"][waits]), FAILED)
    for name, (levels, colour) in found.items():
        edges, mean, least, most = binned(levels)
        seconds = ((edges[:-1] + edges[1:]) / 2 - windows.origin_ns) / 1e9
        panel.fill_between(seconds, least, most, color=colour, alpha=0.25, linewidth=0)
        label = "in flight (client)" if name == "in flight" else "backlog"
        panel.plot(seconds, mean, color=colour, linewidth=1.5, gid=name, label=label)
    highest = max(levels.peak for levels, _ in found.values())
    if run.concurrency <= 1.5 * highest:
        label = f"{'most' if due is not None else 'asked for'}: {run.concurrency}"
        panel.axhline(
            run.concurrency, color=GREY, linestyle="--", linewidth=1.2, gid="asked", label=label
        )
    panel.set_ylim(0, 1.1 * max(highest, run.concurrency * (run.concurrency <= 1.5 * highest)))
    panel.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    panel.yaxis.set_major_formatter(FuncFormatter(_plain))
    panel.set_ylabel("requests")


def _draw_times(
    panel: Axes,
    accounts: Accounts,
    windows: Windows,
    due: DueTimes | None,
    is_good: "NDArray[np.bool_]",
) -> None:
    fetches = accounts.fetches
    service_ns = fetches["end_ns"] - fetches["start_ns"]
    spans = {"service": (fetches["start_ns"], service_ns, SERVER, 1.6)}
    if due is not None:  # wider and below, so that it shows where both are the same
        spans["response"] = (due.due_ns, due.response_ns, CLIENT, 3.6)
    for name, (at_ns, span_ns, colour, width) in reversed(spans.items()):
        at_ns, span_ns = at_ns[is_good], span_ns[is_good]
        if not len(at_ns):
            continue
        has_p99 = np.bincount(windows.of(at_ns), minlength=windows.number) >= least_requests(0.99)
        upper = ("p99", 0.99) if 2 * has_p99.sum() > windows.number else ("max", 1.0)
        for (quantile, q), looks in (
            (upper, {"linewidth": 0.7 * width, "linestyle": ":"}),
            (("p50", 0.5), {"linewidth": width}),
        ):
            values_ms = windows.quantiles(at_ns, span_ns, q) / 1e6
            if quantile == "p99":
                values_ms[~has_p99] = np.nan
            text = f"{name} {quantile}"
            label = f"{name} time, {quantile}"
            _steps(panel, windows, values_ms, text, label, looks | {"color": colour})
    panel.set_yscale("log")
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(_plain))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.set_ylabel("time of good requests (ms)")


def _steps(
    panel: Axes,
    windows: Windows,
    values: "NDArray[np.float64]",
    gid: str,
    label: str,
    looks: dict[str, Any],
) -> None:
    """Draw a value for each window, from its begin to its end."""
    padded = np.append(values, values[-1:])
    panel.plot(windows.edges_s, padded, drawstyle="steps-post", gid=gid, label=label, **looks)


def _draw_moments(
    panels: Sequence[Axes], run: RunRow, begin_s: float, end_s: float
) -> list[Line2D | Patch]:
    """Shade stalls and the warm-up, mark steps of the capacity, and return the legend's entries.

    The service counts its time from the first arrival, at `begin_s`.
    """
    handles: list[Line2D | Patch] = []
    service = run.service
    if service.stall_for_s:
        looks: dict[str, Any] = {"color": GREY, "alpha": 0.18, "linewidth": 0, "zorder": 0}
        stalls = min(_MOST_STALLS, int((end_s - begin_s) / service.stall_every_s))
        for number in range(1, stalls + 1):
            from_s = begin_s + number * service.stall_every_s
            for panel in panels:
                panel.axvspan(from_s, from_s + service.stall_for_s, gid="stall", **looks)
        if stalls > 0:
            handles.append(Patch(label=f"stall of {service.stall_for_s:g} s", **looks))
    steps = [step for step in service.capacity[1:] if begin_s + step.from_s < end_s]
    for step in steps:
        for panel in panels:
            panel.axvline(
                begin_s + step.from_s, color="black", linewidth=1.0, linestyle="-.", gid="capacity"
            )
        panels[0].annotate(
            f"capacity {step.capacity}",
            (begin_s + step.from_s, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=10,
            annotation_clip=False,
        )
    if run.load.warm_up_s:
        looks = {"color": CLIENT, "alpha": 0.12, "linewidth": 0, "zorder": 0}
        for panel in panels:
            panel.axvspan(0, run.load.warm_up_s, gid="warm-up", **looks)
        handles.append(Patch(label="warm-up, not counted", **looks))
    return handles


def _plain(value: float, _: object) -> str:
    return f"{value:,.10g}"


def findings(trial: Trial) -> str:
    """State the rates, the backlog, and the latencies with and without the wait to be sent."""
    summary = trial.summary
    assert summary is not None
    texts = []
    if summary.offered_per_s is not None:
        texts.append(f"{summary.offered_per_s:,.1f} requests/s were offered")
    texts.append(f"{summary.requests_per_s:,.1f} requests/s were good")
    if summary.refused:
        texts.append(f"{summary.refused:,} requests were refused")
    if summary.errors:
        texts.append(f"{sum(summary.errors.values()):,} requests failed")
    if summary.backlog_peak:
        texts.append(f"the backlog was at most {summary.backlog_peak:,}")
    times = [
        f"{name} time {', '.join(known)}"
        for name, prefix in (("response", "response_"), ("service", ""))
        if (known := _quantiles(summary, prefix))
    ]
    said = "; ".join([", ".join(texts), *times])
    return f"{said[0].upper()}{said[1:]}."


def _quantiles(summary: RunSummary, prefix: str) -> list[str]:
    return [
        f"{name} {value / 1e6:,.1f} ms"
        for name in ("p50", "p90", "p99")
        if (value := getattr(summary, f"{prefix}{name}_ns")) is not None
    ]
