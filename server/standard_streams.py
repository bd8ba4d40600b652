"""Runs a program whose output may meet a closed stream, a full disk, or a reader that has gone.

The program then ends with one line and a documented exit code, never with a traceback. Standard
library only.
"""

import io
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

EXIT_ENVIRONMENT = 3
EXIT_BROKEN_PIPE = 141
"""The exit code that shells report for a program that died of SIGPIPE."""


class OutputError(Exception):
    """Standard output cannot be written; the text says why.

    It is no OSError, because code that catches OSError means the files that it opens itself.
    """


def run_program(name: str, program: Callable[[], int], *, needs_reader: bool = True) -> int:
    """Run a program with protected streams; return its exit code, or that of a failure.

    What stderr cannot take is dropped, because the exit code still shows the failure. If stdout
    fails, one line that begins with `name` goes to stderr.

    `needs_reader`: the program ends where nobody reads its output any more (`| head`). Without it,
    it goes on and its further output is dropped: it does more than print, and its exit code is a
    result.
    """
    _occupy_closed_streams()
    # Streams other than these two belong to a test, which reads them.
    if sys.stdout is sys.__stdout__:
        sys.stdout = _like(sys.stdout, _Output(1, "w", closefd=False))
        _Output.needs_reader = needs_reader
    if sys.stderr is sys.__stderr__:
        sys.stderr = _like(sys.stderr, _Complaints(2, "w", closefd=False))
    try:
        try:
            return program()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has gone
        return EXIT_BROKEN_PIPE
    except OutputError as error:
        print(f"{name}: cannot write to standard output: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT


def end_when_unread() -> None:
    """From now on output that nobody reads raises BrokenPipeError: there is no more to do."""
    _Output.needs_reader = True


class _Output(io.FileIO):
    needs_reader = True

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            # The rest goes nowhere. Python would complain of it once more at its exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            if isinstance(error, BrokenPipeError):
                if self.needs_reader:
                    raise
                return len(data)
            raise OutputError(error.strerror) from None


class _Complaints(io.FileIO):
    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _like(stream: object, raw: io.FileIO) -> TextIO:
    """Return a stream to another file, with the settings of this one."""
    assert isinstance(stream, io.TextIOWrapper)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        stream.encoding,
        stream.errors,
        # With PYTHONUNBUFFERED a stream writes through to what is not buffered: ours is.
        line_buffering=stream.line_buffering or stream.write_through,
    )


def _occupy_closed_streams() -> None:
    """Open the null device in place of closed standard streams.

    Otherwise the next file opened, such as the results file, would take the number of the stream
    and receive what is printed.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - for good
