"""`crawlbench report`: prints the tables and the verdicts of an experiment."""

from argparse import ArgumentParser, Namespace

from bench.cli.options import add_folder, add_wide

DESCRIPTION = """\
Prints the tables of an experiment: the best cell of each crawler, what limits
it, and the verdicts. The exit code is 1 if a request failed or a run is
INVALID."""

EXAMPLES = (
    ("report", "the newest results"),
    ("report --all --split", "every cell, and where the time of a request goes"),
    ("report results/latest-calibration", "the newest calibration"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the results and how much of them is shown."""
    add_folder(parser)
    parser.add_argument(
        "--all", action="store_true", help="show every cell, not only the best of each crawler"
    )
    parser.add_argument(
        "--split", action="store_true", help="also show where the time of a request goes"
    )
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Print the tables, and return the exit code."""
    from bench.cli.show import print_tables
    from bench.kinds import ReportOptions

    options = ReportOptions(show_all=arguments.all, show_split=arguments.split)
    return print_tables(arguments.folder, options, is_wide=arguments.wide)
