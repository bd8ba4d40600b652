"""Puts the outcomes of the processes that shared a run together. Pure."""

from array import array
from collections.abc import Sequence
from dataclasses import replace

from crawlers.contract import FETCH_COLUMNS
from crawlers.spec import Outcome, Usage
from server.packed_columns import Columns


def merged_outcome(outcomes: Sequence[Outcome]) -> Outcome | None:
    """Return one outcome of a run; None without any."""
    if len(outcomes) < 2:
        return outcomes[0] if outcomes else None
    return replace(
        outcomes[0],
        usage=merged_usage([one.usage for one in outcomes]),
        fetches=_merged_fetches([one.fetches for one in outcomes]),
        first_due_ns=_first_due_ns(outcomes),
    )


def contradiction(ordinal: int, count: int, outcome: Outcome, first: Outcome) -> str:
    """Return why the outcome of a process is not that of its share of a run, or "".

    `first` is the outcome of another of the `count` processes, whose libraries it must have, too.
    """
    strays = sum(seq % count != ordinal for seq in outcome.fetches["seq"])
    if strays:
        return f"recorded {strays} requests that are in the share of another process"
    for name, version in outcome.versions.items():
        other = first.versions.get(name, "none")
        if other != version:
            return f"has {name} {version}, and another process {other}: use the same on all"
    return ""


def _first_due_ns(outcomes: Sequence[Outcome]) -> int:
    """Return from when due times count, the same for all processes; 0 in closed loop.

    All count from the instant of the common start (crawlers.spec). Those of other machines differ
    by as much as their clocks are wrong, and one that took no job knows none.
    """
    return min((one.first_due_ns for one in outcomes if one.first_due_ns), default=0)


def merged_usage(usages: Sequence[Usage]) -> Usage:
    """Return the usage of all processes together.

    CPU time, memory and the pauses of the garbage collectors add up. The wall time and the longest
    pause are the largest of all, and the number of descriptors is the smallest. What the main
    thread used and how long it waited are those of the process whose main thread used the most.
    """
    busiest = max(usages, key=lambda one: one.main_cpu_ns or 0)
    unwaited = [one.unwaited_cpu_ns for one in usages]
    return Usage(
        wall_ns=max(one.wall_ns for one in usages),
        cpu_ns=sum(one.cpu_ns for one in usages),
        peak_memory_bytes=sum(one.peak_memory_bytes for one in usages),
        gc_pauses=sum(one.gc_pauses for one in usages),
        gc_pause_ns=sum(one.gc_pause_ns for one in usages),
        gc_longest_ns=max(one.gc_longest_ns for one in usages),
        main_cpu_ns=busiest.main_cpu_ns,
        waited_ns=busiest.waited_ns,
        descriptors=min(
            (one.descriptors for one in usages if one.descriptors is not None), default=None
        ),
        unwaited_cpu_ns=None if None in unwaited else sum(one or 0 for one in unwaited),
    )


def _merged_fetches(parts: Sequence[Columns]) -> Columns:
    """Return the fetches of all processes in the order in which they ended."""
    columns = {name: array("q") for name in FETCH_COLUMNS}
    for part in parts:
        for name, column in columns.items():
            column.extend(part[name])
    ends_ns = columns["end_ns"]
    order = sorted(range(len(ends_ns)), key=ends_ns.__getitem__)
    return {name: array("q", map(column.__getitem__, order)) for name, column in columns.items()}
