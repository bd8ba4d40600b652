"""A program in place of the bench: it measures nothing, and says what a bench would say.

Its first argument is what it does; the others are those of the bench.
"""

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.measure.events import Begun, Ended, Event, Live, RunDone, RunStarted, Tick, format_event

LONG_LINE = 300_000


def say(*events: Event) -> None:
    for event in events:
        os.write(2, format_event(event))


def run_done(number: int) -> RunDone:
    return RunDone(
        number, "asyncio", "cell", 1, 10, 10.0, "C=10", "100 ms", 100, 100, 0, 98.0, 101.0, None, ""
    )


def main(what: str, words: Sequence[str]) -> int:
    if "--resume" in words:
        folder = Path(words[words.index("--resume") + 1])
    else:
        folder = Path(words[words.index("--out") + 1]) / "2026-01-02T03-04-05Z"
    try:
        return measure(what, words, folder)
    except KeyboardInterrupt:
        say(Ended("interrupted", str(folder)))
        return 130


def measure(what: str, words: Sequence[str], folder: Path) -> int:
    if what == "mistake":
        print("usage: crawlbench run\ncrawlbench run: error: no such thing", file=sys.stderr)
        return 2
    print("10 runs, about 1 s", file=sys.stderr, flush=True)
    if what == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    begun = Begun(str(folder), "sweep", " ".join(words), ["asyncio"], [10.0], False, ["100 ms"], 2)
    tick = Tick(1.0, 2.0, 1, "2", "1 of 2 runs, 2 s left, asyncio at 10, trial 1", 3, 100)
    say(begun, run_done(1), tick)
    if what == "noise":
        say(*[tick] * 300)
        os.write(2, b"x" * LONG_LINE + b'\n{"event": "none"}\n{"event": \n\xff\x1b[2J\n')
    if what in ("done", "noise", "undrawn"):
        for role in ("ceiling", "cell"):
            started = RunStarted(2, "asyncio", role, 1, 10, 10.0, "C=10", "100 ms", 100)
            say(started, Tick(1.5, 1.0, 1, "2", "", 3, 100, Live(90.0, 9, 0, 101.0, None)))
        say(run_done(2), Ended("done", str(folder)))
        if what == "undrawn":
            print("crawlbench: the disk is full: not all is drawn", file=sys.stderr)
        return 3 if what == "undrawn" else 0
    if what == "stubborn":
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("deaf", file=sys.stderr, flush=True)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
