"""Options for more cores: in how many processes a run is made, and in how many it is served."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from functools import partial

from bench.cli.options import checked_single
from bench.errors import UsageError
from bench.plan.entrants import MOST_PROCESSES, Entrant, multiplied
from crawlers.checked import checked_count, checked_list
from crawlers.registry import find
from server.ledger import MOST_PROCESSES as MOST_SERVER_PROCESSES
from server.service import Service


def add_parallel(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add `processes` and `server_processes`, which are None if they are not given."""
    checked = partial(checked_count, most=MOST_PROCESSES)
    several = "; with several numbers, each crawler is measured with each" if may_be_many else ""
    parser.add_argument(
        "--processes",
        type=(checked_list if may_be_many else checked_single)(checked),
        metavar="P,P" if may_be_many else "P",
        help="share each run among P crawler processes: each has every P-th request, and its part "
        f"of the concurrency (default: 1){several}; NAME*P is the same for one crawler",
    )
    parser.add_argument(
        "--server-processes",
        type=partial(checked_count, most=MOST_SERVER_PROCESSES),
        metavar="S",
        help="serve with S processes on one port (default: by the number of cores, 1 if there are "
        "fewer than 4)",
    )


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
    # A cluster has as many processes as workers, although nobody asked for processes.
    in_one = "run it in one process" + (": --processes 1" if arguments.cluster else "")
    scenario = vars(arguments).get("scenario")
    if scenario or (arguments.duration and not arguments.rate):
        time = f"--scenario {scenario}" if scenario else f"--duration {arguments.duration:g}"
        raise UsageError(
            f"a run that ends after a time ({time}) cannot be shared among processes, because its "
            f"requests are not known before: {'' if scenario else 'give -n instead, or '}{in_one}"
        )
    most = max(one.processes for one in shared)
    if concurrencies and max(concurrencies) < most:
        raise UsageError(
            f"a run in {most} processes needs a --concurrency of {most} or more, so that each has "
            f"a request at a time; or {in_one}"
        )
    infos = [find(one.crawler, one.declared_as) for one in shared]
    if adapting := dict.fromkeys(info.name for info in infos if info.adapts):
        raise UsageError(
            f"{', '.join(adapting)} cannot share a run among processes, because each would choose "
            f"a concurrency of its own: leave it out, or {in_one}"
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
