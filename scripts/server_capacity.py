"""The delay server's throughput and latency, measured in turn with a plain tornado.web server.

For each round and server it measures requests per second without delay on 100 connections, and the
CPU time of our servers for each; then the latency of 1000 connections that ask for 100 ms each. One
of our servers has a capacity, of as many requests as there are connections, to show what a service
costs. At the end a million requests are recorded and
fetched. The servers share one core and wrk has another, if there are two.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

from server.announcement import Addresses, parse_listening_line
from server.control_client import fetch_run, stats
from server.process import ServerProcess

_PLAIN = Path(__file__).with_name("plain_tornado_server.py")
_MILLISECONDS = {"us": 0.001, "ms": 1.0, "s": 1000.0}
_RECORDED = 1_000_000

_PLAINEST = "tornado.web, access log"
_ASYNCIO = "crawlbench, asyncio"
_OURS = {
    _ASYNCIO: ("--loop", "asyncio"),
    "crawlbench, capacity 1000": ("--loop", "asyncio", "--capacity", "1000"),
    "crawlbench, uvloop": ("--loop", "uvloop"),
}
"""Our servers, each with its flags."""


class Latency(NamedTuple):
    """Quantiles of the latency that wrk saw, in ms."""

    p50_ms: float
    p99_ms: float


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/capacity", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=3, help="number of rounds (default: %(default)s)"
    )
    rounds = parser.parse_args().rounds
    if rounds < 1:
        parser.error("--rounds is at least 1")
    if not shutil.which("wrk"):
        print(
            "scripts/capacity: wrk is not installed (Debian: apt-get install wrk)", file=sys.stderr
        )
        return 3
    on_core = _pinning()
    with ExitStack() as stack:
        ours = {
            name: stack.enter_context(ServerProcess(*flags, command_prefix=on_core(0))).addresses
            for name, flags in _OURS.items()
        }
        plain = stack.enter_context(
            subprocess.Popen(
                [*on_core(0), sys.executable, "-P", str(_PLAIN)],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
        stack.callback(plain.kill)
        assert plain.stdout is not None
        addresses = parse_listening_line(plain.stdout.readline())
        assert addresses is not None
        _print_rounds({_PLAINEST: addresses, **ours}, rounds, on_core(1))
        _print_recording(*ours[_ASYNCIO], on_core(1))
    return 0


def _print_rounds(servers: dict[str, Addresses], rounds: int, prefix: list[str]) -> None:
    rates: dict[str, list[float]] = {name: [] for name in servers}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    latencies: dict[str, list[Latency]] = {name: [] for name in servers}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds} ...", file=sys.stderr)
        for name, addresses in servers.items():
            before = _used(addresses) if name in _OURS else None
            rates[name].append(_requests_per_second(addresses.data_url, prefix))
            if before is not None:
                costs[name].append(before.until(_used(addresses)))
        for name, addresses in servers.items():
            latencies[name].append(_latency(addresses.data_url, prefix))
    baseline = rates[_PLAINEST]
    print(f"medians of {rounds} rounds (min-max); latencies of 1000 connections x 100 ms, in ms\n")
    print(
        f"{'server':<25}{'requests/s at delay 0':>29}{'ratio':>7}{'us CPU':>8}{'p50':>8}{'p99':>8}"
    )
    for name in servers:
        spread = f"{median(rates[name]):,.0f} ({min(rates[name]):,.0f}-{max(rates[name]):,.0f})"
        ratio = median(mine / base for mine, base in zip(rates[name], baseline, strict=True))
        p50 = median(latency.p50_ms for latency in latencies[name])
        p99 = median(latency.p99_ms for latency in latencies[name])
        cost = f"{median(costs[name]):.1f}" if costs[name] else "-"
        print(f"{name:<25}{spread:>29}{ratio:>7.1f}{cost:>8}{p50:>8.1f}{p99:>8.1f}")


def _print_recording(data_url: str, control_url: str, prefix: list[str]) -> None:
    while fetch_run(control_url, "capacity").rows < _RECORDED:
        _wrk(prefix, data_url, connections=100, seconds=3, delay_ms=0)
    start = time.monotonic()
    rows = fetch_run(control_url, "capacity").rows
    seconds = time.monotonic() - start
    peak_mb = stats(control_url)["peak_memory_bytes"] / 1e6
    print(
        f"\n{rows:,} requests recorded (asyncio): fetched in {seconds:.2f} s; "
        f"peak memory of the server, with that fetch: {peak_mb:.0f} MB"
    )


class _Used(NamedTuple):
    cpu_s: float
    requests: int

    def until(self, later: "_Used") -> float:
        """Return the CPU time per request in microseconds."""
        return (later.cpu_s - self.cpu_s) * 1e6 / (later.requests - self.requests)


def _used(addresses: Addresses) -> _Used:
    counted = stats(addresses.control_url)
    return _Used(counted["cpu_seconds"], counted["requests"])


def _requests_per_second(url: str, prefix: list[str]) -> float:
    said = _wrk(prefix, url, connections=100, seconds=3, delay_ms=0)
    return float(_found(r"Requests/sec:\s+([\d.]+)", said)[1])


def _latency(url: str, prefix: list[str]) -> Latency:
    said = _wrk(prefix, url, connections=1000, seconds=5, delay_ms=100)
    quantiles = [
        float(match[1]) * _MILLISECONDS[match[2]]
        for match in (_found(rf"{q}%\s+([\d.]+)(us|ms|s)\b", said) for q in (50, 99))
    ]
    return Latency(*quantiles)


def _wrk(prefix: list[str], url: str, connections: int, seconds: int, delay_ms: int) -> str:
    return subprocess.run(
        [
            *(*prefix, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency"),
            f"{url}/add?name=capacity&delay={delay_ms}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout


def _found(pattern: str, text: str) -> re.Match[str]:
    match = re.search(pattern, text)
    if match is None:
        raise SystemExit(f"scripts/capacity: wrk printed something unexpected:\n{text}")
    return match


def _pinning() -> Callable[[int], list[str]]:
    """Return a function from a core's number to the command that pins to it."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(cores) < 2 or not shutil.which("taskset"):
        print(
            "scripts/capacity: nothing is pinned: that needs two cores and taskset",
            file=sys.stderr,
        )
        return lambda _: []
    return lambda core: ["taskset", "-c", str(cores[core])]


if __name__ == "__main__":
    sys.exit(main())
