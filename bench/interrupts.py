"""Ctrl-C and its like: they interrupt once, and what cleans up is not interrupted again."""

import signal
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


def _interrupt(number: int, frame: FrameType | None) -> None:
    for other in _stopping_signals():
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt
