"""Runs one crawl: a fresh crawler process, a deadline, and the records of both ends."""

import contextlib
import os
import secrets
import signal
import subprocess
from array import array
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread, Timer
from time import monotonic, sleep
from types import MappingProxyType
from typing import IO, NamedTuple, Protocol

from bench.errors import MachineError
from bench.exit_codes import signal_name
from bench.measure.descendants import kill_descendants
from bench.measure.interpreters import crawler_command
from bench.measure.memory import MemorySampler
from bench.measure.observation import Observation
from bench.measure.pinning import Pinning, pin
from bench.plan.experiment import PlannedRun
from bench.plan.ideal import expected_ns
from bench.results.run_result import RunResult
from bench.wording import format_count
from crawlers.registry import CrawlerInfo, find
from crawlers.spec import NoOutcomeError, Outcome, Spec
from crawlers.spiders.task import PROCESSES, SiteUsage
from crawlers.trust import BY_DEFAULT, Trust
from server.control_client import ControlError, announce_run, delete_run, fetch_run, stats
from server.ledger import MOST_ROWS, WAITING, RunRecord
from server.packed_columns import Columns
from server.process import LastWords
from server.request_plan import Plan
from server.site.spec import SiteSpec

_GRACE_S = 30.0
"""Time beyond the crawl: to start a process, import a library, write the outcome."""
_REQUEST_S = 0.01
"""Time that a slow crawler may need for a request, in addition to its delay."""
_TIMEOUTS = 10
"""How many requests may time out one after another."""
_WORK_TIMES = 5
"""How many times its expected duration the computing may take."""
_MOST_ROWS_EACH, _MOST_ROWS_MORE = 2, 1000
"""Records that a crawler may write per request, and in addition; a crawler that records each
request twice is thus read, and detected."""
_STOP_S = 5.0
"""Time that an interrupted crawler has to report what it has fetched."""
_INTERRUPTED, _LATE = "interrupted", "late"
"""Why a crawl was ended."""
_EOF_S = 5.0
"""Time for the pipes of killed processes to end."""
_SETTLE_S = 2.0
"""Time for the server to notice that a crawler that has ended has closed its connections."""


class ServerGoneError(MachineError):
    """The server's control port no longer responds, so that no further run makes sense."""

    result: "RunResult | None" = None
    """The run during which the server went, by the client's records only."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is crawled. `control_url` is "" for a server that is not ours, which has no ledger."""

    url: str
    control_url: str
    urls: tuple[str, ...] = ()
    """URLs to fetch as they are, instead of one URL: in this order, and again from the start."""
    trust: Trust = BY_DEFAULT
    ledger_rows: int = MOST_ROWS
    """Most rows of the server's ledger."""
    plans: tuple[Plan, ...] = ()
    """What each of `urls` asks for, if all are one run of a server of ours."""

    @property
    def is_ours(self) -> bool:
        """Whether requests carry plans and the server keeps a ledger."""
        return bool(self.control_url)


class _Counted(NamedTuple):
    """Counters of the server since its start."""

    turned_away: int
    requests: int
    accepted: int


class Runner(Protocol):
    """Something that does one run at a time."""

    def run(self, planned: PlannedRun) -> RunResult:
        """Do a run and return its result. Raises ServerGoneError."""


