"""Carries runs on the workers of a Dask cluster; the only module of the bench that uses Dask."""

import asyncio
import logging
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from ipaddress import ip_address
from threading import Event
from time import monotonic, monotonic_ns, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urlsplit

from bench.cluster.address import ClusterAddress
from bench.cluster.clocks import clock_name
from bench.cluster.differences import check_alike
from bench.cluster.errors import ClusterError, NoDaskError
from bench.cluster.on_worker import (
    LEAVE_WITHIN_S,
    TRIES,
    Facts,
    Order,
    Ready,
    crawl,
    facts,
    leave,
    prepare,
    stop,
)
from bench.measure.carriers import INTERRUPTED, STOPPED, Carried, CarrierGoneError, Orders, Share
from server.control_client import clock_offset
from server.control_token import token_of_environment

if TYPE_CHECKING:
    from distributed import Client, Security

T = TypeVar("T")

_CONNECT_S = 10
"""Time to find the scheduler, and for the first worker to be there."""
_LOOK_AGAIN_S = 0.1
_ANSWER_S = 10.0
"""Time for a worker to answer what takes it no time."""
_LEAD_NS = 50_000_000
"""How long before the common instant of the start the workers are told, at least."""
_MORE_S = 30.0
"""Time for a worker to answer after a run must have ended, before it is given up."""
_OWN_SESSION = "import os\nif os.getsid(0) != os.getpid():\n    os.setsid()\n"
"""Run by each worker of `local:N` as it starts, so that Ctrl-C in the terminal does not reach it:
the bench then has the crawlers leave what they have, which needs the workers."""


@dataclass(frozen=True, slots=True)
class Worker:
    """A worker of the cluster."""

    address: str
    """As Dask names it, such as `tcp://10.0.0.2:41373`; a worker that is restarted has another."""
    name: str
    """The name that it was started with, or the address without `tcp://`."""
    has_our_clock: bool
    """Whether it has the same monotonic clock as the bench, and so runs on the same machine."""


