"""async_callgraph.png: CPU and I/O of the first items of the asynchronous saver, one row each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from bench.primes.saved_run import merged
from plots.figures.overlap import ITEMS, WORK, draw_bars
from plots.looks import CLIENT, GREY
from plots.scenes import Drawn, SaverScene
from plots.style import add_small_print, format_doubt, new_figure

if TYPE_CHECKING:
    from numpy.typing import NDArray

_HOW_TO_READ = (
    "Each row is an item: its CPU span, in which it was computed, and its I/O span, in which it "
    "was saved. An I/O span ends when the loop takes the answer, which is not before the item that "
    "it computes is done. The two rows at the bottom are all spans together. Where both are "
    "filled, saving was hidden behind computing."
)
_HEIGHT = 0.8
_GAP, _STEP = 1.2, 1.8
"""Rows from the last item to the first row of all spans, and from that to the second."""


@dataclass(frozen=True, slots=True)
class _Spans:
    """Spans of the shown items, from the start of the first one, in ns."""

    rows: "NDArray[np.int64]"
    starts: "NDArray[np.int64]"
    ends: "NDArray[np.int64]"


def draw(scene: SaverScene) -> Drawn | None:
    """Draw async_callgraph.png. Returns None if nothing was computed."""
    cpu, io = _spans(scene)
    if not len(cpu.rows):
        return None
    both_s = _all_s(cpu) + _all_s(io) - _all_s(cpu, io)
    finding = (
        f"In {_all_s(cpu, io):.2f} s, {len(cpu.rows)} items: CPU spans for {_all_s(cpu):.2f} s, "
        f"I/O spans for {_all_s(io):.2f} s, both at once for {both_s:.2f} s."
    )
    return Drawn(
        stem="async_callgraph",
        heading="Call graph of the asynchronous saver",
        figure=callgraph_figure(scene),
        how_to_read=_HOW_TO_READ,
        finding=finding,
        crawler=scene.saver,
    )


def callgraph_figure(scene: SaverScene) -> Figure:
    """Return a figure with one row for each of the first ITEMS items, and two for all of them.

    The gids of the bars are "cpu" and "io", and "all cpu" and "all io". At least one item must have
    been computed.
    """
    cpu, io = _spans(scene)
    count = len(cpu.rows)
    figure = new_figure()
    axes = figure.add_subplot()
    for at, (spans, colour, word) in enumerate(((cpu, WORK, "CPU"), (io, CLIENT, "I/O"))):
        if not len(spans.rows):
            continue
        gid = "cpu" if spans is cpu else "io"
        length = spans.ends - spans.starts
        draw_bars(axes, spans.rows, spans.starts, length, colour, _HEIGHT, gid, word)
        starts, ends = merged(spans.starts, spans.ends)
        row = np.full(len(starts), count + _GAP + at * _STEP)
        draw_bars(axes, row, starts, ends - starts, colour, _STEP * _HEIGHT, f"all {gid}", "")
    lowest = count + _GAP + 2 * _STEP
    axes.set_ylim(lowest, -0.6 - 0.08 * lowest)  # room for the legend
    axes.margins(x=0.01)
    items = [row for row in range(count) if row % 5 == 0 or count <= 8]
    axes.set_yticks(
        [*items, count + _GAP, count + _GAP + _STEP],
        [*(f"{scene.work['item'][row]:,}" for row in items), "all CPU", "all I/O"],
    )
    axes.axhline(count - 0.2, color=GREY, linewidth=0.8)
    axes.set_xlabel("time since the first item was started (ms)")
    axes.set_ylabel(f"item; the first {count} of {len(scene.work['item']):,}")
    axes.set_title(
        f"Call graph of {scene.saver}: when each item computes and when it saves\n{scene.what}"
        f"{format_doubt(scene.saved.verdict)}"
    )
    axes.legend(loc="upper right", ncols=2, fontsize=9)
    add_small_print(figure, scene.small_print)
    return figure


def _spans(scene: SaverScene) -> tuple[_Spans, _Spans]:
    """Return the spans of computing, and those of saving, of the first items."""
    work, fetches = scene.work, scene.accounts.fetches
    count = min(ITEMS, len(work["item"]))
    origin_ns = int(work["start_ns"][0]) if count else 0
    is_shown = (fetches["seq"] >= 0) & (fetches["seq"] < count)
    return (
        _Spans(
            np.arange(count),
            work["start_ns"][:count] - origin_ns,
            work["end_ns"][:count] - origin_ns,
        ),
        _Spans(
            fetches["seq"][is_shown],
            fetches["start_ns"][is_shown] - origin_ns,
            fetches["end_ns"][is_shown] - origin_ns,
        ),
    )


def _all_s(*spans: _Spans) -> float:
    """Return how long at least one of the spans lasts."""
    starts, ends = (
        np.concatenate([getattr(one, name) for one in spans]) for name in ("starts", "ends")
    )
    if not len(starts):
        return 0.0
    first, last = merged(starts, ends)
    return float((last - first).sum()) / 1e9
