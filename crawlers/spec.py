"""The seam between bench and crawler processes: the spec of a crawl, and its outcome.

Both are packed columns. The spec arrives on stdin; the outcome is written to what stdout was when
the process began. Standard library only.
"""

import json
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import chain, islice, repeat
from operator import gt
from time import monotonic_ns
from typing import IO, Any, Self

from crawlers.contract import (
    DUE_AFTER_S,
    ERROR_WORDS,
    FETCH_COLUMNS,
    LIMIT_COLUMNS,
    Job,
    Recorder,
)
from crawlers.runtime import Runtime
from crawlers.spiders.task import JOB_COLUMNS, SiteRecords, SiteTask, SiteUsage, no_jobs
from crawlers.trust import Trust
from crawlers.work import WORK_COLUMNS, Found, Work, WorkLog
from server.packed_columns import HUGE, Columns, check_range, pack, read_packed
from server.request_plan import Plan, to_target

CAN_LOAD = "this crawler can be loaded"
"""What `--can-load NAME` prints, so that a program that is not Python is recognised."""

READY = b"crawlbench ready\n"
"""What a process writes once it has loaded its crawler. It then waits on stdin for the line that
`start_line` returns. Another interpreter may print something before it when it starts."""
_OUTCOME_FOLLOWS = b"crawlbench outcome\n"
"""The start of an outcome."""
_MOST_PRINTED_BYTES = 65_536
_MOST_VERSIONS = 100
_SPEC_LAYOUT = {"delays_us": "I", "due_after_ns": "q", "sizes_bytes": "I", "body_bytes": "I"}
_FETCH_LAYOUT = dict.fromkeys(FETCH_COLUMNS, "q")
_WORK_LAYOUT = dict.fromkeys(WORK_COLUMNS, "q")
_LIMIT_LAYOUT = dict.fromkeys(LIMIT_COLUMNS, "q")
_JOB_LAYOUT = dict.fromkeys(JOB_COLUMNS, "q")
_RANGES = {
    "seq": (0, HUGE - 1),
    "start_ns": (0, HUGE - 1),
    "end_ns": (0, HUGE - 1),
    "status": (0, 999),
    "size_bytes": (0, HUGE - 1),
    "error": (0, len(ERROR_WORDS) - 1),
    "item": (-HUGE, HUGE - 1),
    "at_ns": (0, HUGE - 1),
    "most": (1, HUGE - 1),
    "resource": (-1, HUGE - 1),
    "added_ns": (0, HUGE - 1),
    "depth": (0, HUGE - 1),
}
"""Ranges of the numbers in an outcome. bench.analysis.validity looks for numbers that are in range
but not true."""


