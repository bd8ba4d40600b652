"""The program that draws crawlers x faults. `crawlbench check NAME --faults --plot` starts it."""

import argparse
import json
import sys
from pathlib import Path

from plots.figures.faults import faults_figure
from plots.files import atomic_write
from plots.starting import json_text, parse_arguments


def main(argv: list[str] | None = None) -> int:
    """Draw the figure, print its path on stderr, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plots.faults",
        description="Draws what crawlbench check NAME --faults --json prints, read from stdin.",
    )
    parser.add_argument("--plot", type=Path, required=True, metavar="FILE")
    asked = parse_arguments(parser, argv, json_text)
    try:
        figure = faults_figure(json.loads(asked.from_stdin))
        with atomic_write(asked.plot) as stream:
            figure.savefig(stream, format=asked.plot.suffix.removeprefix("."))
    except (LookupError, TypeError, ValueError) as error:
        print(
            f"plots: stdin is not what crawlbench check --faults --json prints: {error!r}",
            file=sys.stderr,
        )
        return 3
    except OSError as error:
        print(f"plots: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    print(asked.plot, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
