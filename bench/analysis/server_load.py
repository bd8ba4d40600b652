"""Computes how busy and how late the server was during a run, from its samples. Pure."""

from dataclasses import dataclass

import numpy as np

from bench.results.columns import IntColumns

_LEAST_MAKESPAN_NS = 200_000_000
"""Server load is only reported for makespans of at least this length (four samples)."""


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """The server's load during the makespan."""

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
    load: ServerLoad | None


def server_use(samples: IntColumns, first_ns: int, last_ns: int) -> ServerUse:
    """Compute the server's use from the samples around a makespan.

    All CPU time is attributed to the makespan, because the server does almost nothing outside it.
    """
    at = samples["at_ns"]
    if not len(at):
        return ServerUse(0, None)
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
