"""Carries a run: starts the processes that share it, all at the same instant, and collects them."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Event, Timer
from time import monotonic, monotonic_ns
from typing import NamedTuple, Protocol

from bench.errors import MachineError
from bench.measure.crawler_process import CrawlerProcess
from bench.measure.descendants import kill_descendants
from bench.measure.memory import MemorySampler
from bench.plan.entrants import Entrant
from bench.results.clock import ClockReading
from crawlers.spec import Outcome, Spec

INTERRUPTED, LATE, STOPPED = "interrupted", "late", "stopped"
"""Failures of shares that were ended by the bench: after Ctrl-C, when their time was over, and
because another share of the run failed."""

_STOP_S = 5.0
"""Time that an interrupted crawler has to report what it has fetched."""
_POLL_S = 0.05
"""How often it is looked whether a process has ended while another is not ready."""
_LEAD_NS = 20_000_000
"""How long before the common instant of the start the processes are told."""


@dataclass(frozen=True, slots=True)
class Share:
    """The part of a run that one process carries."""

    ordinal: int
    """From 0: the process has the requests whose seq leaves this remainder."""
    spec: Spec
    most_rows: int
    """The most rows of an outcome that is read."""
    cpus: frozenset[int]
    """The CPUs that the process is pinned to; empty if it is not."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What became of a share."""

    failure: str
    """Why it failed: a few words, INTERRUPTED, LATE, STOPPED, or ""."""
    stderr_tail: str = ""
    outcome: Outcome | None = None
    """None if it failed; what was fetched until then if it was ended by the bench."""
    machine: str = ""
    """Name of the machine, or "" for the one of the bench."""
    clock: ClockReading | None = None
    """What is known of another machine's clock; times are on the server's clock already."""


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True)
class Orders:
    """What a carrier is told besides the shares."""

    entrant: Entrant
    limit_s: float
    """After how long a run is killed."""
    environment: Mapping[str, str]
    """The environment of crawler processes on this machine."""
    on_interrupt: Callable[[], None] | None = None
    """If given, KeyboardInterrupt is not raised: this is called, and shares leave what they have. A
    second one is raised."""
    on_ended: Callable[[], object] = _nothing
    """Called as soon as the shares have ended, before what they left is read."""
    memory: MemorySampler | None = None
    """Samples the memory of the first process."""
    leaves_when_late: bool = False
    """Whether a late crawler leaves what it has fetched before it is killed."""
    control_url: str = ""
    """The control port of the server, on whose clock times are; "" for one that is not ours."""
    has_own_server: bool = False
    """Whether the bench has started the server, on this machine."""


class CarrierGoneError(MachineError):
    """Nothing is left that could carry a run, so that no further run can be made."""


class Carrier(Protocol):
    """Something that starts crawler processes for shares and waits for them."""

    def carry(self, shares: Sequence[Share], orders: Orders) -> list[Carried]:
        """Return what became of each share.

        All begin at the same instant, once all are ready. If one fails, the others are killed.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs are made, if not on this machine."""

    carrier: Carrier
    bind: str
    """The address that a server for these runs listens on; "" for 127.0.0.1."""
    note: str
    """One line that says where."""
    has_our_clock: bool
    """Whether all processes have the clock of the bench."""


class LocalCarrier:
    """Carries runs on this machine."""

    def carry(self, shares: Sequence[Share], orders: Orders) -> list[Carried]:
        """Return what became of each share, as Carrier says."""
        with kill_descendants():
            processes: list[CrawlerProcess] = []
            try:
                processes.extend(
                    CrawlerProcess(orders.entrant, orders.environment, share.most_rows)
                    for share in shares
                )
            except OSError as error:
                for process in processes:
                    process.end()
                return [Carried(f"cannot be started: {error.strerror}") for _ in shares]
            if orders.memory is not None:
                orders.memory.begin(processes[0].pid)
            try:
                ending = _converse(processes, shares, orders)
            finally:
                if orders.memory is not None:
                    orders.memory.end()
                for process in processes:
                    process.end()
        return [_carried(process, ending) for process in processes]


class _Ending(NamedTuple):
    """Why the bench ended the processes, if it did."""

    why: str = ""
    """INTERRUPTED, LATE, or ""."""
    failed: CrawlerProcess | None = None
    """The first that failed by itself, or ended before the start. All others are killed then."""


def _converse(
    processes: Sequence[CrawlerProcess], shares: Sequence[Share], orders: Orders
) -> _Ending:
    """Have the processes crawl, and return how that ended."""
    ended: SimpleQueue[CrawlerProcess] = SimpleQueue()
    for process in processes:
        process.tell_end(ended)
    is_late = Event()

    def give_up() -> None:
        is_late.set()
        if orders.leaves_when_late:  # it says how far it was
            _leave(processes)
        for process in processes:
            process.kill()

    # We use a timer, because a process that never reads the spec would block us here, too.
    timer = Timer(orders.limit_s, give_up)
    timer.daemon = True
    timer.start()
    failed = None
    try:
        for process, share in zip(processes, shares, strict=True):
            process.send(share.spec, share.cpus)
        try:
            failed = crawl_together(processes, ended)
        except KeyboardInterrupt:
            if orders.on_interrupt is None:
                raise
            orders.on_interrupt()
            if _leave(processes):
                orders.on_ended()
                return _Ending(INTERRUPTED)
        orders.on_ended()
    finally:
        timer.cancel()
    return _Ending(LATE) if is_late.is_set() else _Ending(failed=failed)


def crawl_together(
    processes: Sequence[CrawlerProcess], ended: "SimpleQueue[CrawlerProcess]"
) -> CrawlerProcess | None:
    """Have all begin at the same instant, and wait until all have ended.

    If one fails, or ends before the start, return it at once.
    """
    for process in processes:
        while not process.is_ready_within(_POLL_S):
            with suppress(Empty):
                return ended.get_nowait()
    if not all(process.is_loaded for process in processes):
        return ended.get()  # the others wait for the start, and do not end
    at_ns = monotonic_ns() + _LEAD_NS if len(processes) > 1 else 0
    for process in processes:
        process.begin(at_ns)
    for _ in processes:
        process = ended.get()
        if process.exit_code:
            return process
    return None


def _leave(processes: Sequence[CrawlerProcess]) -> bool:
    """Have all leave what they have; return whether any did not end by itself with success."""
    for process in processes:
        process.leave()
    deadline_s = monotonic() + _STOP_S
    ended: SimpleQueue[CrawlerProcess] = SimpleQueue()
    for process in processes:
        process.tell_end(ended)
    with suppress(Empty):
        for _ in processes:
            ended.get(timeout=max(0.0, deadline_s - monotonic()))
    return any(process.exit_code != 0 for process in processes)


def _carried(process: CrawlerProcess, ending: _Ending) -> Carried:
    """Return what became of a process that has ended."""
    failure = ending.why or process.failure
    if ending.failed not in (None, process):
        failure = STOPPED
    outcome = None
    if not failure or ending.why:
        unread, outcome = process.outcome()
        failure = failure or unread
    if ending.failed is process and not failure:
        failure = "ended before the start"
    return Carried(failure, process.last_words(), outcome)
