"""Command line of the testbed: verbs, options, exit codes."""

import os
import signal
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Without -P the current folder comes first, and a server.py there would be taken for ours.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Until main has begun, Ctrl-C ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# ruff: noqa: E402 - the imports take most of the time in which Ctrl-C may come
import argparse
from pathlib import Path
from types import FrameType

from crawlers.checked import (
    checked_count,
    checked_delay_us,
    checked_list,
    checked_seconds,
    checked_seed,
    checked_url,
)
from crawlers.registry import CrawlerNotInstalledError, UnknownCrawlerError
from server import __version__

_DEFAULT_CRAWLERS = ("serial", "gevent", "asyncio", "asyncio-uvloop")
_EXIT_CODES = (
    "Exit codes: 0 ok, 1 requests or runs failed, 2 usage, 3 this machine (a missing library, a "
    "limit, a full disk), 130 interrupted."
)


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    _occupy_standard_streams()
    for number in _stopping_signals():
        signal.signal(number, _interrupt)
    try:
        return _do(argv)
    except KeyboardInterrupt:
        print("crawlbench: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says it of a program that died of SIGPIPE
    except OSError as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return 3


def _stopping_signals() -> list[signal.Signals]:
    """Those that mean: stop. A hang-up does not mean it under nohup."""
    stopping = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stopping.append(signal.SIGHUP)
    return stopping


def _occupy_standard_streams() -> None:
    """Where a standard stream is closed, the next file opened would take its number, and get what
    is printed: the results file, for example."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - for good


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Stop, once: what cleans up must not be interrupted again."""
    for other in _stopping_signals():
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


def _do(argv: list[str] | None) -> int:
    arguments = _parser().parse_args(argv)
    from bench import commands
    from bench.limits import TooMuchError
    from bench.runner import ServerGoneError
    from bench.store import StoreError
    from server.process import ServerStartError
    from server.process_usage import raise_descriptor_limit

    raise_descriptor_limit()
    try:
        return int(getattr(commands, arguments.function)(arguments))
    except UnknownCrawlerError as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return commands.EXIT_USAGE
    except (
        CrawlerNotInstalledError,
        ServerGoneError,
        ServerStartError,
        StoreError,
        TooMuchError,
    ) as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return commands.EXIT_ENVIRONMENT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="crawlbench",
        description="A testbed for network crawlers: how many requests a second does each "
        "concurrency style reach, at which concurrency?",
        epilog=_EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"crawlbench {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_run(verbs.add_parser("run", help="sweep crawlers x concurrency, then table and plots"))
    _add_crawl(verbs.add_parser("crawl", help="one crawl, in detail"))
    _add_reader(verbs, "report", "the table of an experiment").add_argument(
        "--all", action="store_true", help="every cell, not only each crawler's best"
    )
    _add_reader(verbs, "plots", "draw the plots of an experiment, into its folder")
    verbs.add_parser("list", help="the crawlers").set_defaults(function="list_crawlers")
    return parser


def _add_reader(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", verb: str, description: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        verb, help=description, description=description.capitalize() + ".", epilog=_EXIT_CODES
    )
    parser.set_defaults(function=verb)
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="folder of the results (results/latest)",
    )
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="run_experiment")
    parser.description = (
        "Starts the delay server, runs every crawler at every concurrency in fresh processes, "
        "records each request at both ends, prints a table and draws the plots. "
        "A run has WAVES x concurrency requests."
    )
    parser.epilog = _EXIT_CODES
    parser.add_argument(
        "--crawlers",
        type=checked_list(str),
        default=_DEFAULT_CRAWLERS,
        metavar="A,B",
        help=f"names of crawlbench list ({','.join(_DEFAULT_CRAWLERS)})",
    )
    parser.add_argument(
        "--concurrency",
        type=checked_list(checked_count),
        metavar="C,C",
        help="requests in flight (1,10,100,250,500); serial is measured at 1 only",
    )
    parser.add_argument(
        "--delay",
        type=checked_delay_us,
        default=100_000,
        metavar="MS",
        help="of the server for each request (100)",
    )
    parser.add_argument(
        "--trials", type=checked_count, metavar="N", help="repetitions of everything (3)"
    )
    parser.add_argument(
        "--waves", type=checked_count, default=10, metavar="N", help="requests / C (%(default)s)"
    )
    parser.add_argument(
        "--seed", type=checked_seed, default=1, metavar="N", help="of the order (%(default)s)"
    )
    _add_timeout(parser)
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="where the folder of results is made (%(default)s)",
    )
    parser.add_argument("--quick", action="store_true", help="1 trial; concurrency 1, 10, 100")


def _add_crawl(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="crawl_once")
    parser.description = (
        "One crawl in a fresh process, against a server of its own, or against URL: if that is a "
        "crawlbench server, its ledger is used; any other is fetched as it is."
    )
    parser.epilog = _EXIT_CODES
    parser.add_argument("crawler", metavar="NAME", help="see crawlbench list")
    parser.add_argument(
        "-n", "--requests", type=checked_count, default=1000, metavar="N", help="how many (1000)"
    )
    parser.add_argument(
        "-c", "--concurrency", type=checked_count, default=100, metavar="C", help="at a time (100)"
    )
    parser.add_argument(
        "--delay", type=checked_delay_us, metavar="MS", help="of the server for each request (100)"
    )
    parser.add_argument("--url", type=checked_url, help="crawl this")
    _add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=checked_seconds,
        default=10.0,
        metavar="S",
        help="of a fetch, from its start to its last byte (%(default)s)",
    )


if __name__ == "__main__":
    sys.exit(main())
