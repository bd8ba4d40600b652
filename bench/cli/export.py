"""`crawlbench export`: prints runs or requests as CSV or JSON."""

import contextlib
import sys
from argparse import ArgumentParser, Namespace

from bench.cli.options import add_folder
from bench.documents import document
from bench.errors import UsageError
from bench.exit_codes import EXIT_OK
from bench.program import PROGRAM

DESCRIPTION = f"""\
Prints every run of a sweep or a calibration with its numbers and its verdict,
or every request as both ends saw it. The columns are described in
{document("results.md")}."""

EXAMPLES = (
    ("export > runs.csv", "every run of the newest sweep"),
    ("export --what requests --format json", "every request, as JSON"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the rows and their form."""
    add_folder(parser, "results/latest-sweep")
    parser.add_argument(
        "--what",
        choices=("runs", "requests"),
        default="runs",
        help="what each row is (default: %(default)s)",
    )
    parser.add_argument(
        "--format",
        dest="form",
        choices=("csv", "json"),
        default="csv",
        help="format of the output (default: %(default)s)",
    )


def run(arguments: Namespace) -> int:
    """Print the runs or requests, and return the exit code."""
    from bench.plan.experiment import SWEEP
    from bench.plan.site import SITE
    from bench.report.export import export_requests, export_runs
    from bench.results.folder import find_file
    from bench.results.store import Store
    from server.standard_streams import end_when_unread

    end_when_unread()  # the reader may only want the first few of a million rows
    with Store.open(find_file(arguments.folder, SWEEP)) as store:
        if store.asked()["kind"] == SITE:
            raise UsageError(
                f"{store.path} is of kind {SITE}: {PROGRAM} site --json prints its runs, and "
                f"its tables have all requests ({document('results.md')})"
            )
        write = export_requests if arguments.what == "requests" else export_runs
        with contextlib.suppress(BrokenPipeError):
            write(store, arguments.form, sys.stdout)
            sys.stdout.flush()
    return EXIT_OK
