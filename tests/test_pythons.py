"""Interpreters that are named by a version, and the environments that are made for them."""

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

import pytest

from bench.cli.parser import parse
from bench.errors import UsageError
from bench.measure.environments import is_own_environment, pythons_for
from bench.measure.interpreters import InterpreterError
from bench.measure.pins import pins_for
from bench.measure.pythons import find_interpreter
from bench.measure.readiness import installed, runtime_of
from bench.plan.entrants import (
    Entrant,
    command_words,
    multiplied,
    parse_entrant,
    with_unique_labels,
)
from crawlers.registry import CrawlerNotInstalledError, find

ASYNCIO, GEVENT, TWISTED = find("asyncio"), find("gevent"), find("twisted")
OWN_NAME = f"{sys.version_info.major}.{sys.version_info.minor}"


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def fake_python(path: Path, numbers: Sequence[int], *, is_free_threaded: bool = False) -> Path:
    free = "true" if is_free_threaded else "false"
    return program(path, f"""echo '["CPython", {list(numbers)}, "a build", {free}]'""")


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a uv first on PATH that ends as it is told; it writes to a log what it is asked."""
    log = tmp_path / "log"

    def put(ending: str) -> Path:
        program(
            tmp_path / "bin" / "uv",
            f'echo "$@" >> {shlex.quote(str(log))}\n'
            'for last; do :; done\n[ "$1" = venv ] && mkdir -p "$last/bin" && '
            f'ln -s {shlex.quote(sys.executable)} "$last/bin/python" && exit 0\n{ending}',
        )
        return log

    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return put


def test_an_environment_has_the_versions_that_are_installed_here_and_is_made_once(
    install: Callable[[str], Path],
) -> None:
    log = install("exit 0")
    (python,) = pythons_for([sys.executable], [ASYNCIO])
    assert Path(python).name == "python"
    made, installation = log.read_text().splitlines()
    assert made.startswith(f"venv --quiet --python {sys.executable} ")
    assert "--only-binary :all: --constraint" in installation
    assert installation.endswith(f" aiohttp=={version('aiohttp')}")
    constraints = (Path(python).parents[2] / "constraints.txt").read_text().splitlines()
    assert f"multidict=={version('multidict')}" in constraints
    assert not any(one.startswith("gevent") for one in constraints)
    (on_it,) = multiplied([Entrant("asyncio", "asyncio")], pythons=[python])
    assert on_it.label == f"asyncio@{OWN_NAME}"

    assert pythons_for([sys.executable], [ASYNCIO]) == (python,)
    assert len(log.read_text().splitlines()) == 2
    assert pythons_for([sys.executable], [ASYNCIO], ["uvloop"]) != (python,)

    assert is_own_environment(python)
    environment = Path(python).parents[1]
    elsewhere = environment.parents[1] / "0123456789ab"
    shutil.copytree(environment.parent, elsewhere, symlinks=True)
    others = (
        sys.executable,
        str(environment / "bin" / "python3"),
        str(environment / "bin" / ".." / "bin" / "python"),
        str(environment.parent / ".." / environment.parent.name / OWN_NAME / "bin" / "python"),
        str(elsewhere / OWN_NAME / "bin" / "python"),  # its name is not that of its stamp
        "",
        "python\0",
    )
    assert [one for one in others if is_own_environment(one)] == []
    next(environment.parent.glob("made-by-*")).unlink()
    assert not is_own_environment(python)


ON = "/home/me/.cache/crawlbench/environments/{}/{}/bin/python"


@pytest.mark.parametrize(
    ("named", "words"),
    [
        ("asyncio", "asyncio --python 3.11,3.14t --loop asyncio,uvloop --processes 1,2"),
        ("asyncio,mine=protocol", "asyncio,mine=protocol --python 3.11 --loop uvloop"),
        ("asyncio*2,threads", "asyncio*2,threads --python 3.11,3.13"),
        ("asyncio+uvloop,httpx", "asyncio+uvloop,httpx --python 3.13"),
        ("asyncio", "asyncio --python 3.13 --processes 4"),
    ],
)
def test_a_command_asks_for_environments_by_their_versions(named: str, words: str) -> None:
    asked = parse(["run", "--crawlers", *words.split()])[1]
    pythons = [ON.format(f"{at:012x}", version) for at, version in enumerate(asked.python)]
    entrants = multiplied([parse_entrant(one) for one in named.split(",")], loops=asked.loop or ())
    entrants = multiplied(multiplied(entrants, pythons=pythons), processes=asked.processes or ())
    assert command_words(entrants) == words.split()
    assert command_words(with_unique_labels(entrants)) == words.split()


def test_a_command_names_other_interpreters_in_full() -> None:
    here, there = ON.format("0" * 12, "3.13"), "/x/v/bin/python"
    for entrants in (
        [Entrant("asyncio", "asyncio")],
        [Entrant("asyncio@v", "asyncio", there)],
        [Entrant("asyncio", "asyncio"), Entrant("asyncio@3.13", "asyncio", here)],
        [Entrant("asyncio@3.13", "asyncio", here), Entrant("asyncio@v", "asyncio", there)],
        [
            Entrant("asyncio@3.13", "asyncio", here),
            Entrant("asyncio@3.13", "asyncio", ON.format("1" * 12, "3.13")),
        ],
    ):
        assert command_words(entrants) == [",".join(map(str, entrants))]


def test_an_environment_that_was_not_finished_is_made_again(
    install: Callable[[str], Path],
) -> None:
    install("echo the disk is full; exit 1")
    with pytest.raises(InterpreterError, match="the disk is full"):
        pythons_for([sys.executable], [ASYNCIO])
    log = install("exit 0")
    (python,) = pythons_for([sys.executable], [ASYNCIO])
    assert len(log.read_text().splitlines()) == 4
    (left_over := Path(python).parents[1] / "left-over").touch()
    next(Path(python).parents[2].glob("made-by-*")).unlink()
    pythons_for([sys.executable], [ASYNCIO])
    assert not left_over.exists()


def test_two_that_want_the_same_environment_make_one(install: Callable[[str], Path]) -> None:
    log = install("exit 0")
    with ThreadPoolExecutor() as executor:
        made = set(executor.map(lambda _: pythons_for([sys.executable], [ASYNCIO]), range(4)))
    assert len(made) == 1
    assert len(log.read_text().splitlines()) == 2


@pytest.mark.skipif(sys.platform != "linux", reason="it looks into /proc")
def test_an_installer_that_outlives_us_keeps_the_lock(install: Callable[[str], Path]) -> None:
    """Else the next bench makes the environment anew, while files are still written to it."""
    install("ls -l /proc/self/fd | grep -q /environments/ || { echo unlocked; exit 1; }")
    pythons_for([sys.executable], [ASYNCIO])


@pytest.mark.parametrize(
    "printed",
    [
        "no JSON",
        "7",
        '["CPython", [1e999, 12, 1], "b", false]',
        '["CPython", [3, "x", 1], "b", false]',
        '[[], [3, 12, 1], "b", false]',
        '["../../x", [3, 12, 1], "b", false]',
        "[" * 50_000,
    ],
)
def test_what_prints_anything_else_is_no_python(tmp_path: Path, printed: str) -> None:
    (tmp_path / "text").write_text(printed)
    path = program(tmp_path / "python", f"cat {shlex.quote(str(tmp_path / 'text'))}")
    with pytest.raises(InterpreterError, match="does not answer as a Python does"):
        find_interpreter(str(path))


def test_without_a_home_folder_it_is_said_what_to_set(
    install: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("exit 0")
    nowhere = "~no-such-user/x"
    monkeypatch.setenv("PYENV_ROOT", nowhere)
    with pytest.raises(InterpreterError, match=r"there is no Python 3\.99"):
        find_interpreter("3.99")
    monkeypatch.setenv("XDG_CACHE_HOME", nowhere)
    with pytest.raises(InterpreterError, match="set XDG_CACHE_HOME to a folder"):
        pythons_for([sys.executable], [ASYNCIO])


OF_GEVENT = f"gevent=={version('gevent')}"
SAID_BY_PIP = f"""\
ERROR: Could not find a version that satisfies the requirement {OF_GEVENT} (from versions: none)
ERROR: No matching distribution found for {OF_GEVENT}"""
SAID_BY_PIP_OF_A_DEPENDENCY = f"""\
ERROR: Cannot install {OF_GEVENT} because these package versions have conflicting dependencies.
The conflict is caused by:
    gevent depends on greenlet>=3
    The user requested (constraint) greenlet=={version("greenlet")}
