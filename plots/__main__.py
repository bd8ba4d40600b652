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

from bench.environment import machine_shown, versions_shown
from bench.results import find_file
from bench.store import Store, StoreError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.analysis import Analysis
    from bench.cells import CellSummary, Trial

_SHOWN_CONCURRENCY = 100


def main(argv: list[str] | None = None) -> int:
    """Draw; prints the path of each file. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m plots",
        description="Draw throughput.png, latency-split.png, timeline-CRAWLER.png and "
        "in-flight-CRAWLER.png from a folder of results, into that folder.",
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
    from bench.analysis import analyse, load_accounts
    from plots.in_flight import in_flight_figure
    from plots.latency_split import latency_split_figure
    from plots.throughput import throughput_figure
    from plots.timeline import timeline_figure

    path = find_file(folder)
    written = []
    with Store.open(path) as store:
        analysis = analyse(store)
        small_print = _small_print(store, analysis)
        if any(cell.measured for cell in analysis.cells):
            figure = throughput_figure(analysis, small_print)
            written.append(_save(figure, path.parent / "throughput.png"))
            split = latency_split_figure(analysis, small_print)
            if split is not None:
                written.append(_save(split, path.parent / "latency-split.png"))
        for trial in _trials_to_show(analysis):
            run, name = trial.run, _file_name(trial.run.crawler)
            accounts = load_accounts(store, run)
            figures = {
                "timeline": timeline_figure(trial, accounts.fetches, accounts.arrivals, small_print)
            }
            if accounts.arrivals is not None:
                figures["in-flight"] = in_flight_figure(trial, accounts.arrivals, small_print)
            for kind, drawn in figures.items():
                if drawn is not None:
                    written.append(_save(drawn, path.parent / f"{kind}-{name}.png"))
    if not written:
        raise StoreError(f"{path} has no run that came to anything: there is nothing to draw")
    return written


def _trials_to_show(analysis: "Analysis") -> "list[Trial]":
    """Of each crawler the median trial at the concurrency next to _SHOWN_CONCURRENCY."""
    chosen: dict[str, CellSummary] = {}
    for cell in analysis.cells:
        known = chosen.get(cell.cell.crawler)
        if cell.measured and (known is None or _distance(cell) < _distance(known)):
            chosen[cell.cell.crawler] = cell
    trials = [cell.median_trial() for cell in chosen.values()]
    return [trial for trial in trials if trial is not None]


def _file_name(crawler: str) -> str:
    """A crawler that was brought along has a name with a colon, and may have anything."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", crawler)


def _distance(cell: "CellSummary") -> int:
    return abs(cell.cell.concurrency - _SHOWN_CONCURRENCY)


def _small_print(store: Store, analysis: "Analysis") -> str:
    about = store.environment()
    return (
        f"{machine_shown(about)}; {about.get('pinning', '?')}\n"
        f"{versions_shown(analysis.runs)}; {store.created_utc()[:10]}; closed loop"
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
