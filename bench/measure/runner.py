"""Runs one crawl: a fresh crawler process, a deadline, and the records of both ends."""

import contextlib
import os
import secrets
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, sleep
from types import MappingProxyType
from typing import NamedTuple, Protocol

from bench.errors import MachineError
from bench.measure.carriers import (
    INTERRUPTED,
    LATE,
    STOPPED,
    Carried,
    Carrier,
    LocalCarrier,
    Orders,
    Share,
)
from bench.measure.memory import MemorySampler
from bench.measure.merging import contradiction, merged_outcome
from bench.measure.observation import Observation
from bench.measure.pinning import Pinning
from bench.measure.readiness import runtime_of
from bench.plan.experiment import PlannedRun, share_of
from bench.plan.ideal import expected_ns
from bench.results.run_result import ProcessResult, RunResult
from bench.wording import format_count
from crawlers.registry import CrawlerInfo, find
from crawlers.spec import Outcome, Spec
from crawlers.spiders.task import PROCESSES, SiteUsage
from crawlers.trust import BY_DEFAULT, Trust
from server.control_client import ControlError, announce_run, delete_run, fetch_run, stats
from server.ledger import MOST_ROWS, WAITING, RunRecord
from server.packed_columns import Columns
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

    is_own: bool = False
    """Whether the bench has started the server, on this machine."""

    @property
    def is_ours(self) -> bool:
        """Whether requests carry plans and the server keeps a ledger."""
        return bool(self.control_url)


class _Crawled(NamedTuple):
    failure: str
    """Why it failed, in one line, or ""."""
    stderr_tail: str
    outcome: Outcome | None
    processes: tuple[ProcessResult, ...]
    cores: int
    """As in RunResult."""