class NoOutcomeError(ValueError):
    """A crawler's process ended without writing an outcome."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One crawl. `delays_us` has the planned delay of each request, in the order of seq."""

    crawler: str
    concurrency: int
    timeout_s: float
    base_url: str
    """`http://host:port` of a delay server, or any URL, which is fetched as it is."""
    is_planned: bool
    """Whether the server is ours and each request carries its plan."""
    run_name: str
    delays_us: "array[int]"
    faults: dict[str, str] = field(default_factory=dict)
    """Faults of server.request_plan by seq; the keys are texts, as in JSON."""
    urls: list[str] = field(default_factory=list)
    """URLs to fetch as they are, in the order of seq, and again from the first if there are more
    requests; if empty, base_url is fetched every time."""
    cafile: str = ""
    is_insecure: bool = False
    """Whether any certificate of an https server is accepted, as in crawlers.trust."""
    work: Work | None = None
    """The computation for each job, if any; `delays_us` is then as long as the expected number of
    jobs."""
    declared_as: str = ""
    """The row of the registry that also applies, as in crawlers.registry.find."""
    due_after_ns: "array[int]" = field(default_factory=lambda: array("q"))
    """In an open loop, when each request is due, counted from when the first may be; if empty, the
    loop is closed."""
    sizes_bytes: "array[int]" = field(default_factory=lambda: array("I"))
    """The size of each response of our server; if empty, 1 byte each."""
    body_bytes: "array[int]" = field(default_factory=lambda: array("I"))
    """The size of the JSON that each request sends by POST; if empty, they are GETs."""
    site: SiteTask | None = None
    """The site that a spider is to crawl, at `base_url`; there are no other jobs then."""
    duration_s: float = 0.0
    """In a closed loop, how long after the first `next` the jobs end, if they last so long; 0 means
    never."""
    first_seq: int = 0
    seq_step: int = 1
    """The requests of this process have the numbers `first_seq`, `first_seq + seq_step`, ...: of a
    run that several processes share, each has every so many-th request. All columns are those of
    these requests."""
    loop: str = ""
    """The event loop to use, by its name in crawlers.loops; "" for the crawler's own."""
    begin_ns: int = 0
    """The instant of a start that several processes have in common, from which they count when
    requests are due; 0 means that it is when the first job is asked for."""

    def send(self, stream: IO[bytes]) -> None:
        """Write the spec; the stream is flushed and stays open."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        columns = {name: values.pop(name) for name in _SPEC_LAYOUT}
        for name in ("work", "site"):
            values[name] = asdict(values[name]) if values[name] is not None else None
        for piece in pack(values, columns):
            stream.write(piece)
        stream.flush()

    @classmethod
    def receive(cls, stream: IO[bytes]) -> Self:
        """Read a spec; the stream is left right after it."""
        header, columns = read_packed(stream, _SPEC_LAYOUT, sys.maxsize, sys.maxsize)
        if header["work"] is not None:
            header["work"] = Work(**header["work"])
        if header["site"] is not None:
            header["site"] = SiteTask(**header["site"])
        return cls(**(header | columns))

    @property
    def trust(self) -> Trust:
        """Which certificates are accepted."""
        return Trust(self.cafile, self.is_insecure)

    def seqs(self) -> range:
        """Return the number of each request, in order."""
        last = self.first_seq + self.seq_step * len(self.delays_us)
        return range(self.first_seq, last, self.seq_step)

    def jobs(self, log: WorkLog) -> Iterator[Job]:
        """Yield the requests in the order of seq, each made when it is asked for.

        The log receives what is computed for them. The server ignores the item in the URL.
        """
        if self.work is not None:
            return self._computed(self.work, log)
        return self._planned(log)

    def _computed(self, work: Work, log: WorkLog) -> Iterator[Job]:
        base, last = self.base_url.rstrip("/"), len(self.delays_us) - 1
        for seq, found in enumerate(work.found()):
            log(found)
            delay_us = self.delays_us[min(seq, last)]  # the bench detects more jobs than expected
            url = f"{base}{self._target(seq, delay_us)}&item={found.item}"
            body = _body(found) if work.method == "POST" else None
            yield Job(seq, url, body=body)

    def _planned(self, log: WorkLog) -> Iterator[Job]:
        count, begin_ns = len(self.delays_us), self.begin_ns or monotonic_ns()
        end_ns = begin_ns + int(self.duration_s * 1e9)
        is_timed = self.duration_s > 0 and not self.due_after_ns
        first_due_ns = begin_ns + int(DUE_AFTER_S * 1e9)
        dues_ns: Iterable[int] = repeat(0, count)
        if self.due_after_ns:
            log.first_due_ns = first_due_ns
            dues_ns = (first_due_ns + after_ns for after_ns in self.due_after_ns)
        bodies: Iterable[bytes | None] = repeat(None, count)
        if self.body_bytes:
            bodies = map(_json_of, self.body_bytes)
        urls = self._urls()
        for seq, url, due_ns, body in zip(self.seqs(), urls, dues_ns, bodies, strict=True):
            if is_timed and monotonic_ns() >= end_ns:
                return
            yield Job(seq, url, due_ns, body)

    def _urls(self) -> Iterator[str]:
        if not self.is_planned:
            urls = self.urls or [self.base_url]
            yield from (urls[seq % len(urls)] for seq in self.seqs())
            return
        base = self.base_url.rstrip("/")
        sizes_bytes = self.sizes_bytes or repeat(1, len(self.delays_us))
        for seq, delay_us, size_bytes in zip(self.seqs(), self.delays_us, sizes_bytes, strict=True):
            yield base + self._target(seq, delay_us, size_bytes)

    def _target(self, seq: int, delay_us: int, size_bytes: int = 1) -> str:
        fault = self.faults.get(str(seq), "")
        return to_target(Plan(self.run_name, seq, delay_us, size_bytes, fault))


def _json_of(size_bytes: int) -> bytes:
    """Return JSON of this many bytes, or nothing at all for 0."""
    return b"{" + b" " * (size_bytes - 2) + b"}" if size_bytes >= 2 else b"1"[:size_bytes]


def _body(found: Found) -> bytes:
    """Return an item and its result as JSON."""
    return json.dumps({"item": found.item, "result": found.result}).encode("ascii")


_MAY_LACK = ("main_cpu_ns", "waited_ns", "descriptors", "unwaited_cpu_ns")
"""Fields of Usage that some systems do not report."""


@dataclass(frozen=True, slots=True)
class Usage:
    """The resources that a crawl used in its process."""

    wall_ns: int
    """Time from before the call of the crawl function to after its return."""
    cpu_ns: int
    """CPU time, user and system, over the same span: of all threads, and of processes that the
    crawl started, whether they have ended or not."""
    peak_memory_bytes: int
    """Peak memory of the process, its libraries included."""
    gc_pauses: int
    gc_pause_ns: int
    """Sum of all pauses of the garbage collector."""
    gc_longest_ns: int
    main_cpu_ns: int | None
    """CPU time of the main thread; None where the system does not report it."""
    waited_ns: int | None
    """Time in which the main thread could have run, but another thread ran on its CPU."""
    descriptors: int | None
    """How many open files the process was allowed; None if there is no such limit."""
    unwaited_cpu_ns: int | None
    """The part of `cpu_ns` that processes used which the crawl had started and not waited for. None
    if the system does not report it, or if the crawler ignored SIGCHLD, so that the kernel does not
    count it."""

    def check(self) -> None:
        """Raise ValueError for a value that no process can have used."""
        for one in fields(self):
            value = getattr(self, one.name)
            is_number = type(value) is int and 0 <= value < HUGE
            if not is_number and not (value is None and one.name in _MAY_LACK):
                raise ValueError(f"{one.name} is {repr(value)[:40]}")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a crawler's process wrote: its fetches, limits, usage and versions."""

    usage: Usage
    versions: dict[str, str]
    """Versions of Python and of the crawler's libraries."""
    fetches: Columns
    """The fetches, as in Recorder.columns."""
    work: Columns
    """The WORK_COLUMNS of crawlers.work; empty if nothing was computed."""
    first_due_ns: int = 0
    """When the first job was due; 0 in closed loop."""
    limits: Columns = field(default_factory=lambda: Recorder().limits())
    """The limits, as in Recorder.limits, in the order of time; empty if none was recorded."""
    site: SiteRecords | None = None
    """What a spider found; None of a crawl that is of no site."""
    runtime: Runtime | None = None
    """The interpreter and the event loop; None if another version of the crawlers does not say."""

    @classmethod
    def read(cls, stream: IO[bytes], most_rows: int) -> Self:
        """Read an outcome from a stream, to its end; it may come from anyone's process.

        Raises NoOutcomeError if there is none. Raises ValueError if it is truncated, has more rows
        than `most_rows`, more data after it, or numbers that no crawl can have.
        """
        _skip_to(_OUTCOME_FOLLOWS, stream)
        header, fetches = read_packed(stream, _FETCH_LAYOUT, most_rows)
        _, work = read_packed(stream, _WORK_LAYOUT, most_rows)
        try:
            _, limits = read_packed(stream, _LIMIT_LAYOUT, most_rows)
        except ValueError as error:
            raise ValueError(f"its limits, by record.limit: {error}") from error
        _, jobs = read_packed(stream, _JOB_LAYOUT, most_rows)
        if stream.read(1):
            raise ValueError("there is more data after it")
        if header.get("error_words") != list(ERROR_WORDS):
            raise ValueError("its error words are not those of this version of the bench")
        for columns in (fetches, work, limits, jobs):
            if len({len(column) for column in columns.values()}) != 1:
                raise ValueError("its columns differ in length")
            for name, column in columns.items():
                check_range(name, column, *_RANGES[name])
        for columns in (fetches, work):
            if any(map(gt, columns["start_ns"], columns["end_ns"])):
                raise ValueError("something ends before it starts")
        if any(map(gt, limits["at_ns"], islice(limits["at_ns"], 1, None))):
            raise ValueError("its limits are not in the order of time")
        usage, versions = _usage(header.get("usage")), _versions(header.get("versions"))
        first_due_ns = header.get("first_due_ns")
        if type(first_due_ns) is not int or not 0 <= first_due_ns < HUGE:
            raise ValueError("it does not report when its first job was due")
        site = _site_records(header.get("site"), jobs)
        runtime = Runtime.parse(header.get("runtime"))
        return cls(usage, versions, fetches, work, first_due_ns, limits, site, runtime)


