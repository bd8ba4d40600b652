"""`crawlbench primes`: measures savers, which compute items and save them to a slow service."""

import math
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    add_format,
    add_out,
    add_progress,
    add_seed,
    add_timeout,
    add_wide,
    checked_delay,
)
from bench.documents import document
from bench.errors import UsageError
from bench.exit_codes import EXIT_REQUESTS_FAILED
from bench.plan.delays import Delay
from bench.primes.editions import EDITIONS
from bench.primes.experiment import (
    BCRYPT,
    HASHES,
    KINDS_OF_WORK,
    LEAST_BCRYPT_COST,
    MOST_BCRYPT_COST,
    PRIMES,
    PrimesCell,
    PrimesExperiment,
    all_cells,
    fitting,
    items_of,
    least_seconds,
    work_of,
)
from bench.primes.savers import SAVERS, saver_of
from bench.program import say
from bench.wording import format_span
from crawlers.checked import checked_count, checked_list, checked_seconds
from crawlers.installed import install_command, installed_versions
from crawlers.registry import find
from crawlers.work import MAX_SIZE, Work

if TYPE_CHECKING:
    from bench.results.run_result import RunResult

SIZES = tuple(2**n for n in range(7, 15))
COSTS = (100, 300, 1000, 3000, 10_000, 30_000)
WORK = (PRIMES, HASHES)
BCRYPT_COSTS = (4, 6, 8, 10)
HASHES_EACH = 200
DELAY = Delay.fixed(50_000)
CONCURRENCY = 100
MAX_SECONDS = 240.0
_SPARE = 1.1
"""Estimates differ a little from one start to the next."""

_SAVERS = "\n".join(f"  {saver.name:<20}{saver.style}" for saver in SAVERS)

DESCRIPTION = f"""\
Finds primes, or computes hashes, and saves each item over HTTP to a service
that takes its time. Every work is done by every saver, each run in a fresh
process and recorded at both ends. How much of the waiting does each way of
saving hide behind the computing? The results are explained in
{document("primes.md")}.

savers:
{_SAVERS}"""

