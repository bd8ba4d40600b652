"""What more processes bring on this machine: of crawlers, of the server, and of both.

Each case is measured in turn with the others, in several rounds. The last table has what a million
requests cost where the processes come together again: the merge of the ledgers of two server
processes, and the transfer of the ledger by the control port.
"""

import argparse
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from bench.measure.pinning import choose_pinning, pin_each
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from server.control_client import fetch_run, stats
from server.process import ServerProcess

_CONCURRENCY = 100
_PIPELINED = 16
_MILLION = 1_000_000
_SCRIPT = """
local many
init = function()
  many = string.rep(wrk.format("GET", "/add?name=pipelined&delay=0"), {depth})
end
request = function() return many end
"""


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=40_000, help="of each crawl")
    arguments = parser.parse_args()
    if not shutil.which("wrk"):
        print(
            "scripts/scaling: wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr
        )
        return 3
    _compare(
        "crawler processes, one server process: asyncio-uvloop",
        {
            "1 crawler": lambda: _crawl("asyncio-uvloop", 1, 1, arguments.requests),
            "2 crawlers": lambda: _crawl("asyncio-uvloop", 2, 1, arguments.requests),
        },
        arguments.rounds,
    )
    _compare(
        f"server processes, under a client that pipelines {_PIPELINED} deep: wrk",
        {
            "1 server": lambda: _pipeline(1),
            "2 servers": lambda: _pipeline(2),
        },
        arguments.rounds,
    )
    _compare(
        "both: protocol-uvloop, the floor",
        {
            "1 + 1": lambda: _crawl("protocol-uvloop", 1, 1, 3 * arguments.requests),
            "2 + 2": lambda: _crawl("protocol-uvloop", 2, 2, 3 * arguments.requests),
        },
        arguments.rounds,
    )
    _print_costs()
    return 0


def _compare(title: str, cases: dict[str, Callable[[], float]], rounds: int) -> None:
    """Measure all cases in turn, and print the medians and the ratio to the first."""
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds):
        print(f"{title}: round {number + 1} of {rounds}", file=sys.stderr)
        for name, measure in cases.items():
            rates[name].append(measure())
    print(f"\n{title}; requests/s, medians of {rounds} rounds (min-max)")
    first = next(iter(rates.values()))
    for name, values in rates.items():
        ratio = median(mine / base for mine, base in zip(values, first, strict=True))
        spread = f"{min(values):,.0f}-{max(values):,.0f}"
        print(f"  {name:<12}{median(values):>10,.0f}  ({spread}){ratio:>8.2f} x")


def _crawl(crawler: str, processes: int, server_processes: int, requests: int) -> float:
    """Return the requests per second of a crawl without delay."""
    pinning = choose_pinning(server_processes)
    with _server(server_processes) as server:
        pin_each(_pids(server), pinning.server)
        entrant = Entrant(crawler, crawler, processes=processes)
        cell = Cell(crawler, _CONCURRENCY, Delay.fixed(0))
        runner = ProcessRunner(Target(*server.addresses), 10.0, pinning)
        result = runner.run(PlannedRun(1, 1, cell, requests, entrant))
    if result.outcome is None or result.ledger is None:
        raise SystemExit(f"scripts/scaling: {crawler}: {result.failure}\n{result.stderr_tail}")
    if result.ledger.rows != requests:
        raise SystemExit(f"scripts/scaling: {result.ledger.rows} of {requests} in the ledger")
    fetches = result.outcome.fetches
    return requests / (max(fetches["end_ns"]) - min(fetches["start_ns"])) * 1e9


def _pipeline(processes: int) -> float:
    """Return the requests per second that wrk gets with several requests in each write."""
    with _server(processes) as server, TemporaryDirectory() as folder:
        pin_each(_pids(server), choose_pinning().everything)  # wrk goes where there is room
        before = _requests(server)
        began_s = monotonic()
        _wrk(server, Path(folder), seconds=3)
        return (_requests(server) - before) / (monotonic() - began_s)


def _print_costs() -> None:
    """Record a million requests on two server processes, and print what it costs to have them."""
    with _server(2) as server, TemporaryDirectory() as folder:
        control_url = server.addresses.control_url
        while _requests(server) < _MILLION:
            _wrk(server, Path(folder), seconds=2)
        began_s = monotonic()
        rows = fetch_run(control_url, "pipelined").rows
        took_s = monotonic() - began_s
        counted = _requests(server)
        each = [one["requests"] for one in stats(control_url)["processes"]]
    print(
        f"\n{rows:,} requests in the ledger of two server processes ({each[0]:,} and {each[1]:,}; "
        f"{counted:,} counted): merged and fetched in {took_s:.2f} s, "
        f"{took_s / rows * _MILLION:.2f} s per million"
    )


def _server(processes: int) -> ServerProcess:
    flags = ["--ledger-rows", "8000000"]
    return ServerProcess(*flags, *(["--processes", str(processes)] if processes > 1 else []))


def _pids(server: ServerProcess) -> list[int]:
    return [one["pid"] for one in stats(server.addresses.control_url)["processes"]]


def _requests(server: ServerProcess) -> int:
    return int(stats(server.addresses.control_url)["requests"])


def _wrk(server: ServerProcess, folder: Path, seconds: int) -> None:
    script = folder / "pipeline.lua"
    script.write_text(_SCRIPT.format(depth=_PIPELINED))
    command = ["wrk", "-t1", f"-c{_CONCURRENCY}", f"-d{seconds}s", "-s", str(script)]
    subprocess.run([*command, server.addresses.data_url], stdout=subprocess.DEVNULL, check=True)


if __name__ == "__main__":
    sys.exit(main())
