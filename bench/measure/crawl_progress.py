"""Shows the progress of one crawl in a line on stderr, if that is a terminal."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from time import monotonic

from bench.measure.runner import Target
from bench.printable import bare
from server.control_client import ControlError, stats

_EVERY_S = 0.5
"""Time between updates. They are few, because they load the machine and server being measured."""


def format_crawl_progress(
    done: int | None, requests: int, elapsed_s: float, fetching_s: float, limit_s: float
) -> str:
    """Return `420 of 1000 requests, 3 s, about 4 s left`.

    If `done` is None, the number is not known, and the time limit is shown instead. `fetching_s`
    is the elapsed time without the start of the crawler's process.
    """
    if done is None:
        return f"{requests} requests, {elapsed_s:.0f} s; the limit is {limit_s:.0f} s"
    done = min(done, requests)
    shown = f"{done} of {requests} requests, {elapsed_s:.0f} s"
    if not done:
        return shown
    return f"{shown}, about {fetching_s * (requests - done) / done:.0f} s left"


@contextmanager
def crawl_progress(target: Target, requests: int, limit_s: float) -> Iterator[None]:
    """Show the progress of the crawl in the block. A crawlbench server is asked twice a second."""
    if not sys.stderr.isatty():
        yield
        return
    is_over = Event()
    line = _Line(is_over)
    arguments = (line, is_over, target.control_url, requests, limit_s)
    thread = Thread(target=_show, args=arguments, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(_EVERY_S)  # it may still be waiting for a server that does not respond
        line.clear()


class _Line:
    """The last line of a terminal, which is overwritten at each update."""

    def __init__(self, is_over: Event) -> None:
        self._stream = bare(sys.stderr)
        self._is_over = is_over
        self._width = 0

    def show(self, text: str) -> None:
        """Replace the text, unless the crawl is over."""
        if not self._is_over.is_set():
            self._stream.write(f"\r{text:{self._width}}")
            self._stream.flush()
            self._width = len(text)

    def clear(self) -> None:
        """Erase the text."""
        if self._width:
            self._stream.write(f"\r{'':{self._width}}\r")
            self._stream.flush()


def _show(line: _Line, is_over: Event, control_url: str, requests: int, limit_s: float) -> None:
    start_s = fetching_from_s = monotonic()
    before = _ended(control_url)
    while not is_over.wait(_EVERY_S):
        now = _ended(control_url)
        done = None if now is None or before is None else max(0, now - before)
        now_s = monotonic()
        if not done:
            fetching_from_s = now_s
        elapsed_s, fetching_s = now_s - start_s, now_s - fetching_from_s
        line.show(format_crawl_progress(done, requests, elapsed_s, fetching_s, limit_s))


def _ended(control_url: str) -> int | None:
    """Return how many requests, from all clients, a crawlbench server has completed.

    Returns None for another server, or if it does not respond.
    """
    try:
        counted = stats(control_url) if control_url else {}
        return int(counted["requests"]) - int(counted["in_flight"])
    except (ControlError, KeyError, TypeError, ValueError):
        return None
