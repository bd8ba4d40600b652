"""Verbs and options of the command line, with their help."""

import argparse
from pathlib import Path

from bench.cli.options import (
    EXIT_CODES,
    add_crawlers,
    add_format,
    add_out,
    add_seed,
    add_timeout,
    add_wide,
    checked_delay,
    checked_entrant,
)
from bench.cli.primes_options import add_primes
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.presets import STANDARD
from bench.program import PROGRAM
from crawlers.checked import (
    add_trust_options,
    checked_count,
    checked_list,
    checked_url,
)
from server import __version__


def make_parser() -> argparse.ArgumentParser:
    """All verbs; what each does is `module:function` in `function` of the result."""
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="A testbed for network crawlers: how many requests a second does each "
        "concurrency style reach, at which concurrency?",
        epilog=EXIT_CODES,
    )
    parser.add_argument("--version", action="version", version=f"crawlbench {__version__}")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    _add_run(verbs.add_parser("run", help="sweep crawlers x concurrency, then table and plots"))
    _add_crawl(verbs.add_parser("crawl", help="one crawl, in detail"))
    reporter = _add_reader(verbs, "report", "the tables of an experiment, with verdicts")
    reporter.add_argument(
        "--all", action="store_true", help="every cell, not only each crawler's best"
    )
    reporter.add_argument(
        "--split", action="store_true", help="where the time of a request goes, too"
    )
    add_wide(reporter)
    add_format(
        _add_reader(verbs, "plots", "draw the plots and report.html of an experiment, beside it")
    )
    _add_compare(verbs.add_parser("compare", help="two crawlers, or two experiments, cell by cell"))
    _add_calibrate(verbs.add_parser("calibrate", help="what each crawler adds to known delays"))
    _add_export(_add_reader(verbs, "export", "runs or requests as CSV or JSON, to stdout"))
    add_primes(verbs.add_parser("primes", help="find primes, save each to a slow service"))
    _add_check(verbs.add_parser("check", help="does a crawler keep the contract? line by line"))
    _add_audit(verbs.add_parser("audit", help="what each crawler sends, opens and costs"))
    lister = verbs.add_parser("list", help="the crawlers")
    lister.set_defaults(function="bench.cli.reading:list_crawlers")
    add_wide(lister)
    return parser


def _add_reader(
    verbs: "argparse._SubParsersAction[argparse.ArgumentParser]", verb: str, description: str
) -> argparse.ArgumentParser:
    parser = verbs.add_parser(
        verb, help=description, description=description.capitalize() + ".", epilog=EXIT_CODES
    )
    parser.set_defaults(function=f"bench.cli.reading:{verb}")
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        help="folder of the results (results/latest)",
    )
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="bench.cli.commands:run_experiment")
    parser.description = (
        "Starts the delay server, runs every crawler at every concurrency in fresh processes, "
        "records each request at both ends, prints tables and draws the plots. "
        "A run has WAVES x concurrency requests. First and last, the server's own ceiling is "
        "measured."
    )
    parser.epilog = EXIT_CODES
    add_crawlers(parser, None)
    parser.add_argument(
        "--concurrency",
        type=checked_list(checked_count),
        metavar="C,C",
        help="requests in flight (1,10,100,250,500); serial is measured at 1 only",
    )
    parser.add_argument(
        "--delay",
        type=checked_list(checked_delay),
        metavar="MS,MS",
        help="of the server for each request (100); 20-200: drawn evenly from this range",
    )
    parser.add_argument(
        "--trials", type=checked_count, metavar="N", help="repetitions of everything (3)"
    )
    parser.add_argument(
        "--waves", type=checked_count, metavar="N", help=f"requests / C ({STANDARD.waves})"
    )
    parser.add_argument(
        "-n",
        "--requests",
        type=checked_count,
        metavar="N",
        help="of each run, instead of waves x C",
    )
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_format(parser)
    add_wide(parser)
    sweep = parser.add_mutually_exclusive_group()
    sweep.add_argument("--quick", action="store_true", help="1 trial; concurrency 1, 10, 100")
    sweep.add_argument(
        "--chapter",
        action="store_true",
        help="the chapter's sweep: asyncio, 500 requests, delays 50, 300, 550, 800, concurrency 1, "
        "26 ... 476, one trial: a quarter of an hour; other options change it",
    )
    sweep.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="go on with the experiment in DIR that was interrupted: only what is missing is run",
    )
    parser.add_argument(
        "--allow-foreign",
        action="store_true",
        help="with --resume: run crawlers and interpreters that DIR names and that are not of this "
        "package; only for results that are yours",
    )


