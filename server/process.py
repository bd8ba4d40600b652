"""Start a server process, wait until it listens, stop it. Standard library only."""

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO

from server.announcement import Addresses, parse_listening_line

_START_DEADLINE_S = 20.0
_STOP_DEADLINE_S = 1.0
_LAST_WORDS_BYTES = 4000


class ServerStartError(RuntimeError):
    """The server did not come up; the text says why, in the server's own last words."""


class LastWords:
    """The end of what a process says on a pipe, which is read all the time: it never waits."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._said = b""
        self._thread = threading.Thread(target=self._listen, args=(pipe,), daemon=True)
        self._thread.start()

    def _listen(self, pipe: IO[bytes]) -> None:
        with pipe, contextlib.suppress(OSError):
            while piece := os.read(pipe.fileno(), 65_536):
                self._said = (self._said + piece)[-_LAST_WORDS_BYTES:]

    def text(self, within_s: float) -> str:
        """All of it once the pipe has ended, or what there is after so many seconds."""
        self._thread.join(within_s)
        return self._said.decode(errors="replace").strip()


class ServerProcess:
    """A server of one's own on free ports, as a context manager.

    The server ends with the `with` block, and by itself if this process dies: it stops when its
    stdin, a pipe from here, ends.
    """

    def __init__(self, *flags: str, command_prefix: Sequence[str] = ()) -> None:
        """`flags` are of `python -m server`; `command_prefix` may pin it (`taskset -c 0`)."""
        self._command = [
            *command_prefix,
            sys.executable,
            "-P",
            "-m",
            "server",
            "--port",
            "0",
            "--stop-on-stdin-eof",
            *flags,
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self.addresses = Addresses("", "")

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> Addresses:
        """Start it; returns when it listens. Raises ServerStartError."""
        try:
            self._process = process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # Ctrl-C at a terminal goes to the whole group: whoever started the server stops it.
                start_new_session=True,
            )
        except OSError as error:
            raise ServerStartError(f"cannot start {self._command[0]}: {error.strerror}") from error
        assert process.stderr is not None
        last_words = LastWords(process.stderr)
        try:
            line = self._first_line()
        except BaseException:
            self.stop()
            raise
        addresses = parse_listening_line(line)
        if addresses is None:
            self.stop()
            said = last_words.text(_STOP_DEADLINE_S).splitlines()
            reason = said[-1] if said else f"it said {line!r}"
            raise ServerStartError(f"the server did not start: {reason}")
        self.addresses = addresses
        return addresses

    def stop(self) -> None:
        """Stop it, by force if it does not stop in time. May be called twice."""
        self._end()
        self._close_files()

    def _end(self) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _close_files(self) -> None:
        process = self._process
        for pipe in (process.stdin, process.stdout) if process is not None else ():
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _first_line(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        # A thread, since a pipe cannot be waited for with a deadline on every system.
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        read = self._process.stdout.readline
        threading.Thread(target=lambda: lines.put(read()), daemon=True).start()
        try:
            return lines.get(timeout=_START_DEADLINE_S).decode(errors="replace")
        except queue.Empty:
            return f"nothing heard for {_START_DEADLINE_S:g} s"

    def __enter__(self) -> "ServerProcess":
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
