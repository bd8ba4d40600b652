"""Environments that are odd: variables, limits, names of files, ports in use."""

import shutil
import socket
import sys
from pathlib import Path

from tests.faults.place import ROOT, Place, must
from tests.faults.table import fault

GROUP = "environment"
_CRAWL = ("crawl", "protocol", "-n", 20, "-c", 4, "--delay", 1)


def _with(place: Place, **variables: str) -> str:
    done = place.call(*_CRAWL, environment=variables)
    must(done.code == 0, f"exit code {done.code}: {done.last_line}")
    must("20 matched" in done.stdout, "the ledger says otherwise")
    return "the crawl is sound"


@fault(
    GROUP,
    "PYTHONPATH with a server.py, crawlers.py and bench.py",
    "ours are used; the crawl is sound",
)
def _(place: Place) -> str:
    folder = place.folder / "shadow"
    folder.mkdir()
    for name in ("server", "crawlers", "bench", "plots"):
        (folder / f"{name}.py").write_text("raise SystemExit('shadowed')\n")
    return _with(place, PYTHONPATH=str(folder))


@fault(GROUP, "a current folder with a server.py", "ours is used; the crawl is sound")
def _(place: Place) -> str:
    (place.folder / "server.py").write_text("raise SystemExit('shadowed')\n")
    command = ["bash", "-c", f'cd "{place.folder}" && exec "$@"', "bash", *place.command(*_CRAWL)]
    done = place.run(command)
    must(done.code == 0, f"exit code {done.code}: {done.last_line}")
    return "the crawl is sound"


@fault(GROUP, "proxies in the environment", "they are not obeyed")
def _(place: Place) -> str:
    return _with(place, http_proxy="http://127.0.0.1:9", HTTP_PROXY="http://127.0.0.1:9")


@fault(GROUP, "PYTHONWARNINGS=error and PYTHONDEVMODE=1", "the crawl is sound")
def _(place: Place) -> str:
    return _with(place, PYTHONWARNINGS="error", PYTHONDEVMODE="1")


@fault(GROUP, "LC_ALL=C and PYTHONUTF8=0", "the crawl is sound; tables can be printed")
def _(place: Place) -> str:
    return _with(place, LC_ALL="C", PYTHONUTF8="0", PYTHONIOENCODING="ascii:strict")


@fault(GROUP, "no PATH and no HOME", "the crawl is sound")
def _(place: Place) -> str:
    return _with(place, PATH="", HOME="")


@fault(GROUP, "TERM=dumb, COLUMNS=1", "the crawl is sound")
def _(place: Place) -> str:
    return _with(place, TERM="dumb", COLUMNS="1")


@fault(
    GROUP, "64 open files allowed (ulimit -n 64)", "exit 3; one line names the limit", is_fast=True
)
def _(place: Place) -> str:
    command = ["bash", "-c", 'ulimit -n 64; exec "$@"', "bash", *place.command(*_CRAWL)]
    return place.run(command).must_say(3, "open files")


@fault(GROUP, "a port that is in use", "exit 3; one line names it and the way out", is_fast=True)
def _(place: Place) -> str:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-P", "-m", "server", "--port", str(port)]
        return place.run(command).must_say(3, str(port), "--port 0")


@fault(GROUP, "--bind '' (every address)", "exit 2; one line", is_fast=True)
def _(place: Place) -> str:
    done = place.run([sys.executable, "-P", "-m", "server", "--port", "0", "--bind", ""])
    must(done.code == 2, f"exit code {done.code}: {done.last_line}")
    return f"exit 2: {done.last_line}"


@fault(GROUP, "--trials 100000000", "exit 2 or 3 at once; one line says how many", is_fast=True)
def _(place: Place) -> str:
    done = place.call("run", "--crawlers", "protocol", "--trials", 100_000_000, "--out", place.out)
    must(done.code in (2, 3), f"exit code {done.code}: {done.last_line}")
    return f"exit {done.code}: {done.last_line}"


@fault(GROUP, "a current folder that is gone", "exit 3; one line says so")
def _(place: Place) -> str:
    gone = place.folder / "gone"
    script = f'mkdir "{gone}" && cd "{gone}" && rmdir "{gone}" && exec "$@"'
    crawl = place.command(*_CRAWL)[: -len(("--out", place.out))]
    done = place.run(["bash", "-c", script, "bash", *crawl])
    return done.must_say(3, "the current folder no longer exists")


def _checkout(place: Place, name: str) -> Path:
    """The scripts of the project, in a folder of this name."""
    copy = place.folder / name
    copy.mkdir(parents=True)
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for file in ("benchmark.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / file, copy)
    return copy


@fault(
    GROUP,
    "a .venv that is a link to a folder of the user's",
    "refused in one line; the folder is as it was",
    is_fast=True,
)
def _(place: Place) -> str:
    copy = _checkout(place, "checkout")
    precious = place.folder / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    (copy / ".venv").symlink_to(precious)
    done = place.run([str(copy / "benchmark.sh"), "list"])
    must((precious / "thesis.txt").exists(), "its contents are gone")
    must(sorted(one.name for one in precious.iterdir()) == ["thesis.txt"], "something was added")
    return done.must_say(3, ".venv")


@fault(GROUP, "a .venv that somebody else made", "refused in one line; the folder is as it was")
def _(place: Place) -> str:
    copy = _checkout(place, "checkout")
    (copy / ".venv").mkdir()
    (copy / ".venv" / "thesis.txt").write_text("years of work")
    done = place.run([str(copy / "benchmark.sh"), "list"])
    must((copy / ".venv" / "thesis.txt").exists(), "its contents are gone")
    return done.must_say(3, ".venv")


@fault(GROUP, "a checkout whose path has a colon", "one line says so, before anything is installed")
def _(place: Place) -> str:
    copy = _checkout(place, "a:b")
    done = place.run([str(copy / "benchmark.sh"), "list"])
    must(not (copy / ".venv").exists(), "a .venv was begun")
    return done.must_say(3, ":")
