"""Makes environments for other interpreters, with the client libraries that are installed here.

They are kept: `environments/HASH/NAME/bin/python` in the user's cache folder, where the hash is of
the interpreter, the libraries and their versions. Labels show NAME, as in `asyncio@3.14t`.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from time import monotonic

from bench.measure.interpreters import InterpreterError
from bench.measure.pins import Pins, needs, pins_for
from bench.measure.pythons import Interpreter, find_interpreter
from bench.printable import printable
from bench.program import say
from crawlers.installed import install_command
from crawlers.loops import check_installed, distributions_of
from crawlers.registry import CrawlerInfo, CrawlerNotInstalledError

try:
    import fcntl
except ImportError:  # Windows: nothing keeps two processes apart there
    fcntl = None  # type: ignore[assignment]

_STAMP = "made-by-crawlbench"
"""The last file of an environment that is written: one without it is made again."""
_NOT_REACHED = re.compile(
    "Failed to establish a new connection|Temporary failure in name resolution|Failed to fetch|"
    "error sending request|Could not fetch URL|ConnectTimeout|ReadTimeout",
)
_CONSTRAINED = "The user requested (constraint)"
_CAUSE = re.compile("error:|cause:", re.IGNORECASE)
_NAME = re.compile(r"[a-z]*[0-9][0-9.]*t?")
_PINNED = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([A-Za-z0-9.!+_-]*[A-Za-z0-9])")


def pythons_for(
    asked: Sequence[str], infos: Sequence[CrawlerInfo], loops: Sequence[str] = ()
) -> tuple[str, ...]:
    """Return the path of the python of an environment for each interpreter that is asked for.

    It has the client libraries of all these crawlers, and these event loops, and is made if there
    is none yet. Raises InterpreterError, CrawlerNotInstalledError.
    """
    interpreters = [find_interpreter(one) for one in asked]
    names = [one.name for one in interpreters]
    return tuple(
        str(_environment(one, one.name if names.count(one.name) == 1 else one.full_name, *wanted))
        for wanted in [(infos, _pins(infos, loops))]
        for one in interpreters
    )


def _pins(infos: Sequence[CrawlerInfo], loops: Sequence[str]) -> Pins:
    for loop in loops:
        check_installed(loop)
    for info in infos:
        try:
            pins_for([info])
        except PackageNotFoundError:
            raise CrawlerNotInstalledError(
                f"crawler {info.name!r} is not installed: {install_command(info)}"
            ) from None
    return pins_for(infos, [one for loop in loops for one in distributions_of(loop)])


def _environment(
    interpreter: Interpreter, name: str, infos: Sequence[CrawlerInfo], pins: Pins
) -> Path:
    """Return the python of an environment, which is made if need be."""
    identity = "\n".join([interpreter.path, interpreter.build, *pins.wanted, pins.constraints])
    folder = _environments() / _digest(identity)
    python = _python_in(folder, name)
    try:
        if _is_made(folder, python):
            return python
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder) as lock:
            if not _is_made(folder, python):  # by whoever had the lock
                _make(interpreter, python, infos, pins, lock)
                _stamp(folder, identity)
    except OSError as error:
        raise InterpreterError(f"no environment can be made in {folder}: {error}") from error
    return python


def is_own_environment(python: str) -> bool:
    """Whether a path is exactly that of the python of an environment that was made here."""
    path = Path(python)
    name, folder = path.parent.parent.name, path.parent.parent.parent
    try:
        its_place = _python_in(_environments() / folder.name, name)
        if not _NAME.fullmatch(name) or path != its_place or not _is_made(folder, path):
            return False
        return _digest((folder / _STAMP).read_text()) == folder.name
    except (InterpreterError, OSError, ValueError):
        return False


def _python_in(folder: Path, name: str) -> Path:
    return folder / name / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _digest(identity: str) -> str:
    return hashlib.sha256(identity.encode()).hexdigest()[:12]


def _environments() -> Path:
    return _cache() / "environments"


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(base).expanduser().absolute() / "crawlbench"
    except RuntimeError:
        raise InterpreterError(
            f"--python: there is no home folder for {base}: set XDG_CACHE_HOME to a folder"
        ) from None


def _is_made(folder: Path, python: Path) -> bool:
    return (folder / _STAMP).is_file() and os.access(python, os.X_OK)


def _stamp(folder: Path, identity: str) -> None:
    half = folder / f"{_STAMP}.half"
    half.write_text(identity)
    half.replace(folder / _STAMP)


@contextmanager
def _locked(folder: Path) -> Iterator[tuple[int, ...]]:
    """Keep other processes from making the environment in this folder, during the block.

    Programs that get the descriptor keep the lock, too: an installer goes on if we are killed.
    """
    if fcntl is None:
        yield ()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another crawlbench process makes the environment in {folder}: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield (descriptor,)
    finally:
        os.close(descriptor)


def _make(
    interpreter: Interpreter,
    python: Path,
    infos: Sequence[CrawlerInfo],
    pins: Pins,
    lock: tuple[int, ...],
) -> None:
    """Make an environment anew, by uv if it is there, or else by venv and pip."""
    start_s, environment = monotonic(), python.parent.parent
    (environment.parent / _STAMP).unlink(missing_ok=True)
    shutil.rmtree(environment, ignore_errors=True)
    say(f"making an environment for {interpreter} with {', '.join(pins.wanted) or 'no library'}")
    constraints = environment.parent / "constraints.txt"
    constraints.write_text(pins.constraints)
    uv = shutil.which("uv")
    if uv:
        make = [uv, "venv", "--quiet", "--python", interpreter.path, str(environment)]
        install = [uv, "pip", "install", "--python", str(python), "--compile-bytecode"]
    else:
        make = [interpreter.path, "-I", "-m", "venv", str(environment)]
        install = [str(python), "-I", "-m", "pip", "install", "--no-input"]
        install.append("--disable-pip-version-check")
    failed = _failure_of(make, lock)
    if failed is not None:
        raise InterpreterError(
            f"{interpreter} cannot make an environment: {_last_line(failed)}"
            + ("" if uv else " (Debian: apt install python3-venv; or install uv)")
        )
    if pins.wanted:
        options = ["--only-binary", ":all:", "--constraint", str(constraints)]
        failed = _failure_of([*install, *options, *pins.wanted], lock)
        if failed is not None:
            raise InterpreterError(_why_not_installed(failed, interpreter, infos, pins))
    say(f"made in {monotonic() - start_s:.1f} s, and kept in {environment}")


def _failure_of(command: list[str], lock: tuple[int, ...]) -> str | None:
    """Run a program; return what it printed if it failed."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
        pass_fds=lock,
    )
    return done.stdout if done.returncode else None


