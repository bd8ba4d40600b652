"""Quantiles of delays by theory, as drawn for a run, and as the server gave them.

    .venv/bin/python -P scripts/served_delays.py [-n 10000]

It prints a Markdown table with a row for each delay model and quantile. Served is the time from the
arrival of a request to the first byte of its response, of the floor crawler with 200 requests in
flight. `sigmas` is how many standard errors the drawn quantile is off, where that is defined.
"""

import argparse
import math
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.analysis.quantiles import quantile
from bench.measure.pinning import choose_pinning, pin
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from crawlers.checked import checked_count
from server.process import ServerProcess

_MODELS = (
    "50",
    "20-80",
    "exponential:mean=50",
    "lognormal:median=40,p99=300",
    "weighted:20@85,100@13,400@2",
)
_TRACE = (10, 20, 30, 40, 200)
_QUANTILES = (0.5, 0.9, 0.99, 0.999)
_TIMEOUT_S = 60.0
_SEED = 1


def main() -> int:
    """Measure, print the table, and return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/served_delays.py", description=__doc__)
    parser.add_argument("-n", "--requests", type=checked_count, default=10_000)
    requests = parser.parse_args().requests
    pinning = choose_pinning()
    print("| model | quantile | theory ms | drawn ms | sigmas | served ms |")
    print("|---|---|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder, ServerProcess() as server:
        trace = Path(folder) / "delays.txt"
        trace.write_text("\n".join(map(str, _TRACE)))
        pin(server.pid, pinning.server)
        runner = ProcessRunner(Target(*server.addresses), _TIMEOUT_S, pinning)
        for number, text in enumerate((*_MODELS, f"trace:{trace}"), 1):
            for row in _rows(runner, number, Delay.parse(text), requests):
                print(row, flush=True)
    return 0


def _rows(runner: ProcessRunner, number: int, delay: Delay, requests: int) -> list[str]:
    cell = Cell("protocol", 200, delay)
    planned = PlannedRun(number, 1, cell, requests, Entrant("protocol", "protocol"), _SEED)
    result = runner.run(planned)
    if result.ledger is None or result.ledger.rows != requests:
        return [f"| {delay} | {result.failure or 'the ledger is not complete'} |"]
    drawn = np.sort(np.array(planned.delays_us(), dtype=np.int64))
    columns = {name: np.array(column) for name, column in result.ledger.columns.items()}
    served = np.sort(columns["replied_ns"] - columns["arrived_ns"])
    rows = []
    for q in _QUANTILES:
        theory_us = delay.quantile_us(q)
        name = str(delay) if not delay.digest else "trace of 10, 20, 30, 40, 200"
        rows.append(
            f"| {name} | p{100 * q:g} | {theory_us / 1e3:.2f} | {quantile(drawn, q) / 1e3:.2f} | "
            f"{_sigmas(delay, q, quantile(drawn, q), requests)} | {quantile(served, q) / 1e6:.2f} |"
        )
    return rows


def _sigmas(delay: Delay, q: float, drawn_us: int, requests: int) -> str:
    """Return the distance in standard errors sqrt(q (1 - q) / n) / density, by the slope at q."""
    step = min(0.0005, (1 - q) / 4)
    low, high = delay.quantile_us(q - step), delay.quantile_us(q + step)
    if (delay.model.is_bounded and "-" not in delay.text) or high == low:
        return "-"
    error_us = math.sqrt(q * (1 - q) / requests) * (high - low) / (2 * step)
    return f"{(drawn_us - delay.quantile_us(q)) / error_us:+.1f}"


if __name__ == "__main__":
    sys.exit(main())
