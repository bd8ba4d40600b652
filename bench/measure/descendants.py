"""What a crawler has started: it must not outlive the run, nor disturb the next."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from time import monotonic

import psutil

from server.parent import adopted_orphans

_WITHIN_S = 5.0
"""For processes that are killed to end; one may start others faster than they are found."""


@contextmanager
def none_left() -> Iterator[None]:
    """Kill what the block has started and what that has started, in whatever session it is.

    Where orphans cannot be adopted, those whose parent has ended are not found. Nor is anything in
    other threads than the main one: of blocks side by side, none could tell whose a process is.
    """
    if current_thread() is not main_thread():
        yield
        return
    with adopted_orphans():
        others = _descendants()
        try:
            yield
        finally:
            deadline_s = monotonic() + _WITHIN_S
            while (left := _descendants() - others) and monotonic() < deadline_s:
                for process in left:
                    with contextlib.suppress(psutil.Error):
                        process.kill()
                psutil.wait_procs(left, timeout=0.1)


def _descendants() -> frozenset[psutil.Process]:
    return frozenset(psutil.Process().children(recursive=True))
