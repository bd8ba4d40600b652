"""Crawlers that do harm: to their outcome, to the bench, to the machine."""

import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from crawlers.asyncio_protocol import crawl as honest
from crawlers.contract import Job, Recorder


async def is_async(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Never runs: nobody awaits it."""


def raises(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Raises, with an escape sequence in its text."""
    raise RuntimeError("\x1b[2J\x1b[1;1Hall is well")


def aborts(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Dies of SIGABRT."""
    os.abort()


def exits(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Ends its process as if all were well."""
    os._exit(0)


def screams(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Writes 200 MB to stderr, then crawls."""
    line = b"x" * 1_000_000 + b"\n"
    for _ in range(200):
        os.write(2, line)
    honest(jobs, concurrency, timeout_s, record)


def daemonises(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Leaves a child in a session of its own, which would go on for a minute."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    honest(jobs, concurrency, timeout_s, record)


def unlinks(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Removes everything from its temporary folder."""
    for path in Path(os.environ["TMPDIR"]).iterdir():
        if stat.S_ISDIR(path.lstat().st_mode):
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    honest(jobs, concurrency, timeout_s, record)


def eats_stdin(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Closes the pipe by which it would notice that the bench has gone."""
    os.close(0)
    honest(jobs, concurrency, timeout_s, record)


def escapes(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Writes escape sequences to the terminal of the bench, if it can reach it."""
    os.write(2, b"\x1b[2J\x1b]0;owned\x07\n")
    raise SystemExit(5)


def floods(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetches nothing, and floods the server with requests of other names."""
    first = next(jobs)
    parts = urlsplit(first.url)
    with socket.create_connection((parts.hostname or "", parts.port or 80)) as connection:
        for start in range(0, 3000, 50):
            connection.sendall(
                b"".join(
                    b"GET /add?name=stranger-%d&delay=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"
                    % number
                    for number in range(start, start + 50)
                )
            )
            connection.recv(1_000_000)
    _ = [first, *jobs]
