"""`crawlbench audit`: compares what each crawler sends, opens and costs."""

from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.cli.options import DEFAULT_TIMEOUT_S, add_timeout, add_wide, checked_entrant
from bench.exit_codes import EXIT_OK, EXIT_REQUESTS_FAILED
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Experiment, PlannedRun
from bench.plan.floor import FLOORS
from bench.program import PROGRAM
from bench.report.tables import make_console, print_markdown
from crawlers.checked import checked_list
from crawlers.registry import find

if TYPE_CHECKING:
    from bench.analysis.cells import Trial

_FLOOR = FLOORS[0]
_DELAY = Delay.fixed(100_000)
_COSTLY_REQUESTS = 10_000
_COSTLY_CONCURRENCY = 1_000
_PLAIN_REQUESTS = 1_000
_PLAIN_CONCURRENCY = 100
_SLOW_REQUESTS = 50
"""Requests of a crawler that fetches one at a time, with 100 ms for each."""


DESCRIPTION = f"""\
Makes two short runs of each crawler and shows the connections, bytes and
headers that it sends, the concurrency that it reaches, requests sent again,
CPU as a multiple of the floor crawler's, and memory at a concurrency of
{_COSTLY_CONCURRENCY}."""

EXAMPLES = (
    ("audit", "all crawlers: about two minutes"),
    ("audit --crawlers asyncio,mine:crawl", "two of them"),
    ("audit --markdown > audit.md", "a table for a document"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the crawlers and the form of the table."""
    parser.add_argument(
        "--crawlers",
        type=checked_list(checked_entrant, may_repeat=True),
        default=(Entrant("all", "all"),),
        metavar="NAME,NAME",
        help=f"crawlers, as {PROGRAM} list names them, or your own as ./mine.py:crawl "
        "(default: all)",
    )
    parser.add_argument("--markdown", action="store_true", help="print Markdown")
    add_timeout(parser)
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Make two runs of each crawler and of the floor crawler, and print the table."""
    from bench.analysis.validity import Level
    from bench.cli.one_run import run_once
    from bench.measure.limits import check_limits
    from bench.measure.pinning import choose_pinning
    from bench.measure.readiness import chosen_entrants, installed
    from bench.measure.runner import ProcessRunner
    from bench.measure.targets import private_server
    from bench.report.audit import AuditRow, audit_table, print_audit

    entrants = chosen_entrants(arguments.crawlers)
    for entrant in entrants:
        installed(entrant)
    floor = Entrant(_FLOOR, _FLOOR)
    rows: list[tuple[Entrant, Trial, Trial]] = []
    with ExitStack() as stack:
        pinning = choose_pinning()
        plans = {one: _planned(one) for one in dict.fromkeys((floor, *entrants))}
        every = [run for _, runs in plans.values() for run in runs]
        check_limits(every)
        target = stack.enter_context(private_server(pinning, every))
        runner = ProcessRunner(target, arguments.timeout or DEFAULT_TIMEOUT_S, pinning)
        for entrant, (asked, runs) in plans.items():
            plain, many = (run_once(asked, planned, runner)[1] for planned in runs)
            rows.append((entrant, plain, many))
    floor_us = next(_cpu_us(plain) for entrant, plain, _ in rows if entrant == floor)
    table = audit_table(
        f"Delay {_DELAY}; {_PLAIN_REQUESTS} requests at C={_PLAIN_CONCURRENCY}; memory from "
        f"{_COSTLY_REQUESTS} requests at C={_COSTLY_CONCURRENCY}",
        [AuditRow(*row, floor_us) for row in rows if row[0] in entrants],
    )
    if arguments.markdown:
        print_markdown(table)
    else:
        print_audit(table, make_console(is_wide=arguments.wide))
    levels = [trial.verdict.level for _, *trials in rows for trial in trials]
    return EXIT_REQUESTS_FAILED if Level.INVALID in levels else EXIT_OK


def _planned(entrant: Entrant) -> tuple[Experiment, list[PlannedRun]]:
    most = find(entrant.crawler).max_concurrency
    runs: list[PlannedRun] = []
    asked = None
    for requests, concurrency in (
        (_PLAIN_REQUESTS, _PLAIN_CONCURRENCY),
        (_COSTLY_REQUESTS, _COSTLY_CONCURRENCY),
    ):
        asked = Experiment(
            entrants=(entrant,),
            concurrencies=(concurrency,),
            delays=(_DELAY,),
            trials=1,
            waves=1,
            seed=1,
            timeout_s=10.0,
            requests=requests if most > 1 else _SLOW_REQUESTS,
        )
        runs += asked.order({entrant.label: most})
    assert asked is not None
    return asked, runs


def _cpu_us(trial: "Trial") -> float | None:
    return trial.summary.cpu_us_per_request if trial.summary is not None else None
