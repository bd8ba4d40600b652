"""Options for more cores: in how many processes a run is made, and in how many it is served."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from bench.errors import UsageError
from bench.plan.entrants import MOST_PROCESSES, Entrant, multiplied
from crawlers.checked import checked_count, checked_list
from crawlers.registry import find
from server.service import Service


def add_parallel(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add `processes` and `server_processes`, which are None if they are not given."""
    several = "; with several numbers, each crawler is measured with each" if may_be_many else ""
    parser.add_argument(
        "--processes",
        type=checked_list(checked_count) if may_be_many else _one_count,
        metavar="P,P" if may_be_many else "P",
        help="share each run among P crawler processes: each has every P-th request, and its part "
        f"of the concurrency (default: 1){several}; NAME*P is the same for one crawler",
    )
    parser.add_argument(
        "--server-processes",
        type=checked_count,
        metavar="S",
        help="serve with S processes on one port (default: by the number of cores, 1 if there are "
        "fewer than 4)",
    )


def _one_count(text: str) -> tuple[int, ...]:
    return (checked_count(text),)


def with_processes(
    entrants: Sequence[Entrant], arguments: Namespace, concurrencies: Sequence[int]
) -> tuple[Entrant, ...]:
    """Return the entrants in each number of processes that is asked for.

    Raises UsageError for what cannot be shared among processes.
    """
    entrants = multiplied(entrants, processes=arguments.processes or ())
    shared = [one for one in entrants if one.processes > 1]
    if not shared:
        return entrants
    most = max(one.processes for one in shared)
    if most > MOST_PROCESSES:
        raise UsageError(f"--processes {most}: at most {MOST_PROCESSES} processes share a run")
    if concurrencies and max(concurrencies) < most:
        raise UsageError(
            f"--processes {most}: each process needs at least one request at a time: give a "
            f"--concurrency of {most} or more"
        )
    adapting = [one.label for one in shared if find(one.crawler, one.declared_as).adapts]
    if adapting:
        raise UsageError(
            f"--processes: {', '.join(adapting)} cannot share a run, because each process would "
            "choose a concurrency of its own: leave it out"
        )
    if arguments.duration and not arguments.rate:
        raise UsageError(
            "--processes: a run that ends after --duration cannot be shared among processes, "
            "because its requests are not known before: give -n or --waves instead"
        )
    return entrants


def check_server_processes(arguments: Namespace, service: Service, *, has_own_server: bool) -> int:
    """Return the number of server processes that is asked for; 0 means by the cores.

    Raises UsageError.
    """
    asked: int | None = arguments.server_processes
    if (asked or 1) > 1 and (shared := service.shared_flags()):
        flags = ", ".join(f"--{flag}" for flag in shared)
        raise UsageError(
            f"--server-processes {asked}: {flags} must be kept by one process, because all "
            "requests share it: leave out one or the other"
        )
    if asked is not None and not has_own_server:
        raise UsageError(
            "--server-processes is for the server that crawlbench starts: leave it out with --url "
            "and --urls"
        )
    return asked or 0
