"""Injects every fault and prints what must happen and what did: `scripts/faults`."""

import argparse
import random
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bench.exit_codes import EXIT_INTERRUPTED
from tests.faults import every
from tests.faults.place import ShortfallError
from tests.faults.table import Fault, NotHereError, inject

_AT_ONCE = 2
"""Nothing is timed here, so that two cores can be used."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a fault."""

    one: Fault
    word: str
    """`ok`, `SHORT` or `not here`."""
    happened: str
    span_s: float


def look_at(one: Fault, seed: int) -> Result:
    """Inject a fault, and say in a word how it went."""
    before_s = time.monotonic()
    try:
        word, happened = "ok", inject(one, seed)
    except NotHereError as error:
        word, happened = "not here", str(error)
    except ShortfallError as error:
        word, happened = "SHORT", str(error)
    except Exception as error:  # a fault that breaks its own injection falls short as well
        word, happened = "SHORT", f"{type(error).__name__}: {error}"
    line = "".join(each if each.isprintable() else "?" for each in " ".join(happened.split()))
    return Result(one, word, line, time.monotonic() - before_s)


def _print(result: Result, number: int, count: int) -> None:
    one = result.one
    print(f"{number:>3}/{count} {result.word:<8} {one.group}: {one.name} ({result.span_s:.1f} s)")
    print(f"        must: {one.must}")
    print(f"        did:  {result.happened}", flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the table; 0 if everything happened that must, 1 otherwise, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog="scripts/faults",
        description="Injects every fault of tests/faults, one after another: what must happen, and "
        "what did. Exit code 1 if one falls short.",
    )
    parser.add_argument("words", nargs="*", help="only faults whose row has one of these words")
    parser.add_argument("--seed", type=int, help="of the random instants (a new one each time)")
    arguments = parser.parse_args(argv)
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    chosen = [
        one
        for one in every.FAULTS
        if not arguments.words
        or any(word in f"{one.group}: {one.name}" for word in arguments.words)
    ]
    if not chosen:
        parser.error(f"no fault has one of these words in its row: {' '.join(arguments.words)}")
    # Under nohup a hang-up is ignored, by those that are started here as well, and rightly so.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    print(f"{len(chosen)} faults; seed {seed}")
    before_s = time.monotonic()
    results: list[Result] = []
    executor = ThreadPoolExecutor(_AT_ONCE)
    waiting = [executor.submit(look_at, one, seed + n) for n, one in enumerate(chosen)]
    try:
        for future in waiting:
            results.append(future.result())
            _print(results[-1], len(results), len(chosen))
    except KeyboardInterrupt:
        print("\nfaults: interrupted; waiting for those that are under way", file=sys.stderr)
        executor.shutdown(cancel_futures=True)
        return EXIT_INTERRUPTED
    executor.shutdown()
    counts = {
        word: sum(one.word == word for one in results) for word in ("ok", "SHORT", "not here")
    }
    print(
        f"{counts['ok']} went as they must, {counts['SHORT']} fell short, {counts['not here']} "
        f"cannot be had on this machine; {time.monotonic() - before_s:.0f} s"
    )
    return 1 if counts["SHORT"] else 0


if __name__ == "__main__":
    sys.exit(main())
