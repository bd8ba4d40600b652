"""`python -m bench`, the console script `crawlbench`: signals, streams, errors, exit codes."""

import os
import signal
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Without -P the current folder comes first, and a server.py there would be taken for ours.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# Until main has begun, Ctrl-C ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

# ruff: noqa: E402 - the imports take most of the time in which Ctrl-C may come
from importlib import import_module
from types import FrameType

from bench.command_line import make_parser
from bench.exit_codes import (
    EXIT_BROKEN_PIPE,
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    EXIT_USAGE,
)
from bench.printable import protect_standard_streams
from crawlers.registry import CrawlerNotInstalledError, UnknownCrawlerError


def main(argv: list[str] | None = None) -> int:
    """Do what the arguments say; returns the exit code."""
    _occupy_standard_streams()
    protect_standard_streams()
    for number in _stopping_signals():
        signal.signal(number, _interrupt)
    try:
        return _do(argv)
    except KeyboardInterrupt:
        print("crawlbench: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except OSError as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT


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
    arguments = make_parser().parse_args(argv)
    from bench.compare_report import NotComparableError
    from bench.entrants import EntrantError
    from bench.interpreters import InterpreterError
    from bench.limits import TooMuchError
    from bench.runner import ServerGoneError
    from bench.store import StoreError
    from bench.targets import UrlsError
    from server.control_client import ControlError
    from server.process import ServerStartError
    from server.process_usage import raise_descriptor_limit

    raise_descriptor_limit()
    try:
        module, _, function = arguments.function.partition(":")
        return int(getattr(import_module(module), function)(arguments))
    except (EntrantError, UnknownCrawlerError, UrlsError, NotComparableError) as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return EXIT_USAGE
    except (
        ControlError,
        CrawlerNotInstalledError,
        InterpreterError,
        ServerGoneError,
        ServerStartError,
        StoreError,
        TooMuchError,
    ) as error:
        print(f"crawlbench: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT


if __name__ == "__main__":
    sys.exit(main())
