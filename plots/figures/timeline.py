"""timeline-CRAWLER.png: every request of one run over time, at the client and at the server.

timeline-CRAWLER-N.png shows the first N of them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import StrMethodFormatter

from bench.analysis.cells import Trial
from bench.analysis.join import Join
from bench.analysis.validity import Level
from bench.results.columns import IntColumns
from bench.results.run_result import ProcessResult
from plots.looks import CLIENT, FAILED, GREY, SERVER
from plots.scenes import Drawn, RunScene
from plots.style import add_axes_title, add_small_print, format_doubt, new_figure
from plots.words import format_clocks, format_delay_of, format_load_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_LINES = 2000
"""With more calls than this, rows would be thinner than a pixel, and an image is drawn instead."""
_WAVES = 12
"""With fewer waves than this, the corner for the inset window is not empty."""
_CORNER, _CORNER_ROWS = 0.5, 0.2
"""The legend is in the upper right corner: right of this share of the width, above this share of
the rows. If a call reaches into it, the legend is below the axes."""
_NAMED_PROCESSES = 16
"""Names of more processes would overlap."""
_ROWS, _COLUMNS = 500, 1000
"""Size of the image. Each cell is about a pixel."""


class Spans(NamedTuple):
    """Spans of calls, in seconds since the first start. `row` is the rank of the call's start."""

    start_s: "NDArray[np.float64]"
    end_s: "NDArray[np.float64]"
    row: "NDArray[np.int64]"

    def only(self, chosen: "NDArray[np.bool_]") -> "Spans":
        """Return the spans for which `chosen` is true."""
        return Spans(self.start_s[chosen], self.end_s[chosen], self.row[chosen])


_HOW_TO_READ = (
    "Each row is a request: its span at the client, and over it its span at the server. Where the "
    "client's colour shows on the left, the request was on its way or in a queue; on "
    "the right, the answer was on its way or waited for the client."
)


def draw(scene: RunScene) -> Drawn | None:
    """Draw timeline-CRAWLER.png. Returns None if no job of the run was recorded."""
    figure = _figure_of(scene)
    if figure is None:
        return None
    return Drawn(
        f"timeline-{scene.file_name}",
        "Calls over time",
        figure,
        _HOW_TO_READ,
        findings(scene.trial),
        scene.trial.run.crawler,
    )


def draw_first(scene: RunScene, first: int) -> Drawn | None:
    """Draw timeline-CRAWLER-N.png: the calls that were started first, N = `first` of them.

    Returns None if the run has fewer.
    """
    if scene.trial.run.requests < first:
        return None
    figure = _figure_of(scene, first)
    if figure is None:
        return None
    return Drawn(
        f"timeline-{scene.file_name}-{first}",
        f"The first {first:,} calls over time",
        figure,
        _HOW_TO_READ,
        findings_of_first(scene.trial, scene.accounts.fetches, first),
        scene.trial.run.crawler,
    )


def _figure_of(scene: RunScene, first: int = 0) -> Figure | None:
    of_run = scene.accounts
    return timeline_figure(
        scene.trial, of_run.fetches, of_run.arrivals, scene.small_print, first, of_run.processes
    )