def _why_not_installed(
    printed: str, interpreter: Interpreter, infos: Sequence[CrawlerInfo], pins: Pins
) -> str:
    """Return the reason that an installer printed, with the crawler that it concerns."""
    if _NOT_REACHED.search(printed):
        return (
            f"the client libraries for {interpreter} cannot be downloaded: {_last_line(printed)}: "
            "connect to the network, or name an environment that has them: NAME@PYTHON"
        )
    versions = dict(pins.versions)
    for name, version in _PINNED.findall(_telling(printed)):
        library = re.sub(r"[-_.]+", "-", name).lower()
        if versions.get(library) == version:
            of = [one.name for one in infos if needs(one, library)]
            return (
                f"{library} {version} has no build for {interpreter}: leave out that Python, or "
                f"{_listed(of)}"
            )
    return f"the client libraries cannot be installed for {interpreter}: {_last_line(printed)}"


def _telling(printed: str) -> str:
    """Return the part of what an installer printed that says what is missing."""
    # pip takes a dependency that has no build for a conflict with our constraint.
    if (start := printed.find(_CONSTRAINED)) >= 0:
        return printed[start:]
    marks = ("No matching distribution", "no wheels", "no usable wheels", "no version of")
    starts = [printed.find(mark) for mark in marks if mark in printed]
    if not starts:
        return ""
    # uv says before these words what they are of; it wraps its lines.
    return " ".join(printed[max(0, min(starts) - 200) :].split())


def _listed(crawlers: Sequence[str]) -> str:
    if not crawlers:
        return "that event loop"
    return f"{'crawler' if len(crawlers) == 1 else 'crawlers'} {', '.join(crawlers)}"


def _last_line(printed: str) -> str:
    """Return the last line that says what went wrong; hints may follow it."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()] or ["it said nothing"]
    telling = [line for line in lines if _CAUSE.match(line)]
    return printable((telling or lines)[-1])
