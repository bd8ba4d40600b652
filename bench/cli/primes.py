"""`crawlbench primes`: measure, then tables and figures."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence

from bench.cli import reading
from bench.cli.options import DEFAULT_OUT, DEFAULT_SEED, DEFAULT_TIMEOUT_S
from bench.exit_codes import EXIT_INTERRUPTED, EXIT_REQUESTS_FAILED, EXIT_USAGE
from bench.measure.progress import expected_s
from bench.measure.runner import ServerGoneError
from bench.measure.session import Ending, measure
from bench.primes.experiment import (
    PrimesCell,
    PrimesExperiment,
    all_cells,
    fitting,
    items_of,
    work_of,
)
from bench.primes.report import work_shown, works_shown
from bench.primes.saved_run import failures_of, shown_item
from bench.primes.savers import SAVERS
from bench.results.run_result import RunResult
from bench.wording import format_span
from crawlers.installed import install_command, installed_versions
from crawlers.registry import find


def primes(arguments: Namespace) -> int:
    """Every work by every saver, as far as there is time."""
    asked = _experiment(arguments)
    unknown = [item for item in asked.failing if not _is_item(item, asked.cells)]
    if unknown:
        _say(f"--fail {unknown[0]}: no work asked for has an item {unknown[0]}")
        return EXIT_USAGE
    within = _within(asked, arguments.max_seconds)
    if not within.cells:
        least_s = min(_seconds_of(asked, cell) for cell in asked.cells)
        _say(
            f"--max-seconds {arguments.max_seconds:g} is too little for any of it: the shortest "
            f"run takes about {least_s:.1f} s"
        )
        return EXIT_USAGE
    try:
        measured = measure(within, arguments.out or DEFAULT_OUT)
    except ServerGoneError as error:
        _say(str(error))
        if error.result is not None:
            _say_not_saved(error.result)
        return EXIT_REQUESTS_FAILED
    if measured.ending is Ending.INTERRUPTED:
        return EXIT_INTERRUPTED
    code = reading.show(measured.folder, arguments.format, is_wide=arguments.wide)
    return EXIT_REQUESTS_FAILED if measured.ending is Ending.RUNS_FAILED else code


def _experiment(arguments: Namespace) -> PrimesExperiment:
    works = [work_of("primes", size) for size in arguments.sizes if "primes" in arguments.work]
    works += [
        work_of("hashes", arguments.hashes, cost)
        for cost in arguments.costs
        if "hashes" in arguments.work
    ]
    return PrimesExperiment(
        cells=tuple(all_cells(works, arguments.savers or installed_savers(), _cores())),
        concurrency=arguments.concurrency,
        delay=arguments.delay,
        trials=arguments.trials,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
        timeout_s=arguments.timeout or DEFAULT_TIMEOUT_S,
        failing=arguments.fail,
    )


def installed_savers() -> tuple[str, ...]:
    """The names of those that can run here; says which are left out."""
    names = []
    for saver in SAVERS:
        info = find(saver.declared_as or saver.crawler)
        if not info.libraries or installed_versions(info):
            names.append(saver.name)
        else:
            _say(f"{saver.name} is left out, it is not installed: {install_command(info)}")
    return tuple(names)


def _cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _is_item(item: int, cells: Sequence[PrimesCell]) -> bool:
    return any(item in items_of(cell.work) for cell in cells)


def _seconds_of(asked: PrimesExperiment, cell: PrimesCell) -> float:
    return asked.trials * expected_s(asked.planned(cell, 1, 1))


def _within(asked: PrimesExperiment, most_s: float) -> PrimesExperiment:
    """What fits; says what does not."""
    from dataclasses import replace

    kept = fitting(asked.cells, lambda cell: _seconds_of(asked, cell), most_s)
    left_out = [cell for cell in asked.cells if cell not in kept]
    if left_out:
        sum_s = sum(_seconds_of(asked, cell) for cell in left_out)
        _say(
            f"left out, to be done within --max-seconds {most_s:g} "
            f"(they take {format_span(sum_s)} more):"
        )
        for saver in dict.fromkeys(cell.saver for cell in left_out):
            works = [cell.work for cell in left_out if cell.saver == saver]
            print(f"    {saver}: {works_shown(works)}", file=sys.stderr)
    return replace(asked, cells=kept)


def _say_not_saved(result: RunResult) -> None:
    """By the saver's own account, since the service took its ledger with it."""
    planned, outcome = result.planned, result.outcome
    assert planned.work is not None
    if outcome is None:
        _say(f"{planned.cell.crawler}: {result.failure}")
        return
    import numpy as np

    fetches = {name: np.array(column) for name, column in outcome.fetches.items()}
    failures = failures_of(fetches, np.array(outcome.work["item"]))
    where = work_shown((planned.work.kind, planned.work.cost, planned.work.size))
    _say(
        f"{planned.cell.crawler}, {where}, trial {planned.trial}: {len(failures)} of "
        f"{planned.requests:,} items were not saved: {shown_item(failures)}"
    )


def _say(text: str) -> None:
    print(f"crawlbench: {text}", file=sys.stderr)
