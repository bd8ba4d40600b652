"""Finds the interpreters that users name: `3.13`, `3.14t`, `pypy3.11`, or the path of a program."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.errors import UsageError
from bench.measure.interpreters import InterpreterError
from bench.printable import printable

_NUMBERS = re.compile(r"(pypy)?\d+(\.\d+)*t?")
_VERSION = re.compile(r"(pypy)?(3\.(\d+))(\.\d+)?(t)?")
_OLDEST = (3, 11)
_OLDEST_FREE_THREADED = (3, 14)
"""The free-threaded build of 3.13 was an experiment, and client libraries have no builds for it."""
_PROBE_S = 20.0
# In the words of old versions, so that these are told apart from what is no Python.
_PROBE = """
import json, platform, sys, sysconfig
print("\\n" + json.dumps([
    platform.python_implementation(), list(sys.version_info[:3]), sys.version,
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
]))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A program that runs Python."""

    path: str
    implementation: str
    """As in `CPython`."""
    version: tuple[int, int, int]
    build: str
    """What `sys.version` says of the version, the build and the compiler."""
    is_free_threaded: bool

    @property
    def name(self) -> str:
        """A short name: `3.13`, `3.14t`, `pypy3.11`."""
        return self._named(2)

    @property
    def full_name(self) -> str:
        """A name that also has the last number of the version: `3.13.0`."""
        return self._named(3)

    def __str__(self) -> str:
        """Return what messages call it."""
        kind = ", free-threaded" if self.is_free_threaded else ""
        return f"{self.implementation} {'.'.join(map(str, self.version))}{kind} ({self.path})"

    def _named(self, numbers: int) -> str:
        prefix = "" if self.implementation == "CPython" else self.implementation.lower()
        suffix = "t" if self.is_free_threaded else ""
        return f"{prefix}{'.'.join(map(str, self.version[:numbers]))}{suffix}"


def find_interpreter(asked: str) -> Interpreter:
    """Return the interpreter that is meant by a version, a path, or the name of a program.

    Raises UsageError for a version that is too old or not in full, and InterpreterError.
    """
    version = _VERSION.fullmatch(asked)
    if version is None or int(version[3]) < _OLDEST[1]:
        if _NUMBERS.fullmatch(asked):
            raise UsageError(
                f"--python {asked}: crawlers need Python 3.11 or later: give both numbers of "
                "such a version, as in 3.13"
            )
        found = _probed(_path_of(asked))
        if found is None:
            raise InterpreterError(f"--python: {asked!r} does not answer as a Python does")
        return _fit(found)
    for path in _candidates(asked, f"{version[2]}{version[5] or ''}", version[1] or ""):
        found = _probed(path)
        if found is not None and asked in (found.name, found.full_name):
            return _fit(found)
    raise InterpreterError(
        f"--python: there is no Python {asked} on PATH, in pyenv or in uv: install it, or give the "
        "path of its program"
    )


def _path_of(asked: str) -> str:
    """Return the path of a program. Raises InterpreterError."""
    with suppress(RuntimeError):  # there is no home folder
        asked = str(Path(asked).expanduser()) if asked.startswith("~") else asked
    path = shutil.which(asked)
    if path is not None:
        return str(Path(path).absolute())
    if asked and Path(asked).is_dir():
        raise InterpreterError(
            f"--python: {asked!r} is a folder: name the program in it, as in {asked}/bin/python"
        )
    raise InterpreterError(
        f"--python: {asked!r} is no program: give a version, as in 3.13, or the path of a python"
    )


def _candidates(asked: str, minor: str, prefix: str) -> Iterator[str]:
    """Yield the paths of programs that may be of a version."""
    yield getattr(sys, "_base_executable", sys.executable)
    name = f"{prefix}{minor}" if prefix else f"python{minor}"
    for folder in os.get_exec_path():
        if path := shutil.which(name, path=folder):
            yield path
    # pyenv's programs on PATH only run for versions that are switched on.
    numbers = minor.removesuffix("t")
    with suppress(RuntimeError):  # there is no home folder
        root = Path(os.environ.get("PYENV_ROOT") or "~/.pyenv").expanduser()
        found = (root / "versions").glob(f"{prefix}{numbers}*")
        for version in sorted(found, key=_numbers, reverse=True):
            yield str(version / "bin" / "python")
    if uv := shutil.which("uv"):
        command = [uv, "python", "find", "--system", "--no-python-downloads", asked]
        yield _output(command).strip()


def _numbers(folder: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", folder.name)]


def _probed(path: str) -> Interpreter | None:
    """Return what a program says of itself, or None if it is no Python."""
    lines = _output([path, "-I", "-c", _PROBE]).splitlines() or [""]
    # Whatever the program is, it can print anything.
    with suppress(ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        implementation, (major, minor, micro), build, is_free_threaded = json.loads(lines[-1])
        version = (int(major), int(minor), int(micro))
        if implementation.isidentifier():  # it becomes part of a path
            return Interpreter(path, implementation, version, printable(build), is_free_threaded)
    return None


def _output(command: list[str]) -> str:
    """Return what a program prints, or "" if it fails."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _fit(found: Interpreter) -> Interpreter:
    """Return the interpreter if crawlers can run on it. Raises InterpreterError."""
    if found.version < _OLDEST:
        raise InterpreterError(f"--python: {found} is too old: crawlers need Python 3.11 or later")
    if found.is_free_threaded and found.version < _OLDEST_FREE_THREADED:
        raise InterpreterError(
            f"--python: {found} is too old: client libraries have no builds for a free-threaded "
            "Python before 3.14"
        )
    return found
