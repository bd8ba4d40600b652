"""`crawlbench plots`: draws the figures and the page of an experiment again."""

from argparse import ArgumentParser, Namespace

from bench.cli.options import add_folder, add_format, add_timeline_at

DESCRIPTION = """\
Draws the plots and report.html of an experiment again, into the folder of its
results, and prints the path of each file."""

EXAMPLES = (
    ("plots", "the newest results"),
    ("plots results/latest-sweep --format svg", "the newest sweep, as SVG files"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the results and the file format."""
    add_folder(parser)
    add_format(parser)
    add_timeline_at(parser)


def run(arguments: Namespace) -> int:
    """Draw the figures and the page, and return the exit code."""
    from bench.cli.show import draw
    from bench.results.folder import find_file

    return draw(
        find_file(arguments.folder).parent, arguments.format, timeline_at=arguments.timeline_at
    )
