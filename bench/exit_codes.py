"""The exit codes of `crawlbench`, and the names of the signals that end other processes."""

import signal

EXIT_OK = 0
EXIT_REQUESTS_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_REGRESSION = 99
EXIT_THRESHOLD = 99
EXIT_INTERRUPTED = 130

MEANINGS = {
    EXIT_OK: "success",
    EXIT_REQUESTS_FAILED: "requests or runs failed or are INVALID, or a rule is broken",
    EXIT_USAGE: "a mistake in the command line",
    EXIT_ENVIRONMENT: "this machine does not allow it: a missing library, a limit, a full disk",
    EXIT_REGRESSION: "a regression, a threshold that failed, or objectives that cannot be met",
    EXIT_INTERRUPTED: "interrupted",
}
"""What the help says about each exit code."""


def signal_name(number: int) -> str:
    """Return `SIGKILL`, or `signal 40` for a signal without a name."""
    return {one.value: one.name for one in signal.Signals}.get(number, f"signal {number}")
