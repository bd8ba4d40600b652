"""What happens to a process when the process that started it ends.

Processes that the bench starts get a pipe as stdin, which ends when the bench ends. Linux helps
where that is not enough; other systems have nothing for it. Standard library only.
"""

import contextlib
import os
import signal
import sys
from _thread import start_new_thread
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def continue_when_parent_ends() -> None:
    """Have this process continued if its parent ends while it is stopped.

    A stopped process cannot notice that its stdin has ended. Linux sends SIGCONT when the thread
    that started this process ends; it does no harm if that thread was not the last of its process.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def end_when_parent_ends(parent: int) -> None:
    """Have this process, a fork of process `parent`, killed when that ends. Linux only."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def end_with_stdin(
    end: Callable[[], object], said: Callable[[bytes], object] = lambda _: None
) -> None:
    """Call `end` once stdin has ended, which means that the parent process is gone.

    `said` is called with whatever comes on stdin before that.
    """

    def watch() -> None:
        with contextlib.suppress(OSError):
            while came := os.read(0, 4096):
                said(came)
        end()

    # A thread that monkey-patching does not reach. It needs no lock and no clean-up.
    start_new_thread(watch, ())


def kill_own_group() -> None:
    """End this process at once, and the processes that it has started in its session."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(130)


def adopt_orphans() -> None:
    """From now on, become the parent of descendants whose own parent has ended, instead of init.

    Otherwise nothing would be known of the children of a process that forks and ends. Linux only.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


@contextmanager
def adopted_orphans() -> Iterator[None]:
    """Adopt orphans as `adopt_orphans` does, for the duration of the block."""
    adopt_orphans()
    try:
        yield
    finally:
        if sys.platform == "linux":
            _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _prctl(option: int, value: int) -> None:
    """Call prctl; if the kernel refuses, nothing changes."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # a libc without it
        ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(number) for number in (value, 0, 0, 0)))
