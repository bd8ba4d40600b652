"""limit-over-time-CRAWLER.png: the limit that a crawler chose, and the one that the service has."""

from itertools import chain, pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.accounts import Accounts
from bench.analysis.cells import Trial
from bench.analysis.good import GoodRequests
from bench.analysis.in_flight import Levels
from bench.plan.ideal import LimitStep, ideal_limit_steps
from plots.figures.in_flight import binned
from plots.looks import CLIENT, FAILED, SERVER
from plots.scenes import Drawn, RunScene
from plots.style import add_axes_title, add_small_print, format_doubt, new_figure
from plots.words import format_delay_of, format_load_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_IDEAL = "black"

_HOW_TO_READ = (
    "How many requests the crawler allowed itself at each time, and how many were in flight. The "
    "dashed line is what the service allows at that time without making requests wait or refusing "
    "them: its capacity, its rate limit times the mean delay (Little's law), or the number at "
    "which a service that slows down is fastest. A limit above it only adds waits and refusals; "
    "one below it leaves throughput unused. After a step, look for how long the limit takes to "
    "follow."
)


def draw(scene: RunScene) -> Drawn | None:
    """Draw limit-over-time-CRAWLER.png. Returns None for a run whose crawler told no limit."""
    if scene.trial.summary is None or scene.trial.summary.limit_mean is None:
        return None
    return Drawn(
        f"limit-over-time-{scene.file_name}",
        "The crawler's own limit",
        limit_figure(scene.trial, scene.accounts, scene.small_print),
        _HOW_TO_READ,
        findings(scene.trial, scene.accounts),
        scene.trial.run.crawler,
    )


def limit_figure(trial: Trial, accounts: Accounts, small_print: str) -> Figure:
    """Return a figure of a run whose crawler adapts.

    Its limit has the gid "limit", the requests in flight "in flight", what the service allows
    "ideal", and refused requests "refused".
    """
    run, fetches = trial.run, accounts.fetches
    first_ns, last_ns = int(fetches["start_ns"].min()), int(fetches["end_ns"].max())
    figure = new_figure()
    axes = figure.add_subplot()
    at_server = Levels.at_server(accounts.arrivals) if accounts.arrivals is not None else None
    levels = at_server or Levels.of(fetches["start_ns"], fetches["end_ns"])
    edges, mean, least, most = binned(levels)
    seconds = ((edges[:-1] + edges[1:]) / 2 - first_ns) / 1e9
    axes.fill_between(seconds, least, most, color=SERVER, alpha=0.2, linewidth=0)
    where = "server" if at_server is not None else "client"
    axes.plot(
        seconds, mean, color=SERVER, linewidth=1.2, gid="in flight", label=f"in flight ({where})"
    )
    limits = accounts.limits_of(run)
    is_within = (limits.change_ns > first_ns) & (limits.change_ns < last_ns)
    at_ns = np.concatenate([[first_ns], limits.change_ns[is_within], [last_ns]])
    axes.plot(
        (at_ns - first_ns) / 1e9,
        limits.at(at_ns),
        drawstyle="steps-post",
        color=CLIENT,
        linewidth=2.2,
        gid="limit",
        label="the crawler's limit",
    )
    steps = _steps_of(trial, accounts)
    if steps:
        _draw_ideal(axes, steps, (last_ns - first_ns) / 1e9)
    is_refused = GoodRequests.of(run, accounts).is_refused
    if is_refused.any():
        _draw_refused(axes, (fetches["end_ns"][is_refused] - first_ns) / 1e9)
    axes.set_xlim(0, max(1, last_ns - first_ns) / 1e9)
    axes.set_ylim(0, 1.3 * max(limits.peak, levels.peak, *(step.most for step in steps)))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.set_xlabel("time since the first start (s)")
    axes.set_ylabel("requests at a time")
    parts = (format_load_of(run), format_delay_of(run), str(run.service), f"trial {run.trial}")
    add_axes_title(
        axes,
        f"The crawler's own limit: {run.crawler}",
        "; ".join(filter(None, parts)),
        format_doubt(trial.verdict),
    )
    axes.legend(loc="upper right", ncols=2, fontsize=11)
    add_small_print(figure, small_print)
    return figure


def _steps_of(trial: Trial, accounts: Accounts) -> tuple[LimitStep, ...]:
    """Return what the service allows, with times since the first start of the client."""
    run, arrivals = trial.run, accounts.arrivals
    if arrivals is None or not len(arrivals["arrived_ns"]):
        return ()
    begin_ns = int(arrivals["arrived_ns"].min()) - int(accounts.fetches["start_ns"].min())
    return tuple(
        LimitStep(max(0.0, step.from_s + begin_ns / 1e9 if step.from_s else 0.0), step.most)
        for step in ideal_limit_steps(run.service, run.delay.mean_us)
    )


def _draw_ideal(axes: Axes, steps: tuple[LimitStep, ...], end_s: float) -> None:
    shown = [step for step in steps if step.from_s < end_s]
    axes.plot(
        [*(step.from_s for step in shown), end_s],
        [*(step.most for step in shown), shown[-1].most],
        drawstyle="steps-post",
        color=_IDEAL,
        linestyle="--",
        linewidth=1.6,
        gid="ideal",
        label="what the service allows",
    )


def _draw_refused(axes: Axes, at_s: "NDArray[np.float64]") -> None:
    """Draw a tick at the lower edge for each refusal."""
    axes.plot(
        at_s,
        np.full(len(at_s), 0.02),
        transform=axes.get_xaxis_transform(),
        linestyle="",
        marker="|",
        markersize=12,
        markeredgewidth=0.8,
        color=FAILED,
        gid="refused",
        label=f"refused ({len(at_s):,})",
    )


def findings(trial: Trial, accounts: Accounts) -> str:
    """State the limit, and for each step of the service what it was then."""
    run, summary = trial.run, trial.summary
    assert summary is not None
    texts = [
        f"The limit was {summary.limit_mean:,.1f} on average and {summary.limit_peak:,} at most"
    ]
    fetches, limits = accounts.fetches, accounts.limits_of(run)
    first_ns, last_ns = int(fetches["start_ns"].min()), int(fetches["end_ns"].max())
    steps = _steps_of(trial, accounts)
    edges_ns = [min(last_ns, first_ns + round(step.from_s * 1e9)) for step in steps]
    for step, (from_ns, to_ns) in zip(steps, pairwise(chain(edges_ns, [last_ns])), strict=True):
        if from_ns < to_ns:
            mean = limits.mean(from_ns, to_ns)
            since = f" from {step.from_s:,.3g} s on" if len(steps) > 1 else ""
            texts.append(
                f"the service allowed {step.most:,.0f}{since}, and it was {mean:,.1f} then"
            )
    if summary.refused:
        texts.append(f"{summary.refused:,} requests were refused")
    return f"{'; '.join(texts)}."
