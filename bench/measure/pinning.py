"""Which CPU runs the server and which the crawler: two physical cores, if there are two."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pinning:
    """Sets of CPU numbers; an empty set means that the process is not pinned."""

    server: frozenset[int]
    single_core_crawler: frozenset[int]
    multi_core_crawler: frozenset[int]
    everything: frozenset[int]
    """The CPUs for work on all cores, including the server's."""
    note: str
    """One line that says what is pinned to which CPU, or why nothing is."""


UNPINNED = Pinning(frozenset(), frozenset(), frozenset(), frozenset(), "")


def choose_pinning() -> Pinning:
    """Choose from the CPUs that this process may use."""
    if not hasattr(os, "sched_getaffinity"):
        return replace(UNPINNED, note="nothing is pinned: this system cannot")
    cores: dict[frozenset[int], list[int]] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        cores.setdefault(_siblings(cpu), []).append(cpu)
    if len(cores) < 2:
        return replace(UNPINNED, note="nothing is pinned: there is one core only")
    first, second, *others = cores.values()
    server, crawler = frozenset(first[:1]), frozenset(second[:1])
    rest = frozenset(cpu for core in (second, *others) for cpu in core)
    note = f"server on CPU {first[0]}, single-core crawlers on CPU {second[0]}"
    everything = frozenset(cpu for core in cores.values() for cpu in core)
    return Pinning(server, crawler, rest, everything, note)


def of_running_server(pinning: Pinning) -> Pinning:
    """Return the same for a server that runs already, which nobody pins here."""
    if not pinning.server:
        return pinning
    (cpu,) = pinning.single_core_crawler
    return replace(pinning, note=f"single-core crawlers on CPU {cpu}; the server is not pinned")


def pin(pid: int, cpus: frozenset[int]) -> None:
    """Restrict a process to these CPUs, if any are given."""
    if cpus:
        os.sched_setaffinity(pid, cpus)


@contextmanager
def on_cpus(cpus: frozenset[int]) -> Iterator[None]:
    """Keep this process on these CPUs for a while: off the one that is measured."""
    before = frozenset(os.sched_getaffinity(0)) if cpus else cpus
    pin(0, cpus)
    try:
        yield
    finally:
        pin(0, before)


def _siblings(cpu: int) -> frozenset[int]:
    """Return the hardware threads that share a core with this one, itself included."""
    path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
    try:
        text = path.read_text().strip()
    except OSError:
        return frozenset([cpu])
    threads: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        threads |= set(range(int(first), int(last or first) + 1))
    return frozenset(threads)
