"""Verbs of crawlbench as processes of their own: tables, comparisons, exports, single crawls.

They have the lowest priority, so that looking at results takes nothing from a measurement that it
need not take, and few of them run at a time. They end when nobody waits for them any more.
"""

import asyncio
import os
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager, nullcontext, suppress

from bench.exit_codes import EXIT_OK, EXIT_REGRESSION, EXIT_REQUESTS_FAILED, signal_name
from bench.printable import printable
from bench.ui.experiment import BENCH

AT_A_TIME = 2
_MOST_BYTES = 16_000_000
_END_S = 5.0
"""How long processes that a killed one leaves behind may keep its pipes open."""
_SOUND = (EXIT_OK, EXIT_REQUESTS_FAILED, EXIT_REGRESSION)
"""Exit codes after which the output is what was asked for."""


class VerbError(RuntimeError):
    """A verb that failed; the text is what it said, in one line."""


class Verbs:
    """Runs verbs, at most AT_A_TIME at a time."""

    def __init__(self, bench: Sequence[str] = BENCH) -> None:
        self._bench = tuple(bench)
        self._room = asyncio.Semaphore(AT_A_TIME)

    async def text(self, *words: str, is_measured: bool = False) -> str:
        """Return what a verb prints. If it measures, it runs at once, and like any process.

        Raises VerbError.
        """
        pieces: list[bytes] = []
        async with aclosing(self.pieces(*words, is_measured=is_measured)) as printed:
            async for piece in printed:
                pieces.append(piece)
                if sum(map(len, pieces)) > _MOST_BYTES:
                    raise VerbError("this is too long to be shown: use the command line")
        return b"".join(pieces).decode(errors="replace")

    async def pieces(self, *words: str, is_measured: bool = False) -> AsyncGenerator[bytes]:
        """Yield what a verb prints, piece by piece. Raises VerbError, perhaps after some pieces."""
        room = nullcontext() if is_measured else self._room
        async with room, started(*self._bench, *words, is_nice=not is_measured) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            complaints = asyncio.create_task(_tail(process.stderr))
            try:
                while piece := await process.stdout.read(65_536):
                    yield piece
                said, code = await complaints, await process.wait()
            finally:
                complaints.cancel()
        if code not in _SOUND:
            how = f"it died of {signal_name(-code)}" if code < 0 else f"exit code {code}"
            raise VerbError(_last_line(said) or how)


@asynccontextmanager
async def started(*command: str, is_nice: bool) -> AsyncIterator[Process]:
    """Start a process, if `is_nice` of the lowest priority, and kill it at the end of the block."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, start_new_session=True
    )
    if is_nice:
        make_nice(process)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        with suppress(TimeoutError):
            # Its pipes are closed once they are read to the end.
            async with asyncio.timeout(_END_S):
                await process.communicate()


def make_nice(process: Process) -> None:
    """Give a process the lowest priority."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, process.pid, 19)


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """Read all of a stream, and return its end."""
    tail = b""
    while piece := await stream.read(65_536):
        tail = (tail + piece)[-4096:]
    return tail


def _last_line(said: bytes) -> str:
    """Return the last line on stderr, without the name of the program."""
    lines = said.decode(errors="replace").strip().splitlines()
    last = printable(lines[-1]) if lines else ""
    before, _, after = last.partition(": ")
    return after.removeprefix("error: ") if before.startswith("crawlbench") else last
