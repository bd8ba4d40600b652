"""The floor crawler: asyncio's transports and httptools, with callbacks only.

This is as little as a client can do. No request needs a task, a future or a timer: a slot takes its
next job in the callback that ends the one before, or in an open loop gives itself back there. It
still keeps the whole contract.
"""

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from time import monotonic_ns
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import httptools

from crawlers.asyncio_dispatch import FreeSlots, new_event_loop
from crawlers.contract import HEADERS, Job, Recorder
from crawlers.dispatch import look_ahead
from crawlers.trust import ssl_context

if TYPE_CHECKING:
    import ssl

_HEADER_LINES = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job, on the event loop that was chosen, or asyncio's own."""
    jobs, is_open_loop = look_ahead(jobs)
    new_loop = partial(new_event_loop, is_open_loop)
    crawl_on(new_loop, jobs, concurrency, timeout_s, record, is_open_loop)


def crawl_on(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
    is_open_loop: bool = False,
) -> None:
    """Fetch every job, on an event loop that this function makes."""

    def take_next(slot: _Slot) -> None:
        job = next(jobs, None)
        if job is None:
            slot.end()
        else:
            slot.start(job)

    async def start_when_due(slots: "list[_Slot]", free: "FreeSlots[_Slot]") -> None:
        await free.start_when_due(jobs, _Slot.start)
        for slot in slots:
            slot.end()

    async def main() -> None:
        tls, free = ssl_context(), FreeSlots[_Slot]()
        when_free = free.put_nowait if is_open_loop else take_next
        slots = [_Slot(when_free, timeout_s, record, tls) for _ in range(concurrency)]
        for slot in slots:
            when_free(slot)
        work = [slot.done for slot in slots]
        if is_open_loop:
            work.append(asyncio.ensure_future(start_when_due(slots, free)))
        await asyncio.gather(*work)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(main())


class _Slot:
    """One request at a time, on a connection that it keeps."""

    def __init__(
        self,
        when_free: "Callable[[_Slot], None]",
        timeout_s: float,
        record: Recorder,
        tls: "ssl.SSLContext | None",
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self._when_free = when_free
        self._timeout_ns = int(timeout_s * 1e9)
        self._record = record
        self._tls = tls
        self._job: Job | None = None
        self._start_ns = 0
        self._origin = ""
        self._host = ""
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, job: Job) -> None:
        """Start a job."""
        self._job = job
        self._start_ns = monotonic_ns()
        if self._timer is None:
            self._timer = self._loop.call_later(self._timeout_ns / 1e9, self._check_deadline)
        origin = self._origin
        if self._connection is not None and job.url.startswith(origin + "/"):
            self._send(self._connection, job, job.url[len(origin) :].partition("#")[0])
            return
        self.drop_connection()
        self._connecting = self._loop.create_task(self._connect(job))

    async def _connect(self, job: Job) -> None:
        try:
            parts = urlsplit(job.url)
            is_tls = parts.scheme == "https"
            _, connection = await self._loop.create_connection(
                lambda: _Connection(self),
                parts.hostname or "",
                parts.port or (443 if is_tls else 80),
                ssl=(self._tls or True) if is_tls else None,
            )
        except (OSError, ValueError) as error:
            self.finish(0, 0, "connect" if isinstance(error, OSError) else "failed")
            return
        self._connecting = None
        self._connection = connection
        self._origin = f"{parts.scheme}://{parts.netloc}"
        self._host = parts.netloc.rpartition("@")[2]
        target = job.url[len(self._origin) :].partition("#")[0]
        self._send(connection, job, target if target.startswith("/") else f"/{target}")

    def _send(self, connection: "_Connection", job: Job, target: str) -> None:
        lines = f"{target} HTTP/1.1\r\nHost: {self._host}\r\n{_HEADER_LINES}"
        if job.body is None:
            connection.ask(f"GET {lines}\r\n".encode("latin-1"))
            return
        lines += f"Content-Type: application/json\r\nContent-Length: {len(job.body)}\r\n"
        connection.ask(f"POST {lines}\r\n".encode("latin-1") + job.body)

    def finish(self, status: int, size_bytes: int, error: str = "") -> None:
        """Record the job, which has ended well or not; the slot is free then."""
        end_ns = monotonic_ns()
        job, self._job = self._job, None
        if job is None:
            return
        self._record(job.seq, self._start_ns, end_ns, status, size_bytes, error)
        if error:
            self.drop_connection()
        self._when_free(self)

    def fail(self, error: Exception) -> None:
        """Report a defect of this crawler, so that it is raised and the crawl does not hang."""
        if not self.done.done():
            self.done.set_exception(error)

    def drop_connection(self) -> None:
        """Close the connection, if any; the next job gets a new one."""
        if self._connection is not None:
            self._connection.drop()
            self._connection = None

    def _check_deadline(self) -> None:
        """End the current request if it is too late: one timer serves all requests of a slot."""
        self._timer = None
        if self._job is None:
            return
        left_ns = self._start_ns + self._timeout_ns - monotonic_ns()
        if left_ns > 0:
            wait_s = max(left_ns / 1e9, 0.001)
            self._timer = self._loop.call_later(wait_s, self._check_deadline)
            return
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        connection = self._connection
        status, size_bytes = connection.progress() if connection is not None else (0, 0)
        self.finish(status, size_bytes, "timeout")

    def end(self) -> None:
        """End this slot, which is free."""
        if self._timer is not None:
            self._timer.cancel()
        self.drop_connection()
        if not self.done.done():
            self.done.set_result(None)


class _Connection(asyncio.Protocol):
    """Reads responses, one at a time, and reports them to its slot."""

    def __init__(self, slot: _Slot) -> None:
        self._slot: _Slot | None = slot
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._begin()

    def _begin(self) -> None:
        self._status = 0
        self._size_bytes = 0
        self._has_length = False

    def ask(self, request: bytes) -> None:
        """Send a request."""
        self._begin()
        assert self._transport is not None
        self._transport.write(request)

    def progress(self) -> tuple[int, int]:
        """Return the status (0 for none yet) and the body bytes of the current response."""
        return self._status, self._size_bytes

    def drop(self) -> None:
        """Close, and report nothing more to the slot."""
        self._slot = None
        if self._transport is not None:
            self._transport.abort()

    # Callbacks of the transport --------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport of the new connection."""
        self._transport = cast(
            asyncio.Transport, transport
        )  # uvloop's transports have other base classes

    def data_received(self, data: bytes) -> None:
        """Parse a piece of a response."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish("")
        except httptools.HttpParserCallbackError as error:
            if self._slot is not None:
                self._slot.fail(error)
        except httptools.HttpParserError:
            self._finish("malformed")

    def connection_lost(self, error: Exception | None) -> None:
        """Report that the server closed or reset the connection."""
        if self._status and not self._has_length and error is None:
            self._finish("")  # the body ends with the connection
        else:
            self._finish("closed" if error is None else "reset")

    # Callbacks of the parser -----------------------------------------------------------------

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note the headers that say where the body ends."""
        del value
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._has_length = True

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        """Count a piece of the body and drop it."""
        self._size_bytes += len(part)

    def on_message_complete(self) -> None:
        """Finish the response, unless it is an interim one (100, 103)."""
        if self._status < 200 and self._status != 101:
            self._begin()
            return
        slot = self._slot
        if slot is None:
            return
        if not self._parser.should_keep_alive():
            slot.drop_connection()
        slot.finish(self._status, self._size_bytes)

    def _finish(self, error: str) -> None:
        slot = self._slot
        if slot is not None:
            slot.drop_connection()
            slot.finish(self._status, self._size_bytes, error)