def timeline_figure(
    trial: Trial,
    fetches: IntColumns,
    arrivals: IntColumns | None,
    small_print: str,
    first: int = 0,
    processes: Sequence[ProcessResult] = (),
) -> Figure | None:
    """Return a figure with one row per call, ordered by the time at which the client started it.

    Of a run that several processes share, the calls of each process are together, and `processes`
    has the names of their machines.

    The server's span is drawn over the client's. Up to MOST_LINES calls are drawn as two
    collections of lines, with the gids "client" and "server". More calls are drawn as an image
    (gid "calls"), in which a pixel mixes the colours by their shares of its calls, with an inset
    that shows some calls from the middle as lines. If `first` is not 0, only the calls that were
    started first are drawn, so many of them. Returns None if no job of the run was recorded.
    """
    run = trial.run
    fetches = _first_jobs(fetches, run.requests, first)
    if not len(fetches["seq"]):
        return None
    figure = new_figure()
    axes = figure.add_subplot()
    process = fetches["seq"] % run.processes
    order = np.lexsort((fetches["start_ns"], process))
    origin_ns = int(fetches["start_ns"].min())
    rank_of_seq = np.zeros(run.requests, dtype=np.int64)
    rank_of_seq[fetches["seq"][order]] = np.arange(len(order))
    rows = rank_of_seq[fetches["seq"]]
    client = _spans(fetches["start_ns"], fetches["end_ns"], rows, origin_ns)
    failed = fetches["error"] != 0
    label = "client: start to last byte" + (", with queueing" * run.conditions.queues)
    handles = [Line2D([], [], color=CLIENT, linewidth=6, label=label)]
    if failed.any():
        handles.append(Line2D([], [], color=FAILED, linewidth=6, label="client: failed"))
    server = None
    if arrivals is not None:
        fetch_of = Join.of(fetches, arrivals).fetch_of()
        known = (fetch_of >= 0) & (arrivals["replied_ns"] > 0)
        server = _spans(
            arrivals["arrived_ns"][known],
            arrivals["replied_ns"][known],
            rows[fetch_of[known]],
            origin_ns,
        )
        handles.append(
            Line2D([], [], color=SERVER, linewidth=3, label="server: request read to answer begun")
        )
    calls, end_s = len(order), max(1e-9, float(client.end_s.max()))
    if calls > MOST_LINES:
        _draw_image(axes, client, failed, server, calls, end_s)
        if run.processes == 1 and end_s > _WAVES * float(np.median(client.end_s - client.start_s)):
            _draw_window(axes, client, failed, server, min(calls // 2, 3 * run.concurrency, 1000))
    else:
        _draw_lines(axes, client, failed, server, calls)
    axes.set_xlim(-0.01 * end_s, 1.01 * end_s)
    axes.set_ylim(calls - 0.25, -0.75)
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes.set_xlabel("time since the first call (s)")
    axes.set_ylabel("call, in the order of starts")
    if run.processes > 1:
        axes.set_ylabel("call, by process and in the order of starts")
        _name_processes(axes, np.bincount(process, minlength=run.processes), processes)
    shown = _format_calls(calls, run.requests if first else calls)
    parts = (format_load_of(run), format_delay_of(run), shown, f"trial {run.trial}")
    add_axes_title(
        axes,
        f"Calls over time: {run.crawler}",
        ", ".join(filter(None, parts)),
        format_doubt(trial.verdict),
    )
    if client.end_s[client.row < _CORNER_ROWS * calls].max(initial=0) > _CORNER * end_s:
        below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.12)}
        axes.legend(handles=handles, ncols=len(handles), fontsize=11, **below)
    else:
        axes.legend(handles=handles, loc="upper right", fontsize=11)
    clocks = format_clocks([trial.summary] if trial.summary is not None else [])
    add_small_print(figure, f"{small_print}\n{clocks}")
    return figure


def _name_processes(
    axes: Axes, calls: "NDArray[np.int64]", processes: Sequence[ProcessResult]
) -> None:
    """Draw lines between the processes, and name each at the right with its machine, if any."""
    machines = {one.ordinal: one.machine for one in processes}
    ends = np.cumsum(calls)
    for ordinal, (end, count) in enumerate(zip(ends.tolist(), calls.tolist(), strict=True)):
        if ordinal:
            axes.axhline(end - count - 0.5, color=GREY, linewidth=0.8, gid="process", zorder=4)
        if len(calls) <= _NAMED_PROCESSES:
            axes.annotate(
                f"process {ordinal + 1}\n{machines.get(ordinal, '')}".rstrip(),
                (1.01, end - count / 2 - 0.5),
                xycoords=("axes fraction", "data"),
                va="center",
                fontsize=10,
                annotation_clip=False,
            )


def _first_jobs(fetches: IntColumns, requests: int, first: int) -> IntColumns:
    """Return the fetches of jobs; if `first` is not 0, those that were started first."""
    jobs = np.flatnonzero((fetches["seq"] >= 0) & (fetches["seq"] < requests))
    if first:
        jobs = jobs[np.argsort(fetches["start_ns"][jobs], kind="stable")[:first]]
    return {name: column[jobs] for name, column in fetches.items()}


def _format_calls(calls: int, requests: int) -> str:
    """Return `1,000 requests`, or `first 100 of 1,000 requests`."""
    return (
        f"first {calls:,} of {requests:,} requests" if calls < requests else f"{calls:,} requests"
    )


def _spans(
    starts_ns: "NDArray[np.int64]",
    ends_ns: "NDArray[np.int64]",
    rows: "NDArray[np.int64]",
    origin_ns: int,
) -> Spans:
    return Spans((starts_ns - origin_ns) / 1e9, (ends_ns - origin_ns) / 1e9, rows)


def _draw_lines(
    axes: Axes, client: Spans, failed: "NDArray[np.bool_]", server: Spans | None, calls: int
) -> None:
    # Lines are snapped to whole pixels. A row of less than two pixels gets a line of two, because
    # with lines of one, white stripes would show where the rounding leaves a gap.
    width = max(1.2, min(8.0, 400 / calls))
    # If rows are thinner than a pixel, both spans are equally thick; otherwise stripes would show.
    server_width = width * (0.5 if width > 2 else 1.0)
    colours = [FAILED if has_failed else CLIENT for has_failed in failed.tolist()]
    axes.add_collection(
        LineCollection(_segments(client), colors=colours, linewidths=width, gid="client")
    )
    if server is not None:
        axes.add_collection(
            LineCollection(_segments(server), colors=SERVER, linewidths=server_width, gid="server")
        )


