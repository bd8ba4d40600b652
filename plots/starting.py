"""How the programs that draw begin: with arguments, and tied to the bench if that starts them."""

import argparse
import os
import signal
import sys
from functools import partial

from server.parent import continue_when_parent_ends, end_with_stdin


def parse_arguments(
    parser: argparse.ArgumentParser, argv: list[str] | None = None, *, reads_stdin: bool = False
) -> argparse.Namespace:
    """As the parser does; with `--end-with-stdin`, the end of stdin is a Ctrl-C from now on.

    So what is half written is removed, whatever became of the bench. `reads_stdin`: what stdin says
    is `told`: its first line where the bench goes on to hold it open, else all of it.
    """
    parser.add_argument("--end-with-stdin", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if reads_stdin:
        arguments.told = sys.stdin.readline() if arguments.end_with_stdin else sys.stdin.read()
    if arguments.end_with_stdin:
        continue_when_parent_ends()
        end_with_stdin(partial(os.kill, os.getpid(), signal.SIGINT))
    return arguments
