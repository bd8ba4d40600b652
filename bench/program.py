"""The name of this program, for messages that say what to type. Standard library only."""

import shlex
import sys
from contextlib import suppress
from pathlib import Path

import bench

_SCRIPT = "crawlbench"


def program_name(called: str, root: Path) -> str:
    """Return the console script, or the checkout's script, which needs nothing on PATH.

    `called` is the path of the program that was started, `root` the folder of our packages.
    """
    script = root / "benchmark.sh"
    if Path(called).stem == _SCRIPT or not script.is_file():
        return _SCRIPT
    with suppress(OSError):  # the current folder may be gone
        if Path.cwd() == root:
            return "./benchmark.sh"
    return shlex.quote(str(script))


PROGRAM = program_name(sys.argv[0], Path(bench.__path__[0]).parent)


def say(text: str) -> None:
    """Print one line on stderr, after the name of this program."""
    print(f"crawlbench: {text}", file=sys.stderr)
