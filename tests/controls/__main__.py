"""Runs every control and prints what is said of it: `scripts/controls`."""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace

from bench.delays import Delay
from bench.entrants import Entrant
from bench.experiment import Experiment
from bench.pinning import Pinning, choose_pinning, pin
from bench.runner import ProcessRunner, Target
from bench.single import run_once
from bench.tables import make_console, make_table
from bench.validity import Level, Verdict
from server.process import ServerProcess

CONCURRENCY = 100
REQUESTS = 1000


@dataclass(frozen=True, slots=True)
class Control:
    """One thing that is wrong, and what must be said of it. `check` "" is for an honest run."""

    name: str
    crawler: str = "asyncio"
    illness: str = ""
    """Of the server."""
    level: Level = Level.VALID
    check: str = ""
    delay_ms: int = 50
    is_machine_busy: bool = False


def _dishonest(crawler: str, level: Level, check: str) -> Control:
    name = f"crawler: {crawler.replace('_', ' ')}"
    return Control(name, f"tests.controls.crawlers:{crawler}", level=level, check=check)


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
    _dishonest("stands_still", Level.SUSPECT, "stall"),
    _dishonest("suspended", Level.SUSPECT, "stall"),
    _dishonest("few_files", Level.SUSPECT, "descriptors"),
    # With delays of 40 ms and more the ACK comes with the answer.
    replace(_dishonest("two_pieces", Level.SUSPECT, "delayed ACK"), delay_ms=5),
    Control("server: late", illness="late", level=Level.SUSPECT, check="late"),
    Control("server: busy", illness="busy", level=Level.SUSPECT, check="server-limited"),
    Control("server: stall", illness="stall", level=Level.SUSPECT, check="stall"),
    Control("server: few files", illness="few-files", level=Level.INVALID, check="descriptors"),
    Control("server: short backlog", illness="short-backlog", level=Level.SUSPECT, check="backlog"),
    Control("machine: busy", is_machine_busy=True, level=Level.SUSPECT, check="busy machine"),
)


class SickServer(ServerProcess):
    """A server process with an illness; "" for a sane one."""

    def __init__(self, illness: str) -> None:
        super().__init__()
        if illness:
            at = self._command.index("server")
            self._command[at : at + 1] = ["tests.controls.sick_server", illness]


def verdict_on(control: Control) -> Verdict:
    """Run it, and judge it as the bench does."""
    asked = Experiment(
        entrants=(Entrant("control", control.crawler),),
        concurrencies=(CONCURRENCY,),
        delays=(Delay.fixed(control.delay_ms * 1000),),
        trials=1,
        waves=1,
        seed=1,
        timeout_s=10.0,
        requests=REQUESTS,
    )
    (planned,) = asked.order({"control": CONCURRENCY})
    pinning = choose_pinning()
    with ExitStack() as stack:
        server = stack.enter_context(SickServer(control.illness))
        pin(server.pid, pinning.server)
        if control.is_machine_busy:
            stack.enter_context(_busy_cpu(pinning))
        runner = ProcessRunner(Target(*server.addresses), asked.timeout_s, pinning)
        _, trial = run_once(asked, planned, runner)
    return trial.verdict


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


def main() -> int:
    """Print a table; 0 if all is said that must be said, 1 otherwise."""
    parser = argparse.ArgumentParser(
        prog="scripts/controls",
        description="Runs dishonest crawlers, sick servers and a busy machine, "
        f"{REQUESTS} requests at {CONCURRENCY} each, and prints what is said of them.",
    )
    parser.add_argument("words", nargs="*", help="only controls whose name has one of these words")
    words = parser.parse_args().words
    table = make_table("", ("what is wrong",), ("must find", "found", "verdict", "reasons"))
    wrong = 0
    for control in CONTROLS:
        if words and not any(word in control.name for word in words):
            continue
        print(f"{control.name} ...", file=sys.stderr)
        verdict = verdict_on(control)
        # A busy machine is not the control's fault, nor does it hide what must be found.
        levels = [one.level for one in verdict.reasons if one.check != "busy machine"]
        is_right = (
            verdict.finds(control.check) if control.check else max(levels, default=Level.VALID)
        ) in (True, Level.VALID)
        wrong += not is_right
        reasons = "\n".join(one.text for one in verdict.reasons if one.level) or "-"
        found = "yes" if is_right else "NO"
        table.add_row(control.name, control.check or "nothing", found, verdict.level.name, reasons)
    make_console().print(table)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
