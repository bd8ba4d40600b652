"""A crawler in a file of its user: what names it, where it is found, and what is wrong with it."""

import os
import re
import subprocess
import sys
import venv
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from textwrap import dedent

import pytest

from bench.analysis.validity import Level
from bench.errors import StoreError
from bench.kinds import kind_of
from bench.measure.readiness import chosen_entrants, installed
from bench.measure.session import Ending, Measured, resume
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant, EntrantError, label_of, parse_entrant
from bench.plan.experiment import Experiment
from bench.report.comparison import compare_two
from bench.results.store import FILE_NAME, Store
from crawlers.installed import command_to_install
from crawlers.loading import load
from crawlers.registry import (
    FORMER_NAMES,
    REGISTRY,
    CrawlerNotInstalledError,
    UnknownCrawlerError,
    find,
    located,
)
from tests.test_command_line import ROOT, call
from tests.this_process import bench

_README = (ROOT / "README.md").read_text()
MINE = dedent(_README[_README.index("    import http.client") : _README.index("\nNow measure it")])
"""The crawler of the README, as its reader saves it."""
POOL = """
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
import mine, sibling

def work(number):
    return number + sibling.ONE

def crawl(*arguments):
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        assert pool.submit(work, 1).result() == 2
    mine.crawl(*arguments)
"""
SHORT = ["-n", "2", "-c", "1", "--delay", "0"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder far from the checkout, with a crawler in it."""
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path.resolve()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("./mine.py:crawl", Entrant("mine:crawl", "./mine.py:crawl")),
        ("mine.py:crawl", Entrant("mine:crawl", "mine.py:crawl")),
        ("new=~/a/mine.py:crawl", Entrant("new", "~/a/mine.py:crawl")),
        ("/a@b/c=d/mine.py:crawl", Entrant("mine:crawl", "/a@b/c=d/mine.py:crawl")),
        (
            "./mine.py:crawl@/v/bin/python",
            Entrant("mine:crawl@v", "./mine.py:crawl", "/v/bin/python"),
        ),
        (
            "new=/a@b/mine.py:crawl@/v=1/bin/python",
            Entrant("new", "/a@b/mine.py:crawl", "/v=1/bin/python"),
        ),
    ],
)
def test_a_file_is_named_by_its_path(text: str, expected: Entrant) -> None:
    assert parse_entrant(text) == expected
    assert parse_entrant(str(expected)) == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("./mine.py", "names no function: write ./mine.py:FUNCTION, as in ./mine.py:crawl"),
        ("mine.py", "names no function"),
        ("./mine.py:", "names no function"),
        ("./mine:crawl", "is not FILE.py:FUNCTION"),
        ("./mine", "is not FILE.py:FUNCTION"),
        ("./folder:crawl", "is not FILE.py:FUNCTION"),
        ("./mine.py:2nd", "'2nd' cannot be the name of a function"),
        ("./my-own.py:crawl", "'my-own.py' cannot be the name of a module"),
        ("./.py:crawl", "'.py' cannot be the name of a module"),
        ("./mine.py:crawl@", "is not [LABEL=]CRAWLER[+LOOP][*PROCESSES][@PYTHON]"),
    ],
)
def test_what_names_no_function_in_a_file_is_refused(text: str, said: str) -> None:
    with pytest.raises(EntrantError) as refused:
        parse_entrant(text)
    assert said in str(refused.value)
    if not text.endswith("@"):
        with pytest.raises(UnknownCrawlerError):
            located(text)


def test_paths_are_absolute_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "mine.py").write_text(MINE)
    (folder / "link").symlink_to("a")
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(folder / "a")
    for name, path in [
        ("./mine.py:crawl", "a/mine.py"),
        ("../mine.py:crawl", "mine.py"),
        ("../link/mine.py:crawl", "a/mine.py"),
        ("~/mine.py:crawl", "mine.py"),
        ("../none.py:crawl", "none.py"),
        ("mine:crawl", "a/mine.py"),
    ]:
        (entrant,) = chosen_entrants([parse_entrant(name)])
        assert entrant.crawler == f"{folder / path}:crawl"
    for name in ("asyncio", "none:crawl", "a.mine:crawl"):
        assert located(name) == name
    with pytest.raises(UnknownCrawlerError, match="no such home folder"):
        located("~nobody-of-this-name/mine.py:crawl")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("tornado-curl", Entrant("tornado", "tornado")),
        ("tornado-curl@/old/bin/python", Entrant("tornado@old", "tornado", "/old/bin/python")),
        ("mine=tornado-curl", Entrant("mine", "tornado")),
        ("tornado-curl=asyncio", Entrant("tornado-curl", "asyncio")),
    ],
)
def test_a_crawler_can_be_named_as_it_was_called_before(
    text: str, chosen: Entrant, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chosen_entrants([parse_entrant(text)]) == (chosen,)
    said = "crawlbench: tornado-curl is now called tornado\n" if chosen.crawler == "tornado" else ""
    assert capsys.readouterr().err == said


def test_without_pycurl_the_chapter_goes_on_without_tornado(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on musl."""

    def version_of(library: str) -> str:
        if library == "pycurl":
            raise PackageNotFoundError(library)
        return version(library)

    monkeypatch.setattr("crawlers.installed.version", version_of)
    labels = [one.label for one in chosen_entrants([Entrant("chapter", "chapter")])]
    assert labels == ["serial", "gevent", "grequests", "asyncio", "asyncio-uvloop", "twisted"]
    way_out = f"not installed: {command_to_install('pycurl>=7.45.6')}"
    assert capsys.readouterr().err == (
        f"crawlbench: tornado is left out, it is {way_out}\n"
        f"crawlbench: tornado-callback is left out, it is {way_out}\n"
    )
    with pytest.raises(
        CrawlerNotInstalledError, match=re.escape(f"crawler 'tornado' is {way_out}")
    ):
        installed(Entrant("tornado", "tornado"))
    assert installed(Entrant("tornado-simple", "tornado-simple")).libraries == ("tornado",)


def test_former_names_lead_to_crawlers_and_are_not_listed() -> None:
    names = {info.name for info in REGISTRY}
    assert set(FORMER_NAMES.values()) <= names
    assert not names & set(FORMER_NAMES)
    assert located("tornado-curl") == "tornado"
    with_former = [Entrant("tornado", "tornado"), Entrant("tornado-curl", "tornado-curl")]
    assert [one.label for one in chosen_entrants(with_former)] == ["tornado", "tornado#2"]


def test_crawling_by_hand_accepts_a_former_name() -> None:
    command = [sys.executable, "-P", "-m", "crawlers", "tornado-curl", "--url", "http://[::1]:1/"]
    done = subprocess.run([*command, "-n", "1"], capture_output=True, text=True, timeout=50)
    assert done.stderr == "crawlers: tornado-curl is now called tornado\n"
    assert "1 requests, 1 errors (connect 1)" in done.stdout


def test_two_files_of_one_name_have_their_folders_in_their_labels() -> None:
    named = [
        Entrant("mine:crawl", path) for path in ("/x/old/mine.py:crawl", "/x/new/mine.py:crawl")
    ]
    chosen = chosen_entrants([*named, named[0], Entrant("asyncio", "asyncio")])
    labels = [entrant.label for entrant in chosen]
    assert labels == ["old/mine:crawl", "new/mine:crawl", "old/mine:crawl#2", "asyncio"]
    again = chosen_entrants([parse_entrant(str(entrant)) for entrant in chosen])
    assert again == chosen
    # A label of the user's own is kept, and folders of one name are not told apart.
    with pytest.raises(EntrantError, match="write LABEL=CRAWLER with two different labels"):
        chosen_entrants([Entrant("x", named[0].crawler), Entrant("x", named[1].crawler)])
    with pytest.raises(EntrantError, match="label 'a/mine:crawl' is given to both /x/a/mine"):
        chosen_entrants([parse_entrant(f"/{name}/a/mine.py:crawl") for name in "xy"])


def test_an_entrant_is_found_by_its_label_or_by_what_it_runs() -> None:
    entrants = [Entrant("new", "/a/mine.py:crawl"), Entrant("mine:crawl", "/b/mine.py:crawl")]
    for name, crawler, label in [
        ("new", "new", "new"),
        ("./mine.py:crawl", "/a/mine.py:crawl", "new"),
        ("mine:crawl", "/a/mine.py:crawl", "mine:crawl"),
        ("./other.py:crawl", "/a/other.py:crawl", "./other.py:crawl"),
    ]:
        assert label_of(name, crawler, entrants) == label


def test_the_current_folder_counts_and_not_the_checkout(folder: Path) -> None:
    """A mine.py of the checkout, which is on the path, is not the one that its user means."""
    on_the_path = folder / "on the path"
    on_the_path.mkdir()
    (on_the_path / "mine.py").write_text("raise SystemExit('the wrong one')")
    (folder / "server.py").write_text("raise SystemExit('the wrong one')")
    environment = {**os.environ, "PYTHONPATH": str(on_the_path)}
    command = [str(ROOT / "benchmark.sh"), "crawl", "mine:crawl", *SHORT]
    done = call(*command, cwd=folder, env=environment)
    assert "2 matched" in done.stdout, done
    by_hand = [sys.executable, "-P", "-m", "crawlers", "mine.py:crawl"]
    done = call(*by_hand, "--url", "http://127.0.0.1:1/", "-n", "1", cwd=folder, env=environment)
    assert done.stdout.startswith("1 requests, 1 errors (failed 1)"), done


@pytest.mark.parametrize(
    "on_another_python", [False, pytest.param(True, marks=pytest.mark.thorough)]
)
def test_its_folder_is_on_the_path_also_in_processes_that_it_starts(
    folder: Path, tmp_path: Path, on_another_python: bool
) -> None:
    (folder / "pool.py").write_text(POOL)
    (folder / "sibling.py").write_text("ONE = 1\n")
    name = f"{folder}/pool.py:crawl"
    if on_another_python:
        venv.create(tmp_path / "other", symlinks=True)
        name += f"@{tmp_path}/other/bin/python"
    done = bench("crawl", name, *SHORT)
    assert "2 matched" in done.stdout, done


@pytest.fixture
def own_imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is imported meanwhile is forgotten, with the path to it."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in set(sys.modules) - before:
        del sys.modules[name]


def said_of(name: str) -> str:
    with pytest.raises(CrawlerNotInstalledError) as error:
        load(find(name))
    said = str(error.value)
    assert "\n" not in said
    return said.removeprefix(f"crawler {name!r} cannot be imported ")


PART_OF_A_PACKAGE = (
    "(attempted relative import with no known parent package (part.py, line 1)): it is part of a "
    "package; name it package.module:function, and put the folder of the package on the path: "
    "PYTHONPATH=FOLDER"
)


@pytest.mark.usefixtures("own_imports")
@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("folder.py", None, "(it is a folder, not a file)"),
        ("other.txt", "", "(its name does not end in .py)"),
        ("other.py", "crawl_all = crawl = 3", "(it has no function 'crawl')"),
        ("bad.py", "\ndef crawl(:\n", "(SyntaxError: invalid syntax (bad.py, line 2))"),
        ("names.py", "\n\nx", "(NameError: name 'x' is not defined (names.py, line 3))"),
        ("lacks.py", "import nosuch", "(No module named 'nosuch' (lacks.py, line 1))"),
        ("part.py", "from . import other", PART_OF_A_PACKAGE),
        ("server.py", "", "('server' is a package of crawlbench: give your module another name)"),
        ("asyncio.py", "", "('asyncio' is a module of Python: give your module another name)"),
        ("gevent.py", "", "('gevent' is an installed library: give your module another name)"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_clear_line(
    tmp_path: Path, file: str, text: str | None, said: str
) -> None:
    if text is None:
        (tmp_path / file).mkdir()
    else:
        (tmp_path / file).write_text(text)
    assert said_of(f"{tmp_path}/{file}:crawl") == said


def test_a_file_that_is_not_there_is_named_with_its_path(tmp_path: Path) -> None:
    done = bench("check", "./none.py:crawl", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        f"crawlbench: crawler '{tmp_path.resolve()}/none.py:crawl' cannot be imported "
        "(there is no such file)\n"
    )


@pytest.mark.usefixtures("own_imports")
def test_a_module_that_is_not_found_is_found_by_what_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "other" / "package_of_mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "lacks.py").write_text("import nosuch")
    here = tmp_path / "package_of_mine"
    here.mkdir()
    (here / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(package.parent)
    assert said_of("none:crawl") == (
        "(No module named 'none'): name its file, as in path/to/none.py:crawl, or put its folder "
        "on the path: PYTHONPATH=FOLDER"
    )
    assert said_of("package_of_mine.mine:crawl") == (
        "(No module named 'package_of_mine.mine'): did you mean ./package_of_mine/mine.py:crawl?"
    )
    assert said_of("package_of_mine.lacks:crawl") == "(No module named 'nosuch')"


def test_a_sweep_of_files_is_resumed_and_compared_from_another_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "old").mkdir()
    (folder / "old" / "mine.py").write_text(MINE)
    monkeypatch.chdir(folder)
    names = ("new=./mine.py:crawl", "old/mine.py:crawl")
    entrants = chosen_entrants([parse_entrant(name) for name in names])
    asked = Experiment(entrants, (1,), (Delay.fixed(0),), trials=1, waves=2, seed=1, timeout_s=5)
    results = folder / "results"
    results.mkdir()
    Store.create(results / FILE_NAME, asked, 2, {}, "2026-01-01T00:00:00+00:00").close()
    monkeypatch.chdir("/")
    with pytest.raises(StoreError, match="if you trust them, add --allow-foreign"):
        resume(results, kind_of, allow_foreign=False)
    assert resume(results, kind_of, allow_foreign=True) == Measured(results, Ending.DONE)
    with Store.open(results / FILE_NAME) as store:
        assert {run.crawler: run.program for run in store.runs()} == {
            "new": f"{folder}/mine.py:crawl",
            "mine:crawl": f"{folder}/old/mine.py:crawl",
        }
    monkeypatch.chdir(folder)
    compared = compare_two("mine.py:crawl", "old/mine.py:crawl", results, "throughput", Level.VALID)
    assert (compared.baseline, compared.candidate) == ("new", "mine:crawl")
