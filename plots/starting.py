"""Start-up of the programs that draw: their arguments, and their end if the bench ends."""

import argparse
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

from server.parent import continue_when_parent_ends, end_with_stdin


def parse_arguments(
    parser: argparse.ArgumentParser,
    argv: list[str] | None = None,
    read: Callable[[argparse.Namespace], object] | None = None,
) -> argparse.Namespace:
    """Parse the arguments, and keep what `read` returns as `from_stdin`.

    With `--end-with-stdin`, the end of stdin acts as Ctrl-C from then on, so that half written
    files are removed even if the bench is killed. `read` is called before, so that it can read the
    beginning of stdin.
    """
    parser.add_argument("--end-with-stdin", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if read is not None:
        arguments.from_stdin = read(arguments)
    if arguments.end_with_stdin:
        continue_when_parent_ends()
        end_with_stdin(partial(os.kill, os.getpid(), signal.SIGINT))
    return arguments


def json_text(arguments: argparse.Namespace) -> str:
    """Return all of stdin; with `--end-with-stdin` only its first line, because it stays open."""
    return sys.stdin.readline() if arguments.end_with_stdin else sys.stdin.read()
