"""Runs one crawl: a fresh crawler process, a deadline, both ends' accounts. Starts all crawls."""

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread, Timer
from time import monotonic, sleep
from types import MappingProxyType
from typing import IO, NamedTuple, Protocol

from bench.errors import MachineError
from bench.exit_codes import signal_name
from bench.measure.descendants import none_left
from bench.measure.interpreters import crawler_command
from bench.measure.observation import Observation
from bench.measure.pinning import Pinning, pin
from bench.plan.experiment import PlannedRun, ideal_makespan_ns
from bench.results.run_result import RunResult
from crawlers.registry import CrawlerInfo, find
from crawlers.spec import NoOutcomeError, Outcome, Spec
from crawlers.trust import BY_DEFAULT, Trust
from server.control_client import ControlError, announce_run, delete_run, fetch_run, stats
from server.ledger import MOST_ROWS, WAITING, RunRecord
from server.process import LastWords
from server.request_plan import Plan

_GRACE_S = 30.0
"""Beyond what a crawl may take: to start a process, import a library, write the outcome."""
_REQUEST_S = 0.01
"""What a request may cost a slow crawler beside its delay."""
_TIMEOUTS = 10
"""How many requests may time out one after another."""
_WORK_TIMES = 5
"""As long as expected what is computed may take."""
_MOST_ROWS_EACH, _MOST_ROWS_MORE = 2, 1000
"""Records of a crawler for each request, and more than that: each twice will be found out."""
_EOF_S = 5.0
"""For the pipes of processes that have been killed to end."""
_SETTLE_S = 2.0
"""For the server to notice that a crawler that has ended has closed its connections."""


class ServerGoneError(MachineError):
    """The server does not answer on its control port any more: no further run makes sense."""

    result: "RunResult | None" = None
    """By the client's account alone, if it went during a run."""


@dataclass(frozen=True, slots=True)
class Target:
    """What is crawled. `control_url` is "" for a server that is not ours: there is no ledger."""

    url: str
    control_url: str
    urls: tuple[str, ...] = ()
    """Instead of one: fetched once each, as they are."""
    trust: Trust = BY_DEFAULT
    ledger_rows: int = MOST_ROWS
    """Of its ledger, at the most."""
    plans: tuple[Plan, ...] = ()
    """What each of `urls` asks for, where all are one run of a server of ours."""

    @property
    def is_ours(self) -> bool:
        """Whether requests carry plans, and the server keeps a ledger."""
        return bool(self.control_url)


class _Counted(NamedTuple):
    """By the server, since its start."""

    turned_away: int
    requests: int
    accepted: int


class Runner(Protocol):
    """Does one run at a time."""

    def run(self, planned: PlannedRun) -> RunResult:
        """Raises ServerGoneError."""


