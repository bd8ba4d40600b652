"""Draws the plots of an experiment: `python -m plots [DIR]`, PNG files beside the results."""

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
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import StoreError
from bench.printable import protect_standard_streams
from bench.results.folder import find_file
from bench.results.store import Store
from plots.files import atomic_write
from plots.starting import parse_arguments
from server.standard_streams import run_program

if TYPE_CHECKING:
    from plots.page import Picture
    from plots.scenes import Drawn

PAGE = "report.html"


def main(argv: list[str] | None = None) -> int:
    """Draw; prints the path of each file. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plots",
        description="Draw every figure of a folder of results, and report.html, into that folder.",
        epilog="Exit codes: 0 ok, 2 usage, 3 nothing to read, or no place to write.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="results (results/latest)"
    )
    parser.add_argument(
        "--format", choices=("png", "svg", "pdf"), default="png", help="of figures (%(default)s)"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    protect_standard_streams()
    arguments = parse_arguments(parser, argv)
    try:
        for path in draw_all(arguments.folder, arguments.format):
            print(path, flush=True)
    except (StoreError, OSError) as error:
        print(f"plots: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def draw_all(folder: Path | None, form: str = "png") -> Iterator[Path]:
    """Draw every figure of an experiment and the page, beside its results file; yields the paths.

    Raises StoreError, OSError.
    """
    from plots.page import Picture

    path = find_file(folder)
    with Store.open(path) as store:
        figures, page = _of_primes(store) if store.asked()["kind"] == "primes" else _of_sweep(store)
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
            raise StoreError(f"{path} has no run that came to anything: there is nothing to draw")
        with atomic_write(path.parent / PAGE) as stream:
            stream.write(page(pictures).encode())
        yield path.parent / PAGE


def _of_sweep(store: Store) -> "tuple[Iterator[Drawn], Callable[[Sequence[Picture]], str]]":
    from bench.analysis.analyse import analyse
    from plots.figures import figures_of
    from plots.sweep_page import sweep_page

    analysis = analyse(store)
    return figures_of(store, analysis), partial(sweep_page, store, analysis)


def _of_primes(store: Store) -> "tuple[Iterator[Drawn], Callable[[Sequence[Picture]], str]]":
    from bench.primes.analysis import analyse_primes
    from plots.figures import primes_figures
    from plots.primes_page import primes_page

    analysis = analyse_primes(store)
    return primes_figures(store, analysis), partial(primes_page, store, analysis)


if __name__ == "__main__":
    sys.exit(run_program("plots", main))
