"""By what name this program is called: messages tell users what they can type. Standard library."""

import sys
from pathlib import Path

import bench

_SCRIPT = "crawlbench"


def program_name(called: str, root: Path) -> str:
    """The console script; or the script of the checkout, where it is, which needs nothing on PATH.

    `called`: the path of what was started. `root`: the folder that our packages are in.
    """
    has_script = (root / "benchmark.sh").is_file()
    return "./benchmark.sh" if has_script and Path(called).stem != _SCRIPT else _SCRIPT


PROGRAM = program_name(sys.argv[0], Path(bench.__path__[0]).parent)


def say(text: str) -> None:
    """One line on stderr, in the name of this program."""
    print(f"crawlbench: {text}", file=sys.stderr)
