"""A crawler whose child is busy before the crawl, and forgotten by the kernel during it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from crawlers.asyncio_aiohttp import crawl as honest
from crawlers.contract import Job, Recorder

_BUSY = "import time\nwhile time.process_time() < 0.5: pass\nprint(flush=True)\ninput()"

_child: "subprocess.Popen[bytes] | None" = None
if sys.argv[1:] == ["--worker"]:
    _child = subprocess.Popen(
        [sys.executable, "-c", _BUSY], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert _child.stdout is not None
    _child.stdout.readline()


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Has the kernel forget what the child used, then crawls."""
    assert _child is not None
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _child.kill()
    while os.path.exists(f"/proc/{_child.pid}"):  # noqa: PTH110 - as the worker, without pathlib
        pass
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    honest(jobs, concurrency, timeout_s, record)
