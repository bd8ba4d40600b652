"""Checks before a sweep whether this machine allows it, so that it does not fail midway."""

from collections.abc import Sequence
from pathlib import Path

from bench.errors import MachineError
from bench.measure.runner import Target
from bench.plan.experiment import PlannedRun
from bench.results.schema import MAX_REQUESTS, SPARE_DESCRIPTORS
from server.control_client import stats

MAX_RUNS = 100_000
"""Most runs of an experiment: with one second each, more than a day."""


class TooMuchError(MachineError):
    """This machine cannot do what was asked; the text says how much it can, and how to get more."""


def check_count(runs: int) -> None:
    """Check the number of runs before they are made. Raises TooMuchError."""
    if runs > MAX_RUNS:
        raise TooMuchError(
            f"{runs:,} runs are more than an experiment may have, {MAX_RUNS:,}: ask for fewer "
            "--trials, or for fewer of what is measured in each"
        )


def check_limits(runs: Sequence[PlannedRun]) -> None:
    """Check the requests and open files that the runs need. Raises TooMuchError."""
    needed = max(run.cell.concurrency for run in runs) + SPARE_DESCRIPTORS
    allowed = descriptors_allowed()
    if allowed is not None and allowed <= SPARE_DESCRIPTORS:
        raise TooMuchError(
            f"this system allows {allowed} open files, and {needed} are needed: raise its hard "
            "limit (ulimit -Hn)"
        )
    if allowed is not None and needed > allowed:
        raise TooMuchError(
            f"a concurrency of {needed - SPARE_DESCRIPTORS} needs {needed} open files, and this "
            f"system allows {allowed}: raise its hard limit (ulimit -Hn), or ask for "
            f"--concurrency up to {allowed - SPARE_DESCRIPTORS}"
        )
    requests = max(run.requests for run in runs)
    if requests > MAX_REQUESTS:
        raise TooMuchError(
            f"a run of {requests:,} requests is more than {MAX_REQUESTS:,}: ask for fewer with "
            "-n or --waves, or for a shorter --duration"
        )


def check_server(target: Target, concurrency: int) -> None:
    """Check whether a running server of ours accepts this many connections.

    Raises TooMuchError and server.control_client.ControlError.
    """
    most = int(stats(target.control_url)["connections"]["most"])
    if concurrency > most:
        raise TooMuchError(
            f"the server at {target.url} may open {most} connections, and a concurrency of "
            f"{concurrency} was asked for: start it with a higher limit of open files (ulimit -n), "
            f"or ask for --concurrency up to {most}"
        )


def concurrency_allowed(wanted: int, target: Target | None) -> int:
    """Return the concurrency that is wanted, or less if this machine or the server allows less.

    Raises server.control_client.ControlError.
    """
    descriptors, most = descriptors_allowed(), wanted
    if descriptors is not None:
        most = min(most, descriptors - SPARE_DESCRIPTORS)
    if target is not None and target.is_ours:
        most = min(most, int(stats(target.control_url)["connections"]["most"]))
    return max(1, min(most, ports_allowed() or most))


def ports_allowed() -> int | None:
    """Return how many connections to one server this machine has ports for; None if not known."""
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        low, high = map(int, text.split())
    except (OSError, ValueError):
        return None
    return high - low + 1


def descriptors_allowed() -> int | None:
    """Return the open files to which a process may raise its limit; None for no limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return None if hard == resource.RLIM_INFINITY else hard
