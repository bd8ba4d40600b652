"""The program that draws a comparison. `crawlbench compare A B --plot FILE` starts it."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from bench.printable import protect_standard_streams
from bench.report.comparison import Compared
from plots.figures.compare import comparison_figure
from plots.files import atomic_write
from plots.starting import json_text, parse_arguments
from server.standard_streams import run_program


def main(argv: list[str] | None = None) -> int:
    """Draw the figure, print its path, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plots.compare",
        description="Draws what crawlbench compare A B --json prints, read from stdin.",
    )
    parser.add_argument("--plot", type=Path, required=True, metavar="FILE")
    protect_standard_streams()
    asked = parse_arguments(parser, argv, json_text)
    try:
        report = json.loads(asked.from_stdin)
        figure = comparison_figure(Compared.from_json(report), _small_print(report["measured"]))
        with atomic_write(asked.plot) as stream:
            figure.savefig(stream, format=asked.plot.suffix.removeprefix("."))
    except (LookupError, TypeError, ValueError) as error:
        print(
            f"plots: stdin is not what crawlbench compare --json prints: {error!r}", file=sys.stderr
        )
        return 3
    except OSError as error:
        print(f"plots: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    print(asked.plot)
    return 0


def _small_print(measured: dict[str, Any]) -> str:
    sizes = measured["requests"]
    size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
    verdicts = measured["verdicts"]
    runs = (
        f"{measured['versions']}; delay {', '.join(measured['delays'])}; {size} requests per run; "
        f"{measured['trials']} trials; {measured['loop']} loop"
    )
    runs += "".join(
        f"; {count} of {sum(verdicts.values())} runs are {word}"
        + (", and left out" if word in measured["left_out"] else "")
        for word, count in verdicts.items()
        if word != "VALID"
    )
    return "\n".join((*measured["on"], runs))


if __name__ == "__main__":
    sys.exit(run_program("plots", main, needs_reader=False))
