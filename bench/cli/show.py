"""Shows what was measured: prints tables, and draws figures next to the results."""

import contextlib
import json
import pickle
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.analysis.thresholds import Threshold
from bench.exit_codes import (
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REQUESTS_FAILED,
    EXIT_USAGE,
    signal_name,
)
from bench.kinds import ReportOptions, kind_of
from bench.measure.session import Ending, Measured
from bench.program import PROGRAM, say
from bench.report.tables import make_console
from bench.report.thresholds import exit_code, judged, print_thresholds
from bench.results.folder import find_file
from bench.results.store import Store

_PLOTS_END_S = 5.0


def show_measured(
    measured: Measured,
    form: str = "png",
    timeline_at: Sequence[int] = (),
    fail_if: Sequence[Threshold] = (),
    *,
    is_wide: bool,
) -> int:
    """Print the tables and the finding of a new experiment, draw its figures, and say where.

    `timeline_at` is as for `draw`. What became of the thresholds comes last. Returns the exit code.
    """
    if measured.ending is Ending.INTERRUPTED:
        return EXIT_INTERRUPTED
    with Store.open(find_file(measured.folder)) as store:
        kind = kind_of(store)
        analysis = kind.analyse(store)
        is_sound = kind.print_report(
            store, analysis, make_console(is_wide=is_wide), ReportOptions()
        )
    code = EXIT_OK if is_sound else EXIT_REQUESTS_FAILED
    drawn = EXIT_OK
    if kind.has_figures:
        drawn = draw(measured.folder, form, analysis, timeline_at, is_summary=True)
    is_complete = measured.ending is not Ending.RUNS_FAILED
    if fail_if:
        found = judged(analysis, fail_if)
        print_thresholds(found, sys.stdout)
        return exit_code(found, analysis, is_complete=is_complete) or drawn
    return code or drawn if is_complete else EXIT_REQUESTS_FAILED


def print_tables(folder: Path | None, options: ReportOptions, *, is_wide: bool) -> int:
    """Print the tables of an experiment, by default the newest, and return the exit code."""
    with Store.open(find_file(folder)) as store:
        kind = kind_of(store)
        is_sound = kind.print_report(
            store, kind.analyse(store), make_console(is_wide=is_wide), options
        )
    return EXIT_OK if is_sound else EXIT_REQUESTS_FAILED


def draw(
    folder: Path,
    form: str = "png",
    analysis: object = None,
    timeline_at: Sequence[int] = (),
    *,
    is_summary: bool = False,
) -> int:
    """Draw the figures and the page in a separate process, because bench does not import plots.

    `analysis` is the analysis of the results, if there is one already. It is pickled for the
    process (0.1 MB), because computing it again takes 0.8 s of CPU time for the default sweep, and
    3.5 s for a million requests. For each N of `timeline_at`, there is one more timeline of each
    crawler. The process prints the path of each figure or, if `is_summary`, how many there are and
    what to open. Returns the exit code.
    """
    words = [str(folder), "--format", form, *(["--summary"] if is_summary else [])]
    words += ["--timeline-at", ",".join(map(str, timeline_at))] if timeline_at else []
    way_out = f"not all is drawn: {PROGRAM} plots {folder} does it again"
    if analysis is None:
        return run_plots("plots", words, way_out)
    return run_plots("plots", [*words, "--analysis-on-stdin"], way_out, pickle.dumps(analysis))


def draw_one(program: str, report: object, path: Path) -> int:
    """Draw a figure into a file with a program that reads JSON, and return the exit code."""
    way_out = f"{path} was not drawn"
    to_stdin = json.dumps(report).encode() + b"\n"
    # What it prints is not part of the JSON or Markdown that the command prints.
    return run_plots(program, ["--plot", str(path)], way_out, to_stdin, sys.stderr.fileno())


def run_plots(
    module: str,
    words: Sequence[str],
    way_out: str,
    to_stdin: bytes = b"",
    stdout: int | None = None,
) -> int:
    """Run a program that draws, and return an exit code of crawlbench's.

    `to_stdin` is written to its stdin first. If it crashes or is killed, the message ends with
    `way_out`.
    """
    sys.stdout.flush()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, "--end-with-stdin", *words],
        stdin=subprocess.PIPE,
        stdout=stdout,
        # In a separate session, so that Ctrl-C reaches it only through this process.
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        with contextlib.suppress(BrokenPipeError):  # it has already ended; its exit code says why
            process.stdin.write(to_stdin)
            process.stdin.flush()
        code = process.wait()
    except BaseException:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()  # it then removes unfinished files
        try:
            process.wait(_PLOTS_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    finally:
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
    if code in (EXIT_OK, EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED):
        return code
    how = f"died of {signal_name(-code)}" if code < 0 else f"crashed with exit code {code}"
    say(f"the process that draws figures {how}: {way_out}")
    return EXIT_ENVIRONMENT