EXAMPLES = (
    ("primes", "all work by all savers: about four minutes"),
    ("primes --work primes --sizes 512,4096 --savers serial,async", "less of it"),
    ("primes --fail 97", "the service fails to save 97"),
    ("primes --edition 3", "the third edition, as far as the time limit allows"),
    ("primes --work bcrypt --bcrypt 8:100,12:25", "100 hashes of cost 8 and 25 of cost 12"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the work, the savers and the service.

    Those that an edition sets have no default here.
    """
    parser.add_argument(
        "--edition",
        type=_checked_edition,
        metavar="1|2|3",
        help="the work, savers, delay and sizes of that edition of the book; other options change "
        "them, and --max-seconds applies",
    )
    _add_work(parser)
    _add_service(parser)
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_progress(parser)
    add_format(parser)
    add_wide(parser)


def _add_work(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--work",
        type=checked_list(_one_of(KINDS_OF_WORK)),
        metavar="WORK,WORK",
        help="primes (found by trial division), hashes (PBKDF2), bcrypt (hashes of passwords, "
        "saved by POST) (default: primes,hashes)",
    )
    parser.add_argument(
        "--savers",
        type=checked_list(_one_of(tuple(saver.name for saver in SAVERS))),
        metavar="SAVER,SAVER",
        help="ways of saving (default: all that are installed)",
    )
    parser.add_argument(
        "--sizes",
        type=checked_list(_checked_size),
        metavar="N,N",
        help="how many numbers, from 0 on, are searched for primes (default: 128,256 ... 16384)",
    )
    parser.add_argument(
        "--costs",
        type=checked_list(_checked_number),
        metavar="N,N",
        help=f"iterations of each PBKDF2 hash (default: {','.join(map(str, COSTS))})",
    )
    parser.add_argument(
        "--hashes",
        type=_checked_number,
        metavar="N",
        help=f"how many hashes to compute, of PBKDF2 and of bcrypt (default: {HASHES_EACH})",
    )
    parser.add_argument(
        "--bcrypt",
        type=checked_list(_checked_bcrypt),
        metavar="COST[:N],COST[:N]",
        help="costs of bcrypt, and how many hashes of each; without :N as many as --hashes "
        f"(default: {','.join(map(str, BCRYPT_COSTS))})",
    )


def _add_service(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--delay",
        type=checked_delay,
        metavar="MS",
        help="delay of the service for each save in ms (default: 50)",
    )
    parser.add_argument(
        "-c",
        "--concurrency",
        type=checked_count,
        metavar="C",
        help=f"saves in flight at a time, and the length of a batch (default: {CONCURRENCY})",
    )
    parser.add_argument(
        "--trials",
        type=checked_count,
        default=1,
        metavar="N",
        help="how often everything is measured (default: %(default)s)",
    )
    parser.add_argument(
        "--max-seconds",
        type=checked_seconds,
        default=MAX_SECONDS,
        metavar="S",
        help="rough time limit for the whole experiment in seconds: half of it is for the serial "
        "saver, the shortest works come first, and what is left out is named "
        "(default: %(default)g)",
    )
    parser.add_argument(
        "--fail",
        type=checked_list(_checked_item),
        default=(),
        metavar="ITEM,ITEM",
        help="items that the service answers with status 500",
    )


def run(arguments: Namespace) -> int:
    """Measure every work with every saver, within the time limit, and return the exit code."""
    from bench.cli.show import show_measured
    from bench.measure.runner import ServerGoneError
    from bench.measure.session import measure

    asked = _experiment(arguments)
    unknown = [item for item in asked.failing if not _is_item(item, asked.cells)]
    if unknown:
        raise UsageError(f"--fail {unknown[0]}: no work asked for has an item {unknown[0]}")
    within = _within(asked, arguments.max_seconds)
    if not within.cells:
        least_s = min(_seconds_of(asked, cell) for cell in asked.cells)
        raise UsageError(
            f"--max-seconds {arguments.max_seconds:g} is too short for any run: the shortest one "
            f"takes about {least_s:.1f} s"
        )
    try:
        measured = measure(within, arguments.out or DEFAULT_OUT, shown=arguments.progress)
    except ServerGoneError as error:
        say(str(error))
        if error.result is not None:
            _say_not_saved(error.result)
        return EXIT_REQUESTS_FAILED
    return show_measured(measured, arguments.format, is_wide=arguments.wide)


def _experiment(arguments: Namespace) -> PrimesExperiment:
    edition = EDITIONS.get(arguments.edition)
    usual = (
        installed_savers(edition.savers if edition else ALL_SAVERS) if not arguments.savers else ()
    )
    seed = DEFAULT_SEED if arguments.seed is None else arguments.seed
    return PrimesExperiment(
        cells=tuple(all_cells(_works(arguments, seed), arguments.savers or usual, _cores())),
        concurrency=arguments.concurrency or (edition.concurrency if edition else CONCURRENCY),
        delay=arguments.delay or (edition.delay if edition else DELAY),
        trials=arguments.trials,
        seed=seed,
        timeout_s=arguments.timeout or (edition.timeout_s if edition else DEFAULT_TIMEOUT_S),
        failing=arguments.fail,
    )


def _works(arguments: Namespace, seed: int) -> list[Work]:
    edition = EDITIONS.get(arguments.edition)
    kinds = arguments.work or ((edition.work,) if edition else WORK)
    for option, kind in (("sizes", PRIMES), ("costs", HASHES), ("bcrypt", BCRYPT)):
        if getattr(arguments, option) and kind not in kinds:
            say(f"--{option} changes nothing here: it is for --work {kind}")
    works = []
    if PRIMES in kinds:
        sizes = arguments.sizes or (edition and edition.sizes) or SIZES
        works += [work_of(PRIMES, size) for size in sizes]
    hashes = arguments.hashes or HASHES_EACH
    if HASHES in kinds:
        works += [work_of(HASHES, hashes, cost) for cost in arguments.costs or COSTS]
    if BCRYPT in kinds:
        pairs = arguments.bcrypt or (edition and edition.bcrypt)
        if not pairs:
            pairs = tuple((cost, 0) for cost in BCRYPT_COSTS)
        elif not arguments.bcrypt and arguments.hashes:
            pairs = tuple((cost, arguments.hashes) for cost, _ in pairs)
        works += [work_of(BCRYPT, items or hashes, cost, seed=seed) for cost, items in pairs]
    return works


ALL_SAVERS = tuple(saver.name for saver in SAVERS)


def installed_savers(wanted: Sequence[str] = ALL_SAVERS) -> tuple[str, ...]:
    """Return the names of the savers that can run here, and say which ones are left out."""
    names = []
    for saver in map(saver_of, wanted):
        info = find(saver.declared_as or saver.crawler)
        if not info.libraries or installed_versions(info):
            names.append(saver.name)
        else:
            say(f"{saver.name} is left out because it is not installed: {install_command(info)}")
    return tuple(names)


def _cores() -> int:
    """Return the number of CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_item(item: int, cells: Sequence[PrimesCell]) -> bool:
    return any(item in items_of(cell.work) for cell in cells)


def _seconds_of(asked: PrimesExperiment, cell: PrimesCell) -> float:
    from bench.measure.progress import expected_s

    return asked.trials * expected_s(asked.planned(cell, 1, 1))


def _within(asked: PrimesExperiment, most_s: float) -> PrimesExperiment:
    """Return the cells that fit into the time limit, and say which ones are left out."""
    from bench.primes.report import format_works

    kept = fitting(asked.cells, lambda cell: _seconds_of(asked, cell), most_s)
    left_out = [cell for cell in asked.cells if cell not in kept]
    if left_out:
        sum_s = sum(_seconds_of(asked, cell) for cell in left_out)
        say(
            f"left out because of --max-seconds {most_s:g} "
            f"(they would take {format_span(sum_s)} more):"
        )
        for saver in dict.fromkeys(cell.saver for cell in left_out):
            works = [cell.work for cell in left_out if cell.saver == saver]
            print(f"    {saver}: {format_works(works)}", file=sys.stderr)
        whole_s = _SPARE * least_seconds(asked.cells, lambda cell: _seconds_of(asked, cell))
        print(f"  --max-seconds {math.ceil(whole_s / 10) * 10} measures all of it", file=sys.stderr)
    return replace(asked, cells=kept)


def _say_not_saved(result: "RunResult") -> None:
    """Say which items were not saved, by the saver's records: the service's ledger is lost."""
    planned, outcome = result.planned, result.outcome
    assert planned.work is not None
    if outcome is None:
        say(f"{planned.cell.crawler}: {result.failure}")
        return
    import numpy as np

    from bench.primes.report import format_work
    from bench.primes.saved_run import failures_of, format_failures

    fetches = {name: np.array(column) for name, column in outcome.fetches.items()}
    failures = failures_of(fetches, np.array(outcome.work["item"]))
    where = format_work((planned.work.kind, planned.work.cost, planned.work.size))
    say(
        f"{planned.cell.crawler}, {where}, trial {planned.trial}: {len(failures)} of "
        f"{planned.requests:,} items were not saved: {format_failures(failures)}"
    )


def _one_of(names: tuple[str, ...]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        if text not in names:
            raise ArgumentTypeError(f"{text!r} is not one of {', '.join(names)}")
        return text

    return checked


def _checked_number(text: str) -> int:
    number = checked_count(text)
    if number > MAX_SIZE:
        raise ArgumentTypeError(f"{text!r} is more than {MAX_SIZE}")
    return number


def _checked_edition(text: str) -> int:
    if text not in map(str, EDITIONS):
        raise ArgumentTypeError(f"{text!r} is no edition of the book: give 1, 2 or 3")
    return int(text)


def _checked_bcrypt(text: str) -> tuple[int, int]:
    """Return a cost, and the number of hashes, or 0 for as many as by default."""
    cost, colon, items = text.partition(":")
    is_cost = cost.isascii() and cost.isdigit() and len(cost) <= 2
    if not is_cost or not LEAST_BCRYPT_COST <= int(cost) <= MOST_BCRYPT_COST:
        raise ArgumentTypeError(
            f"{text!r} is not a cost from {LEAST_BCRYPT_COST} to {MOST_BCRYPT_COST}, as in 12 or "
            "12:25"
        )
    return int(cost), _checked_number(items) if colon else 0


def _checked_size(text: str) -> int:
    size = checked_count(text)
    if not 3 <= size <= MAX_SIZE:
        raise ArgumentTypeError(
            f"{text!r} is not from 3 to {MAX_SIZE}; below 3 there is no prime to find"
        )
    return size


def _checked_item(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise ArgumentTypeError(f"{text!r} is not an item; use a number such as 97")
    return int(text)
