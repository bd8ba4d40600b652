"""What a crawler's process is told, and what it leaves behind: the seam between bench and crawlers.

Both are packed columns: the spec arrives on stdin, the outcome leaves on what stdout was when the
process began. Standard library only.
"""

import sys
from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from operator import gt
from typing import IO, Any, Self

from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS, Job, Recorder
from crawlers.trust import Trust
from crawlers.work import WORK_COLUMNS, Work, WorkLog
from server.packed_columns import HUGE, Columns, check_range, pack, read_packed
from server.request_plan import Plan, to_target

CAN_LOAD = "this crawler can be loaded"
"""What `--can-load NAME` says, so that a program that is no Python is not taken for one."""

_OUTCOME_FOLLOWS = b"crawlbench outcome\n"
"""Begins an outcome: what the start of another interpreter prints may come before."""
_MOST_PRINTED_BYTES = 65_536
_MOST_VERSIONS = 100
_FETCH_LAYOUT = dict.fromkeys(FETCH_COLUMNS, "q")
_WORK_LAYOUT = dict.fromkeys(WORK_COLUMNS, "q")
_RANGES = {
    "seq": (0, HUGE - 1),
    "start_ns": (0, HUGE - 1),
    "end_ns": (0, HUGE - 1),
    "status": (0, 999),
    "size_bytes": (0, HUGE - 1),
    "error": (0, len(ERROR_WORDS) - 1),
    "item": (-HUGE, HUGE - 1),
}
"""Of the numbers in an outcome. What is in range and not true is for bench.analysis.validity to
find."""


class NoOutcomeError(ValueError):
    """A crawler's process ended without a word of its outcome."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One crawl. `delays_us` has a planned delay for each request, in the order of seq."""

    crawler: str
    concurrency: int
    timeout_s: float
    base_url: str
    """Of a delay server, as `http://host:port`; or any URL, to be fetched as it is."""
    is_planned: bool
    """Whether the server is ours, and each request carries its plan."""
    run_name: str
    delays_us: "array[int]"
    faults: dict[str, str] = field(default_factory=dict)
    """Faults of server.request_plan by seq, written as JSON has its keys."""
    urls: list[str] = field(default_factory=list)
    """To be fetched once each as they are, in the order of seq; none: base_url again and again."""
    cafile: str = ""
    is_insecure: bool = False
    """Of https servers: as in crawlers.trust."""
    work: Work | None = None
    """What is computed for each job, if anything; `delays_us` is then of as many jobs as are
    expected."""
    declared_as: str = ""
    """As in crawlers.registry.find."""

    def send(self, stream: IO[bytes]) -> None:
        """Write it; the stream is flushed and stays open."""
        header = {
            one.name: getattr(self, one.name) for one in fields(self) if one.name != "delays_us"
        }
        header["work"] = asdict(self.work) if self.work is not None else None
        for piece in pack(header, {"delays_us": self.delays_us}):
            stream.write(piece)
        stream.flush()

    @classmethod
    def receive(cls, stream: IO[bytes]) -> Self:
        """Read it; the stream is left right behind it."""
        header, columns = read_packed(stream, {"delays_us": "I"}, sys.maxsize, sys.maxsize)
        if header["work"] is not None:
            header["work"] = Work(**header["work"])
        return cls(**header, delays_us=columns["delays_us"])

    @property
    def trust(self) -> Trust:
        """Which certificates are accepted."""
        return Trust(self.cafile, self.is_insecure)

    def jobs(self, log: WorkLog) -> Iterator[Job]:
        """The requests in the order of seq, made one by one as they are asked for.

        What is computed for them is noted in the log. The server ignores the item in the URL.
        """
        if self.work is not None:
            base, last = self.base_url.rstrip("/"), len(self.delays_us) - 1
            for seq, found in enumerate(self.work.found()):
                log(found)
                delay_us = self.delays_us[min(seq, last)]  # more than expected will be found out
                yield Job(seq, f"{base}{self._target(seq, delay_us)}&item={found.item}")
            return
        if not self.is_planned:
            for seq in range(len(self.delays_us)):
                yield Job(seq, self.urls[seq] if self.urls else self.base_url)
            return
        base = self.base_url.rstrip("/")
        for seq, delay_us in enumerate(self.delays_us):
            yield Job(seq, base + self._target(seq, delay_us))

    def _target(self, seq: int, delay_us: int) -> str:
        fault = self.faults.get(str(seq), "")
        return to_target(Plan(self.run_name, seq, delay_us, fault=fault))


