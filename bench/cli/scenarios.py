"""`crawlbench scenarios`: lists the services of `run --scenario`."""

from argparse import ArgumentParser, Namespace

from bench.cli.options import add_wide
from bench.exit_codes import EXIT_OK

DESCRIPTION = """\
Lists the scenarios: named services, each with what it does, how soon an answer
must come to count, and the options of run that ask for the same."""

EXAMPLES = (
    ("scenarios", "names for run --scenario"),
    ("scenarios --wide", "the same, with a line for each"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add `--wide`."""
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Print the table of scenarios, and return the exit code."""
    from bench.report.scenarios import print_scenario_list
    from bench.report.tables import make_console

    print_scenario_list(make_console(is_wide=arguments.wide))
    return EXIT_OK