class _Counted(NamedTuple):
    """Counters of the server since its start."""

    turned_away: int
    requests: int
    accepted: int
    processes: int
    """How many processes serve."""


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
        carrier: Carrier | None = None,
    ) -> None:
        """`environment` is added to this process's environment for crawlers.

        `grace_s` is the time beyond the crawl: to start a process, import, write the outcome.
        If `on_interrupt` is given, a KeyboardInterrupt during a crawl is not raised: it is called,
        and the result has what the crawler had fetched by then. A second one is raised. `on_ended`
        is called as soon as the crawler has ended, before its outcome is read. `carrier` starts the
        processes; by default, on this machine.
        """
        self._carrier = carrier or LocalCarrier()
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
        failure, stderr_tail, outcome, processes, cores = self._crawl(planned, memory)
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
                processes=processes,
                cores=cores,
            )
            raise
        beside = turned_away = accepted = None
        if ledger is not None:
            recorded = ledger.rows + ledger.unrecorded
            beside = counted_after.requests - counted.requests - recorded
            turned_away = counted_after.turned_away - counted.turned_away
            accepted = counted_after.accepted - counted.accepted
        if failure == INTERRUPTED:
            done = len(outcome.fetches["seq"]) if outcome else ledger.rows if ledger else 0
            failure = f"interrupted after {done} of {planned.requests} requests"
        return RunResult(
            planned=planned,
            started_utc=started_utc,
            failure=failure,
            stderr_tail=stderr_tail,
            outcome=outcome,
            ledger=ledger,
            conditions=replace(
                before.until(after, turned_away, beside, accepted),
                server_processes=counted.processes,
            ),
            timeout_s=self._timeout_s,
            memory=_columns_of(memory),
            processes=processes,
            cores=cores,
        )

    def _crawl(self, planned: PlannedRun, memory: MemorySampler | None) -> _Crawled:
        """Have a crawl made, and put together what its processes report."""
        name = self._name(planned)
        orders = Orders(
            entrant=planned.entrant,
            limit_s=self.limit_s(planned),
            environment=self._environment,
            on_interrupt=self._on_interrupt,
            on_ended=self._on_ended,
            memory=memory,
            leaves_when_late=planned.site is not None,  # a spider says how far it was
            control_url=self._target.control_url,
            has_own_server=self._target.is_own,
        )
        shares = self._shares(planned, name)
        carried = _checked(self._carrier.carry(shares, orders))
        processes = tuple(
            ProcessResult(
                ordinal=share.ordinal,
                machine=one.machine,
                concurrency=share.spec.concurrency,
                requests=len(share.spec.delays_us),
                usage=one.outcome.usage if one.outcome else None,
                runtime=one.outcome.runtime if one.outcome else None,
                clock=one.clock,
            )
            for share, one in zip(shares, carried, strict=True)
        )
        outcome = merged_outcome([one.outcome for one in carried if one.outcome is not None])
        first = next((one for one in carried if one.failure not in ("", STOPPED)), carried[0])
        failure, stderr_tail = first.failure, first.stderr_tail
        if failure == LATE:
            failure = f"not done after {orders.limit_s:.0f} s, and killed"
            if outcome is not None and outcome.site is not None:
                failure += _how_far(outcome.site.usage)
        elif failure not in ("", INTERRUPTED):
            outcome = None
            of_many = f"process {carried.index(first) + 1} of {len(carried)}"
            where = first.machine or (of_many if len(carried) > 1 else "")
            failure = f"{where}: {failure}" if where else failure
        cores = 0 if planned.work is not None else cores_of(shares, self._cores(planned))
        return _Crawled(failure, stderr_tail, outcome, processes, cores)

    def _shares(self, planned: PlannedRun, name: str) -> list[Share]:
        """Return the part of each process in a run."""
        count, concurrency = planned.entrant.processes, planned.cell.concurrency
        is_of_site = planned.site is not None
        delays_us = array("I") if is_of_site else planned.delays_us()
        dues_ns, sizes_bytes = planned.due_after_ns(), planned.sizes_bytes()
        body_bytes, faults = planned.body_bytes(), dict(planned.faults)
        pinned = self._cpus(planned)
        shares = []
        for ordinal in range(count):
            part = slice(ordinal, None, count)
            spec = Spec(
                crawler=self._info(planned).name,
                concurrency=share_of(concurrency, ordinal, count),
                timeout_s=self._timeout_s,
                base_url=self._target.url,
                is_planned=self._target.is_ours and not self._target.urls,
                run_name=name,
                delays_us=delays_us[part],
                faults={str(seq): fault for seq, fault in faults.items()},
                urls=list(self._target.urls),
                cafile=self._target.trust.cafile,
                is_insecure=self._target.trust.is_insecure,
                work=planned.work,
                site=planned.site,
                declared_as=planned.entrant.declared_as,
                due_after_ns=dues_ns[part],
                sizes_bytes=sizes_bytes[part],
                body_bytes=body_bytes[part],
                duration_s=planned.load.duration_s if planned.load.ends_by_time else 0.0,
                first_seq=ordinal,
                seq_step=count,
                loop=planned.entrant.loop,
            )
            most_rows = _most_rows(planned, len(spec.delays_us))
            shares.append(Share(ordinal, spec, most_rows, pinned[ordinal]))
        return shares

    def limit_s(self, planned: PlannedRun) -> float:
        """After how long a crawl is killed."""
        most = self._info(planned).max_concurrency * planned.entrant.processes
        slots = min(planned.cell.concurrency, most)
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

    def _cpus(self, planned: PlannedRun) -> list[frozenset[int]]:
        """Return the CPUs of each process."""
        helpers = planned.work.processes if planned.work is not None else 1
        if planned.site is not None and planned.site.parse == PROCESSES:
            helpers = planned.site.parsers
        if helpers > 1:
            return [self._pinning.everything]
        return self._pinning.of_crawlers(planned.entrant.processes, self._cores(planned))

    def _cores(self, planned: PlannedRun) -> int:
        has_gil = runtime_of(planned.entrant).has_gil
        return self._info(planned).cores_on(has_gil=has_gil)

    def _info(self, planned: PlannedRun) -> CrawlerInfo:
        return find(planned.entrant.crawler, planned.entrant.declared_as)

    def _name(self, planned: PlannedRun) -> str:
        if self._target.plans:
            return self._target.plans[0].name
        if planned.site is not None:
            return SiteSpec.parse(planned.site.site).key
        return f"{planned.name}-{self._token}"

    def _counted(self) -> _Counted:
        if not self._target.is_ours:
            return _Counted(0, 0, 0, 1)
        try:
            counters = stats(self._target.control_url)
            of_connections = counters["connections"]
            return _Counted(
                of_connections["turned_away"],
                counters["requests"],
                of_connections["accepted"],
                len(counters["processes"]),
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


def _checked(carried: list[Carried]) -> list[Carried]:
    """Return what became of the shares; an outcome that contradicts another is a failure."""
    outcomes = [(at, one.outcome) for at, one in enumerate(carried) if one.outcome is not None]
    for ordinal, outcome in outcomes if len(carried) > 1 else ():
        wrong = contradiction(ordinal, len(carried), outcome, outcomes[0][1])
        if wrong:
            stopped = [replace(one, failure=STOPPED, outcome=None) for one in carried]
            stopped[ordinal] = replace(stopped[ordinal], failure=wrong)
            return stopped
    return carried


def cores_of(shares: Sequence[Share], cores: int) -> int:
    """Return how many CPUs the processes of a run on this machine can use and are given."""
    given = {cpu for share in shares for cpu in share.cpus}
    return min(len(shares) * cores, len(given) or os.cpu_count() or 1)


def ledger_rows(planned: PlannedRun) -> int:
    """Return the rows to reserve for a run: a crawler that sends all twice can be detected."""
    return max(1000, 2 * planned.requests)


def _most_rows(planned: PlannedRun, requests: int) -> int:
    most = planned.site.max_fetches if planned.site is not None else requests
    return _MOST_ROWS_EACH * most + _MOST_ROWS_MORE


def _columns_of(memory: MemorySampler | None) -> Columns | None:
    return memory.columns() if memory is not None else None


def _how_far(usage: SiteUsage) -> str:
    text = f": {format_count(usage.pending, 'URL')} found and not fetched"
    if usage.unended:
        text += f", {format_count(usage.unended, 'job')} not ended by frontier.done"
    return text
