"""Asks `crawlbench advise` about services whose right answer is a formula, again and again.

    .venv/bin/python -P scripts/advice_accuracy.py [--cases capacity,tail] [--times 10]

Each time has another seed, so that it draws other delays. In the case `hidden`, the capacity is
drawn at random, too, and the server is started by this script: the command has no more than its
URL, without a ledger, as for a server of others. The exit code is 1 if a case has fewer good
answers than it should. A time takes about a minute, and two with a tail.
"""

import argparse
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from server.process import ServerProcess

SHARE = 0.95
"""The share of the best goodput that is enough."""
_LEAST, _MOST = 4, 200
"""Between these, capacities are drawn evenly on a logarithmic scale."""


@dataclass(frozen=True, slots=True)
class Case:
    """A service, and which answers are good."""

    name: str
    options: tuple[str, ...]
    truth: float
    """The right concurrency."""
    low: float
    high: float
    """The least and the largest concurrency that is good enough."""
    limit: str
    """The word for what limits."""
    share: float = 1.0
    """The share of all answers that must be good."""


_KNEE = SHARE * 50
CASES = (
    Case("capacity", ("--capacity", "50"), _KNEE, 46, 50, "capacity"),
    Case(
        "tail",
        ("--delay", "lognormal:median=120,p99=900", "--capacity", "50"),
        _KNEE,
        0.9 * _KNEE,
        1.1 * _KNEE,
        "capacity",
        share=0.9,
    ),
    Case("retrograde", ("--slowdown", "0.02,0.0005"), 30.07, 0.85 * 30.07, 1.15 * 30.07, "service"),
    Case("rate-limit", ("--rate-limit", "200"), SHARE * 20, 19, 21, "rate limit"),
)
HIDDEN = "hidden"


def advised(crawler: str, options: tuple[str, ...], seed: int) -> tuple[dict[str, Any], float]:
    """Return what the command says as JSON, and how long it took in s."""
    begin_s = monotonic()
    with TemporaryDirectory() as folder:
        command = [sys.executable, "-P", "-m", "bench", "advise", crawler, *options]
        command += ["--seed", str(seed), "--json", "--out", folder]
        done = subprocess.run(command, check=False, capture_output=True)
        if not done.stdout:
            sys.exit(f"{' '.join(command)}: {done.stderr.decode()[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout)
    return told, monotonic() - begin_s


def hidden_case(seed: int, stack: ExitStack) -> Case:
    """Start a server of a capacity that is drawn, and return the case."""
    drawn = random.Random(seed).uniform(0, 1)  # noqa: S311 - not for secrets
    capacity = round(_LEAST * (_MOST / _LEAST) ** drawn)
    server = stack.enter_context(ServerProcess("--capacity", str(capacity)))
    url = f"{server.addresses.data_url}/add?delay=100"
    truth = SHARE * capacity
    # A whole number is wanted, so that for a small one 15 % is less than one.
    low, high = min(0.85 * truth, truth - 1), max(1.15 * truth, truth + 1)
    return Case(f"{HIDDEN} {capacity}", ("--url", url), truth, low, high, "server")


def asked(names: list[str], times: int) -> Iterator[tuple[str, int]]:
    """Yield each case and seed, in turn."""
    for seed in range(1, times + 1):
        for name in names:
            yield name, seed


def main() -> int:
    """Ask, print each answer, and say which case fails."""
    known = {case.name: case for case in CASES}
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0] if __doc__ else "",
        epilog="Exit codes: 0 ok, 1 a case has too few good answers.",
    )
    parser.add_argument("--crawler", default="asyncio-uvloop", metavar="NAME")
    parser.add_argument("--cases", default=",".join([*known, HIDDEN]), metavar="NAME,NAME")
    parser.add_argument("--times", type=int, default=10, metavar="N", help="times of each case")
    arguments = parser.parse_args()
    names = arguments.cases.split(",")
    for name in names:
        if name not in known and name != HIDDEN:
            parser.error(f"there is no case {name!r}: choose from {', '.join([*known, HIDDEN])}")
    good: dict[str, list[bool]] = {name: [] for name in names}
    print(f"{'case':14} {'truth':>6} {'use':>5} {'as good':>9} {'limited by':12} {'time':>6}")
    for name, seed in asked(names, arguments.times):
        with ExitStack() as stack:
            case = known[name] if name in known else hidden_case(seed, stack)
            told, taken_s = advised(arguments.crawler, case.options, seed)
        use = told["recommended"] or {"concurrency": 0, "low": 0, "high": 0}
        is_good = case.low <= use["concurrency"] <= case.high
        is_good &= told["limited_by"] == case.limit
        good[name].append(is_good)
        print(
            f"{case.name:14} {case.truth:6.1f} {use['concurrency']:5} "
            f"{use['low']:>4}-{use['high']:<4} {told['limited_by'] or '-':12} {taken_s:4.0f} s"
            f"{'' if is_good else '  wrong'}",
            flush=True,
        )
    has_failed = False
    for name, answers in good.items():
        share = known[name].share if name in known else 1.0
        is_enough = sum(answers) >= share * len(answers)
        has_failed |= not is_enough
        print(f"{name}: {sum(answers)} of {len(answers)} good{'' if is_enough else ', too few'}")
    return int(has_failed)


if __name__ == "__main__":
    sys.exit(main())