_MAY_LACK = ("main_cpu_ns", "waited_ns", "descriptors", "unwaited_cpu_ns")
"""Fields of Usage that a system may not know."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a crawl cost its process."""

    wall_ns: int
    """From before the crawl function was called to after it returned."""
    cpu_ns: int
    """CPU time of all threads, and of processes that were started, whether they have ended or not,
    user and system, over the same span."""
    peak_memory_bytes: int
    """Of the process, its libraries included."""
    gc_pauses: int
    gc_pause_ns: int
    """All pauses of the garbage collector together."""
    gc_longest_ns: int
    main_cpu_ns: int | None
    """CPU time of the main thread; None where the system does not say."""
    waited_ns: int | None
    """Time in which the main thread could have run, and another ran on its CPU."""
    descriptors: int | None
    """How many open files the process was allowed; None: no such limit."""
    unwaited_cpu_ns: int | None
    """Of `cpu_ns`, what processes used that the crawl had started and not waited for; None: the
    system does not say, or the crawler ignored SIGCHLD, so that the kernel does not count them."""

    def check(self) -> None:
        """Raises ValueError for a value that no process can have used."""
        for one in fields(self):
            value = getattr(self, one.name)
            is_number = type(value) is int and 0 <= value < HUGE
            if not is_number and not (value is None and one.name in _MAY_LACK):
                raise ValueError(f"{one.name} is {repr(value)[:40]}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a crawler's process left behind."""

    usage: Usage
    versions: dict[str, str]
    """Of Python and of the crawler's libraries."""
    fetches: Columns
    """As in Recorder.columns."""
    work: Columns
    """WORK_COLUMNS of crawlers.work; empty where nothing was computed."""

    @classmethod
    def read(cls, stream: IO[bytes], most_rows: int) -> Self:
        """All that a process has left on a stream, up to its end; it may be anybody's process.

        Raises NoOutcomeError if that is nothing, ValueError if it is not whole, has more rows than
        `most_rows`, or more behind it, or numbers that no crawl can have.
        """
        _skip_to_outcome(stream)
        header, fetches = read_packed(stream, _FETCH_LAYOUT, most_rows)
        _, work = read_packed(stream, _WORK_LAYOUT, most_rows)
        if stream.read(1):
            raise ValueError("there is more behind it")
        if header.get("error_words") != list(ERROR_WORDS):
            raise ValueError("the crawler speaks of other errors than this version of the bench")
        for columns in (fetches, work):
            if len({len(column) for column in columns.values()}) != 1:
                raise ValueError("its columns differ in length")
            for name, column in columns.items():
                check_range(name, column, *_RANGES[name])
            if any(map(gt, columns["start_ns"], columns["end_ns"])):
                raise ValueError("something ends before it starts")
        return cls(_usage(header.get("usage")), _versions(header.get("versions")), fetches, work)


def _skip_to_outcome(stream: IO[bytes]) -> None:
    left_bytes = _MOST_PRINTED_BYTES
    while line := stream.readline(left_bytes):
        if line == _OUTCOME_FOLLOWS:
            return
        left_bytes -= len(line)
        if left_bytes <= 0:
            raise ValueError("it is something else")
    raise NoOutcomeError("ended without an outcome")


def _usage(found: object) -> Usage:
    if not isinstance(found, dict):
        raise ValueError("it does not say what it used")
    try:
        usage = Usage(**found)
    except TypeError:
        raise ValueError("what it says it used is something else") from None
    usage.check()
    return usage


def _versions(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or len(found) > _MOST_VERSIONS:
        raise ValueError("it does not say which versions it ran on")
    for text in (*found, *found.values()):
        if not isinstance(text, str) or len(text) > 100 or not text.isprintable():
            raise ValueError("a version that is none")
    return found


def write_outcome(
    stream: IO[bytes], usage: Usage, versions: dict[str, str], recorder: Recorder, log: WorkLog
) -> None:
    """Leave what `Outcome.read` reads."""
    header: dict[str, Any] = {
        "usage": asdict(usage),
        "versions": versions,
        "error_words": ERROR_WORDS,
    }
    stream.write(b"\n" + _OUTCOME_FOLLOWS)
    for piece in chain(pack(header, recorder.columns()), pack({}, log.columns())):
        stream.write(piece)
