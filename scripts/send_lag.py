"""How late each crawler starts requests that are due: its send lag in open loop.

    .venv/bin/python -P scripts/send_lag.py [--rate 200] [-n 600] [CRAWLER ...]

It prints a Markdown table of all crawlers that can do an open loop, or of those named. The server
takes 20 ms for a request, and runs on another core than the crawler if there are two.
"""

import argparse
import sys

import numpy as np

from bench.measure.pinning import choose_pinning, pin
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from bench.plan.load import Load, most_in_flight
from bench.plan.rates import Rate
from crawlers.checked import checked_count, checked_rate
from crawlers.registry import REGISTRY, find
from server.process import ServerProcess

_DELAY = Delay.fixed(20_000)
_TIMEOUT_S = 10.0


def main() -> int:
    """Measure and print a row for each crawler; return the exit code."""
    able = [info.name for info in REGISTRY if info.open_loop]
    parser = argparse.ArgumentParser(prog="scripts/send_lag.py", description=__doc__)
    parser.add_argument("--rate", type=checked_rate, default=200.0)
    parser.add_argument("-n", "--requests", type=checked_count, default=600)
    parser.add_argument("crawlers", nargs="*", default=able, metavar="CRAWLER")
    arguments = parser.parse_args()
    load = Load(Rate.parse(f"{arguments.rate:g}"))
    pinning = choose_pinning()
    print(f"{arguments.requests} requests at {load.rate}. {pinning.note}\n")
    print("| crawler | p50 ms | p99 ms | longest ms | CPU µs/req | connections | failed |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with ServerProcess() as server:
        pin(server.pid, pinning.server)
        runner = ProcessRunner(Target(*server.addresses), _TIMEOUT_S, pinning)
        for number, crawler in enumerate(arguments.crawlers, 1):
            print(_row(runner, number, crawler, load, arguments.requests), flush=True)
    return 0


def _row(runner: ProcessRunner, number: int, crawler: str, load: Load, requests: int) -> str:
    assert load.rate is not None
    most = min(most_in_flight(load.rate, _DELAY.mean_us), find(crawler).max_concurrency)
    cell = Cell(crawler, most, _DELAY, rate=load.rate)
    entrant = Entrant(crawler, crawler)
    result = runner.run(PlannedRun(number, 1, cell, requests, entrant, load=load))
    if result.outcome is None or result.ledger is None:
        return f"| {crawler} | {result.failure} |"
    fetches = result.outcome.fetches
    seqs = np.array(fetches["seq"], dtype=np.int64)
    after_ns = np.array(result.planned.due_after_ns(), dtype=np.int64)
    due_ns = result.outcome.first_due_ns + after_ns[seqs]
    lags_ms = (np.array(fetches["start_ns"], dtype=np.int64) - due_ns) / 1e6
    quantiles = " | ".join(f"{lag_ms:.2f}" for lag_ms in np.quantile(lags_ms, (0.5, 0.99, 1)))
    cpu_us = result.outcome.usage.cpu_ns / requests / 1e3
    connections = len({*result.ledger.columns["connection"]})
    failed = requests - sum(status == 200 for status in fetches["status"])
    return f"| {crawler} | {quantiles} | {cpu_us:.0f} | {connections} | {failed} |"


if __name__ == "__main__":
    sys.exit(main())
