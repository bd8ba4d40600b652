"""Where one fault is injected: folders of its own, and what must be true there afterwards."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psutil

from bench.results.store import FILE_NAME

ROOT = Path(__file__).parent.parent.parent
MARK = "CRAWLBENCH_FAULT"
"""Set in the environment of every process of a fault, so that none can be overlooked."""

_HANG_S = 60.0
_STEP_S = 0.01


class ShortfallError(AssertionError):
    """What must happen did not; the text says what happened instead."""


def must(is_so: object, otherwise: str) -> None:
    """Raise ShortfallError unless it is so."""
    if not is_so:
        raise ShortfallError(otherwise)


@dataclass(frozen=True, slots=True)
class Done:
    """A command that has ended."""

    code: int
    stdout: str
    stderr: str

    @property
    def last_line(self) -> str:
        """Of stderr; "" if it said nothing."""
        return (self.stderr.strip().splitlines() or [""])[-1]

    def must_say(self, code: int, *words: str) -> str:
        """Check the exit code, and words of stderr; returns its last line."""
        must(self.code == code, f"exit code {self.code}, and not {code}: {self.last_line}")
        for word in words:
            must(word in self.stderr, f"{word!r} is not in {self.stderr[-300:]!r}")
        must_be_plain(self.stdout + self.stderr)
        return f"exit {self.code}: {self.last_line}"


def must_be_plain(text: str) -> None:
    """No traceback, and nothing that commands a terminal."""
    must("Traceback (most recent" not in text, f"a traceback: {text[-300:]!r}")
    controls = sorted({one for one in text if not one.isprintable() and one not in "\n\t"})
    must(not controls, f"control characters {controls} reach the terminal")


class Place:
    """Folders and processes of one fault. A context manager that leaves nothing behind."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="crawlbench-fault-"))
        self.out = self.folder / "out"
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        self._started: list[subprocess.Popen[bytes]] = []
        self._mark = f"{os.getpid()}-{self.folder.name}"
        self.environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "TMPDIR": str(self.temporary),
            "NO_COLOR": "1",
            MARK: self._mark,
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self.processes():
            process.kill()
        for started in self._started:
            started.kill()
            started.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)

    # Commands --------------------------------------------------------------------------------

    def command(self, *words: object) -> list[str]:
        """The words that start `crawlbench WORDS`; a crawl is kept with the other results."""
        if words[0] == "crawl":
            words += ("--out", self.out)
        return [sys.executable, "-P", "-m", "bench", *map(str, words)]

    def call(self, *words: object, environment: Mapping[str, str] | None = None) -> Done:
        """`crawlbench WORDS`, to its end."""
        return self.run(self.command(*words), environment)

    def run(self, command: list[str], environment: Mapping[str, str] | None = None) -> Done:
        """Any command, to its end."""
        try:
            done = subprocess.run(
                command,
                cwd=ROOT,
                env={**self.environment, **(environment or {})},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_HANG_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ShortfallError(
                f"not over after {_HANG_S:g} s: {' '.join(command[-6:])}"
            ) from None
        return Done(
            done.returncode, *(one.decode(errors="replace") for one in (done.stdout, done.stderr))
        )

    def start(self, *words: object, **options: Any) -> "subprocess.Popen[bytes]":
        """`crawlbench WORDS`, in a session of its own."""
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen(
            self.command(*words),
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            **options,
        )
        self._started.append(process)
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> Done:
        """What became of a process that was started."""
        try:
            stdout, stderr = process.communicate(timeout=_HANG_S)
        except subprocess.TimeoutExpired:
            raise ShortfallError(f"still there after {_HANG_S:g} s") from None
        texts = ((one or b"").decode(errors="replace") for one in (stdout, stderr))
        return Done(process.returncode, *texts)

    def sweep(self, *words: object) -> "subprocess.Popen[bytes]":
        """A sweep of many short runs, under way."""
        return self.start(
            *("run", "--crawlers", "protocol", "--concurrency", "1,3", "--delay", "2", "-n", 30),
            *("--trials", 30, "--out", self.out, *words),
        )

    # What there is ---------------------------------------------------------------------------

    @property
    def latest(self) -> Path:
        """The folder of the newest results."""
        return self.out / "latest"

    def kept(self) -> int:
        """Runs in the newest results; 0 if there are none yet."""
        path = self.newest() / FILE_NAME
        if not path.exists():
            return 0
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
        try:
            return int(connection.execute("SELECT count(*) FROM run").fetchone()[0])
        except sqlite3.OperationalError:  # between two steps of its making
            return 0
        finally:
            connection.close()

    def newest(self) -> Path:
        """The folder of results that was made last, whether `latest` names it or not."""
        folders = [one for one in self.out.glob("2*") if one.is_dir()]
        return max(folders, default=self.out / "none")

    def processes(self) -> list[psutil.Process]:
        """All processes of this fault that are alive."""
        found = []
        for process in psutil.process_iter():
            try:
                is_ours = process.environ().get(MARK) == self._mark
                if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def child(self, module: str) -> psutil.Process | None:
        """A process of this fault that runs `python -m MODULE`."""
        for process in self.processes():
            try:
                words = process.cmdline()
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
            if any(pair == ("-m", module) for pair in pairwise(words)):
                return process
        return None

    def wait_for(self, what: str, is_so: Callable[[], object], most_s: float = _HANG_S) -> None:
        """Return once it is so."""
        deadline = time.monotonic() + most_s
        while not is_so():
            must(time.monotonic() < deadline, f"{what}: not within {most_s:g} s")
            time.sleep(_STEP_S)

    def pause(self, least_s: float, most_s: float) -> float:
        """Wait until a random instant; returns how long that was, in s."""
        span_s = self.random.uniform(least_s, most_s)
        time.sleep(span_s)
        return span_s

    # What must be true afterwards -----------------------------------------------------------

    def must_leave_nothing(self, within_s: float = 10.0) -> None:
        """No process, and no temporary file."""
        try:
            self.wait_for("processes end", lambda: not self.processes(), within_s)
        except ShortfallError:
            left = [" ".join(one.cmdline()[-4:]) for one in self.processes()]
            raise ShortfallError(f"left running: {left}") from None
        left_files = [str(path.relative_to(self.temporary)) for path in self.temporary.rglob("*")]
        must(not left_files, f"left in the temporary folder: {left_files[:5]}")

    def must_keep(self, least: int) -> str:
        """The newest results have so many runs, can be read, and the rest can be done."""
        kept = self.kept()
        must(kept >= least, f"{kept} runs are kept, and {least} had been done")
        if kept:
            report = self.call("report", self.newest())
            must(report.code in (0, 1), f"report: exit {report.code}: {report.last_line}")
            must_be_plain(report.stdout + report.stderr)
        return f"{kept} runs kept and readable"

    def must_crawl(self) -> str:
        """Nothing in the way of a crawl of 100 requests."""
        done = self.call("crawl", "protocol", "-n", 100, "-c", 10, "--delay", 1)
        must(done.code == 0, f"a crawl afterwards: exit {done.code}: {done.last_line}")
        return "a crawl afterwards is sound"


def stop(process: psutil.Process | None, number: signal.Signals = signal.SIGKILL) -> None:
    """Signal a process that must be there."""
    must(process is not None, "the process to be stopped was not there")
    assert process is not None
    process.send_signal(number)
