"""Draws the figures of an experiment next to its results file: `python -m plots [DIR]`."""

import os
import signal
import sys

if __name__ == "__main__":
    # Until main has begun, Ctrl-C ends the process without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not sys.flags.safe_path:
        # Without -P the current folder comes first, and a server.py there would be taken for ours.
        sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


import argparse
import io
import pickle
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import StoreError
from bench.kinds import kind_of
from bench.plan.experiment import CELL
from bench.printable import protect_standard_streams
from bench.results.folder import find_file
from bench.results.store import Store
from plots.files import atomic_write
from plots.starting import parse_arguments
from server.standard_streams import run_program

if TYPE_CHECKING:
    from plots.page import InteractivePart, Picture
    from plots.scenes import Drawn

    _Page = Callable[[Sequence[Picture], InteractivePart], str]
    _FiguresAndPage = tuple[Iterator[Drawn], _Page]

PAGE = "report.html"


def main(argv: list[str] | None = None) -> int:
    """Draw all figures, print the path of each file, and return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plots",
        description="Draw every figure of a folder of results, and report.html, into that folder.",
        epilog="Exit codes: 0 ok, 2 usage error, 3 results cannot be read or files not written.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="results (results/latest)"
    )
    parser.add_argument(
        "--format", choices=("png", "svg", "pdf"), default="png", help="of figures (%(default)s)"
    )
    parser.add_argument(
        "--timeline-at",
        type=_numbers,
        default=(),
        metavar="N,N",
        help="also draw the timeline of the first N requests of each crawler, for each N",
    )
    parser.add_argument("--analysis-on-stdin", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--summary",
        action="store_true",
        help="print how many figures there are and what to open, not the path of each",
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    protect_standard_streams()
    try:
        arguments = parse_arguments(parser, argv, _analysis)
        paths = []
        folder, form, at = arguments.folder, arguments.format, arguments.timeline_at
        for path in draw_all(folder, form, arguments.from_stdin, at):
            paths.append(path)
            if not arguments.summary:
                print(path, flush=True)
        if arguments.summary:
            print(_summed_up(paths))
    except (StoreError, OSError) as error:
        print(f"plots: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def _numbers(text: str) -> tuple[int, ...]:
    """Return numbers separated by commas. Raises ValueError if one is not at least 1."""
    numbers = tuple(map(int, text.split(",")))
    if min(numbers) < 1:
        raise ValueError
    return numbers


def _summed_up(paths: Sequence[Path]) -> str:
    """Return `24 figures in DIR`, and `Open DIR/report.html` on the next line."""
    pages = [path for path in paths if path.name == PAGE]
    count = len(paths) - len(pages)
    text = f"{count} figure{'' if count == 1 else 's'} in {paths[0].parent}"
    return "\n".join([text, *(f"Open {page}" for page in pages)])


def _analysis(arguments: argparse.Namespace) -> Any:
    """Return the analysis that the bench sends on stdin, or None without --analysis-on-stdin.

    Raises KeyboardInterrupt if stdin ends too early, because the bench has then ended.
    """
    if not arguments.analysis_on_stdin:
        return None
    try:
        return pickle.load(sys.stdin.buffer)  # noqa: S301 - the bench writes it, which started us
    except (EOFError, pickle.UnpicklingError):  # the bench ended while it was writing
        raise KeyboardInterrupt from None


def draw_all(
    folder: Path | None, form: str = "png", analysis: Any = None, timeline_at: Sequence[int] = ()
) -> Iterator[Path]:
    """Draw every figure of an experiment and its page, and yield the path of each file.

    The files are written next to the results file. `analysis` is the analysis of the results; if it
    is None, it is computed here. `timeline_at` asks for more timelines (plots.figures.figures_of).
    Raises StoreError, and OSError if a file cannot be written.
    """
    from plots.page import Picture
    from plots.page_figures import interactive_part

    path = find_file(folder)
    with Store.open(path) as store:
        kind = kind_of(store)
        if analysis is None:
            analysis = kind.analyse(store)
        figures, page = _DRAWN[kind.name](store, analysis, timeline_at)
        pictures: list[Picture] = []
        for drawn in figures:
            image = io.BytesIO()
            drawn.figure.savefig(image, format="png")
            file = path.parent / f"{drawn.stem}.{form}"
            pictures.append(
                Picture(
                    anchor=drawn.stem,
                    file=file.name,
                    heading=drawn.heading,
                    crawler=drawn.crawler,
                    png=image.getvalue(),
                    how_to_read=drawn.how_to_read,
                    finding=drawn.finding,
                )
            )
            with atomic_write(file) as stream:
                if form == "png":
                    stream.write(image.getvalue())
                else:
                    drawn.figure.savefig(stream, format=form)
            yield file
        if not pictures:
            raise StoreError(f"{path} has no run with results, so there is nothing to draw")
        with atomic_write(path.parent / PAGE) as stream:
            stream.write(page(pictures, interactive_part(store, analysis)).encode())
        yield path.parent / PAGE


def _of_sweep(store: Store, analysis: Any, timeline_at: Sequence[int]) -> "_FiguresAndPage":
    from plots.figures import figures_of, timelines_left_out
    from plots.sweep_page import sweep_page

    known = set(analysis.experiment.crawlers)
    for run in analysis.runs:
        if run.crawler not in known or run.role != CELL:
            raise StoreError(f"cannot draw {store.path}: its run {run.number} was not asked for")
    for left_out in timelines_left_out(analysis, timeline_at):
        print(f"plots: {left_out}", file=sys.stderr)
    return figures_of(store, analysis, timeline_at), partial(sweep_page, store, analysis)


def _of_primes(store: Store, analysis: Any, timeline_at: Sequence[int]) -> "_FiguresAndPage":
    from plots.figures import primes_figures
    from plots.primes_page import primes_page

    if timeline_at:
        raise StoreError(f"--timeline-at is for crawls, and {store.path} has none")
    return primes_figures(store, analysis), partial(primes_page, store, analysis)


def _of_scenarios(store: Store, analysis: Any, timeline_at: Sequence[int]) -> "_FiguresAndPage":
    from plots.figures import scenarios_figures
    from plots.scenarios_page import scenarios_page

    if timeline_at:
        raise StoreError(f"--timeline-at is for one sweep, and {store.path} has several")
    return scenarios_figures(store, analysis), partial(scenarios_page, store, analysis)


def _of_advice(store: Store, analysis: Any, timeline_at: Sequence[int]) -> "_FiguresAndPage":
    from plots.advice_page import advice_page
    from plots.figures import advice_figures

    if timeline_at:
        raise StoreError(f"--timeline-at is for crawls and sweeps, and {store.path} is neither")
    return advice_figures(store, analysis), partial(advice_page, store, analysis)


def _of_site(store: Store, analysis: Any, timeline_at: Sequence[int]) -> "_FiguresAndPage":
    from plots.figures import site_figures
    from plots.site_page import site_page

    if timeline_at:
        raise StoreError(f"--timeline-at is for crawls and sweeps, and {store.path} is neither")
    return site_figures(store, analysis), partial(site_page, store, analysis)


_DRAWN: dict[str, "Callable[[Store, Any, Sequence[int]], _FiguresAndPage]"] = {
    "sweep": _of_sweep,
    "calibration": _of_sweep,
    "crawl": _of_sweep,
    "advice": _of_advice,
    "primes": _of_primes,
    "scenarios": _of_scenarios,
    "site": _of_site,
}
"""How to draw each kind of experiment in bench.kinds. A test checks that none is missing."""


if __name__ == "__main__":
    sys.exit(run_program("plots", main, needs_reader=False))
