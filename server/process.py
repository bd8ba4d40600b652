"""Start a server process, wait until it listens, stop it. Standard library only."""

import contextlib
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import IO

from server.announcement import Addresses, parse_listening_line

_START_DEADLINE_S = 20.0
_STOP_DEADLINE_S = 1.0


class ServerStartError(RuntimeError):
    """The server did not come up; the text says why, in the server's own last words."""


class ServerProcess:
    """A server of one's own on free ports, as a context manager.

    The server ends with the `with` block, and by itself if this process dies: it stops when its
    stdin, a pipe from here, ends.
    """

    def __init__(self, *flags: str, command_prefix: Sequence[str] = ()) -> None:
        """`flags` are of `python -m server`; `command_prefix` may pin it (`taskset -c 0`)."""
        self._command = [
            *command_prefix,
            *(sys.executable, "-P", "-m", "server"),
            *("--port", "0", "--stop-on-stdin-eof", *flags),
        ]
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self.addresses = Addresses("", "")

    @property
    def pid(self) -> int:
        """Of the running server."""
        assert self._process is not None, "not started"
        return self._process.pid

    def start(self) -> Addresses:
        """Start it; returns when it listens. Raises ServerStartError."""
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                # Ctrl-C at a terminal goes to the whole group: whoever started the server stops it.
                start_new_session=True,
            )
        except OSError as error:
            self._close_files()
            raise ServerStartError(f"cannot start {self._command[0]}: {error.strerror}") from error
        try:
            line = self._first_line()
        except BaseException:
            self.stop()
            raise
        addresses = parse_listening_line(line)
        if addresses is None:
            self._end()
            reason = self._last_words() or f"it said {line!r}"
            self._close_files()
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
        pipes = (process.stdin, process.stdout) if process is not None else ()
        for pipe in (*pipes, self._stderr):
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

    def _last_words(self) -> str:
        assert self._stderr is not None
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

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
