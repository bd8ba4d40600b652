"""How to start a crawler's process: with this interpreter, or with the one of an entrant."""

import os
import re
import sys
from pathlib import Path

from bench.errors import MachineError
from bench.plan.entrants import Entrant
from crawlers.crawler_file import is_file_name

_ROOT = str(Path(__file__).parents[2])
# Another environment imports our two packages and the user's crawler from here, and nothing else:
# its own libraries are to be measured.
_BOOTSTRAP = """
import runpy, sys
from importlib.machinery import PathFinder
root, names = sys.argv.pop(1), sys.argv.pop(1).split(",")
class Ours:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return PathFinder.find_spec(name, [root]) if name in names else None
sys.meta_path.insert(0, Ours)
runpy.run_module("crawlers", run_name="__main__", alter_sys=True)
"""


class InterpreterError(MachineError):
    """An interpreter that does not exist; the text names it."""


def crawler_command(entrant: Entrant, *arguments: str) -> list[str]:
    """Return the command that starts `python -m crawlers ARGUMENTS` for an entrant."""
    if not entrant.python:
        return [sys.executable, "-P", "-m", "crawlers", *arguments]
    names = ["crawlers", "server"]
    module, colon, _ = entrant.crawler.partition(":")
    if colon and not is_file_name(entrant.crawler):  # a file is found by its path
        names.append(module.partition(".")[0])
    return [entrant.python, "-P", "-c", _BOOTSTRAP, _ROOT, ",".join(names), *arguments]


def check_interpreter(entrant: Entrant) -> None:
    """Raise InterpreterError if the entrant's interpreter cannot be started."""
    if entrant.python and not os.access(entrant.python, os.X_OK):
        name = Path(entrant.python).name
        if re.fullmatch(r"(pypy)?\d[\d.]*t?", name):
            raise InterpreterError(
                f"{entrant.label}: {name} is a version, and after @ comes the path of a python: "
                f"the verbs run and crawl take versions by --python {name}"
            )
        raise InterpreterError(
            f"{entrant.label}: {entrant.python} is not a program that can be run: give the path of "
            "a python, as in old=asyncio@/path/to/venv/bin/python"
        )
