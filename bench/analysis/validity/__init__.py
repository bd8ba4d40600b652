"""Whether a run may be believed: VALID, UNCHECKED, SUSPECT or INVALID, and why. Pure.

docs/validity.md has the checks in a table, with what each is for. The modules of this package have
a function for each, with its thresholds.
"""

from bench.analysis.summary import RunSummary
from bench.analysis.validity import client, limits, machine, open_loop, plan, records, server
from bench.analysis.validity.limits import CLIENT_CPU_SHARE
from bench.analysis.validity.machine import of_the_host
from bench.analysis.validity.server import CEILING_SHARE
from bench.analysis.validity.verdict import (
    Check,
    Evidence,
    Level,
    Reason,
    Verdict,
    invalid,
    reasons_by_trials,
    shared_reasons,
)
from bench.results.schema import RunRow

__all__ = [
    "CEILING_SHARE",
    "CLIENT_CPU_SHARE",
    "Level",
    "Reason",
    "Verdict",
    "judge",
    "of_the_host",
    "reasons_by_trials",
    "shared_reasons",
]

_CHECKS: tuple[Check, ...] = (
    *records.CHECKS,
    *server.CHECKS,
    *limits.CHECKS,
    *open_loop.CHECKS,
    *client.CHECKS,
    *machine.CHECKS,
    *plan.CHECKS,
)
"""All checks, in the order in which their reasons are given."""


def judge(
    run: RunRow, summary: RunSummary | None, ceiling_per_s: float | None, cpus: int = 0
) -> Verdict:
    """Make all checks on one run.

    `ceiling_per_s`: requests/s of this server with a floor client, measured in the same experiment;
    None if it was not. `cpus`: how many the machine has; 0 if that is not known.
    """
    if summary is None or run.failure:
        return Verdict((invalid("failed", run.failure or "the crawler recorded nothing"),))
    evidence = Evidence(run, summary, ceiling_per_s, cpus)
    return Verdict(tuple(reason for check in _CHECKS for reason in check(evidence)))
