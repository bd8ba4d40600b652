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
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.errors import StoreError
from bench.printable import protect_standard_streams
from bench.results.folder import find_file
from bench.results.store import Store
from plots.files import whole
from plots.starting import parse_arguments
from server.standard_streams import run_program

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
    parser.add_argument(
        "--summary",
        action="store_true",
        help="print how many figures there are and what to open, not the path of each",
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    protect_standard_streams()
    arguments = parse_arguments(parser, argv)
    try:
        paths = []
        for path in draw_all(arguments.folder, arguments.format):
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


def _summed_up(paths: Sequence[Path]) -> str:
    """`24 figures in DIR`, and on the next line `Open DIR/report.html`."""
    pages = [path for path in paths if path.name == PAGE]
    count = len(paths) - len(pages)
    text = f"{count} figure{'' if count == 1 else 's'} in {paths[0].parent}"
    return "\n".join([text, *(f"Open {page}" for page in pages)])


def draw_all(folder: Path | None, form: str = "png") -> Iterator[Path]:
    """Draw every figure of an experiment and the page, beside its results file; yields the paths.

    Raises StoreError, OSError.
    """
    from bench.analysis.analyse import analyse
    from plots.figures import figures_of
    from plots.page import Picture, page

    path = find_file(folder)
    with Store.open(path) as store:
        if store.asked()["kind"] == "primes":
            yield from _draw_primes(store, form)
            return
        analysis = analyse(store)
        pictures: list[Picture] = []
        explained: set[str] = set()
        for drawn in figures_of(store, analysis):
            image = io.BytesIO()
            drawn.figure.savefig(image, format="png")
            how = "" if drawn.how_to_read in explained else drawn.how_to_read
            explained.add(drawn.how_to_read)
            pictures.append(
                Picture(drawn.stem, drawn.heading, image.getvalue(), how, drawn.finding)
            )
            file = path.parent / f"{drawn.stem}.{form}"
            with whole(file) as stream:
                if form == "png":
                    stream.write(image.getvalue())
                else:
                    drawn.figure.savefig(stream, format=form)
            yield file
        if not pictures:
            raise StoreError(f"{path} has no run that came to anything: there is nothing to draw")
        with whole(path.parent / PAGE) as stream:
            stream.write(page(store, analysis, pictures).encode())
        yield path.parent / PAGE


def _draw_primes(store: Store, form: str) -> Iterator[Path]:
    from plots.primes_figures import primes_figures

    has_drawn = False
    for drawn in primes_figures(store):
        has_drawn = True
        file = store.path.parent / f"{drawn.stem}.{form}"
        with whole(file) as stream:
            drawn.figure.savefig(stream, format=form)
        yield file
    if not has_drawn:
        raise StoreError(f"{store.path} has no run that came to anything: there is nothing to draw")


if __name__ == "__main__":
    sys.exit(run_program("plots", main))