def start_line(at_ns: int) -> bytes:
    """Return the line that starts a crawl at an instant of its machine's monotonic clock.

    0 means at once.
    """
    return f"start {at_ns}\n".encode("ascii")


def parse_start_line(line: bytes) -> int:
    """Return the instant that a line of `start_line` says. Raises ValueError."""
    word, _, at_ns = line.decode("ascii", "replace").partition(" ")
    if word != "start":
        raise ValueError(f"not a line that starts a crawl: {line!r}")
    return int(at_ns)


def wait_until_ready(stream: IO[bytes]) -> None:
    """Read what a process writes up to the line that says that it is ready.

    Raises NoOutcomeError if it ends before, and ValueError if it writes something else.
    """
    _skip_to(READY, stream)


def _skip_to(wanted: bytes, stream: IO[bytes]) -> None:
    left_bytes = _MOST_PRINTED_BYTES
    while line := stream.readline(left_bytes):
        if line == wanted:
            return
        left_bytes -= len(line)
        if left_bytes <= 0:
            raise ValueError("the crawler printed something else")
    raise NoOutcomeError("ended without an outcome")


def _usage(found: object) -> Usage:
    if not isinstance(found, dict):
        raise ValueError("it does not report its usage")
    try:
        usage = Usage(**found)
    except TypeError:
        raise ValueError("it does not report its usage in the right form") from None
    usage.check()
    return usage