def _segments(spans: Spans) -> "list[NDArray[np.float64]]":
    """Return one horizontal segment per span, each of shape (2, 2)."""
    segments = np.empty((len(spans.row), 2, 2))
    segments[:, 0, 0] = spans.start_s
    segments[:, 1, 0] = spans.end_s
    segments[:, :, 1] = spans.row[:, None]
    return list(segments)


def _draw_image(
    axes: Axes,
    client: Spans,
    failed: "NDArray[np.bool_]",
    server: Spans | None,
    calls: int,
    end_s: float,
) -> None:
    good, bad = (coverage(client.only(of), calls, end_s) for of in (~failed, failed))
    both = np.maximum(good + bad, 1e-12)
    at_server = np.zeros_like(both)
    if server is not None:
        at_server = np.clip(coverage(server, calls, end_s) / both, 0, 1)
    shares = {CLIENT: good / both * (1 - at_server), FAILED: bad / both * (1 - at_server)}
    shares[SERVER] = at_server
    image = np.zeros((_ROWS, _COLUMNS, 3))
    for colour, share in shares.items():
        image += share[:, :, None] * np.array(to_rgb(colour))
    # A pixel with any call has its full colour. With a million calls, a pixel covers two thousand
    # calls and a long time, so that a hundred calls in flight would be almost invisible.
    image[good + bad < 1e-9] = 1
    axes.imshow(
        image,
        extent=(0, end_s, calls - 0.5, -0.5),
        aspect="auto",
        interpolation="nearest",
        zorder=2,
        gid="calls",
    )


def _draw_window(
    axes: Axes, client: Spans, failed: "NDArray[np.bool_]", server: Spans | None, calls: int
) -> None:
    """Draw `calls` calls from the middle as lines, in the empty lower left corner."""
    first = len(client.row) // 2
    inset = axes.inset_axes((0.07, 0.1, 0.4, 0.4))
    shown = (client.row >= first) & (client.row < first + calls)
    at_server = None
    if server is not None:
        at_server = server.only((server.row >= first) & (server.row < first + calls))
    _draw_lines(inset, client.only(shown), failed[shown], at_server, calls)
    inset.set_xlim(client.start_s[shown].min(), client.end_s[shown].max())
    inset.set_ylim(first + calls - 0.25, first - 0.75)
    inset.set_title(f"{calls:,} calls from the middle", fontsize=10)
    inset.tick_params(labelsize=8)
    inset.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def coverage(spans: Spans, calls: int, end_s: float) -> "NDArray[np.float64]":
    """Return the covered share of each pixel, from 0 to 1, with shape (_ROWS, _COLUMNS).

    A pixel stands for the same interval of time of several calls.
    """
    row = spans.row * _ROWS // calls
    height = np.bincount(np.arange(calls) * _ROWS // calls, minlength=_ROWS)
    covered = np.zeros(_ROWS * (_COLUMNS + 2))
    for at_s, sign in ((spans.start_s, 1.0), (spans.end_s, -1.0)):
        # A span that begins or ends inside a pixel covers part of it; the rest goes to the next.
        column = np.clip(at_s / max(end_s, 1e-9), 0, 1) * _COLUMNS
        whole = np.floor(column).astype(np.int64)
        part = column - whole
        index = row * (_COLUMNS + 2) + whole
        covered += sign * np.bincount(index, 1 - part, len(covered))
        covered += sign * np.bincount(index + 1, part, len(covered))
    counts = np.cumsum(covered.reshape(_ROWS, _COLUMNS + 2), axis=1)[:, :_COLUMNS]
    return np.clip(counts / np.maximum(height, 1)[:, None], 0.0, 1.0)


def findings(trial: Trial) -> str:
    """Say how long one run took, and what is wrong with it."""
    summary = trial.summary
    assert summary is not None
    text = f"{summary.requests:,} requests in {summary.makespan_ns / 1e9:.2f} s"
    if summary.efficiency is not None:
        text += f", of which {summary.ideal_ns / 1e9:.2f} s are the delays alone"
    if summary.errors:
        wrong = ", ".join(f"{word} {count}" for word, count in summary.errors.items())
        text += f"; wrong: {wrong}"
    if trial.verdict.level is not Level.VALID:
        text += f"; {trial.verdict.level.name}"
    return text + "."


def findings_of_first(trial: Trial, fetches: IntColumns, first: int) -> str:
    """Say how long the calls that were started first took."""
    shown = _first_jobs(fetches, trial.run.requests, first)
    if not len(shown["seq"]):
        return "No call was recorded."
    seconds = (int(shown["end_ns"].max()) - int(shown["start_ns"].min())) / 1e9
    calls = _format_calls(len(shown["seq"]), trial.run.requests)
    failed = int((shown["error"] != 0).sum())
    wrong = f", of which {failed:,} failed" if failed else ""
    return f"The {calls}{wrong}: {seconds:.2f} s from the first start to the last end."
