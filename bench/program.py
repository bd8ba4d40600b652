"""By what name this program is called: messages tell users what they can type. Standard library."""

import sys
from pathlib import PurePath

_SCRIPT = "crawlbench"

PROGRAM = _SCRIPT if PurePath(sys.argv[0]).stem == _SCRIPT else "./benchmark.sh"
"""The console script, or the script of the checkout, which needs nothing on PATH."""


def say(text: str) -> None:
    """One line on stderr, in the name of this program."""
    print(f"crawlbench: {text}", file=sys.stderr)
