"""overlap-SAVER.png: when a few items were computed and saved, with one row per item."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from bench.analysis.accounts import Accounts
from bench.primes.saved_run import SavedRun, acknowledged
from bench.results.columns import IntColumns
from plots.looks import CLIENT, FAILED, GREY, SERVER
from plots.scenes import Drawn, SaverScene
from plots.style import add_small_print, format_doubt, new_figure

ITEMS = 25
_HEIGHT = 0.8
WORK = "#009E73"


_HOW_TO_READ = (
    "Each row is an item: when it was computed, and when it was saved. A saver that works while it "
    "waits computes the next items during a save; one that does not leaves gaps."
)


def draw(scene: SaverScene) -> Drawn | None:
    """Draw overlap-SAVER.png. Returns None if nothing was computed."""
    figure = overlap_figure(scene.saved, scene.accounts, scene.work, scene.what, scene.small_print)
    if figure is None:
        return None
    stem, finding = f"overlap-{scene.saver}", _shows(scene.saved)
    return Drawn(stem, "Work and waiting", figure, _HOW_TO_READ, finding, scene.saver)


def overlap_figure(
    saved: SavedRun, accounts: Accounts, work: IntColumns, what: str, small_print: str
) -> Figure | None:
    """Return a figure with one row per item, for ITEMS items from the middle of the run.

    Bars show when an item was computed (gid "work"), when it was saved (gid "save") and when the
    service handled it (gid "service"). Returns None if nothing was computed.
    """
    count = min(ITEMS, len(work["item"]))
    if not count:
        return None
    first = (len(work["item"]) - count) // 2
    rows = np.arange(first, first + count)
    origin_ns = int(work["start_ns"][first])
    figure = new_figure()
    axes = figure.add_subplot()
    starts, ends = work["start_ns"][rows], work["end_ns"][rows]
    draw_bars(axes, rows, starts - origin_ns, ends - starts, WORK, _HEIGHT, "work", "computed")
    fetches, arrivals = accounts.fetches, accounts.arrivals
    is_saved = acknowledged(fetches)
    for of_these, colour, label in (
        (is_saved, CLIENT, "saved: client"),
        (~is_saved, FAILED, "not saved"),
    ):
        chosen = np.isin(fetches["seq"], rows) & of_these
        if chosen.any():
            start, end = fetches["start_ns"][chosen], fetches["end_ns"][chosen]
            draw_bars(
                *(axes, fetches["seq"][chosen], start - origin_ns, end - start),
                *(colour, _HEIGHT, "save", label),
            )
    if arrivals is not None:
        chosen = np.isin(arrivals["seq"], rows) & (arrivals["replied_ns"] > 0)
        if chosen.any():
            start, end = arrivals["arrived_ns"][chosen], arrivals["replied_ns"][chosen]
            draw_bars(
                *(axes, arrivals["seq"][chosen], start - origin_ns, end - start),
                *(SERVER, _HEIGHT / 2, "service", "saved: service"),
            )
    axes.set_ylim(first + count - 0.3, first - 2.7)  # leaves room for the legend at the top
    axes.margins(x=0.01)
    ticks = MaxNLocator(integer=True, nbins=6).tick_values(first, first + count - 1)
    rows_shown = [int(tick) for tick in ticks if first <= tick < first + count]
    axes.set_yticks(rows_shown, [f"{work['item'][row]:,}" for row in rows_shown])
    axes.set_xlabel(f"time since item {work['item'][first]:,} was started (ms)")
    axes.set_ylabel(f"item; {count} of {len(work['item']):,}, from the middle")
    axes.set_title(f"Work and waiting: {saved.run.crawler}\n{_subtitle(saved, what)}")
    axes.legend(loc="upper right", ncols=4, fontsize=9)
    axes.axvline(0, color=GREY, linewidth=0.8)
    add_small_print(figure, small_print)
    return figure


def _subtitle(saved: SavedRun, what: str) -> str:
    parts = [what]
    if saved.wall_s is not None:
        parts.append(f"{saved.wall_s:.2f} s")
    if saved.overlap is not None:
        parts.append(f"overlap {100 * saved.overlap:.0f} %")
    return "; ".join(parts) + format_doubt(saved.verdict)


def _shows(saved: SavedRun) -> str:
    text = f"{saved.found:,} items found, {saved.saved:,} saved"
    if saved.wall_s is not None:
        text += f", in {saved.wall_s:.2f} s"
    if saved.overlap is not None:
        text += f"; overlap {100 * saved.overlap:.0f} %"
    return f"{text}."


def draw_bars(
    axes: Axes,
    rows: "np.typing.NDArray[np.int64]",
    start_ns: "np.typing.NDArray[np.int64]",
    span_ns: "np.typing.NDArray[np.int64]",
    colour: str,
    height: float,
    gid: str,
    label: str,
) -> None:
    """Draw a bar in each of the rows. Its gid and label are the same for all; "" is no label."""
    bars = axes.barh(
        rows, span_ns / 1e6, left=start_ns / 1e6, height=height, color=colour, label=label, zorder=3
    )
    for bar in bars:
        bar.set_gid(gid)
