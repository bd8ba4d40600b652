"""Every figure of an experiment: its file, how to read it, what it shows. One after another."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.analysis import Analysis, load_accounts
from bench.cells import CellSummary, Trial
from bench.environment import machine_shown, versions_shown
from bench.store import Store
from bench.summary import good_service_ns
from plots import findings
from plots.cost import cost_figure
from plots.efficiency import efficiency_figure
from plots.in_flight import in_flight_figure
from plots.latency_split import latency_split_figure
from plots.service_time import service_time_figure
from plots.throughput import throughput_figure
from plots.time_vs_concurrency import time_figure
from plots.timeline import timeline_figure

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

SHOWN_CONCURRENCY = 100
"""Figures of one concurrency are of that next to this one."""
_NAME_CHARACTERS = 100
"""Of a crawler, in the name of a file: file systems take 255."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure with what is said beside it."""

    stem: str
    """Of its file's name."""
    heading: str
    figure: "Figure"
    how_to_read: str
    finding: str
    """What it shows of this run, in numbers."""
    crawler: str = ""
    """Whose single run it shows; "" for a figure of all crawlers."""


def figures_of(store: Store, analysis: Analysis) -> Iterator[Drawn]:
    """All of them; each can be saved and forgotten before the next is drawn.

    Where there are several delays, figures that are of one are drawn for each, with the delay in
    their name. Raises StoreError.
    """
    if not any(cell.measured for cell in analysis.cells):
        return
    small_print = small_print_of(store, analysis)
    several = len(analysis.experiment.delays) > 1
    if several:  # it is what they were asked for
        yield from _of_time(analysis, small_print)
    for delay in analysis.experiment.delays:
        at_delay = analysis.of_delay(delay)
        if any(cell.measured for cell in at_delay.cells):
            suffix = f"-{_file_name(str(delay).replace(' ', ''))}" if several else ""
            title = f", delay {delay}" if several else ""
            print_here = small_print_of(store, at_delay)
            yield from _of_all_crawlers(store, at_delay, print_here, suffix, title)
    if not several:
        yield from _of_time(analysis, small_print)
    for cell in _chosen(analysis).values():
        trial = cell.median_trial()
        if trial is not None:
            yield from _of_one_run(store, trial, small_print)


def small_print_of(store: Store, analysis: Analysis) -> str:
    """Of every figure: on what, when and what was measured."""
    about = store.environment()
    return (
        f"{machine_shown(about)}; {about.get('pinning', '?')}; {store.created_utc()[:10]}\n"
        f"{versions_shown(analysis.runs)}; {analysis.experiment.plan_shown()}; closed loop"
    )


def _of_time(analysis: Analysis, small_print: str) -> Iterator[Drawn]:
    time = time_figure(analysis, small_print)
    if time is not None:
        yield Drawn(
            "time-vs-concurrency",
            "Time against concurrency",
            time,
            "Down is better, on a logarithmic axis. Thin: the ideal, the delays alone. Where a "
            "line leaves it, the crawler's own work has become the limit; where it flattens, more "
            "concurrency buys nothing.",
            findings.of_time(analysis),
        )