ERROR: ResolutionImpossible: for help visit https://pip.pypa.io/"""
SAID_BY_UV = f"""\
error: No solution found when resolving dependencies
  cause: Because {OF_GEVENT} has no wheels with a matching Python ABI tag (e.g., `cp314t`) and you
require {OF_GEVENT}, we can conclude that your requirements are unsatisfiable."""
SAID_WITHOUT_A_NETWORK = """\
error: Request failed after 3 retries in 12.3s
  cause: Failed to fetch: https://a.index/simple/aiohttp/
  cause: Connection refused (os error 111)"""


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        (SAID_BY_PIP, r"gevent \S+ has no build for CPython .* leave out .*, or crawler gevent"),
        (
            SAID_BY_PIP_OF_A_DEPENDENCY,
            r"greenlet \S+ has no build for CPython .* leave out .*, or crawler gevent",
        ),
        (SAID_BY_UV, r"gevent \S+ has no build for CPython .* leave out .*, or crawler gevent"),
        (SAID_WITHOUT_A_NETWORK, "cannot be downloaded: .*Connection refused"),
    ],
)
def test_what_cannot_be_installed_is_named_with_its_crawler(
    install: Callable[[str], Path], printed: str, reason: str
) -> None:
    install(f"echo {shlex.quote(printed)}; exit 1")
    with pytest.raises(InterpreterError, match=reason) as raised:
        pythons_for([sys.executable], [ASYNCIO, GEVENT])
    assert "\n" not in str(raised.value)


