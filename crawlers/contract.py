"""The contract of crawlers: a crawler is a function that fetches jobs and records each of them.

    def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None

It fetches every job once, in the order of the iterator, with at most `concurrency` in flight, and
records each exactly once. A failure is recorded; it is never raised and never retried. It takes a
job only when it has a free slot, so that no job waits inside the client library; a short queue of
its own may hold one more job, and the producer of that queue another. It follows no redirects,
ignores the proxies of the environment, and reads the whole body. It is called once in a fresh
process, in the main thread, and returns when all jobs are done.

In an open loop each job has a `due_ns`. It is never started before that instant, by the clock
`time.monotonic_ns()`: timers may fire early, so the clock is read again after a wait. The order is
kept. A job that is late, because no slot was free, is started as soon as one is; it is never
dropped. crawlers.dispatch does this with one dispatcher. In a closed loop `due_ns` is 0. All jobs
of a crawl have a due time, or none has.

A crawler of crawlers.registry may declare that it does otherwise: `takes_all`, `queues`. It can do
an open loop only if it declares `open_loop`. One that declares `adapts` chooses itself how many are
in flight, up to `concurrency`, and tells each change by `record.limit`.

`jobs` may be shared between threads, and `next` may take time to compute.
"""

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from server.packed_columns import Columns

if TYPE_CHECKING:  # never imported in a crawler's process, which loads only its own client
    import numpy as np
    from numpy.typing import NDArray

ERROR_WORDS = (
    "",
    "timeout",
    "connect",
    "reset",
    "closed",
    "malformed",
    "failed",
)
"""How a fetch can end, in the same words for all libraries.

- "": the whole body was read, whatever the status.
- timeout: not over within `timeout_s` of its start.
- connect: no connection: refused, no route, no such host, no descriptors.
- reset: the connection was reset.
- closed: the connection was closed before the response was complete.
- malformed: the response was not valid HTTP.
- failed: anything else.
"""

FETCH_COLUMNS = ("seq", "start_ns", "end_ns", "status", "size_bytes", "error")
LIMIT_COLUMNS = ("at_ns", "most")


@overload
def is_good(error: int, status: int, *, is_planned: bool) -> bool: ...


@overload
def is_good(
    error: "NDArray[np.int64]", status: "NDArray[np.int64]", *, is_planned: bool
) -> "NDArray[np.bool_]": ...


def is_good(error: Any, status: Any, *, is_planned: bool) -> Any:
    """Return whether a fetch got a good response: no error, and a good status.

    The arguments are numbers or columns. Our server answers a planned request with status 200 only
    (`is_planned`). From other servers 100 to 399 is good: redirects are not followed, so that a
    redirect is a response. A fetch without a status is not good.
    """
    least, most = (200, 200) if is_planned else (100, 399)
    return (error == 0) & (least <= status) & (status <= most)


def failure_word(error: int, status: int, *, is_planned: bool) -> str:
    """Return what is wrong with a fetch: one of ERROR_WORDS, or `status N`; "" for a good one."""
    if is_good(error, status, is_planned=is_planned):
        return ""
    return ERROR_WORDS[error] or f"status {status}"


DUE_AFTER_S = 0.3
"""How long after the first `next` the first job of an open loop is due: time to get ready."""

_CODES = {word: code for code, word in enumerate(ERROR_WORDS)}
_ROW = Struct(f"{len(FETCH_COLUMNS)}q")
_LIMIT = Struct(f"{len(LIMIT_COLUMNS)}q")

HEADERS = {"Accept-Encoding": "identity"}
"""The headers that every crawler sends, so that all receive the same bytes."""

_JSON_HEADERS = {**HEADERS, "Content-Type": "application/json"}


class Job(NamedTuple):
    """One URL to fetch."""

    seq: int
    url: str
    due_ns: int = 0
    """The earliest start, as an instant of `time.monotonic_ns()`; 0 means at once."""
    body: bytes | None = None
    """JSON to send by POST; None for a GET."""

    @property
    def method(self) -> str:
        """POST if there is a body, else GET."""
        return "GET" if self.body is None else "POST"

    @property
    def headers(self) -> dict[str, str] | None:
        """All headers to send with a body; None for HEADERS alone."""
        return None if self.body is None else _JSON_HEADERS


class Recorder:
    """The fetches of a run in packed rows, which do not wake the garbage collector.

    Threads may share a recorder, because one call into C adds a whole row.
    """

    def __init__(self) -> None:
        self._rows = bytearray()
        self._limits = bytearray()

    def __call__(
        self, seq: int, start_ns: int, end_ns: int, status: int, size_bytes: int, error: str = ""
    ) -> None:
        """Record a fetch.

        `start_ns` is when its slot was held and nothing was sent yet. `end_ns` is when the last
        byte of the body was read, or when the fetch failed. `status` is 0 if there was no response.
        `size_bytes` counts the body bytes that were read. `error` is one of ERROR_WORDS. Raises
        ValueError for another word or an end before the start, struct.error for an integer that
        does not fit into 64 bits.
        """
        code = _CODES.get(error)
        if code is None:
            raise ValueError(f"{error!r} is not one of ERROR_WORDS")
        if end_ns < start_ns:
            raise ValueError(f"the fetch of {seq} ends before it starts")
        self._rows.extend(_ROW.pack(seq, start_ns, end_ns, status, size_bytes, code))

    def limit(self, at_ns: int, most: int) -> None:
        """Record that the crawler has at most `most` in flight, by its own choice, from `at_ns` on.

        Only crawlers that declare `adapts` call it: before their first fetch, and at each change,
        which are no more than a thousand more than the fetches.
        Raises ValueError for a limit below 1, struct.error for an integer beyond 64 bits.
        """
        if most < 1:
            raise ValueError(f"a limit of {most} would let nothing be in flight")
        self._limits.extend(_LIMIT.pack(at_ns, most))

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def so_far(self) -> "Recorder":
        """A copy, while others go on recording: its last row is whole, too."""
        copy = Recorder()
        copy._rows, copy._limits = self._rows[:], self._limits[:]
        return copy

    def columns(self) -> Columns:
        """Return the fetches in the order of recording; `error` indexes ERROR_WORDS."""
        return _columns(self._rows, FETCH_COLUMNS)

    def limits(self) -> Columns:
        """Return the limits in the order of recording; empty for a crawler that does not adapt."""
        return _columns(self._limits, LIMIT_COLUMNS)


def _columns(packed: bytearray, names: tuple[str, ...]) -> Columns:
    columns = {}
    with memoryview(packed) as rows, rows.cast("q") as numbers:
        for index, name in enumerate(names):
            columns[name] = array("q")
            columns[name].frombytes(numbers[index :: len(names)].tobytes())
    return columns


Crawl = Callable[[Iterator[Job], int, float, Recorder], None]


class SharedIterator(Iterator[Job]):
    """Hands out jobs one at a time to several threads, which a plain generator cannot do."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)
        self._lock = threading.Lock()

    def __next__(self) -> Job:
        with self._lock:
            return next(self._jobs)
