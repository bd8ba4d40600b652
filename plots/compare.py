"""Draws a comparison: what `crawlbench compare A B --plot FILE` starts."""

import argparse
import sys
from pathlib import Path

from bench.analysis.validity import Level
from bench.errors import StoreError
from bench.printable import protect_standard_streams
from bench.report.comparison import NotComparableError, compare_two
from bench.results.environment import versions_shown
from plots.figures.compare import comparison_figure
from plots.files import atomic_write
from plots.starting import parse_arguments
from server.standard_streams import run_program


def main(argv: list[str] | None = None) -> int:
    """Draw; prints the path. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m plots.compare", description=__doc__)
    parser.add_argument("baseline")
    parser.add_argument("candidate")
    parser.add_argument("--plot", type=Path, required=True)
    parser.add_argument("--in", dest="folder", type=Path)
    parser.add_argument("--metric", default="throughput")
    parser.add_argument("--valid-only", action="store_true")
    protect_standard_streams()
    asked = parse_arguments(parser, argv)
    worst = Level.VALID if asked.valid_only else Level.SUSPECT
    try:
        comparison = compare_two(asked.baseline, asked.candidate, asked.folder, asked.metric, worst)
        pairs = comparison.pairs.values()
        trials = max(len(cell.trials) for pair in pairs for cell in pair)
        runs = [trial.run for pair in pairs for cell in pair for trial in cell.trials]
        lines = [*dict.fromkeys(comparison.measured_on)]
        delays = ", ".join(dict.fromkeys(str(run.delay) for run in runs))
        sizes = sorted({run.requests for run in runs})
        size = f"{sizes[0]:,}" if len(sizes) == 1 else f"{sizes[0]:,} to {sizes[-1]:,}"
        lines.append(
            f"{versions_shown(runs)}; delay {delays}; {size} requests a run; "
            f"{trials} trials; closed loop"
        )
        levels = [trial.verdict.level for pair in pairs for cell in pair for trial in cell.trials]
        lines[-1] += "".join(
            f"; {levels.count(level)} of {len(levels)} runs are {level.name}"
            + (", and left out" if level > worst else "")
            for level in (Level.UNCHECKED, Level.SUSPECT, Level.INVALID)
            if level in levels
        )
        figure = comparison_figure(comparison, "\n".join(lines))
        with atomic_write(asked.plot) as stream:
            figure.savefig(stream, format=asked.plot.suffix.removeprefix("."))
    except (NotComparableError, StoreError, OSError) as error:
        print(f"plots: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    print(asked.plot)
    return 0


if __name__ == "__main__":
    sys.exit(run_program("plots", main))
