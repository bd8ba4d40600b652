"""What it costs to watch a crawl: the same crawl under several views (--progress), in turn.

The views write to a terminal of 80x24, which this program reads. By default a crawl has no delay,
so that it is limited by CPU, and whatever watching takes is missing elsewhere. `--views none,none`
shows what two series without any difference look like.
"""

import argparse
import json
import math
import os
import pty
import subprocess
import sys
import termios
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench.analysis.inference import LEAST_TRIALS, pseudo_median, pseudo_median_interval
from bench.measure.views import VIEWS

_ROWS_AND_COLUMNS = (24, 80)


class Measured(NamedTuple):
    """What one crawl reached and used."""

    requests_per_s: float
    p99_ms: float
    crawler_cpu: float
    """CPU seconds per second of crawl, as those that follow."""
    server_cpu: float
    bench_cpu: float
    """Of the whole command without its child processes, with its start and its report."""
    is_sound: bool


class Metric(NamedTuple):
    """A column of the comparison."""

    title: str
    value: Callable[[Measured], float]
    digits: int
    is_ratio: bool
    """Whether views are compared by their ratio; otherwise by their difference."""


METRICS = (
    Metric("requests/s", lambda one: one.requests_per_s, 0, is_ratio=True),
    Metric("p99 in ms", lambda one: one.p99_ms, 1, is_ratio=True),
    Metric("CPU of the crawler", lambda one: one.crawler_cpu, 3, is_ratio=False),
    Metric("CPU of the server", lambda one: one.server_cpu, 3, is_ratio=False),
    Metric("CPU of the bench", lambda one: one.bench_cpu, 3, is_ratio=False),
)


def main() -> int:
    """Measure and print; return the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/watching_cost", description=__doc__)
    parser.add_argument("--views", type=_views, default=["none", "live"], help="default: none,live")
    parser.add_argument("--rounds", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--crawler", default="asyncio", help="default: %(default)s")
    parser.add_argument("-n", "--requests", type=int, default=20_000, help="default: %(default)s")
    parser.add_argument("-c", "--concurrency", default="100", help="default: %(default)s")
    parser.add_argument("--delay", default="0", help="default: %(default)s")
    arguments = parser.parse_args()
    options = ["-n", str(arguments.requests), "-c", arguments.concurrency]
    words = ["crawl", arguments.crawler, *options, "--delay", arguments.delay]
    series: list[list[Measured]] = [[] for _ in arguments.views]
    for number in range(arguments.rounds):
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
        places = list(enumerate(arguments.views))
        for place, view in places if number % 2 == 0 else places[::-1]:
            series[place].append(_measure(words, view))
    print(f"{' '.join(words)}: medians of {arguments.rounds} rounds (min-max)")
    print(
        f"and the ratio (x) or difference to {arguments.views[0]}, with 95 % confidence interval."
    )
    print("CPU is in seconds per second of crawl; the bench's has its start and report, too.")
    for metric in METRICS:
        print(f"\n{metric.title}")
        columns = [list(map(metric.value, of_view)) for of_view in series]
        for view, values in zip(arguments.views, columns, strict=True):
            row = format_row(metric, view, values)
            print(row if values is columns[0] else row + format_change(metric, values, columns[0]))
    unsound = sum(not one.is_sound for of_view in series for one in of_view)
    print(f"\n{unsound} of {arguments.rounds * len(series)} crawls are SUSPECT or INVALID")
    return 0


def _views(text: str) -> list[str]:
    views = text.split(",")
    for view in views:
        if view not in VIEWS:
            raise argparse.ArgumentTypeError(f"{view!r} is no view: use {', '.join(VIEWS)}")
    return views


def format_row(metric: Metric, view: str, values: Sequence[float]) -> str:
    """Return the median, and the smallest and largest value."""
    digits = metric.digits
    spread = f"({min(values):,.{digits}f}-{max(values):,.{digits}f})"
    return f"  {view:<6}{median(values):>10,.{digits}f}  {spread}"


def format_change(metric: Metric, values: Sequence[float], base: Sequence[float]) -> str:
    """Return how the values differ from those of the same rounds of another view."""
    pairs = list(zip(values, base, strict=True))
    if metric.is_ratio:
        changes = [math.log(mine / other) for mine, other in pairs]
    else:
        changes = [mine - other for mine, other in pairs]

    def show(change: float) -> str:
        return f"{math.exp(change):.3f}" if metric.is_ratio else f"{change:+.3f}"

    change = f"; {show(pseudo_median(changes))}{' x' if metric.is_ratio else ''}"
    interval = pseudo_median_interval(changes)
    if interval is None:
        return f"{change} (no interval for fewer than {LEAST_TRIALS} rounds)"
    return f"{change} ({show(interval.low)} to {show(interval.high)})"


def _measure(words: Sequence[str], view: str) -> Measured:
    """Make a crawl that is watched by a view, in a process of its own."""
    with TemporaryDirectory() as folder:
        found, bench_cpu_s = _crawl([*words, "--progress", view, "--json", "--out", folder], view)
    if found["requests_per_s"] is None or found["p99_ns"] is None:
        raise SystemExit(
            f"scripts/watching_cost: no numbers: {found['failure'] or found['errors']}"
        )
    crawl_s = found["makespan_ns"] / 1e9
    s_per_us = found["requests"] / 1e6
    return Measured(
        requests_per_s=found["requests_per_s"],
        p99_ms=found["p99_ns"] / 1e6,
        crawler_cpu=found["cpu_us_per_request"] * s_per_us / crawl_s,
        server_cpu=found["server_cpu_us_per_request"] * s_per_us / crawl_s,
        bench_cpu=bench_cpu_s / crawl_s,
        is_sound=found["verdict"] not in ("SUSPECT", "INVALID"),
    )


def _crawl(words: Sequence[str], view: str) -> tuple[dict[str, Any], float]:
    """Return what the crawl says in JSON, and the CPU seconds of the bench's process."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(ours, _ROWS_AND_COLUMNS)
    shown: list[bytes] = []
    reader = threading.Thread(target=_read_all, args=(ours, shown))
    environment = {**os.environ, "TERM": "xterm-256color"}
    with TemporaryDirectory() as folder, (Path(folder) / "said").open("w+b") as said:
        command = [sys.executable, "-P", "-m", "bench", *words]
        process = subprocess.Popen(command, stdout=said, stderr=theirs, env=environment)
        os.close(theirs)
        reader.start()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # its times can still be read
        cpu_s = _cpu_s(process.pid)
        code = process.wait()
        reader.join()
        os.close(ours)
        said.seek(0)
        text = said.read()
    if not text or (view != "none" and not shown):
        last = b"".join(shown)[-500:].decode(errors="replace")
        why = f"exit code {code}" if not text else f"the view {view} showed nothing"
        raise SystemExit(f"scripts/watching_cost: {why}\n{last}")
    found: dict[str, Any] = json.loads(text)
    return found, cpu_s


def _read_all(terminal: int, shown: list[bytes]) -> None:
    """Read what is written to a terminal until nobody has it open."""
    try:
        while data := os.read(terminal, 65_536):
            shown.append(data)
    except OSError:  # so Linux says that the last process has closed it
        pass


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process without its children, in steps of 10 ms."""
    stat = Path(f"/proc/{pid}/stat").read_bytes()
    words = stat[stat.rindex(b")") + 1 :].split()  # a program's name may contain spaces
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    sys.exit(main())
