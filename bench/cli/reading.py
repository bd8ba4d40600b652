"""What the verbs that read results do: report, plots, compare, export; and list."""

import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

from bench.exit_codes import (
    EXIT_ENVIRONMENT,
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REGRESSION,
    EXIT_REQUESTS_FAILED,
    EXIT_USAGE,
    signal_name,
)
from bench.kinds import ReportOptions, kind_of
from bench.plan.experiment import SWEEP
from bench.program import PROGRAM
from bench.report.tables import make_console
from bench.results.folder import find_file
from bench.results.store import Store

_PLOTS_END_S = 5.0


def report(arguments: Namespace) -> int:
    """`crawlbench report`: the tables of an experiment, and what its runs are worth."""
    options = ReportOptions(show_all=arguments.all, show_split=arguments.split)
    return _report(arguments.folder, options, is_wide=arguments.wide)


def _report(folder: Path | None, options: ReportOptions, *, is_wide: bool) -> int:
    with Store.open(find_file(folder)) as store:
        is_sound = kind_of(store).print_report(store, make_console(is_wide=is_wide), options)
    return EXIT_OK if is_sound else EXIT_REQUESTS_FAILED


def show(folder: Path, form: str = "png", *, is_wide: bool) -> int:
    """What was measured: the tables and the finding, then where the figures are."""
    try:
        code = _report(folder, ReportOptions(), is_wide=is_wide)
    except BrokenPipeError:  # nobody reads the table; the figures are still wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_OK
    with Store.open(find_file(folder)) as store:
        has_figures = kind_of(store).has_figures
    drawn = draw(folder, form, is_summary=True) if has_figures else EXIT_OK
    return code or drawn


def plots(arguments: Namespace) -> int:
    """`crawlbench plots`: draw the figures of an experiment again."""
    return draw(find_file(arguments.folder).parent, arguments.format)


def compare(arguments: Namespace) -> int:
    """`crawlbench compare A B`: ratios and verdicts, cell by cell."""
    from bench.analysis.validity import Level
    from bench.report.comparison import compare_two, print_comparison

    worst = Level.VALID if arguments.valid_only else Level.SUSPECT
    comparison = compare_two(
        arguments.baseline, arguments.candidate, arguments.folder, arguments.metric, worst
    )
    print_comparison(comparison, arguments.form, make_console(is_wide=arguments.wide))
    if arguments.plot is not None:
        code = _draw_comparison(arguments)
        if code:
            return code
    if arguments.fail_on_regression is None:
        return EXIT_OK
    comparison.check_gate()
    is_worse = comparison.has_regressed(arguments.fail_on_regression)
    return EXIT_REGRESSION if is_worse else EXIT_OK


def export(arguments: Namespace) -> int:
    """`crawlbench export`: runs or requests, to stdout."""
    from bench.report.export import export_requests, export_runs

    with Store.open(find_file(arguments.folder, SWEEP)) as store:
        write = export_requests if arguments.what == "requests" else export_runs
        write(store, arguments.form, sys.stdout)
    return EXIT_OK


def list_crawlers(arguments: Namespace) -> int:
    """`crawlbench list`."""
    from bench.report.crawlers import print_crawlers

    print_crawlers(make_console(is_wide=arguments.wide))
    return EXIT_OK


def _draw_comparison(arguments: Namespace) -> int:
    """By a process of its own; returns its exit code."""
    words = ["--metric", arguments.metric, "--plot", str(arguments.plot)]
    words += ["--in", str(arguments.folder)] if arguments.folder is not None else []
    words += ["--valid-only"] if arguments.valid_only else []
    words += ["--", arguments.baseline, arguments.candidate]
    return _run_plots("plots.compare", words, "the comparison was not drawn")


def draw(folder: Path, form: str = "png", *, is_summary: bool = False) -> int:
    """The plots and the page, by a process of their own: bench does not import them.

    It prints the path of each, or if `is_summary` how many there are and what to open. Returns its
    exit code.
    """
    how = ["--summary"] if is_summary else []
    way_out = f"not all is drawn: {PROGRAM} plots {folder} does it again"
    return _run_plots("plots", [str(folder), "--format", form, *how], way_out)


def _run_plots(module: str, words: list[str], way_out: str) -> int:
    """Returns the exit code, one of ours; says so where the process did not end by itself."""
    sys.stdout.flush()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", module, "--end-with-stdin", *words],
        stdin=subprocess.PIPE,
        # In a session of its own, Ctrl-C reaches it through us alone.
        start_new_session=True,
    )
    assert process.stdin is not None
    try:
        code = process.wait()
    except BaseException:
        process.stdin.close()  # it then removes what it has not finished
        try:
            process.wait(_PLOTS_END_S)
        except subprocess.TimeoutExpired:
            process.kill()
        raise
    finally:
        process.stdin.close()
    if code in (EXIT_OK, EXIT_USAGE, EXIT_ENVIRONMENT, EXIT_INTERRUPTED):
        return code
    how = f"died of {signal_name(-code)}" if code < 0 else f"crashed with exit code {code}"
    print(f"crawlbench: the process that draws {how}: {way_out}", file=sys.stderr)
    return EXIT_ENVIRONMENT