def test_pins_have_the_extras_that_a_crawler_needs() -> None:
    pins = pins_for([TWISTED])
    assert pins.wanted == (f"twisted[tls]=={version('twisted')}",)
    assert ("pyopenssl", version("pyopenssl")) in pins.versions
    assert "pyopenssl" not in dict(pins_for([ASYNCIO], ["uvloop"]).versions)


def test_a_version_is_the_newest_of_it_that_pyenv_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name, numbers in (("9.9.2", (3, 77, 2)), ("9.9.10", (3, 77, 10))):
        folder = tmp_path / "versions" / name.replace("9.9", "3.77")
        fake_python(folder / "bin" / "python", numbers)
    fake_python(
        tmp_path / "versions" / "3.77.4t" / "bin" / "python", (3, 77, 4), is_free_threaded=True
    )
    assert find_interpreter("3.77").full_name == "3.77.10"
    assert find_interpreter("3.77.2").name == "3.77"
    assert find_interpreter("3.77t").full_name == "3.77.4t"


def test_what_is_no_interpreter_for_crawlers_is_refused_by_name(tmp_path: Path) -> None:
    old = fake_python(tmp_path / "old", (3, 10, 1))
    early = fake_python(tmp_path / "early", (3, 13, 0), is_free_threaded=True)
    for asked in ("2.7", "3", "3.10", "3.9.1", "pypy3.10", "3.10t"):
        with pytest.raises(UsageError, match=r"need Python 3.11 or later: .* as in 3\.13"):
            find_interpreter(asked)
    silent = program(tmp_path / "silent", "exit 0")
    for asked, reason in (
        ("3.98", "there is no Python 3.98 on PATH, in pyenv or in uv"),
        (str(old), r"CPython 3.10.1 \(.*/old\) is too old: crawlers need Python 3.11"),
        (str(early), r"CPython 3.13.0, free-threaded .* before 3.14"),
        (str(silent), "'.*/silent' does not answer as a Python does"),
        (str(tmp_path), "is a folder"),
        ("no-such-python", "'no-such-python' is no program"),
    ):
        with pytest.raises(InterpreterError, match=reason):
            find_interpreter(asked)


def test_a_home_folder_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    path = fake_python(tmp_path / "python", (3, 77, 1))
    assert find_interpreter("~/python").path == str(path)


def test_a_version_in_the_place_of_a_path_is_told_apart() -> None:
    with pytest.raises(InterpreterError, match=r"3\.13 is a version, .* by --python 3\.13"):
        installed(Entrant("x", "asyncio", "/here/3.13"))


def test_what_an_entrant_runs_on_is_asked_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    run = f'echo >> {shlex.quote(str(log))}\nexec {shlex.quote(sys.executable)} "$@"'
    entrant = Entrant("x", "asyncio", str(program(tmp_path / "python", run)), loop="uvloop")
    assert installed(entrant) == ASYNCIO
    runtime = runtime_of(entrant)
    assert runtime.loop == "uvloop"
    assert runtime.version == platform.python_version()
    assert runtime_of(entrant) == runtime
    assert log.read_text() == "\n"
    assert runtime_of(Entrant("asyncio", "asyncio")).loop == ""
    with pytest.raises(CrawlerNotInstalledError, match="'winloop' is not installed"):
        runtime_of(Entrant("x", "asyncio", entrant.python, loop="winloop"))


@pytest.mark.thorough
def test_a_real_environment_runs_a_crawl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    try:
        (python,) = pythons_for([sys.executable], [find("protocol")])
    except InterpreterError as error:
        if "cannot be downloaded" in str(error):
            pytest.skip(str(error))
        raise
    installed(Entrant("x", "protocol", python))
    with pytest.raises(CrawlerNotInstalledError, match="No module named 'aiohttp'"):
        installed(Entrant("x", "asyncio", python))


@pytest.mark.thorough
def test_threads_run_without_the_gil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Client libraries may switch the GIL on again; those of the crawlers that scale do not."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    infos = [find(name) for name in ("threads", "asyncio-threads")]
    try:
        (python,) = pythons_for(["3.14t"], infos)
    except InterpreterError as error:
        pytest.skip(f"no free-threaded Python can be used here: {error}")
    for info in infos:
        runtime = runtime_of(Entrant(info.name, info.name, python))
        assert runtime.is_free_threaded
        assert not runtime.has_gil
