"""timeline-CRAWLER.png: every call of one run over time, client over server. Rows -> Figure."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.cells import Trial
from bench.store import IntColumns
from plots.style import CLIENT, FAILED, SERVER, add_small_print, doubt_shown, new_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray


def timeline_figure(
    trial: Trial, fetches: IntColumns, arrivals: IntColumns | None, small_print: str
) -> Figure | None:
    """A row a call, in the order of the clients' starts: the client's span, and the server's on it.

    One collection for each end, with gid "client" and "server", whatever the number of calls.
    None if no job of the run was recorded.
    """
    run = trial.run
    is_job = (fetches["seq"] >= 0) & (fetches["seq"] < run.requests)
    if not is_job.any():
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    fetches = {name: column[is_job] for name, column in fetches.items()}
    order = np.argsort(fetches["start_ns"], kind="stable")
    origin_ns = fetches["start_ns"].min()
    rows = np.full(run.requests, -1, dtype=np.int64)
    rows[fetches["seq"][order]] = np.arange(len(order))
    width = max(0.8, min(8.0, 330 / len(order)))
    # Rows thinner than a pixel: a server's span as thick as the client's, or stripes would show.
    server_width = width * (0.5 if width > 2 else 1.0)
    client = _spans(
        fetches["start_ns"] - origin_ns, fetches["end_ns"] - origin_ns, rows[fetches["seq"]]
    )
    failed = fetches["error"] != 0
    colours = [FAILED if has_failed else CLIENT for has_failed in failed.tolist()]
    axes.add_collection(
        LineCollection(list(client), colors=colours, linewidths=width, gid="client")
    )
    handles = [Line2D([], [], color=CLIENT, linewidth=6, label="client: start to last byte")]
    if failed.any():
        handles.append(Line2D([], [], color=FAILED, linewidth=6, label="client: failed"))
    if arrivals is not None:
        seq = arrivals["seq"]
        known = (seq >= 0) & (seq < len(rows)) & (arrivals["replied_ns"] > 0)
        known[known] = rows[seq[known]] >= 0
        server = _spans(
            arrivals["arrived_ns"][known] - origin_ns,
            arrivals["replied_ns"][known] - origin_ns,
            rows[seq[known]],
        )
        axes.add_collection(
            LineCollection(list(server), colors=SERVER, linewidths=server_width, gid="server")
        )
        handles.append(
            Line2D([], [], color=SERVER, linewidth=3, label="server: request read to answer begun")
        )
    end_s = float((fetches["end_ns"] - origin_ns).max()) / 1e9
    axes.set_xlim(-0.01 * end_s, 1.01 * end_s)
    axes.set_ylim(len(order) - 0.25, -0.75)
    axes.set_xlabel("time since the first call (s)")
    axes.set_ylabel("call, in the order of starts")
    axes.set_title(
        f"Calls over time: {run.crawler}\n"
        f"concurrency {run.concurrency}, delay {run.delay}, "
        f"{len(order)} requests, trial {run.trial}{doubt_shown(trial.verdict)}"
    )
    axes.legend(handles=handles, loc="upper right", fontsize=11)
    add_small_print(figure, small_print)
    return figure


def _spans(
    starts_ns: "NDArray[np.int64]", ends_ns: "NDArray[np.int64]", rows: "NDArray[np.int64]"
) -> "NDArray[np.float64]":
    """Horizontal segments in seconds: shape (n, 2, 2)."""
    n = len(rows)
    segments = np.empty((n, 2, 2))
    segments[:, 0, 0] = starts_ns / 1e9
    segments[:, 1, 0] = ends_ns / 1e9
    segments[:, :, 1] = rows[:, None]
    return segments
