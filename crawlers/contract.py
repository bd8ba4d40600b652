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
from typing import NamedTuple

from server.packed_columns import Columns

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

HEADERS = {"Accept-Encoding": "identity"}
"""What every crawler sends, so that the same bytes come back to all of them."""


class Job(NamedTuple):
    """One URL to fetch."""

    seq: int
    url: str
    due_ns: int = 0
    """Not to be started before this instant of `time.monotonic_ns()`; 0: at once."""


class Recorder:
    """The fetches, in columns: a million rows must not wake the garbage collector."""

    def __init__(self) -> None:
        self._seq = array("q")
        self._start_ns = array("q")
        self._end_ns = array("q")
        self._status = array("H")
        self._size_bytes = array("q")
        self._error = array("B")

    def __call__(
        self, seq: int, start_ns: int, end_ns: int, status: int, size_bytes: int, error: str = ""
    ) -> None:
        """Record a fetch.

        `start_ns`: slot held, nothing sent yet. `end_ns`: last byte of the body read, or the
        failure. `status`: 0 if there was no response. `size_bytes`: of the body, as far as it was
        read. `error`: one of ERROR_WORDS. Raises ValueError for another word.
        """
        code = ERROR_WORDS.index(error) if error else 0
        self._seq.append(seq)
        self._start_ns.append(start_ns)
        self._end_ns.append(end_ns)
        self._status.append(status)
        self._size_bytes.append(size_bytes)
        self._error.append(code)

    def __len__(self) -> int:
        return len(self._seq)

    def columns(self) -> Columns:
        """The fetches in the order in which they were recorded; `error` indexes ERROR_WORDS."""
        return {
            "seq": self._seq,
            "start_ns": self._start_ns,
            "end_ns": self._end_ns,
            "status": self._status,
            "size_bytes": self._size_bytes,
            "error": self._error,
        }


Crawl = Callable[[Iterator[Job], int, float, Recorder], None]


class SharedIterator(Iterator[Job]):
    """Hands out jobs one at a time to any number of threads: generators alone would raise."""

    def __init__(self, jobs: Iterable[Job]) -> None:
        self._jobs = iter(jobs)
        self._lock = threading.Lock()

    def __next__(self) -> Job:
        with self._lock:
            return next(self._jobs)