class ProcessRunner:
    """Runs crawls against a target, each in a fresh process pinned as told."""

    def __init__(
        self,
        target: Target,
        timeout_s: float,
        pinning: Pinning,
        environment: Mapping[str, str] = MappingProxyType({}),
        grace_s: float = _GRACE_S,
    ) -> None:
        """`environment` is added to this process's own for crawlers.

        `grace_s`: beyond what a crawl may take, to start a process, import, write the outcome.
        """
        self._grace_s = grace_s
        self._target = target
        self._environment = {**os.environ, **environment}
        self._timeout_s = timeout_s
        self._pinning = pinning
        # A server that is not ours alone may know a run of the same name.
        self._token = secrets.token_hex(4)

    def run(self, planned: PlannedRun) -> RunResult:
        """One crawl. A crawler that fails is a result; a server that is gone is raised."""
        with self._announced(planned):
            return self._run(planned)

    def _run(self, planned: PlannedRun) -> RunResult:
        started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        counted = self._counted()
        before = Observation.now()
        failure, stderr_tail, outcome = self._crawl(planned)
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
            )
            raise
        beside = turned_away = accepted = None
        if ledger is not None:
            recorded = ledger.rows + ledger.unrecorded
            beside = counted_after.requests - counted.requests - recorded
            turned_away = counted_after.turned_away - counted.turned_away
            accepted = counted_after.accepted - counted.accepted
        return RunResult(
            planned=planned,
            started_utc=started_utc,
            failure=failure,
            stderr_tail=stderr_tail,
            outcome=outcome,
            ledger=ledger,
            conditions=before.until(after, turned_away, beside, accepted),
            timeout_s=self._timeout_s,
        )

    def _crawl(self, planned: PlannedRun) -> tuple[str, str, Outcome | None]:
        """Why the crawl failed, in one line, or ""; the end of what it said on stderr; and what it
        left behind, if it did not fail.
        """
        cell = planned.cell
        info = find(planned.entrant.crawler, planned.entrant.declared_as)
        delays_us = planned.delays_us()
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
            declared_as=planned.entrant.declared_as,
        )
        slots = min(cell.concurrency, info.max_concurrency)
        ideal_s = ideal_makespan_ns(delays_us, slots) / 1e9
        # Servers that are not ours may be gone: then every fetch takes as long as it may.
        timeouts = _TIMEOUTS if self._target.is_ours else -(-planned.requests // slots)
        deadline_s = (
            self._grace_s
            + 2 * ideal_s
            + _WORK_TIMES * planned.work_s
            + _REQUEST_S * planned.requests
            + max(_TIMEOUTS, timeouts) * self._timeout_s
        )
        with none_left():
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
            reader = _Reader(process.stdout, _MOST_ROWS_EACH * planned.requests + _MOST_ROWS_MORE)
            last_words = LastWords(process.stderr)
            try:
                failure = self._converse(process, spec, self._cpus(spec, info), deadline_s)
            finally:
                _end(process)
        failure = failure or reader.failure(_EOF_S)
        return failure, last_words.text(_EOF_S), None if failure else reader.outcome

    def _converse(
        self,
        process: "subprocess.Popen[bytes]",
        spec: Spec,
        cpus: frozenset[int],
        deadline_s: float,
    ) -> str:
        # Before the spec is sent, the process waits for it, and has no other thread yet.
        pin(process.pid, cpus)
        assert process.stdin is not None
        is_late = Event()

        def give_up() -> None:
            is_late.set()
            _kill(process)

        # A timer, since a process that reads no spec would keep us waiting, too.
        timer = Timer(deadline_s, give_up)
        timer.daemon = True
        timer.start()
        try:
            with contextlib.suppress(BrokenPipeError):  # it has died; its exit code says more
                spec.send(process.stdin)
            code = process.wait()
        finally:
            timer.cancel()
        if is_late.is_set():
            return f"not done after {deadline_s:.0f} s, and killed"
        if code < 0:
            return f"died of {signal_name(-code)}"
        return f"crashed with exit code {code}" if code else ""

    def _cpus(self, spec: Spec, info: CrawlerInfo) -> frozenset[int]:
        if spec.work is not None and spec.work.processes > 1:
            return self._pinning.everything
        if info.cores > 1:
            return self._pinning.multi_core_crawler
        return self._pinning.single_core_crawler

    def _name(self, planned: PlannedRun) -> str:
        if self._target.plans:
            return self._target.plans[0].name
        return f"{planned.name}-{self._token}"

    def _counted(self) -> _Counted:
        if not self._target.is_ours:
            return _Counted(0, 0, 0)
        try:
            told = stats(self._target.control_url)
            of_connections = told["connections"]
            return _Counted(
                of_connections["turned_away"], told["requests"], of_connections["accepted"]
            )
        except ControlError as error:
            raise ServerGoneError(f"the server is gone: {error}") from error

    @contextlib.contextmanager
    def _announced(self, planned: PlannedRun) -> Iterator[None]:
        """Rows of the ledger are kept for the run, whoever else asks the server for something."""
        if not self._target.is_ours:
            yield
            return
        control_url, name = self._target.control_url, self._name(planned)
        try:
            announce_run(control_url, name, ledger_rows(planned))
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
                if error.status == 404:  # not one request reached it
                    return RunRecord.empty(name)
                raise ServerGoneError(f"the server is gone: {error}") from error
            if WAITING not in record.columns["outcome"] or monotonic() > deadline:
                return record
            sleep(0.02)


def ledger_rows(planned: PlannedRun) -> int:
    """Rows to be kept for a run: a crawler may send each request again, and be found out."""
    return max(1000, 2 * planned.requests)


class _Reader:
    """Reads a crawler's outcome as it comes, in a thread, and no more than there may be."""

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
        """Why there is no outcome, "" if there is one; waits so long for the end of the pipe."""
        self._thread.join(within_s)
        return self._failure


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """A crawler, and what it has started but for sessions of their own."""
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
