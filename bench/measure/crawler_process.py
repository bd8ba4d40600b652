"""One crawler process on this machine, from its start to the end of its outcome."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping
from queue import SimpleQueue
from threading import Event, Thread
from typing import IO

from bench.exit_codes import signal_name
from bench.measure.interpreters import crawler_command
from bench.measure.pinning import pin
from bench.plan.entrants import Entrant
from crawlers.spec import NoOutcomeError, Outcome, Spec, start_line, wait_until_ready
from server.process import LastWords

_EOF_S = 5.0
"""Time for the pipes of killed processes to end."""
_POLL_S = 0.05
"""How often it is looked whether a process that never becomes ready has ended."""


class CrawlerProcess:
    """A crawler process. It waits for a spec, loads its crawler, and waits to begin."""

    def __init__(self, entrant: Entrant, environment: Mapping[str, str], most_rows: int) -> None:
        """Start the process; an outcome of more rows than `most_rows` is refused.

        Raises OSError.
        """
        self._process = process = subprocess.Popen(
            crawler_command(entrant, "--worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env=environment,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.pid = process.pid
        self._stdin = process.stdin
        self._reader = _Reader(process.stdout, most_rows)
        self._last_words = LastWords(process.stderr)

    def send(self, spec: Spec, cpus: frozenset[int]) -> None:
        """Pin the process, and send it what to crawl."""
        # Until the spec is sent the process waits for it, with a single thread.
        pin(self.pid, cpus)
        with contextlib.suppress(BrokenPipeError):  # it has died; its exit code says more
            spec.send(self._stdin)

    def wait_until_ready(self) -> None:
        """Wait until its crawler is loaded, or until it has ended."""
        while not self.is_ready_within(_POLL_S) and self._process.poll() is None:
            pass

    def is_ready_within(self, seconds: float) -> bool:
        """Return, after so long at most, whether its crawler is loaded, or will never be."""
        return self._reader.is_ready.wait(seconds)

    @property
    def is_loaded(self) -> bool:
        """Whether it has said that its crawler is loaded."""
        return self._reader.is_loaded

    def begin(self, at_ns: int) -> None:
        """Have it begin at an instant of this machine's monotonic clock; 0 means at once."""
        self._say(start_line(at_ns))

    def tell_end(self, ended: "SimpleQueue[CrawlerProcess]") -> None:
        """Put this into a queue as soon as the process has ended."""

        def wait() -> None:
            self._process.wait()
            ended.put(self)

        Thread(target=wait, daemon=True).start()

    def leave(self) -> None:
        """Have it leave what it has fetched so far, and end."""
        self._say(b"\n")

    @property
    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return self._process.returncode

    @property
    def failure(self) -> str:
        """How it has ended if that was no success, in a few words."""
        code = self._process.returncode
        if code < 0:
            return f"died of {signal_name(-code)}"
        return f"crashed with exit code {code}" if code else ""

    def outcome(self) -> tuple[str, Outcome | None]:
        """Return why there is no outcome, or "" and the outcome, of a process that has ended."""
        failure = self._reader.failure(_EOF_S)
        return failure, None if failure else self._reader.outcome

    def last_words(self) -> str:
        """Return the end of what it wrote to stderr, once it has ended."""
        return self._last_words.text(_EOF_S)

    def kill(self) -> None:
        """Kill it, and the processes that it started in its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def end(self) -> None:
        """Kill it, and wait for its end."""
        self.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._stdin.close()

    def _say(self, line: bytes) -> None:
        with contextlib.suppress(OSError):  # it has ended, or does not even read the spec
            os.set_blocking(self._stdin.fileno(), False)
            os.write(self._stdin.fileno(), line)


class _Reader:
    """Reads a crawler's outcome in a thread as it comes, up to a limit."""

    def __init__(self, pipe: IO[bytes], most_rows: int) -> None:
        self.is_ready = Event()
        """Set once the crawler is loaded, or will never be."""
        self.is_loaded = False
        self.outcome: Outcome | None = None
        self._failure = "left an outcome without end: what it has started goes on"
        self._thread = Thread(target=self._read, args=(pipe, most_rows), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes], most_rows: int) -> None:
        try:
            with pipe:
                wait_until_ready(pipe)
                self.is_loaded = True
                self.is_ready.set()
                self.outcome = Outcome.read(pipe, most_rows)
                self._failure = ""
        except NoOutcomeError as error:
            self._failure = str(error)
        except (OSError, ValueError) as error:
            self._failure = f"left no outcome that can be read: {error}"
        finally:
            self.is_ready.set()

    def failure(self, within_s: float) -> str:
        """Return why there is no outcome, or ""; waits up to `within_s` for the pipe to end."""
        self._thread.join(within_s)
        return self._failure
