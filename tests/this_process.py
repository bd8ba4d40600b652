"""Programs of ours called in this process: another would take most of a second to start."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory, TemporaryFile
from typing import TextIO
from unittest.mock import patch

from bench.__main__ import main


def bench(*arguments: str, cwd: Path | None = None, given: str = "") -> "CompletedProcess[str]":
    """What a process of `crawlbench` returns and says, given a text on stdin.

    Results of a crawl that nobody looks at are not kept among those of this checkout.
    """
    if arguments[0] == "crawl" and "--out" not in arguments and cwd is None:
        with TemporaryDirectory() as folder:
            return called(main, *arguments, "--out", folder, given=given)
    return called(main, *arguments, cwd=cwd, given=given)


def bench_without_figures(*arguments: str) -> "CompletedProcess[str]":
    """The same for a verb that would also draw what it measured, in a process of its own."""
    with patch("bench.cli.show.run_plots", return_value=0):
        return bench(*arguments)


def called(
    program: Callable[[list[str]], int], *arguments: str, cwd: Path | None = None, given: str = ""
) -> "CompletedProcess[str]":
    """What a program returns and says that is called in a folder, given a text on stdin."""
    with ExitStack() as stack:
        out, err, stdin = (
            stack.enter_context(TemporaryFile("w+", encoding="utf-8")) for _ in range(3)
        )
        stdin.write(given)
        stdin.seek(0)
        with (
            _redirected(1, out),
            _redirected(2, err),
            redirect_stdout(out),
            redirect_stderr(err),
            patch("sys.stdin", stdin),
            chdir(cwd or Path.cwd()),
            _same_handlers(),
        ):
            try:
                code = program([*arguments])
            except SystemExit as ended:
                code = int(ended.code or 0)
        for stream in (out, err):
            stream.seek(0)
        return CompletedProcess(arguments, code, out.read(), err.read())


@contextmanager
def _redirected(number: int, stream: TextIO) -> Iterator[None]:
    """Processes that the program starts inherit these descriptors."""
    before = os.dup(number)
    os.dup2(stream.fileno(), number)
    try:
        yield
    finally:
        stream.flush()
        os.dup2(before, number)
        os.close(before)


@contextmanager
def _same_handlers() -> Iterator[None]:
    """Those of pytest are in place again afterwards."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [(number, signal.getsignal(number)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
