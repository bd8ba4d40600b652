"""How the programs that draw begin: with arguments, and tied to the bench if that starts them."""

import argparse
import os
import signal
from functools import partial

from server.parent import continue_when_parent_ends, end_with_stdin


def parse_arguments(
    parser: argparse.ArgumentParser, argv: list[str] | None = None
) -> argparse.Namespace:
    """As the parser does; with `--end-with-stdin`, the end of stdin is a Ctrl-C from now on.

    So what is half written is removed, whatever became of the bench.
    """
    parser.add_argument("--end-with-stdin", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.end_with_stdin:
        continue_when_parent_ends()
        end_with_stdin(partial(os.kill, os.getpid(), signal.SIGINT))
    return arguments
