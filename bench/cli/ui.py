"""`crawlbench ui`: serves pages for looking at results, and for measuring, to a browser here."""

import asyncio
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING

from bench.documents import document
from bench.errors import MachineError, UsageError
from bench.exit_codes import EXIT_OK
from bench.plan.load import OPEN_LOOP_S

if TYPE_CHECKING:
    from bench.plan.experiment import Cell, Experiment
    from bench.ui.form import Planned

DESCRIPTION = f"""\
Serves pages to a browser on this machine: results with figures to hover, zoom
and compare, a form to start an experiment and watch it, and a playground. It
prints their address, with a token that lets nobody else in. Ctrl-C ends it,
and an experiment that it has started. More in
{document("ui.md")}"""

EXAMPLES = (
    ("ui", "the results in the folder results"),
    ("ui elsewhere --port 8000 --no-browser", "another folder, on a fixed port"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the folder and the options of the server."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder that has the folders of results (default: %(default)s)",
    )
    parser.add_argument(
        "--port",
        type=_checked_port,
        default=0,
        help="port of 127.0.0.1 to listen on; 0 for any that is free (default: %(default)s)",
    )
    parser.add_argument(
        "--no-browser", action="store_true", help="only print the address, and open no browser"
    )


def _checked_port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text[:6]) <= 65_535):
        raise ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def run(arguments: Namespace) -> int:
    """Serve until Ctrl-C, and return the exit code."""
    from crawlers.installed import command_to_install

    if find_spec("bokeh") is None:
        raise MachineError(f"ui needs bokeh: {command_to_install('bokeh')}")
    folder: Path = arguments.folder
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is not a folder")
    from bench.ui.serving import serve

    asyncio.run(serve(folder, planned, arguments.port, has_browser=not arguments.no_browser))
    return EXIT_OK


def planned(words: Sequence[str]) -> "Planned":
    """Return what a command line of the verb run would do, or what is wrong with it."""
    from bench.cli.parser import parse
    from bench.ui.form import Planned, in_fields
    from crawlers.registry import CrawlerNotInstalledError, UnknownCrawlerError

    said = StringIO()  # by argparse, which prints mistakes, and warnings
    try:
        with redirect_stderr(said):
            return Planned(_about(parse(words)[1]))
    except SystemExit:
        last = said.getvalue().strip().splitlines()[-1]
        problem = last.partition(": error: ")[2] or last
    except (UsageError, MachineError, UnknownCrawlerError, CrawlerNotInstalledError) as error:
        problem = str(error)
    return Planned(problem=in_fields(problem, words))


def _about(arguments: Namespace) -> str:
    """Return how many runs there would be, and about how long they take.

    Only one trial is planned, and no arrivals of requests: drawing all of them may take minutes.
    Raises the errors of `bench.measure.session.measure`.
    """
    from bench.cli.run import asked_for
    from bench.cli.scenario_option import over_all_scenarios
    from bench.measure.limits import check_count, check_limits
    from bench.measure.progress import START_S
    from bench.measure.readiness import installed
    from bench.plan.scenarios import ALL
    from bench.wording import format_count, format_span

    if arguments.scenario == ALL:
        everything = over_all_scenarios(arguments)
        most = {one.label: installed(one).max_concurrency for one in everything.entrants}
        check_count(count := everything.count(most))
        check_limits(replace(everything, trials=1).order(most))
        seconds = count * mean(one.duration_s for one in everything.scenarios)
    else:
        asked, _ = asked_for(arguments)
        most = {one.label: installed(one).max_concurrency for one in asked.entrants}
        check_count(count := asked.count(most))
        check_limits(replace(_with_requests(asked), trials=1).order(most))
        seconds = asked.trials * sum(_about_s(asked, cell) for cell in asked.cells(most))
    return f"{format_count(count, 'run')}, about {format_span(seconds + count * START_S)}"


def _with_requests(asked: "Experiment") -> "Experiment":
    """Return it with about the number of requests of its highest rate, if arrivals decide that."""
    if asked.requests or not asked.rates:
        return asked
    span_s = asked.duration_s or OPEN_LOOP_S
    return replace(asked, requests=max(1, *(round(one.mean_within(span_s)) for one in asked.rates)))


def _about_s(asked: "Experiment", cell: "Cell") -> float:
    """Return roughly how long the crawl of a run takes, by its mean delay."""
    mean_s = cell.delay.mean_us / 1e6
    if cell.rate is not None and asked.requests:
        return asked.requests / cell.rate.most_per_s + mean_s
    if cell.rate is not None or asked.duration_s:
        return (asked.duration_s or OPEN_LOOP_S) + mean_s
    least = min((step.capacity for step in asked.service.capacity), default=cell.concurrency)
    requests = asked.requests or asked.waves * cell.concurrency
    return requests * mean_s / min(cell.concurrency, least)
