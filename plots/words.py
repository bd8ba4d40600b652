"""Formats numbers and their intervals for the sentences next to figures. Pure."""

from collections.abc import Callable, Iterable

from bench.analysis.cells import CellSummary
from bench.analysis.clocks import format_bound
from bench.analysis.comparison import METRICS, NO_DIFFERENCE, compare
from bench.analysis.inference import Interval, median_interval
from bench.analysis.summary import RunSummary
from bench.plan.experiment import Experiment
from bench.results.schema import RunRow

_NAMED_MACHINES = 4
"""Up to so many machines are named one by one where their clocks are told."""
TIMES = "\N{MULTIPLICATION SIGN}"


def format_ideal(asked: Experiment) -> str:
    """Return the label of a line of the ideal client."""
    is_plain = asked.service.is_plain
    return f"ideal: {'no time but the delays' if is_plain else 'a client without overhead'}"


def format_load_of(run: RunRow) -> str:
    """Return `concurrency 100`, or `200/s, at most 100 in flight`."""
    if run.load.rate is None:
        return f"concurrency {run.concurrency}"
    return f"{run.load.rate}, at most {run.concurrency} in flight"


def format_delay_of(run: RunRow) -> str:
    """Return `delay 100 ms`, or "" for a server that is not ours, whose delays are not known."""
    return "" if run.unrecorded is None and run.delay.is_none else f"delay {run.delay}"


def rate(cell: CellSummary) -> float:
    """Return the median throughput of a cell in requests/s."""
    return cell.requests_per_s[0]


def format_clocks(summaries: Iterable[RunSummary]) -> str:
    """Return how the clocks of other machines differ from the server's, or "" without any.

    As in `clocks of other machines: worker-1 +37.500 ms ± 0.110 ms (± is half the shortest round
    trip)`. Of a machine in several runs it has the clock with the largest bound, and of more than
    _NAMED_MACHINES machines the lowest and the highest offset with the largest bound.
    """
    known = sorted((one for run in summaries for one in run.clocks), key=lambda one: one.bound_ns)
    clocks = sorted({one.machine: one for one in known}.values(), key=lambda one: one.machine)
    if not clocks:
        return ""
    shown = ", ".join(map(str, clocks))
    if len(clocks) > _NAMED_MACHINES:
        offsets_ms = sorted(one.offset_ns / 1e6 for one in clocks)
        bound = format_bound(max(one.bound_ns for one in clocks))
        shown = (
            f"{len(clocks)} from {offsets_ms[0]:+,.3f} to {offsets_ms[-1]:+,.3f} ms, each ± "
            f"{bound} at most"
        )
    return f"clocks of other machines: {shown} (± is half the shortest round trip)"


def format_rate(per_s: float) -> str:
    """Return requests/s as in `1,234` or `9.8`."""
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def rate_at(cell: CellSummary) -> str:
    """Return `asyncio, 978 requests/s at 100 (95 % interval 960 to 985)`."""
    per_s = rate(cell)
    form = ",.0f" if per_s >= 100 else ".1f"
    interval = format_interval(cell.interval, lambda value: f"{value:{form}}")
    at = cell.cell.concurrency
    return f"{cell.cell.crawler}, {per_s:{form}} requests/s at {at}{interval}"


def format_interval(interval: Interval | None, shown: Callable[[float], str]) -> str:
    """Return ` (95 % interval 960 to 985)`, or "" for None."""
    if interval is None:
        return ""
    return f" (95 % interval {shown(interval.low)} to {shown(interval.high)})"


def is_difference_seen(one: CellSummary, other: CellSummary, metric: str) -> bool:
    """Return whether `crawlbench compare` sees a difference, or has too few trials to decide."""
    return compare({"": (one, other)}, METRICS[metric])[""].verdict != NO_DIFFERENCE


def lowest_and_highest(
    cells: Iterable[CellSummary], attribute: str, metric: str, shown: Callable[[float], str]
) -> str:
    """Return `lowest with asyncio: 80.0 % ..., and highest with protocol: 100.0 % ...`.

    `attribute` names an attribute of RunSummary, of which each cell's median is used; `metric` is
    the one of METRICS to compare by. Returns "" if no cell has the attribute.
    """
    values = {
        cell.cell: (value, cell)
        for cell in cells
        if (value := cell.median_of(attribute)) is not None
    }
    if not values:
        return ""

    def said(value: float, cell: CellSummary) -> str:
        known = [getattr(one, attribute) for one in cell.measured]
        interval = median_interval([one for one in known if one is not None])
        return f"{cell.cell.crawler}: {shown(value)}{format_interval(interval, shown)}"

    ranked = sorted(values.values(), key=lambda one: one[0])
    least, most = ranked[0], ranked[-1]
    if least is most:
        return said(*most)
    text = f"lowest with {said(*least)}, and highest with {said(*most)}"
    if is_difference_seen(least[1], most[1], metric):
        return text
    return f"{text}, but no difference is seen between these two"
