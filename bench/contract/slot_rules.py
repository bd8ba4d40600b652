"""Rules about slots and connections, from a run with a delay."""

from collections.abc import Iterator

import numpy as np

from bench.analysis.in_flight import Levels
from bench.contract.evidence import require
from bench.contract.rules import MUST, Rule
from bench.contract.runs import ContractRunner, accounts_of
from crawlers.registry import NOT_DECLARED


def slot_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Do a run with a delay and yield its rules."""
    slots = runner.slots(12)
    _, arrivals = accounts_of(runner.run(3 * slots, slots, delay_ms=300))

    def all_used() -> str:
        levels = Levels.at_server(arrivals)
        peak = levels.peak if levels is not None else 0
        require(peak == slots, f"{peak} in flight at the server, {slots} were asked for")
        return f"{peak} in flight at the server, {slots} were asked for"

    def connections() -> str:
        count = len(np.unique(arrivals["connection"]))
        if not runner.info.is_declared:
            return f"{count} for {3 * slots} requests; {NOT_DECLARED}"
        wanted = slots if runner.info.keep_alive else 3 * slots
        require(count == wanted, f"{count} for {3 * slots} requests, by its declaration {wanted}")
        return f"{count} for {3 * slots} requests, as declared"

    yield Rule(MUST, "all C slots are used", all_used)
    yield Rule(MUST, "connections are kept as declared", connections)
