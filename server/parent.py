"""What becomes of a process when the one that started it ends, however it ends.

Processes of the bench get a pipe as stdin, which ends with the bench. Linux helps where that is not
enough, and elsewhere nothing does. Standard library only.
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
    """A process that is stopped cannot see that its stdin has ended: have it continue then.

    Linux sends the signal when the thread that started this process ends. SIGCONT does no harm if
    that thread was not the last of its process.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def end_with_stdin(end: Callable[[], object], asked: Callable[[], object] = lambda: None) -> None:
    """Call `end` once stdin has ended: whoever started this process is gone.

    `asked` is called whenever something comes on stdin before that.
    """

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(0, 4096):
                asked()
        end()

    # A thread that no monkey-patching has touched. It needs no lock and no clean-up.
    start_new_thread(watch, ())


def kill_own_group() -> None:
    """End this process at once, and those that it has started in its session."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(130)


def adopt_orphans() -> None:
    """From now on a process whose parent has ended becomes a child of this one, not of init.

    Of a child that forks and ends nothing else would be known. Linux only.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)


@contextmanager
def adopted_orphans() -> Iterator[None]:
    """The same, for a while."""
    adopt_orphans()
    try:
        yield
    finally:
        if sys.platform == "linux":
            _prctl(_PR_SET_CHILD_SUBREAPER, 0)


def _prctl(option: int, value: int) -> None:
    """Ask the kernel; where it refuses, all is as without it."""
    import ctypes

    with contextlib.suppress(OSError, AttributeError):  # a libc without it
        ctypes.CDLL(None).prctl(option, *(ctypes.c_ulong(number) for number in (value, 0, 0, 0)))
