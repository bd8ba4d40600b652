"""The table of `crawlbench calibrate`: what each crawler adds to delays that are known."""

from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.analyse import Analysis
from bench.analysis.quantiles import quantile, tail_quantile
from bench.analysis.split import Part
from bench.analysis.validity import Level
from bench.report.tables import make_table, shown
from bench.results.store import Store

if TYPE_CHECKING:
    from rich.console import Console


def print_calibration(store: Store, analysis: Analysis, console: "Console") -> None:
    """A line a crawler: quantiles of service time less the delay drawn for the same seq."""
    asked = analysis.experiment
    table = make_table(
        f"What each crawler adds to known delays: {asked.delays[0]}, {asked.requests} requests; "
        "in ms",
        (
            *("crawler", "at C", "added p50", "added p99"),
            *("to server p50", "p99", "late p50", "p99", "back p50", "p99"),
        ),
        ("verdict",),
        "added: service time less the delay drawn for the same seq. late: the server's part of "
        "it. p99 of 1000 requests or more.",
    )
    from rich.markup import escape

    for cell in analysis.cells:
        for trial in cell.trials:
            summary = trial.summary
            if summary is None or summary.split is None:
                continue
            fetches = store.fetches(trial.run.number)
            drawn_ns = np.array(trial.run.delays_us(), dtype=np.int64) * 1000
            is_good = (
                (fetches["error"] == 0)
                & (fetches["status"] == 200)
                & (fetches["seq"] >= 0)
                & (fetches["seq"] < trial.run.requests)
            )
            seq = fetches["seq"][is_good]
            service_ns = (fetches["end_ns"] - fetches["start_ns"])[is_good]
            added = np.sort(service_ns - drawn_ns[seq])
            split = summary.split
            level = trial.verdict.level
            table.add_row(
                escape(cell.cell.crawler),
                str(cell.cell.concurrency),
                shown(quantile(added, 0.5), ".3f", 1e6),
                shown(tail_quantile(added, 0.99), ".3f", 1e6),
                *_shown(split.to_server),
                *_shown(split.late),
                *_shown(split.back),
                level.name if level else "VALID",
            )
    console.print(table)
    for cell in analysis.cells:
        for trial in cell.trials:
            for reason in trial.verdict.reasons:
                if reason.level is not Level.VALID:
                    line = f"{reason.level.name}: {cell.cell.crawler}: {reason.text}"
                    console.print(line, soft_wrap=True, markup=False)


def _shown(part: Part) -> tuple[str, str]:
    return shown(part.p50_ns, ".3f", 1e6), shown(part.p99_ns, ".3f", 1e6)
