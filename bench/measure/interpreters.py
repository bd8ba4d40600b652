"""How a crawler's process is started: on this interpreter, or on one that an entrant names."""

import os
import sys
from pathlib import Path

from bench.errors import MachineError
from bench.plan.entrants import Entrant
from crawlers.crawler_file import is_file_name

_ROOT = str(Path(__file__).parents[2])
# Of ours, another environment gets these two packages and the crawler brought along, and nothing
# else that is installed beside them: its libraries are what is measured.
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
    """An interpreter that is not there; the text names it."""


def crawler_command(entrant: Entrant, *arguments: str) -> list[str]:
    """The words that start `python -m crawlers ARGUMENTS` for an entrant."""
    if not entrant.python:
        return [sys.executable, "-P", "-m", "crawlers", *arguments]
    names = ["crawlers", "server"]
    module, colon, _ = entrant.crawler.partition(":")
    if colon and not is_file_name(entrant.crawler):  # a file is found by its path
        names.append(module.partition(".")[0])
    return [entrant.python, "-P", "-c", _BOOTSTRAP, _ROOT, ",".join(names), *arguments]


def check_interpreter(entrant: Entrant) -> None:
    """Raises InterpreterError where the entrant's interpreter cannot be started."""
    if entrant.python and not os.access(entrant.python, os.X_OK):
        raise InterpreterError(
            f"{entrant.label}: there is no program {entrant.python} to run it on: give the path of "
            "a python, as in old=asyncio@/path/to/venv/bin/python"
        )