def _of_all_crawlers(
    store: Store, analysis: Analysis, small_print: str, suffix: str, title: str
) -> Iterator[Drawn]:
    yield Drawn(
        f"throughput{suffix}",
        f"Throughput{title}",
        throughput_figure(analysis, small_print),
        "Up is better. The dashed line is C / delay: with C requests in flight that take the delay "
        "each, nothing can be above. A crawler on it spends its time waiting; where it bends away, "
        "its own work has become the limit. Rings are knees.",
        findings.of_throughput(analysis),
    )
    efficiency = efficiency_figure(analysis, small_print)
    if efficiency is not None:
        yield Drawn(
            f"efficiency{suffix}",
            f"Efficiency{title}",
            efficiency,
            "The share of the makespan that the delays alone would have taken: 100 % is a crawler "
            "that costs no time at all. Opening the connections is part of the rest.",
            findings.of_efficiency(analysis),
        )
    chosen = _chosen(analysis)
    at = _shown_concurrency(chosen)
    service = service_time_figure(analysis, at, _service_ns(store, chosen, at), small_print)
    if service is not None:
        yield Drawn(
            f"service-time{suffix}",
            f"Service time{title}",
            service,
            "How long a request takes, from a slot held to the last byte of its body, in a closed "
            "loop: a crawler that is behind sends less. Dashed: the delay. Below right, a curve "
            "that rises at once is the same for all requests; a foot to the right is the slow few.",
            findings.of_service_time(analysis, at),
        )
    split = latency_split_figure(analysis, small_print)
    if split is not None:
        yield Drawn(
            f"latency-split{suffix}",
            f"Where the time goes{title}",
            split,
            "What is added to the delay, and where: on the way to the server (the client's own "
            "work and the server's queue included), by the server's lateness, on the way back. "
            "Medians above, p99 below.",
            findings.of_split(analysis),
        )
    cost = cost_figure(chosen, analysis, small_print)
    if cost is not None:
        yield Drawn(
            f"cost{suffix}",
            f"Cost{title}",
            cost,
            "What a request costs the client's CPU, and its process in memory, beside as little as "
            "a client can do. It says how far a crawler could go where waiting is not the limit.",
            findings.of_cost(chosen, analysis),
        )


def _of_one_run(store: Store, trial: Trial, small_print: str) -> Iterator[Drawn]:
    run = trial.run
    accounts = load_accounts(store, run)
    name = _file_name(run.crawler)
    timeline = timeline_figure(trial, accounts.fetches, accounts.arrivals, small_print)
    if timeline is not None:
        yield Drawn(
            f"timeline-{name}",
            "Calls over time",
            timeline,
            "A row a request: its span at the client, and on it that at the server. What shows of "
            "the client on the left was on its way or in the server's queue, on the right an "
            "answer that waited for the client.",
            findings.of_trial(trial),
            run.crawler,
        )
    if accounts.arrivals is not None:
        in_flight = in_flight_figure(trial, accounts.arrivals, small_print)
        if in_flight is not None:
            yield Drawn(
                f"in-flight-{name}",
                "Concurrency achieved",
                in_flight,
                "Requests in flight at the server over time, beside the concurrency asked for. "
                "Dips are a client that is busy between waves; a level that is never left is a "
                "hidden limit.",
                findings.of_in_flight(trial),
                run.crawler,
            )


def _chosen(analysis: Analysis) -> dict[str, CellSummary]:
    """Of each crawler the cell at the concurrency next to SHOWN_CONCURRENCY.

    Of its first delay that is one: without a delay there is next to nothing in flight to be seen.
    """

    def distance(cell: CellSummary) -> tuple[bool, int]:
        return not cell.cell.delay.high_us, abs(cell.cell.concurrency - SHOWN_CONCURRENCY)

    return {name: min(cells, key=distance) for name, cells in analysis.by_crawler().items()}


def _shown_concurrency(chosen: Mapping[str, CellSummary]) -> int:
    """That of most of them."""
    concurrencies = [cell.cell.concurrency for cell in chosen.values()]
    return max(concurrencies, key=concurrencies.count)


def _service_ns(
    store: Store, chosen: Mapping[str, CellSummary], at: int
) -> "dict[str, NDArray[np.int64]]":
    """Of the median trial of each crawler at this concurrency, sorted."""
    found = {}
    for name, cell in chosen.items():
        trial = cell.median_trial()
        if trial is not None and cell.cell.concurrency == at:
            found[name] = good_service_ns(trial.run, load_accounts(store, trial.run))
    return found


def _file_name(crawler: str) -> str:
    """A crawler that was brought along has a name with a colon, and may have anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", crawler)[:_NAME_CHARACTERS]
