"""The options of `crawlbench primes`."""

import argparse
from collections.abc import Callable

from bench.cli.options import (
    EXIT_CODES,
    add_format,
    add_out,
    add_seed,
    add_timeout,
    add_wide,
    checked_delay,
)
from bench.plan.delays import Delay
from bench.primes.experiment import KINDS_OF_WORK
from bench.primes.savers import SAVERS
from crawlers.checked import checked_count, checked_list, checked_seconds
from crawlers.work import MAX_SIZE

SIZES = tuple(2**n for n in range(7, 15))
COSTS = (100, 300, 1000, 3000, 10_000, 30_000)
MAX_SECONDS = 240.0


def add_primes(parser: argparse.ArgumentParser) -> None:
    """All of them."""
    parser.set_defaults(function="bench.cli.primes:primes")
    parser.description = (
        "Finds primes, or computes hashes, and saves each item over HTTP to a service that takes "
        "its time: work x saver, each run in a fresh process, recorded at both ends. How much of "
        "the waiting does each way of saving hide behind work?"
    )
    parser.epilog = EXIT_CODES
    _add_what(parser)
    _add_how(parser)
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_format(parser)
    add_wide(parser)


def _add_what(parser: argparse.ArgumentParser) -> None:
    """Work, savers and sizes."""
    savers = ", ".join(f"{saver.name} ({saver.style})" for saver in SAVERS)
    parser.add_argument(
        "--work",
        type=checked_list(_one_of(KINDS_OF_WORK)),
        default=KINDS_OF_WORK,
        metavar="A,B",
        help="primes, by trial division; hashes, PBKDF2 of a cost that can be tuned (both)",
    )
    parser.add_argument(
        "--savers",
        type=checked_list(_one_of(tuple(saver.name for saver in SAVERS))),
        metavar="A,B",
        help=f"{savers} (all that are installed)",
    )
    parser.add_argument(
        "--sizes",
        type=checked_list(_checked_size),
        default=SIZES,
        metavar="N,N",
        help="how many numbers are probed for primes, from 0 on (128,256 ... 16384)",
    )
    parser.add_argument(
        "--costs",
        type=checked_list(_checked_number),
        default=COSTS,
        metavar="N,N",
        help=f"iterations of a hash ({','.join(map(str, COSTS))})",
    )
    parser.add_argument(
        "--hashes",
        type=_checked_number,
        default=200,
        metavar="N",
        help="how many hashes (%(default)s)",
    )


def _add_how(parser: argparse.ArgumentParser) -> None:
    """The service, and how much of it all."""
    parser.add_argument(
        "--delay",
        type=checked_delay,
        default=Delay.fixed(50_000),
        metavar="MS",
        help="of the service for each save (50)",
    )
    parser.add_argument(
        "-c",
        "--concurrency",
        type=checked_count,
        default=100,
        metavar="C",
        help="saves in flight, and the length of a batch (%(default)s)",
    )
    parser.add_argument(
        "--trials", type=checked_count, default=1, metavar="N", help="repetitions (%(default)s)"
    )
    parser.add_argument(
        "--max-seconds",
        type=checked_seconds,
        default=MAX_SECONDS,
        metavar="S",
        help="for all of it, roughly: half for the serial saver, the shortest works first; what is "
        "left out is named (%(default)g)",
    )
    parser.add_argument(
        "--fail",
        type=checked_list(_checked_item),
        default=(),
        metavar="ITEM",
        help="the service answers 500 to these: what becomes of the others?",
    )


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(names)}")
        return text

    return checked


def _checked_number(text: str) -> int:
    number = checked_count(text)
    if number > MAX_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r} is more than {MAX_SIZE}")
    return number


def _checked_size(text: str) -> int:
    size = checked_count(text)
    if not 3 <= size <= MAX_SIZE:
        raise argparse.ArgumentTypeError(f"{text!r}: 3 to {MAX_SIZE}; the first prime is 2")
    return size


def _checked_item(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is no item: a number such as 97")
    return int(text)
