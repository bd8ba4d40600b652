"""Runs of spiders that never were: as the ideal client would crawl a site, and with faults."""

from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.measure.spiders import spider_entrant
from bench.plan.experiment import PlannedRun
from bench.plan.site import SiteExperiment
from bench.plan.sizes import Size
from bench.results.run_result import RunResult
from bench.results.store import Store
from bench.sites.ideal import Limits, simulate
from bench.sites.truth import LinkGraph, truth_of
from crawlers.contract import ERROR_WORDS, Recorder
from crawlers.spec import Outcome
from crawlers.spiders.registry import find_spider
from crawlers.spiders.task import DONE, LOOP, SiteRecords, SiteUsage
from crawlers.work import WorkLog
from server.ledger import ANSWERED, RunLedger
from server.site.spec import SiteSpec
from tests.factories import MS, conditions, record_of, usage

ABOUT = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y", "pinning": "none"}
T0_NS = 10**12
WAY_NS = MS // 10


@dataclass(frozen=True, slots=True)
class Request:
    """One request, as both ends saw it."""

    resource: int
    start_ns: int
    arrived_ns: int
    replied_ns: int
    end_ns: int
    sent_status: int
    status: int
    size_bytes: int
    delay_us: int
    error: int = 0
    depth: int = 1
    has_arrived: bool = True
    is_recorded: bool = True

    def later(self, by_ns: int) -> "Request":
        """The same after a time."""
        instants = ("start_ns", "arrived_ns", "replied_ns", "end_ns")
        return replace(self, **{name: getattr(self, name) + by_ns for name in instants})


Fault = Callable[[list[Request]], list[Request]]


def site_experiment(
    site: str = "pages=200;links=10",
    spiders: Iterable[str] = ("asyncio",),
    concurrencies: tuple[int, ...] = (10,),
    **changes: object,
) -> SiteExperiment:
    spec = SiteSpec.parse(site)
    entrants = tuple(map(spider_entrant, spiders))
    fields: dict[str, object] = {
        "entrants": entrants,
        "parses": (LOOP,) * len(entrants),
        "concurrencies": concurrencies,
        "sizes": (Size(spec.size),),
        "site": spec.text,
        "trials": 1,
        "seed": 1,
        "timeout_s": 10.0,
    }
    asked = SiteExperiment(**(fields | changes))  # type: ignore[arg-type]
    asked.check()
    return asked


def honest_requests(planned: PlannedRun) -> list[Request]:
    """What the ideal client does on the site of a run, each fetch a little longer than it waits."""
    task = planned.site
    assert task is not None
    truth = truth_of(task.site)
    info = find_spider(planned.entrant.crawler)
    graph = LinkGraph(truth, info.omits if info else ())
    limits = Limits(
        slots=planned.cell.concurrency,
        per_host=task.per_host,
        host_delay_ns=round(task.host_delay_s * 1e9),
        crawl_delay_ns=round(truth.site.spec.crawl_delay_s * 1e9),
        max_depth=task.max_depth,
    )
    plan = simulate(_Delayed(graph), limits)
    requests = []
    for number, start, end in zip(plan.numbers, plan.start_ns, plan.end_ns, strict=True):
        status = truth.site.status_of(number)
        has_size = number < truth.site.spec.pages and status == 200
        requests.append(
            Request(
                resource=number,
                start_ns=T0_NS + start,
                arrived_ns=T0_NS + start + WAY_NS,
                replied_ns=T0_NS + end - WAY_NS,
                end_ns=T0_NS + end,
                sent_status=status,
                status=status,
                size_bytes=truth.site.size_of_page(number) if has_size else 10,
                delay_us=truth.site.delay_us_of(number),
            )
        )
    return requests


class _Delayed(LinkGraph):
    """The way there and back takes time."""

    def __init__(self, graph: LinkGraph) -> None:
        super().__init__(graph.truth, graph.omits)

    def delay_ns_of(self, number: int) -> int:
        return super().delay_ns_of(number) + 2 * WAY_NS


def site_result(
    planned: PlannedRun, *faults: Fault, ended: str = DONE, pending: int = 0
) -> RunResult:
    """A run with these faults."""
    requests = honest_requests(planned)
    for fault in faults:
        requests = fault(requests)
    recorder, ledger = Recorder(), RunLedger(b"GET / HTTP/1.1\r\n\r\n")
    jobs = {name: array("q") for name in ("resource", "added_ns", "depth")}
    free: list[int] = []
    for request in requests:
        if request.is_recorded:
            seq = len(jobs["resource"])
            values = (request.resource, request.start_ns, request.depth)
            for column, value in zip(jobs.values(), values, strict=True):
                column.append(value)
            span = (request.start_ns, request.end_ns)
            recorder(seq, *span, request.status, request.size_bytes, ERROR_WORDS[request.error])
    for request in sorted(requests, key=lambda one: one.arrived_ns):
        if request.has_arrived:
            slot = next((n for n, end in enumerate(free) if end <= request.start_ns), len(free))
            free[slot : slot + 1] = [request.end_ns]
            row = ledger.arrive(
                request.resource,
                slot + 1,
                request.arrived_ns,
                request.delay_us,
                request.sent_status,
            )
            ledger.close_row(row, ANSWERED, request.replied_ns)
    span_ns = max(one.end_ns for one in requests) - T0_NS
    own = SiteUsage(parse_cpu_ns=30 * MS, frontier_cpu_ns=10 * MS, pending=pending, ended=ended)
    spent = replace(usage(), wall_ns=span_ns + MS)
    at_ns = array("q", [T0_NS - MS, T0_NS + span_ns // 2])
    return RunResult(
        planned=planned,
        started_utc="2026-01-01T00:00:00.000+00:00",
        failure="",
        stderr_tail="",
        outcome=Outcome(
            spent,
            {"python": "3.11"},
            recorder.columns(),
            WorkLog().columns(),
            site=SiteRecords(jobs, own),
        ),
        ledger=record_of(ledger),
        conditions=conditions(),
        timeout_s=10.0,
        memory={"at_ns": at_ns, "bytes": array("q", [30_000_000, 50_000_000])},
    )


def site_store(
    asked: SiteExperiment,
    faults_of: dict[str, tuple[Fault, ...]] | None = None,
    *,
    ended: str = DONE,
    failed: tuple[str, ...] = (),
) -> Store:
    """Results in memory, in which some spiders have faults, and some have failed altogether."""
    runs = asked.order({name: 1 if name == "serial" else 1000 for name in asked.crawlers})
    store = Store.create(
        Path("results/sites.db"), asked, len(runs), ABOUT, "2026-01-01T00:00:00", is_in_memory=True
    )
    for run in runs:
        made = site_result(run, *(faults_of or {}).get(run.cell.crawler, ()), ended=ended)
        if run.cell.crawler in failed:
            made = replace(made, failure="it crashed", outcome=None)
        store.append(made)
    return store
