"""`crawlbench compare A B`: compares two crawlers or two folders of results, cell by cell."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from pathlib import Path

from bench.cli.options import add_plot, add_wide
from bench.exit_codes import EXIT_OK, EXIT_REGRESSION

DESCRIPTION = """\
Is B better or worse than A? Compares two crawlers of one experiment, or two
folders of results, cell by cell. It needs at least 6 trials of each
(run --trials 10). Two versions of a library are best measured in turn, in one
experiment: see the second example."""

EXAMPLES = (
    ("compare asyncio asyncio-uvloop", "two crawlers of the newest sweep"),
    (
        "run --trials 10 --crawlers asyncio,old=asyncio@old/bin/python",
        "measures two versions of a library; then: compare old asyncio",
    ),
    ("compare results/monday results/tuesday --fail-on-regression 5%", "a check for CI"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose what is compared, by which metric, and the form of the output."""
    parser.add_argument("baseline", metavar="A", help="a crawler, or a folder of results")
    parser.add_argument("candidate", metavar="B", help="what is compared with A, of the same sort")
    parser.add_argument(
        "--in",
        dest="folder",
        type=Path,
        metavar="DIR",
        help="folder of results that has both crawlers (default: results/latest-sweep)",
    )
    parser.add_argument(
        "--metric",
        choices=("throughput", "cpu", "p50", "p99", "response_p50", "response_p99", "memory"),
        default="throughput",
        metavar="M",
        help="what is compared: throughput, cpu, p50 or p99 of the service time, response_p50 or "
        "response_p99 in open loop, memory (default: %(default)s)",
    )
    parser.add_argument(
        "--fail-on-regression",
        type=_checked_share,
        metavar="5%",
        help="exit with 99 if a cell is worse, beyond noise, by this share or more",
    )
    parser.add_argument(
        "--valid-only",
        action="store_true",
        help="use VALID runs only (default: all but INVALID ones)",
    )
    add_plot(parser, "also draw the comparison")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", dest="form", action="store_const", const="json", help="print JSON")
    form.add_argument(
        "--markdown", dest="form", action="store_const", const="markdown", help="print Markdown"
    )
    parser.set_defaults(form="table")
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Compare, print, draw if asked to, and return the exit code, which can report a regression."""
    from bench.analysis.validity import Level
    from bench.report.comparison import as_json, compare_two, print_comparison
    from bench.report.tables import make_console

    worst = Level.VALID if arguments.valid_only else Level.SUSPECT
    comparison = compare_two(
        arguments.baseline, arguments.candidate, arguments.folder, arguments.metric, worst
    )
    print_comparison(comparison, arguments.form, make_console(is_wide=arguments.wide))
    if arguments.plot is not None:
        from bench.cli.show import draw_one

        if code := draw_one("plots.compare", as_json(comparison), arguments.plot):
            return code
    if arguments.fail_on_regression is None:
        return EXIT_OK
    comparison.check_gate()
    is_worse = comparison.has_regressed(arguments.fail_on_regression)
    return EXIT_REGRESSION if is_worse else EXIT_OK


def _checked_share(text: str) -> float:
    number = text.removesuffix("%")
    try:
        percent = float(number)
    except ValueError:
        percent = -1.0
    if not number.isascii() or not 0 <= percent <= 100:  # this is also true for NaN
        raise ArgumentTypeError(f"{text!r} is not a share like 5%")
    return percent / 100
