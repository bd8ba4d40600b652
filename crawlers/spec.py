"""What a crawler's process is told, and what it leaves behind: the seam between bench and crawlers.

Both are packed columns: the spec arrives on stdin, the outcome goes to a file. Standard library
only.
"""

from array import array
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import chain
from typing import IO, Any, Self

from crawlers.contract import ERROR_WORDS, FETCH_COLUMNS, Job, Recorder
from crawlers.trust import Trust
from crawlers.work import WORK_COLUMNS, Work, WorkLog
from server.packed_columns import Columns, pack, read_packed
from server.request_plan import Plan, to_target

CAN_LOAD = "this crawler can be loaded"
"""What `--can-load NAME` says, so that a program that is no Python is not taken for one."""

EXIT_NO_OUTCOME = 74
"""Of a crawler's process that crawled and could not write its outcome (EX_IOERR of sysexits.h)."""


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
    outcome_path: str
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
        header, columns = read_packed(stream)
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
    unwaited_cpu_ns: int | None = 0
    """Of `cpu_ns`, what processes used that the crawl had started and not waited for; None: the
    system does not say, or the crawler ignored SIGCHLD, so that the kernel does not count them.
    Results of older versions have none."""

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What asdict gave. Raises ValueError, TypeError for anything else."""
        usage = cls(**values)
        for name, value in values.items():
            may_lack = name in _MAY_LACK
            is_number = type(value) is int and value >= 0
            if not is_number and not (value is None and may_lack):
                raise ValueError(f"{name} is {value!r}")
        return usage


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
    def read(cls, stream: IO[bytes]) -> Self:
        """Raises ValueError for what is not whole."""
        header, columns = read_packed(stream)
        _, work = read_packed(stream)
        if tuple(header["error_words"]) != ERROR_WORDS:
            raise ValueError("the crawler speaks of other errors than this version of the bench")
        if len({len(column) for column in columns.values()}) != 1:
            raise ValueError("its columns differ in length")
        if len({len(column) for column in work.values()}) != 1 or tuple(work) != WORK_COLUMNS:
            raise ValueError(f"of its work it has {', '.join(work)}")
        if tuple(columns) != FETCH_COLUMNS:
            raise ValueError(f"its columns are {', '.join(columns)}")
        return cls(Usage.from_json(header["usage"]), dict(header["versions"]), columns, work)


def write_outcome(
    stream: IO[bytes], usage: Usage, versions: dict[str, str], recorder: Recorder, log: WorkLog
) -> None:
    """Leave what `Outcome.read` reads."""
    header: dict[str, Any] = {
        "usage": asdict(usage),
        "versions": versions,
        "error_words": ERROR_WORDS,
    }
    for piece in chain(pack(header, recorder.columns()), pack({}, log.columns())):
        stream.write(piece)
