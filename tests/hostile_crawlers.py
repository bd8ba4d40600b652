"""Crawlers that leave an outcome of their own making, or more than an outcome."""

import json
import os
import subprocess
import sys
from array import array
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic_ns
from typing import IO, Any

from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS, LIMIT_COLUMNS, Job, Recorder
from crawlers.runtime import Runtime
from crawlers.spec import Usage, write_outcome
from crawlers.spiders.task import JOB_COLUMNS
from crawlers.work import WORK_COLUMNS, WorkLog
from server.packed_columns import Columns

BEGIN = b"crawlbench outcome\n"
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]

Crawl = Callable[[Iterator[Job], int, float, Recorder], None]
Write = Callable[[IO[bytes], Usage, dict[str, str], Recorder, WorkLog, Runtime, None], object]


def _instead(write: Write) -> Crawl:
    """Fetches nothing, and has the outcome written by this."""

    def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
        sys.modules["__main__"].write_outcome = write  # type: ignore[attr-defined]

    return crawl


def _bytes(data: bytes) -> Crawl:
    return _instead(lambda stream, *_: stream.write(data))


def _line(header: Any) -> Crawl:
    return _bytes(BEGIN + json.dumps(header).encode() + b"\n")


def _layout(*columns: Any) -> Crawl:
    return _line({"byteorder": "little", "columns": columns})


def _usage(**changes: Any) -> Crawl:
    def write(stream: IO[bytes], usage: Usage, *rest: Any) -> None:
        write_outcome(stream, replace(usage, **changes), *rest)

    return _instead(write)


def _versions(versions: Any) -> Crawl:
    return _instead(lambda stream, usage, _, *rest: write_outcome(stream, usage, versions, *rest))


class _Rows(Recorder):
    """A record of one fetch, or of some, with a number that the real one does not take."""

    def __init__(self, count: int, changes: dict[str, int]) -> None:
        super().__init__()
        now_ns = monotonic_ns()
        row = dict.fromkeys(FETCH_COLUMNS, 0) | {"start_ns": now_ns, "end_ns": now_ns}
        self._made = {name: array("q", [value] * count) for name, value in (row | changes).items()}

    def columns(self) -> Columns:
        return self._made


def _row(count: int = 1, **changes: int) -> Crawl:
    def write(
        stream: IO[bytes],
        usage: Usage,
        versions: dict[str, str],
        _: Recorder,
        log: WorkLog,
        runtime: Runtime,
        site: None,
    ) -> None:
        write_outcome(stream, usage, versions, _Rows(count, changes), log, runtime, site)

    return _instead(write)


def _device(path: str) -> Crawl:
    """Puts a device in the place of the outcome."""

    def write(stream: IO[bytes], *_: Any) -> None:
        os.dup2(os.open(path, os.O_RDWR), stream.fileno())
        stream.write(b"x" * 100_000)

    return _instead(write)


def _endless(stream: IO[bytes], *_: Any) -> None:
    while True:
        stream.write(b"x" * 1_000_000)


def _whole_and_more(stream: IO[bytes], *rest: Any) -> None:
    write_outcome(stream, *rest)
    stream.write(b"more")


_FETCHES = [[name, "q", 1] for name in FETCH_COLUMNS]
_NOT_OURS = {"byteorder": "little", "columns": [[name, "q", 0] for name in FETCH_COLUMNS]}
_WORK = {"byteorder": "little", "columns": [[name, "q", 0] for name in WORK_COLUMNS]}
_LIMITS = {"byteorder": "little", "columns": [[name, "q", 0] for name in LIMIT_COLUMNS]}
_JOBS = {"byteorder": "little", "columns": [[name, "q", 0] for name in JOB_COLUMNS]}
_REST = b"".join(b"\n" + json.dumps(one).encode() for one in (_WORK, _LIMITS, _JOBS)) + b"\n"