def _add_crawl(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="bench.cli.commands:crawl_once")
    parser.description = (
        "One crawl in a fresh process, against a server of its own, or against URL: if that is a "
        "crawlbench server, its ledger is used; any other is fetched as it is."
    )
    parser.epilog = EXIT_CODES
    parser.add_argument(
        "crawler",
        type=checked_entrant,
        metavar="NAME",
        help=f"see {PROGRAM} list; package.module:function for one of yours; NAME@PYTHON for "
        "another interpreter",
    )
    parser.add_argument("-n", "--requests", type=checked_count, metavar="N", help="how many (1000)")
    parser.add_argument(
        "-c", "--concurrency", type=checked_count, default=100, metavar="C", help="at a time (100)"
    )
    parser.add_argument(
        "--delay",
        type=checked_delay,
        metavar="MS",
        help="of the server for each request (100), or a range: 20-200",
    )
    parser.add_argument("--url", type=checked_url, help="crawl this")
    parser.add_argument(
        "--urls",
        metavar="FILE",
        help="fetch each of these URLs once: one on each line, - for stdin; /add URLs of one "
        "crawlbench server, with one name= and seq=0, 1, ..., are checked with its ledger",
    )
    add_trust_options(parser)
    add_seed(parser)
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_wide(parser)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="bench.cli.reading:compare")
    parser.description = (
        "Is B better or worse than A? Two crawlers of one experiment, or two folders of results. "
        "To compare two versions of a library, measure them in turn in one experiment: "
        f"{PROGRAM} run --trials 10 --crawlers asyncio,old=asyncio@/path/to/other/venv/bin/python; "
        f"then {PROGRAM} compare old asyncio."
    )
    parser.epilog = EXIT_CODES
    parser.add_argument("baseline", metavar="A", help="a crawler, or a folder of results")
    parser.add_argument("candidate", metavar="B", help="the same")
    parser.add_argument(
        "--in",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="results that have both crawlers (results/latest)",
    )
    parser.add_argument(
        "--metric",
        choices=("throughput", "cpu", "p50", "p99", "memory"),
        default="throughput",
        help="what is compared (%(default)s)",
    )
    parser.add_argument(
        "--fail-on-regression",
        type=_checked_share,
        metavar="5%",
        help="exit with 99 if a cell is worse, beyond noise, by this much or more",
    )
    parser.add_argument(
        "--valid-only",
        action="store_true",
        help="use VALID runs only; without it, INVALID runs alone are left out",
    )
    parser.add_argument(
        "--plot",
        type=_checked_plot,
        metavar="FILE",
        help="draw it too, as png, svg or pdf by the name of the file",
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print JSON")
    form.add_argument(
        "--markdown", dest="form", action="store_const", const="markdown", help="print Markdown"
    )
    parser.set_defaults(form="table")
    add_wide(parser)


def _add_calibrate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="bench.cli.commands:calibrate")
    parser.description = (
        "Known delays, drawn evenly from a range, are asked for at a concurrency of 10 (or what a "
        "crawler can do): how many ms does each crawler add, and where?"
    )
    parser.epilog = EXIT_CODES
    add_crawlers(parser, tuple(Entrant(name, name) for name in STANDARD.crawlers))
    parser.add_argument(
        "--delay",
        type=checked_delay,
        default=Delay(1_000, 20_000),
        metavar="MS-MS",
        help="range of the delays (1-20)",
    )
    parser.add_argument(
        "-n", "--requests", type=checked_count, default=1000, metavar="N", help="how many (1000)"
    )
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_wide(parser)


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="bench.cli.audit:audit")
    parser.description = (
        "Two short runs of each crawler: connections, bytes and headers sent, concurrency "
        "achieved, resends, CPU as a multiple of the floor crawler's, and memory at a concurrency "
        "of 1000."
    )
    parser.epilog = EXIT_CODES
    parser.add_argument(
        "--crawlers",
        type=checked_list(checked_entrant, may_repeat=True),
        default=(Entrant("all", "all"),),
        metavar="A,B",
        help=f"names of {PROGRAM} list (all)",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    add_timeout(parser)
    add_wide(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(function="bench.cli.check:check")
    parser.description = (
        "Runs crawlers through the whole contract, against servers of their own that misbehave in "
        "every way, and prints what holds, line by line. MUST: otherwise a number would be wrong, "
        "and the exit code is 1. SHOULD: otherwise something is said less precisely."
    )
    parser.epilog = EXIT_CODES
    parser.add_argument(
        "crawlers",
        nargs="+",
        type=checked_entrant,
        metavar="NAME",
        help=f"see {PROGRAM} list; all; package.module:function for one of yours",
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        help="play the faults alone, and print what became of each as Markdown tables",
    )
    parser.add_argument(
        "--plot",
        type=_checked_plot,
        metavar="FILE",
        help="draw that, as png, svg or pdf by the name of the file",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Every run with its numbers and verdict, or every request as both ends saw it. "
        "docs/results.md has the columns."
    )
    parser.add_argument(
        "--what", choices=("runs", "requests"), default="runs", help="rows (%(default)s)"
    )
    parser.add_argument(
        "--format",
        dest="form",
        choices=("csv", "json"),
        default="csv",
        help="of the output (%(default)s)",
    )


def _checked_plot(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise argparse.ArgumentTypeError(f"{text!r} does not end in .png, .svg or .pdf")
    return path


def _checked_share(text: str) -> float:
    number = text.removesuffix("%")
    try:
        percent = float(number)
    except ValueError:
        percent = -1.0
    if not number.isascii() or not 0 <= percent <= 100:  # NaN is refused too
        raise argparse.ArgumentTypeError(f"{text!r} is not a share like 5%")
    return percent / 100
