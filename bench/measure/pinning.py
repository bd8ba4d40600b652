"""Which CPU runs the server and which the crawler: two physical cores, if there are two."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import cycle
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
    crawlers_note: str = ""
    """The part of it that is about crawlers."""

    def of_crawlers(self, processes: int, cores: int) -> list[frozenset[int]]:
        """Return the CPUs of each process of a crawler that uses so many cores.

        Single-core processes have a CPU each if there are enough. Otherwise all of them share all
        CPUs, the server's included: a CPU that only one of them had would keep the others waiting.
        """
        if cores > 1 and processes == 1:
            return [self.multi_core_crawler]
        if processes == 1:
            return [self.single_core_crawler]
        apart = sorted(self.multi_core_crawler)
        if cores == 1 and processes <= len(apart):
            return [frozenset((cpu,)) for cpu in apart[:processes]]
        enough = self.multi_core_crawler if processes * cores <= len(apart) else self.everything
        return [enough] * processes


UNPINNED = Pinning(frozenset(), frozenset(), frozenset(), frozenset(), "")


def choose_server_processes(
    asked: int, most_crawler_processes: int, *, has_shared_state: bool = False
) -> int:
    """Return how many processes serve: as many as are asked for, or by the cores if that is 0.

    One process of the server answers about as many requests as the fastest crawler process asks
    for. A third of the cores is thus enough for any number of crawler processes, and with fewer
    than four cores a second server process would only take one from them. A service with state
    that all requests share is kept by one process.
    """
    if asked:
        return asked
    if has_shared_state:
        return 1
    cores = len(_cores()) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(most_crawler_processes, cores // 3)) if cores >= 4 else 1


def choose_pinning(server_processes: int = 1, crawler_processes: int = 1) -> Pinning:
    """Choose from the CPUs that this process may use.

    Only the note depends on `crawler_processes`, the most that share a run.
    """
    if not hasattr(os, "sched_getaffinity"):
        return replace(UNPINNED, note="nothing is pinned: this system cannot")
    cores = _cores()
    if len(cores) < 2:
        return replace(UNPINNED, note="nothing is pinned: there is one core only")
    everything = frozenset(cpu for core in cores for cpu in core)
    # At least one core is left to the crawlers; more server processes than cores share them.
    servers, others = cores[:server_processes], cores[server_processes:]
    if not others:
        servers, others = cores[:-1], cores[-1:]
    server = frozenset(core[0] for core in servers)
    crawler, rest = frozenset(others[0][:1]), frozenset(cpu for core in others for cpu in core)
    where = f"CPU {min(server)}" if len(server) == 1 else f"CPUs {_listed(server)}"
    many = f" of {server_processes} processes" if server_processes > 1 else ""
    pinning = Pinning(server, crawler, rest, everything, "")
    of_crawlers = f"single-core crawlers on CPU {min(crawler)}"
    if crawler_processes > 1:
        given = pinning.of_crawlers(crawler_processes, 1)
        together = (
            f"together on CPUs {_listed(given[0])}" if len(set(given)) == 1 else "on one each"
        )
        of_crawlers += f", {crawler_processes} processes of a crawler {together}"
    note = f"server{many} on {where}, {of_crawlers}"
    return replace(pinning, note=note, crawlers_note=of_crawlers)


def _cores() -> list[list[int]]:
    """Return the CPUs that this process may use, by core."""
    cores: dict[frozenset[int], list[int]] = {}
    for cpu in sorted(os.sched_getaffinity(0)):
        cores.setdefault(_siblings(cpu), []).append(cpu)
    return list(cores.values())


def _listed(cpus: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cpus)))


def of_running_server(pinning: Pinning) -> Pinning:
    """Return the same for a server that runs already, which nobody pins here."""
    if not pinning.server:
        return pinning
    return replace(pinning, note=f"{pinning.crawlers_note}; the server is not pinned")


def pin_each(pids: Sequence[int], cpus: frozenset[int]) -> None:
    """Restrict each process to one of these CPUs, if any are given, in turn."""
    for pid, cpu in zip(pids, cycle(sorted(cpus)), strict=False):
        pin(pid, frozenset((cpu,)))


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
