"""delays.png: the delays of one run as the model plans them, as drawn, and as served."""

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from bench.analysis.accounts import Accounts
from bench.analysis.analyse import load_accounts
from bench.analysis.cells import Trial
from bench.analysis.quantiles import tail_quantile
from bench.analysis.split import answered_of
from bench.plan.floor import cost_unit
from plots.looks import CLIENT, SERVER
from plots.scenes import DelayScene, Drawn
from plots.style import add_small_print, add_title, new_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_POINTS = 400
"""Points of a curve, spread evenly over the shares and again over their logarithm."""
_LOG_FROM = 10
_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}

_LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "model": ("planned by the model", {"color": "#CCCCCC", "linewidth": 9.0}),
    "drawn": ("drawn for this run", {"color": "black", "linewidth": 4.5}),
    "planned": ("begin to due, in the service", {"color": CLIENT, "linewidth": 2.8}),
    "served": ("arrival to reply, at the server", {"color": SERVER, "linewidth": 1.3}),
}

"""Label and look of each curve. They are as narrow as they are many, so that all show where they
coincide."""

_HOW_TO_READ = (
    "The delays of one run. On the left, the share of requests that take at most so long; on the "
    "right, the share that takes longer, where a straight fall is a heavy tail. Where the curves "
    "coincide, the server did what was planned. The drawn delays leave the model only by chance, "
    "most of all at the end, where few requests decide. A service with limits adds to them: "
    "slowdown and stalls before the answer is due, and its queue before it begins."
)


def draw(scene: DelayScene) -> Drawn | None:
    """Draw delays.png. Returns None for a fixed delay, or if no run has a ledger."""
    trial = _shown(scene)
    if trial is None or trial.run.delay.is_fixed:
        return None
    shares = delays_ms(trial, load_accounts(scene.store, trial.run))
    if "served" not in shares:
        return None
    figure = delays_figure(trial, shares, scene.small_print)
    heading = f"Delays, planned and served{scene.title}"
    return Drawn(f"delays{scene.suffix}", heading, figure, _HOW_TO_READ, findings(trial, shares))


def _shown(scene: DelayScene) -> Trial | None:
    """Return the median trial of the floor crawler, which disturbs the server least, or another."""
    chosen = scene.chosen
    name = cost_unit(chosen) or next(iter(chosen), None)
    return chosen[name].median_trial() if name is not None else None


def delays_ms(trial: Trial, accounts: Accounts) -> "dict[str, NDArray[np.float64]]":
    """Return the sorted delays of a run: drawn, planned by the service, and served.

    Only requests that were answered count. Those of the service are left out if it adds nothing.
    """
    run = trial.run
    drawn = np.sort(np.array(run.delays_us(), dtype=np.int64)) / 1e3
    found: dict[str, NDArray[np.float64]] = {"drawn": drawn}
    arrivals = accounts.arrivals
    if arrivals is None or run.unrecorded:
        return found
    answered = answered_of(arrivals)
    if not len(answered["seq"]):
        return found
    if not run.service.is_plain:
        found["planned"] = np.sort(answered["due_ns"] - answered["begin_ns"]) / 1e6
    found["served"] = np.sort(answered["replied_ns"] - answered["arrived_ns"]) / 1e6
    return found


def delays_figure(
    trial: Trial, shares: "dict[str, NDArray[np.float64]]", small_print: str
) -> Figure:
    """Return a figure with a distribution function, and its complement with logarithmic axes.

    The gids of lines are "model" and the keys of `shares`, with `tail` after them on the right.
    """
    run = trial.run
    figure = new_figure()
    figure.set_size_inches(12.0, 6.0)
    whole, tail = figure.subplots(1, 2)
    least = 0.5 / max(map(len, shares.values()))
    above = np.geomspace(1, least, _POINTS)
    for name, (label, looks) in _LOOKS.items():
        if name == "model":
            at = np.concatenate([np.linspace(0, 1, _POINTS), 1 - np.geomspace(0.1, least, _POINTS)])
            at = np.unique(at[at < 1 - least / 2])
            values = np.array([run.delay.quantile_us(q) / 1e3 for q in at.tolist()])
            tail_values = np.array([run.delay.quantile_us(1 - q) / 1e3 for q in above.tolist()])
            tail_at = above
        elif name in shares:
            values = shares[name]
            count = len(values)
            at = (np.arange(count) + 1) / count
            tail_values, tail_at = values[:-1], 1 - at[:-1]
            # Only as many points as can be seen.
            kept = _spread(count)
            values, at = values[kept], at[kept]
            kept = kept[kept < count - 1]
            tail_values, tail_at = tail_values[kept], tail_at[kept]
        else:
            continue
        whole.plot(values, at, gid=name, label=label, **looks)
        tail.plot(tail_values, tail_at, gid=f"{name} tail", **looks)
    for panel in (whole, tail):
        _set_scale(panel, shares, run.delay.quantile_us(0) / 1e3)
        panel.set_xlabel("ms")
    whole.set_ylim(0, 1.02)
    whole.set_ylabel("share of requests that take at most so long")
    tail.set_yscale("log")
    tail.set_ylim(least, 1.3)
    tail.set_ylabel("share of requests that take longer")
    tail.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    whole.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
    whole.legend(loc="best", fontsize=10)
    add_title(figure, "Delays, planned and served", _subtitle(trial))
    add_small_print(figure, f"{small_print}; of the answered requests of one run")
    return figure


def _spread(count: int) -> "NDArray[np.int64]":
    """Return ranks from 0 to count - 1, even in the shares and in the shares beyond."""
    even = np.linspace(0, count - 1, _POINTS)
    beyond = count - np.geomspace(1, count, _POINTS)
    ranks: NDArray[np.int64] = np.unique(np.concatenate([even, beyond]).astype(np.int64))
    return ranks


def _set_scale(panel: Axes, shares: "dict[str, NDArray[np.float64]]", least_ms: float) -> None:
    low = max(1e-3, min(least_ms, *(float(values[0]) for values in shares.values())))
    high = max(float(values[-1]) for values in shares.values())
    # The median is more telling than the shortest: an exponential delay begins at almost nothing.
    typical = min(float(values[len(values) // 100]) for values in shares.values())
    if high > _LOG_FROM * low:
        panel.set_xscale("log")
        panel.set_xlim(max(low, typical / 3) / 1.1, high * 1.15)
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_minor_formatter(NullFormatter())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))


def _subtitle(trial: Trial) -> str:
    run = trial.run
    parts = [
        f"delay {run.delay}",
        str(run.service),
        f"{run.crawler} at {run.cell.format_level()}",
        f"{run.requests:,} requests",
        f"trial {run.trial}",
    ]
    return "; ".join(filter(None, parts))


def findings(trial: Trial, shares: "dict[str, NDArray[np.float64]]") -> str:
    """State quantiles of the model beside those that were drawn and served."""
    texts = []
    for name, q in _QUANTILES.items():
        known = {
            key: value
            for key, values in shares.items()
            if (value := tail_quantile(np.asarray(values * 1e3, dtype=np.int64), q)) is not None
        }
        if "served" not in known:
            continue
        planned = trial.run.delay.quantile_us(q)
        said = [f"{planned / 1e3:,.1f} ms by the model", f"{known['drawn'] / 1e3:,.1f} drawn"]
        if "planned" in known:
            said.append(f"{known['planned'] / 1e3:,.1f} in the service")
        texts.append(f"{name}: {', '.join(said)}, {known['served'] / 1e3:,.1f} at the server")
    return f"{'; '.join(texts)}." if texts else "The run has too few requests for quantiles."
