"""What runs on a worker: it starts the crawler process of a share, and returns what that left.

Each function is sent by reference, so that a worker runs its own copy of this module. They are run
by `Client.run`, which is awaited on the worker's event loop, and never as tasks: Dask runs a task
again when its worker dies, even a finished one. Whatever blocks is done in a thread.
"""

import asyncio
import os
import platform
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Timer
from time import monotonic_ns
from typing import TYPE_CHECKING

from bench.cluster.clocks import clock_name, on_server_clock
from bench.measure.carriers import INTERRUPTED, LATE, Carried, Share
from bench.measure.crawler_process import CrawlerProcess
from bench.plan.entrants import Entrant
from bench.results.clock import ClockOffset, ClockReading
from server import __version__
from server.control_client import ControlError, clock_offset
from server.control_token import TOKEN_VARIABLE

if TYPE_CHECKING:
    from distributed import Worker

TRIES = 50
"""Round trips for an estimate of the clock's offset, of which the shortest counts."""
LEAVE_WITHIN_S = 5.0
"""Time that a crawler has to leave what it has fetched, when it is told to."""
_LOOK_EVERY_S = 1.0
"""How often a worker asks the scheduler whether the bench is still there: 1.3 ms each time."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What the bench must know of a worker."""

    version: str
    """Of crawlbench."""
    python: str
    clock: str
    """Which clock it has, as in bench.cluster.clocks.clock_name."""


@dataclass(frozen=True, slots=True)
class Order:
    """A share to prepare."""

    key: str
    """By which the bench names the share until it has ended."""
    share: Share
    entrant: Entrant
    limit_s: float
    """After how long the crawler is killed, whatever becomes of the bench."""
    leaves_when_late: bool
    control_url: str
    """Of the server whose clock is asked; "" if the worker has the same."""
    token: str
    """Of the server's control port, or ""."""
    client_id: str
    """Of the bench, by which the scheduler tells whether it is there."""


@dataclass(frozen=True, slots=True)
class Ready:
    """A share that is prepared, or has failed already."""

    failure: str = ""
    stderr_tail: str = ""
    clock: ClockOffset | None = None


class _Prepared:
    """A crawler process and what the bench has said about it."""

    def __init__(self, order: Order, process: CrawlerProcess) -> None:
        self.order = order
        self.process = process
        self.clock: ClockOffset | None = None
        self.is_late = self.is_told_to_leave = False
        self._timer = Timer(order.limit_s, self._give_up)
        self._timer.daemon = True
        self._timer.start()

    def _give_up(self) -> None:
        self.is_late = True
        if self.order.leaves_when_late:
            self.leave()
        else:
            self.process.kill()

    def leave(self) -> None:
        """Have the crawler leave what it has, and kill it if it does not."""
        self.is_told_to_leave = True
        self.process.leave()
        timer = Timer(LEAVE_WITHIN_S, self.process.kill)
        timer.daemon = True
        timer.start()

    def end(self) -> None:
        """Kill the crawler and forget it."""
        self._timer.cancel()
        self.process.end()
        _prepared.pop(self.order.key, None)


_prepared: dict[str, _Prepared] = {}
"""The shares on this worker, by key."""
_watches: set[asyncio.Task[None]] = set()


async def facts() -> Facts:
    """Return what the bench must know before it uses this worker."""
    return Facts(__version__, platform.python_version(), clock_name())


async def prepare(order: Order, dask_worker: "Worker") -> Ready:
    """Start the crawler process of a share, wait until it is ready, and measure the clock.

    If the bench goes away before the share has ended, the crawler is killed.
    """
    ready = await asyncio.to_thread(_prepare, order)
    watch = asyncio.create_task(_watch(order, dask_worker))
    _watches.add(watch)  # the event loop itself holds no reference
    watch.add_done_callback(_watches.discard)
    return ready


async def _watch(order: Order, dask_worker: "Worker") -> None:
    """Kill the crawler of a share if the bench or the scheduler goes away.

    Nothing else tells: what a client has asked for goes on when the client has been killed.
    """
    while order.key in _prepared:
        try:
            events = await dask_worker.scheduler.events(topic=order.client_id)
        except OSError:
            return await stop(order.key)
        if any(event.get("action") == "remove-client" for _, event in events):
            return await stop(order.key)
        await asyncio.sleep(_LOOK_EVERY_S)
    return None


def _prepare(order: Order) -> Ready:
    environment = {name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE}
    try:
        process = CrawlerProcess(order.entrant, environment, order.share.most_rows)
    except OSError as error:
        return Ready(f"cannot be started: {error.strerror}")
    prepared = _prepared[order.key] = _Prepared(order, process)
    process.send(order.share.spec, order.share.cpus)
    process.wait_until_ready()
    try:
        prepared.clock = _offset(order)
    except ControlError as error:
        prepared.end()
        return Ready(f"cannot ask the server for its clock: {error}")
    return Ready(clock=prepared.clock)


def _offset(order: Order) -> ClockOffset | None:
    if not order.control_url:
        return None
    if order.token:
        os.environ[TOKEN_VARIABLE] = order.token  # where the client of the control port finds it
    found = clock_offset(order.control_url, TRIES)
    return ClockOffset(found.at_ns, found.offset_ns, found.bound_ns)


async def crawl(key: str, at_ns: int) -> Carried:
    """Have a prepared crawler begin at an instant of the server's clock, and wait for its end.

    0 means at once.
    """
    prepared = _prepared[key]
    ended: SimpleQueue[CrawlerProcess] = SimpleQueue()
    prepared.process.tell_end(ended)
    offset_ns = prepared.clock.offset_ns if prepared.clock else 0
    prepared.process.begin(max(monotonic_ns(), at_ns - offset_ns) if at_ns else 0)
    try:
        await asyncio.to_thread(ended.get)
    except asyncio.CancelledError:  # the worker closes, and would wait for the thread
        prepared.process.kill()
        raise
    return await asyncio.to_thread(_carried, prepared)


def _carried(prepared: _Prepared) -> Carried:
    """Return what became of a share whose process has ended."""
    process, before = prepared.process, prepared.clock
    process.end()  # with what it started
    failure, outcome, reading = process.failure, None, None
    if failure and prepared.is_told_to_leave:
        failure = INTERRUPTED
    if prepared.is_late:
        failure = LATE
    if not failure or prepared.is_told_to_leave:
        unread, outcome = process.outcome()
        failure = failure or unread
    if before is not None and outcome is not None:
        try:
            after = _offset(prepared.order)
        except ControlError as error:
            failure, outcome = f"cannot ask the server for its clock: {error}", None
        else:
            assert after is not None
            reading = ClockReading(before, after)
            outcome = on_server_clock(outcome, reading)
    stderr_tail = process.last_words()
    prepared.end()
    return Carried(failure, stderr_tail, outcome, clock=reading)


async def leave(key: str) -> None:
    """Have the crawler of a share leave what it has fetched so far."""
    if prepared := _prepared.get(key):
        prepared.leave()


async def stop(key: str) -> None:
    """Kill the crawler of a share, if there is one."""
    if prepared := _prepared.get(key):
        await asyncio.to_thread(prepared.end)
