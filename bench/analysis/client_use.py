"""Computes how busy the crawler was, from the usage of each of its processes. Pure.

A process is what can be short of CPU: of four, one may be at its limit while the mean is not.
Shares are therefore those of the process for which they are the highest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.results.run_result import ProcessResult
from bench.results.schema import RunRow
from crawlers.spec import Usage


@dataclass(frozen=True, slots=True)
class ClientUse:
    """What the crawler used, as shares of the time of the crawl."""

    cpu_share: float
    """Of the CPUs that the process can use. Where processes share CPUs, of these, if it is more."""
    waited_share: float | None
    """See RunSummary."""
    gc_share: float


def client_use(run: RunRow, usage: Usage, processes: Sequence[ProcessResult]) -> ClientUse:
    """Compute the use. `usage` is that of all processes together.

    It alone counts if that of each is not known, as in results older than schema 9.
    """
    each = [one.usage for one in processes if one.usage is not None]
    if run.processes == 1 or len(each) < run.processes:
        each = [usage]
    cores = max(1.0, run.cores / len(each))
    busiest = max(one.cpu_ns / max(1, one.wall_ns) for one in each) / cores
    # The CPUs of other machines are not known here.
    is_here = not any(one.machine for one in processes)
    together = usage.cpu_ns / max(1, usage.wall_ns) / run.cores if is_here else 0.0
    waits = [share for one in each if (share := _waited_share(one)) is not None]
    return ClientUse(
        cpu_share=max(busiest, together),
        waited_share=max(waits, default=None),
        gc_share=max(one.gc_pause_ns / max(1, one.wall_ns) for one in each),
    )


def _waited_share(usage: Usage) -> float | None:
    """Return the waiting share of a process with a single thread.

    Returns None for others, because their threads also wait for each other.
    """
    if usage.waited_ns is None or usage.main_cpu_ns is None:
        return None
    if usage.main_cpu_ns < 0.9 * usage.cpu_ns:
        return None
    return usage.waited_ns / max(1, usage.wall_ns)
