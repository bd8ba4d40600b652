"""The processes that a crawler has started: they must not outlive the run or disturb the next."""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from time import monotonic

import psutil

from server.parent import adopted_orphans

_WITHIN_S = 5.0
"""Time for killed processes to end; a process may start others faster than they are found."""


@contextmanager
def kill_descendants() -> Iterator[None]:
    """Kill all processes that start within the block, in any session, when it ends.

    Where orphans cannot be adopted, processes whose parent has ended are not found. Outside the
    main thread nothing is killed, because concurrent blocks could not tell whose a process is.
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
