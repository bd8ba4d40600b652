"""Computes how busy and how late the server was during a run, from its samples. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.results.columns import IntColumns

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_MAKESPAN_NS = 200_000_000
"""Server load is only reported for makespans of at least this length (four samples)."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """The server's load during the makespan; of several processes, the highest of each number."""

    cpu_share: float
    waited_share: float | None
    """Share of the time in which the server was ready to run while another process had its CPU;
    None if the system does not report it."""
    longest_lag_ns: int
    """Largest lag of the server's event loop."""


@dataclass(frozen=True, slots=True)
class ServerUse:
    """The server's CPU time for a run, and its load, which is None if the run was too short."""

    cpu_ns: int
    """Of all its processes."""
    load: ServerLoad | None


def server_use(samples: IntColumns, first_ns: int, last_ns: int) -> ServerUse:
    """Compute the server's use from the samples around a makespan.

    All CPU time is attributed to the makespan, because the server does almost nothing outside it.
    """
    uses = [_use_of_process(own, first_ns, last_ns) for own in _by_process(samples)]
    loads = [use.load for use in uses if use.load is not None]
    cpu_ns = sum(use.cpu_ns for use in uses)
    if not loads:
        return ServerUse(cpu_ns, None)
    waits = [load.waited_share for load in loads if load.waited_share is not None]
    busiest = ServerLoad(
        cpu_share=max(load.cpu_share for load in loads),
        waited_share=max(waits, default=None),
        longest_lag_ns=max(load.longest_lag_ns for load in loads),
    )
    return ServerUse(cpu_ns, busiest)


def connections_of_processes(connection: "NDArray[np.int64]", processes: int) -> tuple[int, ...]:
    """Return how many connections of a run each server process accepted.

    With S processes, the n-th connection of process i, from 0, has the number (n - 1) S + i + 1.
    """
    process = (np.unique(connection) - 1) % processes
    return tuple(np.bincount(process, minlength=processes).tolist())


def _by_process(samples: IntColumns) -> Iterator[IntColumns]:
    """Yield the samples of each server process, in the order of time."""
    process = samples["process"]
    for one in np.unique(process).tolist():
        own = process == one
        yield {name: column[own] for name, column in samples.items()}


def _use_of_process(samples: IntColumns, first_ns: int, last_ns: int) -> ServerUse:
    """Compute the use of one process, which has at least one sample."""
    at = samples["at_ns"]
    begin = max(0, int(np.searchsorted(at, first_ns, side="right")) - 1)
    end = min(len(at) - 1, int(np.searchsorted(at, last_ns)))
    cpu_ns = int(samples["cpu_ns"][end] - samples["cpu_ns"][begin])
    makespan_ns = last_ns - first_ns
    if makespan_ns < _LEAST_MAKESPAN_NS:
        return ServerUse(cpu_ns, None)
    waited_ns = int(samples["waited_ns"][end] - samples["waited_ns"][begin])
    is_waiting_known = int(samples["waited_ns"][begin]) >= 0
    lags = samples["late_ns"][begin + 1 : end + 1]
    load = ServerLoad(
        cpu_share=min(1.0, cpu_ns / makespan_ns),
        waited_share=waited_ns / makespan_ns if is_waiting_known else None,
        longest_lag_ns=int(lags.max()) if len(lags) else 0,
    )
    return ServerUse(cpu_ns, load)
