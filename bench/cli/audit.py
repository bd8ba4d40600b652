"""`crawlbench audit`: what each crawler sends, opens and costs, side by side."""

from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import Trial
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level
from bench.cli.one_run import run_once
from bench.cli.options import DEFAULT_TIMEOUT_S
from bench.exit_codes import EXIT_OK, EXIT_REQUESTS_FAILED
from bench.measure.limits import check_limits
from bench.measure.pinning import choose_pinning
from bench.measure.readiness import chosen_entrants, installed
from bench.measure.runner import ProcessRunner
from bench.measure.targets import private_server
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Experiment, PlannedRun
from bench.report.tables import (
    LEVEL_COLOURS,
    Column,
    Table,
    make_console,
    print_markdown,
    print_table,
    print_text,
    shown,
)
from crawlers.registry import NOT_DECLARED, CrawlerInfo, find

_DELAY = Delay.fixed(100_000)
_COSTLY_REQUESTS = 10_000
_COSTLY_CONCURRENCY = 1_000
_PLAIN_REQUESTS = 1_000
_PLAIN_CONCURRENCY = 100
_SLOW_REQUESTS = 50
"""Of a crawler that fetches one at a time: 100 ms each."""


def audit(arguments: Namespace) -> int:
    """`crawlbench audit`: two runs of each crawler, and the floor's for comparison."""
    entrants = chosen_entrants(arguments.crawlers)
    for entrant in entrants:
        installed(entrant)
    floor = Entrant("protocol", "protocol")
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
    _print([row for row in rows if row[0] in entrants], floor_us, arguments)
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


def _cpu_us(trial: Trial) -> float | None:
    return trial.summary.cpu_us_per_request if trial.summary is not None else None


@dataclass(frozen=True, slots=True)
class _Row:
    """One crawler: its two runs, and the CPU that a request costs the floor crawler."""

    entrant: Entrant
    plain: Trial
    many: Trial
    floor_us: float | None

    @property
    def info(self) -> CrawlerInfo:
        return find(self.entrant.crawler)

    @property
    def head(self) -> str:
        """Of the first request that the server got."""
        return (self.plain.run.request_head or b"").decode("latin-1")

    def of(self, value: Callable[[RunSummary], float | None], form: str) -> str:
        """A number of the plain run."""
        return shown(value(self.plain.summary) if self.plain.summary else None, form)

    def times_floor(self) -> str:
        cpu_us = _cpu_us(self.plain)
        return shown(cpu_us / self.floor_us if cpu_us and self.floor_us else None, ".1f")

    def memory(self) -> str:
        summary = self.many.summary
        return shown(summary.peak_memory_bytes if summary else None, ".0f", 1e6)

    def timeout(self) -> str:
        return self.info.timeout if self.info.is_declared else NOT_DECLARED

    def headers(self) -> str:
        """Their names; why there are none of a run that failed."""
        if self.plain.summary is None:
            return self.plain.run.failure
        lines = self.head.split("\r\n")[1:]
        return ", ".join(line.partition(":")[0] for line in lines if line)


def audit_table(
    rows: Sequence[tuple[Entrant, Trial, Trial]], floor_us: float | None
) -> Table[_Row]:
    """A row for each crawler."""
    of = Column[_Row]
    columns = (
        of("crawler", lambda row: row.entrant.label),
        of("at C", lambda row: row.of(lambda _: row.plain.run.slots, "d"), priority=3),
        of(
            "in flight",
            lambda row: row.of(lambda one: one.in_flight.mean if one.in_flight else None, ".1f"),
            priority=2,
            about="in flight: at the server (mean).",
        ),
        of(
            "conn.",
            lambda row: row.of(lambda one: one.connections or 0, "d"),
            about="conn.: TCP connections opened.",
        ),
        of(
            "requests",
            lambda row: row.of(
                lambda one: one.requests / one.connections if one.connections else None, ".0f"
            ),
            "/conn.",
            priority=3,
        ),
        of(
            "head",
            lambda row: row.of(lambda _: len(row.head), "d"),
            "bytes",
            priority=2,
            about="head: of a request, as sent.",
        ),
        of(
            "resent",
            lambda row: row.of(lambda one: one.ledger.resent if one.ledger else None, "d"),
            priority=3,
        ),
        of("CPU", lambda row: row.of(lambda one: one.cpu_us_per_request, ".0f"), "µs/req"),
        of(
            "CPU",
            _Row.times_floor,
            "× floor",
            priority=1,
            about="floor: the crawler protocol, the least that a client can do.",
        ),
        of("peak mem.", _Row.memory, f"MB at {_COSTLY_CONCURRENCY}", priority=1),
        of(
            "may resend",
            lambda row: row.info.resends_shown,
            is_text=True,
            may_stack=True,
            about="may resend, timeout bounds: as declared.",
        ),
        of("timeout bounds", _Row.timeout, is_text=True, may_stack=True),
        of("headers sent", _Row.headers, is_text=True, may_stack=True),
    )
    return Table(
        f"Delay {_DELAY}; {_PLAIN_REQUESTS} requests at C={_PLAIN_CONCURRENCY}; memory from "
        f"{_COSTLY_REQUESTS} requests at C={_COSTLY_CONCURRENCY}",
        columns,
        [_Row(*row, floor_us) for row in rows],
    )


def _print(
    rows: Sequence[tuple[Entrant, Trial, Trial]], floor_us: float | None, arguments: Namespace
) -> None:
    table = audit_table(rows, floor_us)
    if arguments.markdown:
        print_markdown(table)
        return
    console = make_console(is_wide=arguments.wide)
    print_table(table, console)
    for entrant, *trials in rows:
        for trial in trials:
            for reason in trial.verdict.reasons:
                if reason.level is not Level.VALID:
                    print_text(
                        f"{reason.level.name}: {entrant.label} at {trial.run.concurrency}: "
                        f"{reason.text}",
                        console,
                        style=LEVEL_COLOURS[reason.level.name],
                    )
            if trial.summary is not None and trial.summary.errors:
                limit = bottleneck(trial.summary, trial.verdict)
                print_text(f"{entrant.label}: {limit.word}", console)
