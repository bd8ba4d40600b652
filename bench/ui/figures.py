"""The process that draws interactive figures: questions to it, and its answers.

It is started when it is first needed and answers one question after the other, as JSON, a line per
figure. It ends with its stdin. If it dies, or has grown too large, another takes its place.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

from bench.exit_codes import signal_name
from bench.ui.verbs import make_nice

FIGURES = (sys.executable, "-P", "-m", "plots.interactive")
_MOST_LINE_BYTES = 64_000_000
_MOST_RESIDENT_BYTES = 400_000_000
_DRAIN_S = 5.0
"""How long the rest of an answer is awaited that nobody wants any more."""

Answer = dict[str, msgspec.Raw]
"""The fields of an answer, as JSON."""
_DECODER = msgspec.json.Decoder(Answer)


class FigureError(RuntimeError):
    """The process does not answer; the text is one line."""


class Figures:
    """The process that draws, whichever it is at the moment."""

    def __init__(self, command: Sequence[str] = FIGURES) -> None:
        self._command = tuple(command)
        self._process: Process | None = None
        self._turn = asyncio.Lock()
        self._number = 0
        self._files: dict[str, Path] = {}

    async def ask(self, do: str, **fields: Any) -> AsyncGenerator[Answer]:
        """Ask, and yield each answer: figures, and whatever else belongs to the question.

        An answer without figures has the field `error`. Raises FigureError.
        """
        async with self._turn:
            self._number += 1
            number, process = self._number, await self._started()
            answers = self._answers(process, number)
            is_complete = False
            try:
                await self._write(process, {"id": number, "do": do, **fields})
                async for answer in answers:
                    if "done" not in answer:
                        yield answer
                is_complete = True
            finally:
                # The rest is awaited if it comes soon: a new process takes a second to start.
                is_in_order = is_complete or await _drained(answers)
                if not is_in_order or _resident_bytes(process) > _MOST_RESIDENT_BYTES:
                    await self._end(process)

    async def files(self) -> dict[str, Path]:
        """Return the scripts that figures need, by name. Raises FigureError."""
        if not self._files:
            async for answer in self.ask("assets"):
                found = msgspec.json.decode(answer.get("files", b"{}"), type=dict[str, str])
                self._files = {name: Path(path) for name, path in found.items()}
        return self._files

    async def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._kill(self._process)
        async with self._turn:  # who has asked learns that it has ended
            if self._process is not None:
                await self._end(self._process)

    async def _started(self) -> Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=PIPE,
                stdout=PIPE,
                limit=_MOST_LINE_BYTES,
                start_new_session=True,
            )
            make_nice(self._process)
        return self._process

    async def _write(self, process: Process, question: dict[str, Any]) -> None:
        assert process.stdin is not None
        with suppress(ConnectionError):  # it has died, which the lack of answers shows
            process.stdin.write(msgspec.json.encode(question) + b"\n")
            await process.stdin.drain()

    async def _answers(self, process: Process, number: int) -> AsyncIterator[Answer]:
        assert process.stdout is not None
        while True:
            try:
                line = await process.stdout.readline()
                answer = _DECODER.decode(line) if line else None
            except ValueError as error:
                await self._end(process)
                raise FigureError("the process that draws figures answers nonsense") from error
            if answer is None:
                code = await process.wait()
                how = signal_name(-code) if code < 0 else f"exit code {code}"
                raise FigureError(f"the process that draws figures ended ({how}): ask again")
            if bytes(answer.pop("id", b"")) != str(number).encode():
                continue  # of a question that nobody waits for any more
            yield answer
            if not {"done", "error", "files"}.isdisjoint(answer):
                return

    async def _end(self, process: Process) -> None:
        """End a process, and close its pipes, of which one is read to its end for that."""
        if self._process is process:
            self._process = None
        self._kill(process)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        await process.stdout.read()
        await process.wait()
        with suppress(ConnectionError):
            await process.stdin.wait_closed()

    @staticmethod
    def _kill(process: Process) -> None:
        with suppress(ProcessLookupError):
            process.kill()


async def _drained(answers: AsyncIterator[Answer]) -> bool:
    """Return whether the rest of the answers came soon."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            async for _ in answers:
                pass
    except (TimeoutError, FigureError):
        return False
    return True


def _resident_bytes(process: Process) -> int:
    with suppress(psutil.Error):
        return int(psutil.Process(process.pid).memory_info().rss)
    return 0
