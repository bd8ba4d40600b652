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
import re
from pathlib import Path
from typing import TYPE_CHECKING

from bench.experiment import CELL
from bench.results import find_file
from bench.store import Store, StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.store import RunRow

_TIMELINE_CONCURRENCY = 100


def main(argv: list[str] | None = None) -> int:
    """Draw; prints the path of each file. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plots",
        description="Draw throughput.png, latency-split.png and timeline-CRAWLER.png from a folder "
        "of results, into that folder.",
        epilog="Exit codes: 0 ok, 2 usage, 3 nothing to read, or no place to write.",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, metavar="DIR", help="results (results/latest)"
    )
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        for path in draw_all(parser.parse_args(argv).folder):
            print(path)
    except (StoreError, OSError) as error:
        print(f"plots: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    return 0


def draw_all(folder: Path | None) -> list[Path]:
    """Draw every figure of an experiment beside its results file; returns the paths."""
    from bench.analysis import analyse
    from plots.latency_split import latency_split_figure
    from plots.throughput import throughput_figure
    from plots.timeline import timeline_figure

    path = find_file(folder)
    written = []
    with Store.open(path) as store:
        small_print = _small_print(store)
        analysis = analyse(store)
        if any(cell.measured for cell in analysis.cells):
            figure = throughput_figure(analysis, small_print)
            written.append(_save(figure, path.parent / "throughput.png"))
            split = latency_split_figure(analysis, small_print)
            if split is not None:
                written.append(_save(split, path.parent / "latency-split.png"))
        for run in _runs_to_show(store):
            arrivals = None if run.unrecorded is None else store.arrivals(run.number)
            try:
                figure = timeline_figure(run, store.fetches(run.number), arrivals, small_print)
            except ValueError:
                continue  # it recorded nothing that could be drawn
            written.append(_save(figure, path.parent / f"timeline-{_file_name(run.crawler)}.png"))
    if not written:
        raise StoreError(f"{path} has no run that came to anything: there is nothing to draw")
    return written


def _runs_to_show(store: Store) -> "list[RunRow]":
    """Of each crawler the first trial at the concurrency next to _TIMELINE_CONCURRENCY."""
    chosen: dict[str, RunRow] = {}
    for run in store.runs():
        if run.role != CELL:
            continue
        known = chosen.get(run.crawler)
        if run.usage is not None and (known is None or _distance(run) < _distance(known)):
            chosen[run.crawler] = run
    return list(chosen.values())


def _file_name(crawler: str) -> str:
    """A crawler that was brought along has a name with a colon, and may have anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", crawler)


def _distance(run: "RunRow") -> tuple[int, int]:
    return abs(run.concurrency - _TIMELINE_CONCURRENCY), run.trial


def _small_print(store: Store) -> str:
    about = store.environment()
    versions: dict[str, str] = {}
    for run in store.runs():
        versions.update(run.versions)
    libraries = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"crawlbench {about['crawlbench']} {about['commit'] or ''}, {libraries}\n"
        f"{store.created_utc()[:10]}, {about['cpus']} x {about['cpu']}, {about['system']}, "
        f"{about['pinning']}; closed loop"
    )


def _save(figure: "Figure", path: Path) -> Path:
    """Whole or not at all: a plot half written is taken for a plot."""
    draft = path.with_name(f".{path.name}")
    try:
        figure.savefig(draft, format="png")
        return draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


if __name__ == "__main__":
    sys.exit(main())
