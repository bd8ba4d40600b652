"""Runs one crawl: a fresh crawler process, a deadline, both ends' accounts. Starts all crawls."""

import contextlib
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep
from types import MappingProxyType
from typing import IO, NamedTuple, Protocol

from bench.conditions import Conditions, Observation
from bench.experiment import PlannedRun, ideal_makespan_ns
from bench.interpreters import crawler_command
from bench.pinning import Pinning, pin
from crawlers.registry import CrawlerInfo, find
from crawlers.spec import EXIT_NO_OUTCOME, Outcome, Spec
from crawlers.trust import BY_DEFAULT, Trust
from server.control_client import ControlError, delete_run, fetch_run, stats
from server.ledger import WAITING, RunRecord
from server.request_plan import Plan

_GRACE_S = 30.0
"""Beyond what a crawl may take: to start a process, import a library, write the outcome."""
_REQUEST_S = 0.01
"""What a request may cost a slow crawler beside its delay."""
_TIMEOUTS = 10
"""How many requests may time out one after another."""
_WORK_TIMES = 5
"""As long as expected what is computed may take."""
_SETTLE_S = 2.0
"""For the server to notice that a crawler that has ended has closed its connections."""


class ServerGoneError(RuntimeError):
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
    plans: tuple[Plan, ...] = ()
    """What each of `urls` asks for, where all are one run of a server of ours."""

    @property
    def is_ours(self) -> bool:
        """Whether requests carry plans, and the server keeps a ledger."""
        return bool(self.control_url)


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a run. `failure` is "" or why there is no outcome, in one line."""

    planned: PlannedRun
    started_utc: str
    failure: str
    stderr_tail: str
    outcome: Outcome | None
    ledger: RunRecord | None
    conditions: Conditions
    timeout_s: float


class _Counted(NamedTuple):
    """By the server, since its start."""

    turned_away: int
    requests: int


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
        started_utc = datetime.now(UTC).isoformat(timespec="milliseconds")
        counted = self._counted()
        before = Observation.now()
        with tempfile.TemporaryDirectory(prefix="crawlbench-") as folder:
            path = Path(folder) / "outcome"
            failure, stderr_tail = self._crawl(planned, path)
            outcome = None
            if not failure:
                try:
                    with path.open("rb") as stream:
                        outcome = Outcome.read(stream)
                except FileNotFoundError:
                    failure = "ended without an outcome"
                except (OSError, ValueError, LookupError, TypeError) as error:
                    failure = f"left no outcome that can be read: {error}"
        after = Observation.now()
        try:
            counted_after = self._counted()
            ledger = self._take_ledger(self._name(planned)) if self._target.is_ours else None
        except ServerGoneError as error:
            alone = before.until(after, None, None)
            error.result = RunResult(
                *(planned, started_utc, failure, stderr_tail, outcome, None, alone),
                timeout_s=self._timeout_s,
            )
            raise
        beside = None
        if ledger is not None:
            recorded = ledger.rows + ledger.unrecorded
            beside = counted_after.requests - counted.requests - recorded
        turned_away = counted_after.turned_away - counted.turned_away
        conditions = before.until(after, turned_away if ledger is not None else None, beside)
        return RunResult(
            *(planned, started_utc, failure, stderr_tail, outcome, ledger, conditions),
            timeout_s=self._timeout_s,
        )

    def _crawl(self, planned: PlannedRun, outcome_path: Path) -> tuple[str, str]:
        """Why the crawl failed, in one line, or ""; and the end of what it said on stderr."""
        cell = planned.cell
        info = find(planned.entrant.crawler)
        delays_us = planned.delays_us()
        spec = Spec(
            crawler=info.name,
            concurrency=cell.concurrency,
            timeout_s=self._timeout_s,
            base_url=self._target.url,
            is_planned=self._target.is_ours and not self._target.urls,
            run_name=self._name(planned),
            outcome_path=str(outcome_path),
            delays_us=delays_us,
            faults={str(seq): fault for seq, fault in planned.faults},
            urls=list(self._target.urls),
            cafile=self._target.trust.cafile,
            is_insecure=self._target.trust.is_insecure,
            work=planned.work,
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
        with tempfile.TemporaryFile() as stderr:
            process = subprocess.Popen(
                crawler_command(planned.entrant, "--worker"),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,
                env=self._environment,
            )
            try:
                failure = self._converse(process, spec, self._cpus(spec, info), deadline_s)
            finally:
                _end(process)
            return failure, _tail(stderr)

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
        with contextlib.suppress(BrokenPipeError):  # it has died; its exit code says more
            spec.send(process.stdin)
        try:
            code = process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            return f"not done after {deadline_s:.0f} s, and killed"
        if code < 0:
            known = {number.value: number.name for number in signal.Signals}
            return f"died of {known.get(-code, f'signal {-code}')}"
        if code == EXIT_NO_OUTCOME:
            return f"could not write its outcome to {spec.outcome_path}: is that disk full?"
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
            return _Counted(0, 0)
        try:
            told = stats(self._target.control_url)
            return _Counted(int(told["connections"]["turned_away"]), int(told["requests"]))
        except (ControlError, LookupError, TypeError) as error:
            raise ServerGoneError(f"the server is gone: {error}") from error

    def _take_ledger(self, name: str) -> RunRecord:
        control_url = self._target.control_url
        deadline = monotonic() + _SETTLE_S
        while True:
            try:
                record = fetch_run(control_url, name)
            except ControlError as error:
                if error.status == 404:  # not one request reached it
                    return RunRecord.empty(name)
                raise ServerGoneError(f"the server is gone: {error}") from error
            if WAITING not in record.columns["outcome"] or monotonic() > deadline:
                break
            sleep(0.02)
        with contextlib.suppress(ControlError):
            delete_run(control_url, name)
        return record


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a crawler, and what it has started but for sessions of their own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _tail(stream: IO[bytes]) -> str:
    stream.seek(0, os.SEEK_END)
    stream.seek(max(0, stream.tell() - 4000))
    return stream.read().decode(errors="replace").strip()