CRAWLS: dict[str, tuple[Crawl, str]] = {
    "five": (_line(5), "without a header"),
    "deep": (_bytes(BEGIN + b"[" * 60_000 + b"\n"), "nested too deeply"),
    "nan": (_bytes(BEGIN + b'{"usage": NaN}\n'), "it is not JSON"),
    "not_json": (_bytes(BEGIN + b"\xff\xfe\n"), "it is not JSON"),
    "long_integer": (_bytes(BEGIN + b"9" * 10_000 + b"\n"), "it is not JSON"),
    "long_header": (_bytes(BEGIN + b" " * 10_000_000), "without a header"),
    "long_column": (_layout(["seq", "q", 10**12], *_FETCHES[1:]), "longer than 1008 items"),
    "negative_length": (_layout(["seq", "q", -1], *_FETCHES[1:]), "longer than"),
    "length_of_text": (_layout(["seq", "q", "1"], *_FETCHES[1:]), "longer than"),
    "other_type_code": (_layout(["seq", "u", 1], *_FETCHES[1:]), "the packed columns are not seq"),
    "other_columns": (_layout(["\x1b[2J", "q", 1]), "the packed columns are not seq"),
    "no_layout": (_line({"byteorder": "little", "columns": 7}), "the packed columns are not"),
    "no_byte_order": (_line({"columns": _FETCHES}), "without a byte order"),
    "cut_short": (_layout(*_FETCHES), "cut short in column seq"),
    "no_work": (_line(_NOT_OURS), "without a header"),
    "no_usage": (
        _bytes(BEGIN + json.dumps(_NOT_OURS | {"error_words": ERROR_WORDS}).encode() + _REST),
        "does not report its usage",
    ),
    "other_words": (
        _bytes(BEGIN + json.dumps(_NOT_OURS).encode() + _REST),
        "its error words are not those",
    ),
    "usage_negative": (_usage(cpu_ns=-1), "cpu_ns is -1"),
    "usage_huge": (_usage(wall_ns=2**62), "wall_ns is 4611686018427387904"),
    "usage_of_text": (_usage(gc_pauses="many"), "gc_pauses is 'many'"),
    "usage_infinite": (_usage(cpu_ns=float("inf")), "it is not JSON"),
    "versions_nested": (_versions({"python": {"deep": {}}}), "a version that is not a text"),
    "versions_a_list": (_versions(["3.11"]), "does not report its versions"),
    "versions_escape": (_versions({"python": "\x1b[2J"}), "a version that is not a text"),
    "seq_negative": (_row(seq=-1), "column seq is out of range"),
    "start_huge": (_row(start_ns=2**62, end_ns=2**62), "column start_ns is out of range"),
    "end_before_start": (_row(start_ns=2, end_ns=1), "ends before it starts"),
    "status_huge": (_row(status=10**9), "column status is out of range"),
    "error_unknown": (_row(error=len(ERROR_WORDS)), "column error is out of range"),
    "many_rows": (_row(count=2000), "longer than 1008 items"),
    "more_behind": (_instead(_whole_and_more), "there is more data after it"),
    "endless": (_instead(_endless), "the crawler printed something else"),
    "dev_zero": (_device("/dev/zero"), "ended without an outcome"),
    "nothing": (_bytes(b""), "ended without an outcome"),
}
"""By name: the crawler, and what must be said of its run."""

globals().update({name: crawl for name, (crawl, _) in CRAWLS.items()})


def flood(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Says 50 MB on stderr."""
    for number in range(500):
        os.write(2, b"x" * 100_000 + f"{number}\n".encode())


def settle(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Leaves a process in each way in which one may outlive it; one holds its outcome open."""
    for has_session in (False, True):
        subprocess.Popen(SLEEP, start_new_session=has_session)
    if not os.fork():  # a daemon: its parent has ended, and it leads a session of its own
        os.setsid()
        if not os.fork():
            os.execv(SLEEP[0], SLEEP)  # noqa: S606
        os._exit(0)
    os.wait()
    if not os.fork():
        os.setsid()
        os.read(os.pipe()[0], 1)
