"""Ctrl-C and its like: they interrupt once, and what cleans up is not interrupted again."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def interrupt_once() -> None:
    """Have the next stopping signal raise KeyboardInterrupt; those after it are ignored."""
    for number in _stopping_signals():
        signal.signal(number, _interrupt)


def _stopping_signals() -> list[signal.Signals]:
    """Those that mean: stop. A hang-up does not mean it under nohup."""
    stopping = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        stopping.append(signal.SIGHUP)
    return stopping


class HeldBack:
    """What came of signals while they were held back."""

    def __init__(self) -> None:
        self.has_come = False


@contextmanager
def hold_interrupts() -> Iterator[HeldBack]:
    """Note stopping signals instead of raising KeyboardInterrupt, while nothing may be cut "
    "short."""
    held_back = HeldBack()
    _holds.append(held_back)
    try:
        yield held_back
    finally:
        _holds.remove(held_back)


_holds: list[HeldBack] = []


def _interrupt(number: int, frame: FrameType | None) -> None:
    if _holds:
        _holds[-1].has_come = True
        return
    for other in _stopping_signals():
        signal.signal(other, _ignore)
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing. With SIG_IGN, Python complains about a signal that has come just before."""
