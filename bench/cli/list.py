"""`crawlbench list`: lists the crawlers and the spiders."""

from argparse import ArgumentParser, Namespace

from bench.cli.options import add_wide
from bench.exit_codes import EXIT_OK

DESCRIPTION = """\
Lists the crawlers, and the spiders of the verb site: their style, their
libraries with the versions installed here, and what is declared of each."""

EXAMPLES = (("list", "names for crawl, run --crawlers, check, audit and site"),)


def add_options(parser: ArgumentParser) -> None:
    """Add `--wide`."""
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Print the table of crawlers, and return the exit code."""
    from bench.report.crawlers import print_crawlers, print_spiders
    from bench.report.tables import make_console

    print_crawlers(make_console(is_wide=arguments.wide))
    print_spiders(make_console(is_wide=arguments.wide))
    return EXIT_OK