class ProcessRunner:
    """Runs crawls against a target, each in a fresh and pinned process."""

    def __init__(
        self,
        target: Target,
        timeout_s: float,
        pinning: Pinning,
        environment: Mapping[str, str] = MappingProxyType({}),
        grace_s: float = _GRACE_S,
        on_interrupt: Callable[[], None] | None = None,
        on_ended: Callable[[], object] = lambda: None,
    ) -> None:
        """`environment` is added to this process's environment for crawlers.

        `grace_s` is the time beyond the crawl: to start a process, import, write the outcome.
        If `on_interrupt` is given, a KeyboardInterrupt during a crawl is not raised: it is called,
        and the result has what the crawler had fetched by then. A second one is raised. `on_ended`
        is called as soon as the crawler has ended, before its outcome is read.
        """
        self._grace_s = grace_s
        self._on_interrupt = on_interrupt
        self._on_ended = on_ended
        self._target = target
        self._environment = {**os.environ, **environment}
        self._timeout_s = timeout_s
        self._pinning = pinning
        # A server that others use too may know a run of the same name.
        self._token = secrets.token_hex(4)

    def run(self, planned: PlannedRun) -> RunResult:
        """Do one crawl. A crawler that fails is a result; ServerGoneError is raised."""
        with self._announced(planned):
            return self._run(planned)

    def _run(self, planned: PlannedRun) -> RunResult:
        started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        counted = self._counted()
        before = Observation.now()
        memory = MemorySampler() if planned.site is not None else None
        failure, stderr_tail, outcome = self._crawl(planned, memory)
        after = Observation.now()
        try:
            counted_after = self._counted()
            ledger = self._take_ledger(self._name(planned)) if self._target.is_ours else None
        except ServerGoneError as error:
            error.result = RunResult(
                planned=planned,
                started_utc=started_utc,
                failure=failure,
                stderr_tail=stderr_tail,
                outcome=outcome,
                ledger=None,
                conditions=before.until(after, None, None),
                timeout_s=self._timeout_s,
                memory=_columns_of(memory),
            )
            raise
        beside = turned_away = accepted = None
        if ledger is not None:
            recorded = ledger.rows + ledger.unrecorded
            beside = counted_after.requests - counted.requests - recorded
            turned_away = counted_after.turned_away - counted.turned_away
            accepted = counted_after.accepted - counted.accepted
        if failure == _INTERRUPTED:
            done = len(outcome.fetches["seq"]) if outcome else ledger.rows if ledger else 0
            failure = f"interrupted after {done} of {planned.requests} requests"
        return RunResult(
            planned=planned,
            started_utc=started_utc,
            failure=failure,
            stderr_tail=stderr_tail,
            outcome=outcome,
            ledger=ledger,
            conditions=before.until(after, turned_away, beside, accepted),
            timeout_s=self._timeout_s,
            memory=_columns_of(memory),
        )

    def _crawl(
        self, planned: PlannedRun, memory: MemorySampler | None
    ) -> tuple[str, str, Outcome | None]:
        """Return the failure in one line or "", the end of stderr, and the outcome if any."""
        cell = planned.cell
        info = find(planned.entrant.crawler, planned.entrant.declared_as)
        delays_us = planned.delays_us() if planned.site is None else array("I")
        spec = Spec(
            crawler=info.name,
            concurrency=cell.concurrency,
            timeout_s=self._timeout_s,
            base_url=self._target.url,
            is_planned=self._target.is_ours and not self._target.urls,
            run_name=self._name(planned),
            delays_us=delays_us,
            faults={str(seq): fault for seq, fault in planned.faults},
            urls=list(self._target.urls),
            cafile=self._target.trust.cafile,
            is_insecure=self._target.trust.is_insecure,
            work=planned.work,
            site=planned.site,
            declared_as=planned.entrant.declared_as,
            due_after_ns=planned.due_after_ns(),
            sizes_bytes=planned.sizes_bytes(),
            body_bytes=planned.body_bytes(),
            duration_s=planned.load.duration_s if planned.load.ends_by_time else 0.0,
        )
        with kill_descendants():
            try:
                process = subprocess.Popen(
                    crawler_command(planned.entrant, "--worker"),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    start_new_session=True,
                    env=self._environment,
                )
            except OSError as error:
                return f"cannot be started: {error.strerror}", "", None
            assert process.stdout is not None
            assert process.stderr is not None
            reader = _Reader(process.stdout, _most_rows(planned))
            last_words = LastWords(process.stderr)
            if memory is not None:
                memory.begin(process.pid)
            try:
                failure = self._converse(
                    process, spec, self._cpus(spec, info), self.limit_s(planned)
                )
            finally:
                if memory is not None:
                    memory.end()
                _end(process)
        outcome = None
        if failure in ("", _INTERRUPTED) or (failure == _LATE and planned.site is not None):
            unread = reader.failure(_EOF_S)
            failure = failure or unread
            outcome = None if unread else reader.outcome
        if failure == _LATE:
            failure = f"not done after {self.limit_s(planned):.0f} s, and killed"
            if outcome is not None and outcome.site is not None:
                failure += _how_far(outcome.site.usage)
        return failure, last_words.text(_EOF_S), outcome

    def _converse(
        self,
        process: "subprocess.Popen[bytes]",
        spec: Spec,
        cpus: frozenset[int],
        deadline_s: float,
    ) -> str:
        # Until the spec is sent the process waits for it, with a single thread.
        pin(process.pid, cpus)
        assert process.stdin is not None
        is_late = Event()

        def give_up() -> None:
            is_late.set()
            if spec.site is not None:  # it says how far it was
                _stopped(process)
            _kill(process)

        # We use a timer, because a process that never reads the spec would block us here, too.
        timer = Timer(deadline_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            with contextlib.suppress(
                BrokenPipeError
            ):  # the process has died; its exit code says more
                spec.send(process.stdin)
            try:
                code = process.wait()
            except KeyboardInterrupt:
                if self._on_interrupt is None:
                    raise
                self._on_interrupt()
                if _stopped(process):
                    self._on_ended()
                    return _INTERRUPTED
                code = 0
            self._on_ended()
        finally:
            timer.cancel()
        if is_late.is_set():
            return _LATE
        if code < 0:
            return f"died of {signal_name(-code)}"
        return f"crashed with exit code {code}" if code else ""

    def limit_s(self, planned: PlannedRun) -> float:
        """After how long a crawl is killed."""
        info = find(planned.entrant.crawler, planned.entrant.declared_as)
        slots = min(planned.cell.concurrency, info.max_concurrency)
        ideal_s = expected_ns(planned, slots) / 1e9
        # Servers that are not ours may be gone: then every fetch takes as long as it may.
        timeouts = _TIMEOUTS if self._target.is_ours else -(-planned.requests // slots)
        return (
            self._grace_s
            + 2 * ideal_s
            + _WORK_TIMES * planned.work_s
            + _REQUEST_S * (0 if planned.load.ends_by_time else planned.requests)
            + max(_TIMEOUTS, timeouts) * self._timeout_s
        )

    def _cpus(self, spec: Spec, info: CrawlerInfo) -> frozenset[int]:
        processes = spec.work.processes if spec.work is not None else 1
        if spec.site is not None and spec.site.parse == PROCESSES:
            processes = spec.site.parsers
        if processes > 1:
            return self._pinning.everything
        if info.cores > 1:
            return self._pinning.multi_core_crawler
        return self._pinning.single_core_crawler

    def _name(self, planned: PlannedRun) -> str:
        if self._target.plans:
            return self._target.plans[0].name
        if planned.site is not None:
            return SiteSpec.parse(planned.site.site).key
        return f"{planned.name}-{self._token}"

    def _counted(self) -> _Counted:
        if not self._target.is_ours:
            return _Counted(0, 0, 0)
        try:
            counters = stats(self._target.control_url)
            of_connections = counters["connections"]
            return _Counted(
                of_connections["turned_away"], counters["requests"], of_connections["accepted"]
            )
        except ControlError as error:
            raise ServerGoneError(f"the server is gone: {error}") from error

    @contextlib.contextmanager
    def _announced(self, planned: PlannedRun) -> Iterator[None]:
        """Reserve ledger rows for the run, whatever other clients ask of the server."""
        if not self._target.is_ours:
            yield
            return
        control_url, name = self._target.control_url, self._name(planned)
        try:
            site = planned.site.site if planned.site is not None else ""
            announce_run(control_url, name, ledger_rows(planned), planned.service, site)
        except ControlError as error:
            what = "the server refuses the run" if error.status else "the server is gone"
            raise ServerGoneError(f"{what}: {error}") from error
        try:
            yield
        finally:
            with contextlib.suppress(ControlError):
                delete_run(control_url, name)

    def _take_ledger(self, name: str) -> RunRecord:
        control_url = self._target.control_url
        deadline = monotonic() + _SETTLE_S
        while True:
            try:
                record = fetch_run(control_url, name, self._target.ledger_rows)
            except ControlError as error:
                if error.status == 404:  # no request has reached the server
                    return RunRecord.empty(name)
                raise ServerGoneError(f"the server is gone: {error}") from error
            if WAITING not in record.columns["outcome"] or monotonic() > deadline:
                return record
            sleep(0.02)


def ledger_rows(planned: PlannedRun) -> int:
    """Return the rows to reserve for a run: a crawler that sends all twice can be detected."""
    return max(1000, 2 * planned.requests)


def _most_rows(planned: PlannedRun) -> int:
    most = planned.site.max_fetches if planned.site is not None else planned.requests
    return _MOST_ROWS_EACH * most + _MOST_ROWS_MORE


def _columns_of(memory: MemorySampler | None) -> Columns | None:
    return memory.columns() if memory is not None else None


def _how_far(usage: SiteUsage) -> str:
    text = f": {format_count(usage.pending, 'URL')} found and not fetched"
    if usage.unended:
        text += f", {format_count(usage.unended, 'job')} not ended by frontier.done"
    return text


class _Reader:
    """Reads a crawler's outcome in a thread as it comes, up to a limit."""

    def __init__(self, pipe: IO[bytes], most_rows: int) -> None:
        self.outcome: Outcome | None = None
        self._failure = "left an outcome without end: what it has started goes on"
        self._thread = Thread(target=self._read, args=(pipe, most_rows), daemon=True)
        self._thread.start()

    def _read(self, pipe: IO[bytes], most_rows: int) -> None:
        try:
            with pipe:
                self.outcome = Outcome.read(pipe, most_rows)
                self._failure = ""
        except NoOutcomeError as error:
            self._failure = str(error)
        except (OSError, ValueError) as error:
            self._failure = f"left no outcome that can be read: {error}"

    def failure(self, within_s: float) -> str:
        """Return why there is no outcome, or ""; waits up to `within_s` for the pipe to end."""
        self._thread.join(within_s)
        return self._failure


def _stopped(process: "subprocess.Popen[bytes]") -> bool:
    """Have a crawler leave what it has fetched so far; False if it has done all meanwhile.

    Whatever comes on its stdin after the spec means that. It is killed if it does not end.
    """
    assert process.stdin is not None
    with contextlib.suppress(OSError):  # it has ended, or does not even read the spec
        os.set_blocking(process.stdin.fileno(), False)
        os.write(process.stdin.fileno(), b"\n")
    try:
        return process.wait(_STOP_S) != 0
    except subprocess.TimeoutExpired:
        return True


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a crawler and the processes that it started in its session."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _end(process: "subprocess.Popen[bytes]") -> None:
    _kill(process)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()
