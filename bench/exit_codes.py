"""The exit codes of `crawlbench`, in one place; and what those of other processes mean."""

import signal

EXIT_OK = 0
EXIT_REQUESTS_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_REGRESSION = 99
EXIT_INTERRUPTED = 130


def signal_name(number: int) -> str:
    """`SIGKILL`, or `signal 40` of one that has no name."""
    return {one.value: one.name for one in signal.Signals}.get(number, f"signal {number}")
