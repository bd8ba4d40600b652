"""The exit codes of `crawlbench`, in one place; and what those of other processes mean."""

import signal

EXIT_OK = 0
EXIT_REQUESTS_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_REGRESSION = 99
EXIT_INTERRUPTED = 130

MEANINGS = {
    EXIT_OK: "success",
    EXIT_REQUESTS_FAILED: "requests or runs failed or are INVALID, or a rule is broken",
    EXIT_USAGE: "a mistake in the command line",
    EXIT_ENVIRONMENT: "this machine: a missing library, a limit, a full disk",
    EXIT_REGRESSION: "compare found a regression",
    EXIT_INTERRUPTED: "interrupted",
}
"""What help says of them."""


def signal_name(number: int) -> str:
    """`SIGKILL`, or `signal 40` of one that has no name."""
    return {one.value: one.name for one in signal.Signals}.get(number, f"signal {number}")