def _site_records(found: object, jobs: Columns) -> SiteRecords | None:
    if found is None:
        return None
    try:
        usage = SiteUsage(**found) if isinstance(found, dict) else None
    except TypeError:
        usage = None
    if usage is None:
        raise ValueError("it does not report its frontier in the right form")
    usage.check()
    return SiteRecords(jobs, usage)


def _versions(found: object) -> dict[str, str]:
    if not isinstance(found, dict) or len(found) > _MOST_VERSIONS:
        raise ValueError("it does not report its versions")
    for text in (*found, *found.values()):
        if not isinstance(text, str) or len(text) > 100 or not text.isprintable():
            raise ValueError("it reports a version that is not a text")
    return found


def write_outcome(
    stream: IO[bytes],
    usage: Usage,
    versions: dict[str, str],
    recorder: Recorder,
    log: WorkLog,
    runtime: Runtime,
    site: SiteRecords | None = None,
) -> None:
    """Write what `Outcome.read` reads."""
    header: dict[str, Any] = {
        "usage": asdict(usage),
        "versions": versions,
        "error_words": ERROR_WORDS,
        "first_due_ns": log.first_due_ns,
        "site": asdict(site.usage) if site is not None else None,
        "runtime": asdict(runtime),
    }
    stream.write(b"\n" + _OUTCOME_FOLLOWS)
    parts = (
        pack(header, recorder.columns()),
        pack({}, log.columns()),
        pack({}, recorder.limits()),
        pack({}, site.jobs if site is not None else no_jobs()),
    )
    for piece in chain.from_iterable(parts):
        stream.write(piece)
