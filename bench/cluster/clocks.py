"""Puts what another machine has recorded on the server's clock. Pure, except for `clock_name`."""

import platform
from array import array
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bench.results.clock import ClockReading
from crawlers.spec import Outcome
from server.packed_columns import Columns

_AT_NS = ("start_ns", "end_ns", "at_ns")
"""The columns that hold instants."""


def clock_name() -> str:
    """Return which monotonic clock this process has; processes with the same name share it.

    It is that of a boot, unless the process is in a time namespace of its own.
    """
    names = [platform.node()]
    with suppress(OSError):  # not Linux: the name of the machine must do
        names.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        names.append(str(Path("/proc/self/ns/time").readlink()))
    return " ".join(names)


def on_server_clock(outcome: Outcome, clock: ClockReading) -> Outcome:
    """Return an outcome with all its instants on the server's clock."""
    due_ns = outcome.first_due_ns
    return replace(
        outcome,
        fetches=_converted(outcome.fetches, clock),
        work=_converted(outcome.work, clock),
        limits=_converted(outcome.limits, clock),
        first_due_ns=clock.to_server_ns(due_ns) if due_ns else 0,
    )


def _converted(columns: Columns, clock: ClockReading) -> Columns:
    return {
        name: array("q", map(clock.to_server_ns, column)) if name in _AT_NS else column
        for name, column in columns.items()
    }
