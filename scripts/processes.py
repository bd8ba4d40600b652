"""The same crawl in one process and in several: concurrency against parallelism.

    .venv/bin/python -P scripts/processes.py docs/images/processes.png

It prints a table and draws a figure. The requests and the concurrency stay the same; the processes
share them. In one case the server waits 100 ms before each response, so that a crawl is nearly all
waiting; in the other it responds at once, so that a crawl is all CPU.
"""

import subprocess
import sys
from array import array
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from matplotlib.ticker import StrMethodFormatter

from bench.measure.interpreters import crawler_command
from bench.measure.machine import describe_environment
from bench.plan.entrants import Entrant
from bench.results.environment import format_machine
from crawlers.spec import Outcome, Spec
from plots.style import add_small_print, new_figure
from server.process import ServerProcess

CRAWLER = "asyncio"
CONCURRENCY = 100
REQUESTS = {100: 10_000, 0: 40_000}
"""The number of requests, by delay in ms."""
PROCESSES = (1, 2, 4)
TRIALS = 5

Rates = dict[tuple[int, int], list[float]]
"""Requests per second of each trial, by delay in ms and number of processes."""


def main() -> None:
    """Measure the cases in turn, then show the results."""
    rates: Rates = {}
    with ServerProcess() as server:
        for trial in range(TRIALS):
            for delay_ms in REQUESTS:
                for processes in PROCESSES:
                    name = f"{trial}-{delay_ms}-{processes}"
                    rate = crawl(server.addresses.data_url, name, delay_ms, processes)
                    rates.setdefault((delay_ms, processes), []).append(rate)
    for (delay_ms, processes), values in rates.items():
        print(
            f"delay {delay_ms:3} ms, {processes} processes of {CONCURRENCY // processes} each: "
            f"{median(values):8,.0f} requests/s ({min(values):,.0f}-{max(values):,.0f})"
        )
    draw(rates, Path(sys.argv[1]))


def crawl(url: str, name: str, delay_ms: int, processes: int) -> float:
    """Return the requests per second of all processes, for the time in which all were running."""
    requests = REQUESTS[delay_ms]
    with ExitStack() as stack:
        command = crawler_command(Entrant(CRAWLER, CRAWLER), "--worker")
        crawls = [
            stack.enter_context(
                subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            )
            for _ in range(processes)
        ]
        for part, process in enumerate(crawls):
            assert process.stdin is not None
            Spec(
                crawler=CRAWLER,
                concurrency=CONCURRENCY // processes,
                timeout_s=10.0,
                base_url=url,
                is_planned=True,
                run_name=f"{name}-{part}",
                delays_us=array("I", [delay_ms * 1000]) * (requests // processes),
            ).send(process.stdin)
        starts, ends, all_ends = [], [], []
        for process in crawls:
            assert process.stdout is not None
            fetches = Outcome.read(process.stdout, requests).fetches
            if process.wait():
                raise SystemExit(f"a crawler failed with exit code {process.returncode}")
            if any(fetches["error"]):
                raise SystemExit("a request failed")
            starts.append(min(fetches["start_ns"]))
            ends.append(max(fetches["end_ns"]))
            all_ends.append(fetches["end_ns"])
        # They do not start at the same instant, because each has to import a library.
        first_ns, last_ns = max(starts), min(ends)
        done = sum(first_ns <= end_ns < last_ns for column in all_ends for end_ns in column)
        return done / (last_ns - first_ns) * 1e9


def draw(rates: Rates, path: Path) -> None:
    """Draw a panel per delay, a bar per number of processes, and a dot per trial."""
    figure = new_figure()
    figure.set_size_inches(9.6, 5.0)
    for axes, delay_ms in zip(figure.subplots(1, len(REQUESTS)), REQUESTS, strict=True):
        for at, processes in enumerate(PROCESSES):
            values = rates[delay_ms, processes]
            axes.bar(at, median(values), width=0.6, color="#9ecae1" if at else "#0072B2")
            axes.plot([at] * len(values), values, "o", color="black", markersize=4)
            axes.annotate(
                f"{median(values):,.0f}",
                (at, 0),
                xytext=(0, 8),
                textcoords="offset points",
                ha="center",
                fontweight="bold",
                color="black" if at else "white",
            )
        axes.set_ylim(0, 1.15 * max(max(rates[delay_ms, n]) for n in PROCESSES))
        axes.set_xticks(range(len(PROCESSES)), [str(n) for n in PROCESSES])
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axes.set_xlabel(f"processes, {CONCURRENCY} requests in flight together")
        axes.set_title(f"delay {delay_ms} ms: all {'waiting' if delay_ms else 'CPU'}", fontsize=12)
        axes.grid(axis="x", visible=False)
    figure.axes[0].set_ylabel("requests / s")
    figure.suptitle(
        f"Concurrency and parallelism: {CRAWLER} with {CONCURRENCY} in flight",
        x=0.01,
        ha="left",
        fontsize=14,
    )
    about = describe_environment("nothing is pinned")
    add_small_print(
        figure,
        f"{format_machine(about)}, Python {about['python']}; not pinned; "
        f"{datetime.now(UTC):%Y-%m-%d}; rates while all processes ran; medians of {TRIALS} "
        "trials in turn, dots are trials",
    )
    figure.savefig(path)


if __name__ == "__main__":
    main()
