"""What a crawler is: a function that fetches jobs, a slot for each, and records every one.

    def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None

It fetches every job once, in the order of the iterator, with at most `concurrency` in flight, and
records each exactly once. A failure is recorded; it is never raised and never retried. It takes a
job only when it has a free slot, so that no job waits inside the client library. Redirects are not
followed, proxies of the environment are not obeyed, the whole body is read. It is called once in a
process of its own, in the main thread, and returns when all is done.

`jobs` may be shared between threads, and `next` may take time to compute.
"""

import threading
from array import array
from collections.abc import Callable, Iterable, Iterator
from struct import Struct
from typing import TYPE_CHECKING, Any, NamedTuple, overload

from server.packed_columns import Columns

if TYPE_CHECKING:  # never imported: a crawler's process has its own client and no more
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
"""How a fetch may end, in one vocabulary for all libraries.

- "": the body was read whole, whatever the status.
- timeout: not over within `timeout_s` of its start.
- connect: no connection: refused, no route, no such host, no descriptors.
- reset: the connection was reset.
- closed: the connection was closed before the answer was whole.
- malformed: what came was not HTTP.
- failed: anything else.
"""

FETCH_COLUMNS = ("seq", "start_ns", "end_ns", "status", "size_bytes", "error")


@overload
def is_good(error: int, status: int, *, is_planned: bool) -> bool: ...


@overload
def is_good(
    error: "NDArray[np.int64]", status: "NDArray[np.int64]", *, is_planned: bool
) -> "NDArray[np.bool_]": ...


def is_good(error: Any, status: Any, *, is_planned: bool) -> Any:
    """Whether a fetch got a good answer: no error, and a good status; of numbers or of columns.

    A server of ours answers a plan with status 200 and no other (`is_planned`). Of any other
    server 100 to 399 is good: redirects are not followed, so that one is an answer. A fetch without
    a status is not good.
    """
    least, most = (200, 200) if is_planned else (100, 399)
    return (error == 0) & (least <= status) & (status <= most)


def failure_word(error: int, status: int, *, is_planned: bool) -> str:
    """What is wrong with a fetch: one of ERROR_WORDS, or `status N`; "" for a good one."""
    if is_good(error, status, is_planned=is_planned):
        return ""
    return ERROR_WORDS[error] or f"status {status}"


_CODES = {word: code for code, word in enumerate(ERROR_WORDS)}
_ROW = Struct(f"{len(FETCH_COLUMNS)}q")

HEADERS = {"Accept-Encoding": "identity"}
"""What every crawler sends, so that the same bytes come back to all of them."""


class Job(NamedTuple):
    """One URL to fetch."""

    seq: int
    url: str
    due_ns: int = 0
    """Not to be started before this instant of `time.monotonic_ns()`; 0: at once."""


class Recorder:
    """The fetches, in packed rows: a million must not wake the garbage collector.

    Threads may share one: a row is added whole, by one call into C.
    """

    def __init__(self) -> None:
        self._rows = bytearray()

    def __call__(
        self, seq: int, start_ns: int, end_ns: int, status: int, size_bytes: int, error: str = ""
    ) -> None:
        """Record a fetch.

        `start_ns`: slot held, nothing sent yet. `end_ns`: last byte of the body read, or the
        failure. `status`: 0 if there was no response. `size_bytes`: of the body, as far as it was
        read. `error`: one of ERROR_WORDS. Raises ValueError for another word or an end before the
        start, struct.error for what is not an integer of 64 bits.
        """
        code = _CODES.get(error)
        if code is None:
            raise ValueError(f"{error!r} is not one of ERROR_WORDS")
        if end_ns < start_ns:
            raise ValueError(f"the fetch of {seq} ends before it starts")
        self._rows.extend(_ROW.pack(seq, start_ns, end_ns, status, size_bytes, code))

    def __len__(self) -> int:
        return len(self._rows) // _ROW.size

    def columns(self) -> Columns:
        """The fetches in the order in which they were recorded; `error` indexes ERROR_WORDS."""
        columns = {}
        with memoryview(self._rows) as rows, rows.cast("q") as numbers:
            for index, name in enumerate(FETCH_COLUMNS):
                columns[name] = array("q")
                columns[name].frombytes(numbers[index :: len(FETCH_COLUMNS)].tobytes())
        return columns


Crawl = Callable[[Iterator[Job], int, float, Recorder], None]


class SharedIterator(Iterator[Job]):
    """Hands out jobs one at a time to any number of threads: generators alone would raise."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)
        self._lock = threading.Lock()

    def __next__(self) -> Job:
        with self._lock:
            return next(self._jobs)