def is_on_loopback(url: str) -> bool:
    """Return whether a URL leads to the machine of whoever asks."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost"


class ClusterCarrier:
    """Carries share i of a run on worker i modulo W. A context manager."""

    def __init__(self, address: ClusterAddress) -> None:
        self._address = address
        self._stack = ExitStack()
        self._facts: dict[str, Facts] = {}
        self._gone: set[str] = set()
        """Addresses of workers that have died; the scheduler may not know yet."""
        self.workers: tuple[Worker, ...] = ()
        """The workers when the cluster was connected, in the order of their names."""

    def __enter__(self) -> Self:
        """Connect, or start workers here.

        Raises NoDaskError, and ClusterError if there is no scheduler, no worker, or a worker that
        has another version of crawlbench or of Python.
        """
        try:
            self._client = self._connect()
            self.workers = self._wait(self._find_workers())
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def carry(self, shares: Sequence[Share], orders: Orders) -> list[Carried]:
        """Return what became of each share, as bench.measure.carriers.Carrier says.

        Raises CarrierGoneError if no worker is left, or the scheduler is gone.
        """
        try:
            workers = self._wait(self._find_workers())
        except ClusterError as error:
            raise CarrierGoneError(str(error)) from None
        run = _Run(self._client, workers, shares, orders, self._gone)
        future = self._start(run.carry())
        try:
            try:
                carried = future.result()
            except KeyboardInterrupt:
                if orders.on_interrupt is None:
                    raise
                orders.on_interrupt()
                self._wait(run.leave())
                carried = future.result(2 * LEAVE_WITHIN_S + _ANSWER_S)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt | TimeoutError):
                self._wait(run.tell(stop))
            future.cancel()
            if isinstance(error, _SchedulerGoneError):
                raise CarrierGoneError(f"the scheduler of {self._address} is gone") from None
            raise
        orders.on_ended()
        return carried

    def _connect(self) -> "Client":
        try:
            from distributed import Client, LocalCluster, Security
        except ImportError:
            raise NoDaskError from None
        # A worker that dies is a result, which the bench reports itself.
        for name in ("distributed", "distributed.client"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        where: Any = self._address.scheduler
        if where.startswith("tls:"):
            _check_tls(Security())  # type: ignore[no-untyped-call]
        if self._address.local_workers:
            with held_interrupt():
                cluster = LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=self._address.local_workers,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    # No dashboard; the HTTP server that comes anyway takes any port.
                    dashboard_address=None,
                    scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
                    memory_limit=0,
                    silence_logs=logging.CRITICAL,
                    preload=[_OWN_SESSION],
                )
                where = self._stack.enter_context(cluster)
        try:
            if self._address.scheduler:
                _wait_for_port(where)
            client: Client = Client(where, timeout=_CONNECT_S, set_as_default=False)  # type: ignore[no-untyped-call]
        except (OSError, ValueError) as error:
            raise ClusterError(
                f"there is no Dask scheduler at {where}: start one (dask scheduler), or give its "
                "address"
            ) from error
        self._stack.callback(client.close)
        return client

    async def _find_workers(self) -> tuple[Worker, ...]:
        """Return the workers there are, checked. Raises ClusterError."""
        wanted = 1
        if not self.workers:  # the first time, those of `local:N` are still starting
            wanted = self._address.local_workers or 1
        try:
            identity = await self._identity(wanted)
        except TimeoutError:
            raise ClusterError(
                f"{self._address} has no worker: start one on each machine (dask worker)"
            ) from None
        except (OSError, asyncio.CancelledError):
            raise ClusterError(f"the scheduler of {self._address} is gone") from None
        found = {
            address: self._name(address, str(worker["name"]))
            for address, worker in identity["workers"].items()
            if address not in self._gone
        }
        new = [address for address in found if address not in self._facts]
        asked = await asyncio.gather(*(_ask(self._client, one, facts) for one in new))
        for address, answer in zip(new, asked, strict=True):
            self._facts[address] = check_alike(found[address], answer)
        clock = clock_name()
        return tuple(
            Worker(address, name, self._facts[address].clock == clock)
            for address, name in sorted(found.items(), key=lambda item: (len(item[1]), item[1]))
        )

    async def _identity(self, wanted: int) -> dict[str, Any]:
        """Return what the scheduler says of itself, once there are so many workers."""
        client: Any = self._client  # its annotations are those of its other, blocking use
        await client.wait_for_workers(wanted, timeout=_CONNECT_S)
        identity: dict[str, Any] = await client.scheduler.identity(n_workers=-1)
        return identity

    def _name(self, address: str, name: str) -> str:
        if self._address.local_workers:
            return f"local-{name}"
        return name.removeprefix("tcp://") if name == address else name

    def _start(self, work: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin work on the event loop of the client, which has a thread of its own."""
        loop: Any = self._client.loop
        return asyncio.run_coroutine_threadsafe(work, loop.asyncio_loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self._start(work).result()


def _wait_for_port(address: str) -> None:
    """Return once something listens there. Raises OSError, ValueError.

    A Ctrl-C ends this wait. That of Dask's client goes on after it, for 20 s, with a traceback.
    """
    deadline_s = monotonic() + _CONNECT_S
    parts = urlsplit(address)
    while True:
        try:
            socket.create_connection((parts.hostname, parts.port), _CONNECT_S).close()
        except OSError:
            if monotonic() > deadline_s:
                raise
            sleep(_LOOK_AGAIN_S)
        else:
            return


@contextmanager
def held_interrupt() -> Iterator[None]:
    """Raise the KeyboardInterrupt of a Ctrl-C in this block at its end.

    Dask cannot close a cluster that is half started. If workers have died of the same Ctrl-C, what
    Dask raises of that is not.
    """
    came = Event()
    before = signal.signal(signal.SIGINT, lambda *_: came.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came.is_set():
            raise KeyboardInterrupt


def _check_tls(security: "Security") -> None:
    """Raise ClusterError if Dask is not told which certificates to use."""
    try:
        arguments = security.get_connection_args("client")  # type: ignore[no-untyped-call]
    except OSError as error:
        raise ClusterError(f"the certificates for tls:// cannot be read: {error}") from error
    if arguments.get("ssl_context") is None:
        raise ClusterError(
            "tls:// needs the certificates of the cluster: name them in Dask's configuration "
            "(distributed.comm.tls), or use tcp://"
        )


class _SchedulerGoneError(Exception):
    """The connection to the scheduler has broken."""


async def _ask(
    client: "Client",
    address: str,
    function: Callable[..., Awaitable[T]],
    *arguments: object,
    within_s: float = _ANSWER_S,
) -> T | Exception:
    """Have a worker do something, and return what came back: an error if it has died meanwhile."""
    asked = client.run(function, *arguments, workers=[address], on_error="return")
    try:
        answers: dict[str, T | Exception] = await asyncio.wait_for(asked, within_s)
    except TimeoutError as error:
        return error
    except (OSError, asyncio.CancelledError) as error:  # Dask cancels what a lost scheduler has
        raise _SchedulerGoneError from error
    return answers[address]


class _Run:
    """One run: its shares, each on a worker."""

    def __init__(
        self,
        client: "Client",
        workers: Sequence[Worker],
        shares: Sequence[Share],
        orders: Orders,
        gone: set[str],
    ) -> None:
        self._client = client
        self._orders = orders
        self._gone = gone
        self._is_leaving = False
        name = secrets.token_hex(4)
        self._parts = [
            (workers[share.ordinal % len(workers)], share, f"{name}-{share.ordinal}")
            for share in shares
        ]

    async def carry(self) -> list[Carried]:
        """Return what became of each share."""
        ready = await self._first_failure(
            [
                asyncio.create_task(self._ask(worker, prepare, self._order(worker, share, key)))
                for worker, share, key in self._parts
            ]
        )
        if self._is_leaving or not all(isinstance(one, Ready) for one in ready):
            return await self._stopped(ready)
        at_ns = await asyncio.to_thread(self._begin_at_ns, ready)
        ended = await self._first_failure(
            [
                asyncio.create_task(self._ask(worker, crawl, key, at_ns))
                for worker, _, key in self._parts
            ]
        )
        return await self._stopped(ended)

    async def leave(self) -> None:
        """Have all crawlers leave what they have fetched so far."""
        self._is_leaving = True
        await self.tell(leave)

    async def tell(self, function: Callable[[str], Awaitable[None]]) -> None:
        """Tell the workers of all shares something."""
        await asyncio.gather(
            *(
                _ask(self._client, worker.address, function, key)
                for worker, _, key in self._parts
                if worker.address not in self._gone
            )
        )

    def _order(self, worker: Worker, share: Share, key: str) -> Order:
        if not worker.has_our_clock:  # CPUs are numbered on each machine by itself
            share = replace(share, cpus=frozenset())
        has_servers_clock = worker.has_our_clock and self._server_has_our_clock
        return Order(
            key=key,
            share=share,
            entrant=self._orders.entrant,
            limit_s=self._orders.limit_s,
            leaves_when_late=self._orders.leaves_when_late,
            control_url="" if has_servers_clock else self._orders.control_url,
            token=token_of_environment(),
            client_id=self._client.id,
        )

    @property
    def _server_has_our_clock(self) -> bool:
        return is_on_loopback(self._orders.control_url) or self._orders.has_own_server

    def _begin_at_ns(self, ready: "Sequence[Ready | Carried | None]") -> int:
        """Return the instant of the server's clock at which all begin; 0 if there is only one."""
        if len(ready) < 2:
            return 0
        bounds_ns = [one.clock.bound_ns for one in ready if isinstance(one, Ready) and one.clock]
        offset_ns = 0
        if not self._server_has_our_clock:
            offset_ns = clock_offset(self._orders.control_url, TRIES).offset_ns
        return monotonic_ns() + offset_ns + _LEAD_NS + 4 * max(bounds_ns, default=0)

    async def _ask(
        self, worker: Worker, function: Callable[..., Awaitable[T]], *arguments: object
    ) -> T | Carried:
        """Return what a worker answers, or a failure."""
        within_s = self._orders.limit_s + _MORE_S
        answer = await _ask(self._client, worker.address, function, *arguments, within_s=within_s)
        if isinstance(answer, OSError):
            self._gone.add(worker.address)
            return Carried("the worker died", machine=worker.name)
        if isinstance(answer, Exception):
            return Carried(f"the worker failed: {answer!r}", machine=worker.name)
        if isinstance(answer, Ready) and answer.failure:
            return Carried(answer.failure, answer.stderr_tail, machine=worker.name)
        if isinstance(answer, Carried):
            return replace(answer, machine=worker.name)
        if not isinstance(answer, Ready):
            what = f"the worker answered with {type(answer).__name__}"
            return Carried(what, machine=worker.name)
        return answer

    async def _first_failure(
        self, tasks: "Sequence[asyncio.Task[T | Carried]]"
    ) -> list[T | Carried | None]:
        """Return all answers; None for those that were not there when the first share failed."""
        left = set(tasks)
        try:
            while left:
                done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
                answers = [task.result() for task in done]
                if any(isinstance(one, Carried) and _has_failed(one) for one in answers):
                    break
        except _SchedulerGoneError:
            await asyncio.gather(*tasks, return_exceptions=True)  # it is gone for all of them
            raise
        return [task.result() if task.done() else None for task in tasks]

    async def _stopped(self, answers: "Sequence[Ready | Carried | None]") -> list[Carried]:
        """Return what became of all shares; those that are not done are stopped."""
        if not all(isinstance(one, Carried) for one in answers):
            await self.tell(stop)
        return [
            one
            if isinstance(one, Carried)
            else Carried(INTERRUPTED if self._is_leaving else STOPPED, machine=worker.name)
            for (worker, _, _), one in zip(self._parts, answers, strict=True)
        ]


def _has_failed(carried: Carried) -> bool:
    return carried.failure not in ("", INTERRUPTED)
