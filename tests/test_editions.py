"""Every command of docs/editions.md does what the page says: it is run, with little to do.

The verbs run in this process; servers and crawlers are processes of their own, as always. Figures
are made and not written, because writing them takes most of the time.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import bench.cli.show
import bench.measure.readiness
import bench.measure.session
from bench.cli.parser import parse
from bench.kinds import kind_of
from bench.measure.runner import Target
from bench.measure.session import Measured
from bench.plan.experiment import Asked, Experiment
from bench.primes.experiment import PrimesExperiment
from bench.results.folder import find_file
from bench.results.store import Store
from crawlers.registry import UnknownCrawlerError
from plots.__main__ import _DRAWN
from server.process import ServerProcess

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "editions.md"
SERVER = ".venv/bin/python -P -m server "
SMALL = {
    "run": "--requests 4 --concurrency 2 --delay 1 --trials 1",
    "crawl": "--requests 4 --concurrency 2 --delay 1",
    "primes": "--sizes 8 --bcrypt 4:3 --delay 1 --concurrency 2 --trials 1",
    "export": "",
    "plots": "",
    "report": "",
}
"""Appended to a command of each verb: argparse takes the last value of an option."""
PROGRAMS = (
    *("benchmark.sh", "server.py", "visualize.py", "parallel_requests.py", "primes.py"),
    *("workload.py", "serial/crawler.py", "gevent/crawler.py", "grequests/crawler.py"),
    *("tornado/crawler.py", "tornado_callback/crawler.py", "asyncio/crawler.py"),
    *("aiohttp/crawler.py", "twisted/crawler.py", "metric_data.json", "images/primes.png"),
    *("images/workload_NAMES.png", "images/async_callgraph.png"),
)


class Row(tuple[str, ...]):
    """The cells of a row of a table, as text."""

    @property
    def here(self) -> str:
        return self[3]

    @property
    def commands(self) -> list[str]:
        return re.findall(r"`((?:\./benchmark\.sh|\.venv/bin/python) ?[^`]*)`", self.here)

    @property
    def figures(self) -> list[str]:
        return re.findall(r"`([\w-]+)\.png`", self.here)


def rows_of(text: str) -> list[Row]:
    """Every row of every table of a page, without the headings."""
    tokens = MarkdownIt().enable("table").parse(text)
    rows: list[list[str]] = []
    for at, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "td_open":
            rows[-1].append(tokens[at + 1].content)
    return [Row(row) for row in rows if row]


def small(command: str) -> list[str]:
    """The words of a command that asks for little.

    `./benchmark.sh` alone is `run`, and the timelines that it asks for are as small as its runs.
    """
    words = shlex.split(command)[1:]
    words = words if words and not words[0].startswith("-") else ["run", *words]
    more = SMALL[words[0]].split()
    more += ["--concurrency", "1"] if words[:2] == ["crawl", "serial"] else []
    return [*words, *more, *(["--timeline-at", "2,4"] if "--timeline-at" in words else [])]


def is_drawn(figure: str, stems: set[str]) -> bool:
    """Whether there is a figure of this name, in which N and CRAWLER stand for any."""
    pattern = re.escape(figure).replace("CRAWLER", r"\w[\w-]*").removesuffix("N")
    pattern += r"\d+" if figure.endswith("-N") else ""
    return any(re.fullmatch(pattern, stem) for stem in stems)


def is_part_of(asked: Asked, larger: Asked) -> bool:
    """Whether an experiment is measured when another one is."""
    if isinstance(asked, PrimesExperiment) and isinstance(larger, PrimesExperiment):
        has_all = set(asked.cells) <= set(larger.cells)
        return has_all and replace(asked, cells=larger.cells) == larger
    if isinstance(asked, Experiment) and isinstance(larger, Experiment):
        has_all = set(asked.entrants) <= set(larger.entrants)
        return has_all and replace(asked, entrants=larger.entrants) == larger
    return False


def stems_of(words: Sequence[str]) -> set[str]:
    """The names of the figures that `python -m plots` makes of these words."""
    folder, *options = words
    at: tuple[int, ...] = ()
    if "--timeline-at" in options:
        at = tuple(map(int, options[options.index("--timeline-at") + 1].split(",")))
    with Store.open(find_file(Path(folder))) as store:
        figures, _page = _DRAWN[kind_of(store).name](store, None, at)
        return {drawn.stem for drawn in figures}


@pytest.fixture
def drawings(monkeypatch: pytest.MonkeyPatch) -> list[Sequence[str]]:
    """The words of each call of `python -m plots`, which is not made."""
    calls: list[Sequence[str]] = []

    def draw(module: str, words: Sequence[str], *_: object) -> int:
        assert module == "plots"
        calls.append(words)
        return 0

    monkeypatch.setattr(bench.cli.show, "run_plots", draw)
    return calls


@pytest.fixture
def _measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same experiment is not measured twice, and the server's ceiling is not measured."""
    measure: Callable[[Asked, Path], Measured] = bench.measure.session.measure
    known: dict[Asked, Measured] = {}

    def measure_once(asked: Asked, out: Path, target: Target | None = None) -> Measured:
        assert target is None
        for larger, measured in known.items():
            if is_part_of(asked, larger):
                return measured
        known[asked] = measure(asked, out)
        return known[asked]

    monkeypatch.setattr(bench.measure.session, "measure", measure_once)
    monkeypatch.setattr(bench.measure.readiness, "floor", lambda: "")


