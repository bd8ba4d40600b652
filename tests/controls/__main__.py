"""Runs every control and prints what is said of it: `scripts/controls`."""

import argparse
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter

from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import Trial
from bench.analysis.validity import Level, Reason, Verdict
from bench.cli.load_options import load_arguments
from bench.cli.one_run import run_once
from bench.cli.parser import parse
from bench.measure.pinning import Pinning, choose_pinning, pin
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Experiment
from bench.report.tables import Column, Table, make_console, print_table
from crawlers.installed import installed_versions
from crawlers.registry import REGISTRY, find
from server.process import ServerProcess

WAVES = 10


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that is wrong, and what must be said of it.

    `check` and `limit` are "" for an honest run.
    """

    name: str
    crawler: str = "asyncio"
    illness: str = ""
    """Of the server."""
    level: Level = Level.VALID
    check: str = ""
    limit: str = ""
    """The word of bench.analysis.bottleneck that must be found, instead of a check."""
    delay_ms: int = 50
    concurrency: int = 100
    is_machine_busy: bool = False
    load: tuple[str, ...] = ()
    """Options of `crawl` for models, time and service, in place of the delay and the waves."""


def _dishonest(crawler: str, level: Level, check: str) -> Control:
    name = f"crawler: {crawler.replace('_', ' ')}"
    return Control(name, f"tests.controls.crawlers:{crawler}", level=level, check=check)


_IDLE = "idle slots"
HONEST = Control("nothing: asyncio")
CONTROLS = (
    HONEST,
    _dishonest("retries", Level.INVALID, "ledger"),
    _dishonest("skips", Level.INVALID, "ledger"),
    _dishonest("invents", Level.INVALID, "ledger"),
    _dishonest("hidden_pool", Level.SUSPECT, "capped"),
    _dishonest("twice_as_many", Level.INVALID, "overrun"),
    _dishonest("early_clock", Level.INVALID, "overrun"),
    _dishonest("late_clock", Level.INVALID, "impossible"),
    _dishonest("hurries", Level.INVALID, "impossible"),
    _dishonest("shuffles", Level.SUSPECT, "order"),
    _dishonest("stands_still", Level.SUSPECT, "stall"),
    _dishonest("suspended", Level.SUSPECT, "stall"),
    _dishonest("child_left_running", Level.SUSPECT, "other processes"),
    _dishonest("child_of_another_session", Level.SUSPECT, "other processes"),
    _dishonest("child_of_a_child", Level.SUSPECT, "other processes"),
    _dishonest("starts_programs", Level.SUSPECT, "other processes"),
    _dishonest("ignores_in_c", Level.SUSPECT, "other processes"),
    _dishonest("reconnects", Level.SUSPECT, "connections"),
    _dishonest("few_files", Level.SUSPECT, "descriptors"),
    Control(
        "crawler: paces itself", "tests.controls.crawlers:paces_itself", limit=_IDLE, delay_ms=50
    ),
    # With delays of 40 ms and more the ACK comes with the answer.
    replace(_dishonest("two_pieces", Level.SUSPECT, "delayed ACK"), delay_ms=5),
    replace(_dishonest("starts_early", Level.INVALID, "impossible"), load=("--rate", "200")),
    replace(_dishonest("drops_late_jobs", Level.INVALID, "ledger"), load=("--rate", "2000")),
    replace(_dishonest("sends_late", Level.SUSPECT, "sent late"), load=("--rate", "200")),
    replace(
        _dishonest("retries_refused", Level.INVALID, "ledger"),
        load=("--rate-limit", "100", "-c", "1", "--delay", "0"),
    ),
    Control("server: late", illness="late", level=Level.SUSPECT, check="late"),
    Control("server: busy", illness="busy", level=Level.SUSPECT, check="server-limited"),
    Control("server: stall", illness="stall", level=Level.SUSPECT, check="stall"),
    Control("server: few files", illness="few-files", level=Level.INVALID, check="descriptors"),
    Control("server: short backlog", illness="short-backlog", level=Level.SUSPECT, check="backlog"),
    Control("machine: busy", is_machine_busy=True, level=Level.SUSPECT, check="busy machine"),
)


def _pool(crawler: str, *delays_ms: int) -> tuple[Control, ...]:
    one = _dishonest(crawler, Level.SUSPECT, "capped")
    return tuple(
        replace(
            one,
            name=f"{one.name}, C={at}, {delay_ms} ms",
            concurrency=at,
            delay_ms=delay_ms,
        )
        for at in (200, 400)
        for delay_ms in delays_ms
    )


POOLS = (
    *_pool("pool_of_aiohttp", 0, 5, 20, 100),
    *_pool("pool_of_httpx", 0, 5, 20, 100),
    *_pool("pool_of_geventhttpclient", 0, 5, 20, 100),
    # With shorter delays the CPU never lets them reach 100.
    *_pool("pool_of_urllib3", 20, 100),
    *_pool("pool_of_tornado", 100),
    *_pool("hundred_workers", 0, 5, 20, 100),
)
"""A limit of 100 behind a concurrency of 200 and 400."""

ACCUSATIONS = frozenset(
    (
        *("ledger", "failures", "overrun", "impossible", "overtime", "capped", "connections"),
        *("descriptors", "order", "other processes"),
    )
)
"""Checks that find nothing in an honest crawler, however busy the machine is."""


def honest_runs() -> tuple[Control, ...]:
    """Every crawler that is installed, at the settings of the pools, and at C=500."""
    return tuple(
        Control(f"{info.name}, C={at}, {delay_ms} ms", info.name, delay_ms=delay_ms, concurrency=at)
        for info in REGISTRY
        if installed_versions(info)
        for at in ((200, 400, 500) if info.max_concurrency > 1 else (1,))
        for delay_ms in (0, 5, 20, 100)
    )


_SERVICES = (
    "",
    "--capacity 10",
    "--capacity 20 --queue 5",
    "--capacity 20@0,5@1",
    "--rate-limit 100",
    "--slowdown 0.02,0.001",
    "--stall 1:0.2",
    "--fault-share 500@2,reset@1",
)
_LOADS = (
    "-c 10 --delay 50 -n 400",
    "-c 50 --delay lognormal:median=20,p99=200 --duration 2 --warm-up 0.3",
    "--rate 150 --delay exponential:mean=40 --duration 2",
    "--rate 200 --arrivals poisson --delay 50 --size 100-20k --duration 2",
    "--rate 50..300 --over 2 --delay weighted:20@9,200@1 --duration 2 --method POST",
)
_MEASURED_ON_SERVICES = ("protocol", "asyncio", "threads", "gevent", "tornado")


def runs_on_services() -> tuple[Control, ...]:
    """Honest crawlers on all kinds of services and loads: 200 runs, none of them INVALID."""
    return tuple(
        Control(f"{name} {load} {service}".strip(), name, load=(*load.split(), *service.split()))
        for service in _SERVICES
        for load in _LOADS
        for name in _MEASURED_ON_SERVICES
    )


class SickServer(ServerProcess):
    """A server process with an illness; "" for a sane one."""

    def __init__(self, illness: str) -> None:
        super().__init__()
        if illness:
            at = self._command.index("server")
            self._command[at : at + 1] = ["tests.controls.sick_server", illness]


def trial_of(control: Control) -> Trial:
    """Run it on a server of its own, and judge it as the bench does."""
    with SickServer(control.illness) as server:
        return trial_on(server, control)


def trial_on(server: ServerProcess, control: Control) -> Trial:
    """Run it on a server that has its illness, and judge it as the bench does."""
    asked = _experiment(control)
    (planned,) = asked.order({"control": find(control.crawler).max_concurrency})
    pinning = choose_pinning()
    with ExitStack() as stack:
        pin(server.pid, pinning.server)
        if control.is_machine_busy:
            stack.enter_context(_busy_cpu(pinning))
        runner = ProcessRunner(Target(*server.addresses), asked.timeout_s, pinning)
        _, trial = run_once(asked, planned, runner)
    return trial


def _experiment(control: Control) -> Experiment:
    slots = control.concurrency
    asked = Experiment(
        entrants=(Entrant("control", control.crawler),),
        concurrencies=(slots,),
        delays=(Delay.fixed(control.delay_ms * 1000),),
        trials=1,
        waves=1,
        seed=1,
        timeout_s=10.0,
        requests=WAVES * slots,
    )
    if not control.load:
        return asked
    _, arguments = parse(["crawl", "protocol", *control.load])
    load = load_arguments(arguments)
    requests = arguments.requests or 0
    if not (requests or load.duration_s):
        requests = asked.requests
    return replace(
        asked,
        concurrencies=(arguments.concurrency,)
        if arguments.concurrency
        else (() if load.rates else asked.concurrencies),
        delays=(arguments.delay or asked.delays[0],),
        requests=requests,
        **load.as_fields(),
    )


def limit_of(trial: Trial) -> str:
    """The word for what limits it."""
    return bottleneck(trial.summary, trial.verdict).word if trial.summary is not None else "-"


@contextmanager
def _busy_cpu(pinning: Pinning) -> Iterator[None]:
    """Somebody else's work on the crawler's CPU, or on every CPU if nothing is pinned."""
    spin = [sys.executable, "-c", "while True: pass"]
    count = 1 if pinning.single_core_crawler else (os.cpu_count() or 1)
    with ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(spin))
            stack.callback(process.kill)
            pin(process.pid, pinning.single_core_crawler)
        yield


_COLUMNS = tuple(
    Column[tuple[str, ...]](title, itemgetter(at), is_text=True, may_stack=title == "reasons")
    for at, title in enumerate(
        ("what is wrong", "must find", "found", "verdicts", "limited by", "reasons")
    )
)


def main() -> int:
    """Print a table; 0 if all is said that must be said, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="scripts/controls",
        description="Runs dishonest crawlers, sick servers and a busy machine, "
        f"{WAVES} x C requests each, and prints what is said of them.",
    )
    parser.add_argument("words", nargs="*", help="only controls whose name has one of these words")
    parser.add_argument(
        "--set",
        choices=("controls", "pools", "honest", "services"),
        default="controls",
        help="controls: one of each kind (the default); pools: crawlers with 100 connections at "
        "C=200 and 400; honest: all crawlers of `list`, which must not be accused of anything; "
        "services: five crawlers on eight services with five loads, of which none may be INVALID",
    )
    parser.add_argument("--times", type=int, default=1, metavar="N", help="runs of each (1)")
    asked = parser.parse_args()
    sets = {
        "controls": lambda: CONTROLS,
        "pools": lambda: POOLS,
        "honest": honest_runs,
        "services": runs_on_services,
    }
    rows: list[tuple[str, ...]] = []
    wrong = runs = 0
    for control in sets[asked.set]():
        if asked.words and not any(word in control.name for word in asked.words):
            continue
        trials = []
        for number in range(1, asked.times + 1):
            trials.append(trial_of(control))
            said = "as it must be" if is_right(control, trials[-1]) else "NOT as it must be"
            print(f"{control.name} ({number} of {asked.times}): judged {said}", file=sys.stderr)
        right = sum(is_right(control, trial) for trial in trials)
        verdicts = [trial.verdict for trial in trials]
        limits = Counter(limit_of(trial) for trial in trials)
        wrong += len(verdicts) - right
        runs += len(verdicts)
        levels = Counter(verdict.level.name for verdict in verdicts)
        # One text of each check, and how many runs it was found in.
        texts = {one.check: one.text for one in _faults(verdicts)}
        counts = Counter(check for one in verdicts for check in {r.check for r in _faults([one])})
        rows.append(
            (
                control.name,
                control.check or control.limit or "nothing",
                f"{right} of {len(verdicts)}" + ("" if right == len(verdicts) else " (!)"),
                _counts(levels),
                _counts(limits),
                "; ".join(f"{counts[check]}: {text}" for check, text in texts.items()) or "-",
            )
        )
    print_table(Table("", _COLUMNS, rows), make_console())
    print(f"{runs - wrong} of {runs} runs were judged as they must be")
    return 1 if wrong else 0


def is_right(control: Control, trial: Trial) -> bool:
    """Whether it is found; whether an honest run is not accused of anything."""
    if control.check:
        return trial.verdict.finds(control.check)
    if control.limit:
        # On a busy machine, the machine is the limit.
        return limit_of(trial) in (control.limit, "machine")
    if control.load:
        return trial.verdict.level is not Level.INVALID
    if limit_of(trial) == _IDLE:
        return False
    return not any(reason.check in ACCUSATIONS for reason in _faults([trial.verdict]))


def _counts(words: Counter[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in words.items())


def _faults(verdicts: list[Verdict]) -> list[Reason]:
    return [reason for verdict in verdicts for reason in verdict.reasons if reason.level]


if __name__ == "__main__":
    sys.exit(main())
