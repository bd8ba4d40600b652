"""Several processes that are one server: starts them, asks them all, merges what they say.

The parent process holds the control port and answers none of the traffic. Each member has the data
port, on which the kernel spreads the connections, and a control port of its own on loopback, whose
token only these processes know.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

from tornado.web import HTTPError

from server.announcement import url_of
from server.control_client import (
    ControlError,
    LiveClient,
    announce_run,
    delete_run,
    fetch_run,
    health,
    stats,
)
from server.ledger import RunRecord
from server.live_counts import LiveCounts, merge_live
from server.merge import merge_runs, merge_stats
from server.parent import end_when_parent_ends
from server.process_usage import peak_memory_bytes
from server.service import Service
from server.site.spec import SiteSpec

MEMBER_HOST = "127.0.0.1"
_MOST_ROWS = 2_000_000_000
"""More than --ledger-rows allows: a run may use the shared rows as well as its own."""
_LIVE_WITHIN_S = 0.5
"""Less than a client of ours waits, so that it learns the reason."""
_Result = TypeVar("_Result")


class Member(NamedTuple):
    """A process that answers traffic."""

    pid: int
    control_url: str


class Members:
    """The members of a server, as a server.control_port.ControlledServer."""

    def __init__(self, members: Sequence[Member]) -> None:
        self._members = members
        self._changing = asyncio.Lock()
        self._live = [LiveClient(member.control_url, _LIVE_WITHIN_S) for member in members]
        self._asking_live = asyncio.Lock()

    async def wait_until_ready(self) -> None:
        """Return once each member answers. Raises tornado.web.HTTPError."""
        await self._all(health)

    def pids(self) -> list[int]:
        """Return the ids of the members."""
        return [member.pid for member in self._members]

    async def stats(self) -> dict[str, Any]:
        """Return the counters of the members together."""
        found = await self._all(stats)
        used = {
            "cpu_seconds": time.process_time(),
            "peak_memory_bytes": peak_memory_bytes(),
            "allocated_blocks": sys.getallocatedblocks(),
        }
        return merge_stats(found, used, time.monotonic_ns())

    async def live(self) -> LiveCounts:
        """Return the counters of the members together."""
        async with self._asking_live:  # each connection takes one request at a time
            asking = (asyncio.to_thread(client.counts) for client in self._live)
            found = await _asked(asyncio.gather(*asking))
        return merge_live(found, time.monotonic_ns())

    async def packed_run(self, name: str, load_from_ns: int | None) -> Iterator[bytes]:
        """Return the ledger of a run, merged in the order of arrival."""

        def fetch(control_url: str) -> RunRecord | None:
            # A member whose first request came late still has the load of the whole run.
            return _unless_missing(lambda: fetch_run(control_url, name, _MOST_ROWS, load_from_ns=0))

        records = await self._all(fetch)
        if all(record is None for record in records):
            raise HTTPError(404, reason="no run of that name")
        merged = await asyncio.to_thread(merge_runs, records, load_from_ns)
        return merged.pack()

    async def announce(self, name: str, rows: int, service: Service, site: SiteSpec | None) -> None:
        """Announce a run to each member: the kernel may send all requests to any of them."""
        if shared := service.shared_flags():
            raise HTTPError(400, reason=shared_state_refused(shared, len(self._members)))
        text = site.text if site is not None else ""
        announced: list[Member] = []
        async with self._changing:
            try:
                # One after another, so that all refuse for the same reason.
                for member in self._members:
                    url = member.control_url
                    await _asked(asyncio.to_thread(announce_run, url, name, rows, service, text))
                    announced.append(member)
            except HTTPError:
                for member in announced:
                    with contextlib.suppress(ControlError):
                        await asyncio.to_thread(delete_run, member.control_url, name)
                raise

    async def delete(self, name: str) -> None:
        """Forget a run, and its site, in each member."""

        def delete(control_url: str) -> bool:
            def known() -> bool:
                delete_run(control_url, name)
                return True

            return bool(_unless_missing(known))

        async with self._changing:
            if not any(await self._all(delete)):
                raise HTTPError(404, reason="no run of that name")

    async def _all(self, ask: Callable[[str], _Result]) -> list[_Result]:
        """Return what each member says, asked at the same time."""
        asking = (asyncio.to_thread(ask, member.control_url) for member in self._members)
        return await _asked(asyncio.gather(*asking))


async def _asked(answer: Awaitable[_Result]) -> _Result:
    """Return an answer of a member; raises its refusal as our own."""
    try:
        return await answer
    except ControlError as error:
        reason = error.said or "a process of this server does not answer"
        raise HTTPError(error.status or 502, reason=reason) from error


def _unless_missing(ask: Callable[[], _Result]) -> _Result | None:
    """Return an answer, or None where the member knows no such run."""
    try:
        return ask()
    except ControlError as error:
        if error.status == 404:
            return None
        raise


def shared_state_refused(flags: Sequence[str], processes: int) -> str:
    """Return why such a service is refused, in one line."""
    return (
        f"{', '.join(flags)}: all requests share the state of this service, which {processes} "
        "processes cannot: start the server with --processes 1"
    )


def listen_together(sockets: Sequence[socket.socket], backlog: int) -> list[socket.socket]:
    """Return sockets that listen on the ports of others, together with those and with each other.

    The kernel spreads the connections between all of them. Those that are given were bound without
    SO_REUSEPORT, which is how a port is refused that belongs to another such group.
    """
    together = []
    for one in sockets:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other = socket.socket(one.family, socket.SOCK_STREAM)
        together.append(other)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        other.setblocking(False)
        other.bind(one.getsockname())
        other.listen(backlog)
    return together


def fork_member(serve: Callable[[socket.socket], object]) -> Member:
    """Start a process that calls `serve` with the listening socket of its control port.

    It ends with this process, however that ends. It does not end by signals that reach the whole
    group of processes, because this process ends it. No thread may have been started yet.
    """
    control = socket.create_server((MEMBER_HOST, 0))
    control.setblocking(False)
    # If it were ignored, as our starter may have left it, nobody would learn of an end.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getpid()
    pid = os.fork()
    if not pid:
        _be_member(parent, lambda: serve(control))
    url = url_of(MEMBER_HOST, control.getsockname()[1])
    control.close()
    return Member(pid, url)


def _be_member(parent: int, serve: Callable[[], object]) -> NoReturn:
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        end_when_parent_ends(parent)
        serve()
    except BaseException:  # whatever it is, there is no caller to tell
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(1)


def call_when_one_ends(call: Callable[[str], object]) -> None:
    """Call, in another thread, once a child of this process has ended, with how it ended."""

    def wait() -> None:
        ended = None
        with contextlib.suppress(ChildProcessError):  # end_members has waited for all by now
            # Without reaping it, so that its number cannot become that of another process.
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        if ended is not None:
            is_signal = ended.si_code != os.CLD_EXITED
            how = "was ended by signal" if is_signal else "ended with exit code"
            call(f"its process {ended.si_pid} {how} {ended.si_status}")

    threading.Thread(target=wait, name="members", daemon=True).start()


def end_members(members: Sequence[Member]) -> None:
    """End all members and wait until they are gone."""
    for member in members:
        os.kill(member.pid, signal.SIGKILL)
    for member in members:
        os.waitpid(member.pid, 0)