def test_no_cell_is_empty_and_no_program_is_missing() -> None:
    rows = rows_of(PAGE.read_text())
    for row in rows:
        assert row.commands or row.here == "none", row
        if row[0] != "none":  # a crawler here that no edition has
            assert all(row), row
    named = " ".join(row[0] for row in rows)
    assert [program for program in PROGRAMS if f"`{program}`" not in named] == []


@pytest.mark.thorough
@pytest.mark.usefixtures("_measured_once")
def test_every_command_runs_and_makes_the_figures_that_its_row_names(
    drawings: list[Sequence[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".venv").symlink_to(sys.prefix)
    monkeypatch.chdir(tmp_path)
    done: set[str] = set()
    with ServerProcess() as server:
        for row in rows_of(PAGE.read_text()):
            for command in row.commands:
                if command.startswith(SERVER):
                    continue
                words = small(command)
                if words[0] == "crawl":
                    words += ["--url", server.addresses.data_url]
                verb, arguments = parse(words)
                asked = repr(sorted({**vars(arguments), "parser": verb.name}.items()))
                if asked not in done or row.figures:
                    done.add(asked)
                    assert verb.load().run(arguments) == 0, words
            if row.figures:
                stems = stems_of(drawings[-1])
                missing = [figure for figure in row.figures if not is_drawn(figure, stems)]
                assert not missing, (row.commands, missing, stems)
    assert len(done) > 20


def test_the_server_starts_as_the_page_says() -> None:
    commands = [command for row in rows_of(PAGE.read_text()) for command in row.commands]
    options = {command.removeprefix(SERVER) for command in commands if command.startswith(SERVER)}
    assert options
    for one in options:
        words = [*shlex.split(one), "--port", "0", "--stop-on-stdin-eof"]
        process = subprocess.run(
            [sys.executable, "-P", "-m", "server", *words],
            input="",
            capture_output=True,
            text=True,
            timeout=50,
            check=True,
        )
        assert process.stdout.startswith("listening on ")


def test_a_wrong_command_and_a_missing_figure_are_found() -> None:
    (row,) = rows_of(
        "| a | b | c | d | e |\n|---|---|---|---|---|\n"
        "| `x.py` | 1e | x | `./benchmark.sh run --chapter` draws `timeline-CRAWLER-N.png` | y |\n"
    )
    assert row.commands == ["./benchmark.sh run --chapter"]
    assert row.figures == ["timeline-CRAWLER-N"]
    assert is_drawn(row.figures[0], {"timeline-my-own-100"})
    assert not is_drawn(row.figures[0], {"timeline-asyncio", "throughput"})
    assert not is_drawn("primes", {"primes-2"})
    with pytest.raises(SystemExit):
        parse(small("./benchmark.sh run --no-such-option"))
    verb, arguments = parse(small("./benchmark.sh crawl no-such-crawler"))
    with pytest.raises(UnknownCrawlerError):
        verb.load().run(arguments)
