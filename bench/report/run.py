"""Prints one crawl in detail, for `crawlbench crawl` and `crawlbench report`."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import Trial
from bench.analysis.clocks import format_bound
from bench.analysis.quantiles import BEYOND
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Verdict
from bench.plan.crawl import CrawlExperiment
from bench.report.failed_urls import failed_urls, print_failed_urls
from bench.report.parallel import CrawlerShare, crawler_shares, processes_table, share_as_json
from bench.report.tables import (
    LEVEL_COLOURS,
    format_errors,
    format_number,
    print_table,
    print_text,
)
from bench.results.schema import RunRow
from bench.results.store import Store
from bench.wording import format_count, format_percent

if TYPE_CHECKING:
    from rich.console import Console

_INDENT = 29
"""Indentation of continuation lines, so that they begin below the number."""


def print_crawl(store: Store, asked: CrawlExperiment, trial: Trial, console: "Console") -> None:
    """Print a crawl on stdout, and the URLs that failed on stderr. Raises StoreError."""
    about = f"{trial.run.crawler}, {asked.format_plan()}"
    _print_run(about, trial.run, trial.summary, trial.verdict, console)
    shares = _crawler_shares(store, trial)
    if len(shares) > 1 or any(one.process.machine for one in shares):
        print_text("", console)
        print_table(processes_table(shares), console, is_last=True)
    print_failed_urls(store, asked, [trial.run])


def crawl_as_json(store: Store, asked: CrawlExperiment, trial: Trial) -> dict[str, Any]:
    """Return a crawl as plain values for JSON. Raises StoreError."""
    summary, verdict = trial.summary, trial.verdict
    return {
        "crawler": trial.run.crawler,
        "verdict": verdict.level.name,
        "reasons": [
            {"level": one.word, "check": one.check, "text": one.text} for one in verdict.reasons
        ],
        "failure": trial.run.failure,
        "limited_by": asdict(bottleneck(summary, verdict)) if summary is not None else None,
        **(summary.to_json() if summary is not None else {}),
        "crawler_processes": list(map(share_as_json, _crawler_shares(store, trial))),
        "failed_urls": [asdict(one) for one in failed_urls(store, asked, [trial.run])],
        "results": str(store.path.parent),
    }


def _crawler_shares(store: Store, trial: Trial) -> list[CrawlerShare]:
    number = trial.run.number
    return crawler_shares(store.processes(number), store.fetches(number)["seq"])


def _print_run(
    about: str,
    run: RunRow,
    summary: RunSummary | None,
    verdict: Verdict,
    console: "Console",
) -> None:
    """Print one run, with a line for each number."""
    lines = {"crawl": about}
    if summary is not None:
        lines |= _lines_of_the_client(summary) | _lines_of_both_ends(run, summary)
        limit = bottleneck(summary, verdict)
        lines["limited by"] = f"{limit.word}: {limit.evidence}"
    lines["verdict"] = verdict.level.name
    for name, text in lines.items():
        print_text(f"{name:>27}  {text}", console, indent=_INDENT)
    for reason in sorted(verdict.reasons, key=lambda one: -one.level):
        style = LEVEL_COLOURS[reason.level.name] if reason.level else None
        print_text(f"{reason.word:>27}  {reason.text}", console, indent=_INDENT, style=style)


def _lines_of_the_client(summary: RunSummary) -> dict[str, str]:
    return {
        "requests": f"{summary.requests}, {summary.good} good",
        **_refusals(summary),
        "errors": format_errors(summary.errors),
        "makespan": f"{summary.makespan_ns / 1e9:.3f} s",
        "throughput": f"{summary.requests_per_s:,.1f} requests/s",
        "efficiency": format_number(summary.efficiency, ".3f")
        + (f" (the ideal makespan is {summary.ideal_ns / 1e9:.3f} s)" if summary.ideal_ns else ""),
        **_own_limit(summary),
        **_response_times(summary),
        "service time" if summary.offered_per_s is not None else "service time (closed loop)": (
            _quantiles(summary.p50_ns, summary.p90_ns, summary.p99_ns)
        ),
        **_queueing(summary),
        "CPU of the client": f"{summary.cpu_us_per_request:.0f} µs per request, "
        f"{_busiest(summary)}{format_percent(summary.cpu_share)} busy",
        "peak memory of the client": f"{summary.peak_memory_bytes / 1e6:.0f} MB",
    }


def _refusals(summary: RunSummary) -> dict[str, str]:
    if not summary.refused:
        return {}
    counts = ", ".join(f"status {code} {n}" for code, n in summary.refused_by_status.items())
    share = format_percent(summary.refused / summary.requests, 1)
    return {"refused by the service": f"{summary.refused}, {share}: {counts}"}


def _own_limit(summary: RunSummary) -> dict[str, str]:
    if summary.limit_mean is None:
        return {}
    return {
        "its own limit": f"{summary.limit_mean:,.1f} on average, {summary.limit_peak:,} at most"
    }


def _response_times(summary: RunSummary) -> dict[str, str]:
    """Return the lines that only an open loop has."""
    if summary.offered_per_s is None:
        return {}
    late = format_number(summary.send_lag_p99_ns, ".2f", 1e6)
    tail = summary.response_p999_ns
    return {
        "offered": f"{summary.offered_per_s:,.1f} requests/s",
        "response time (from due)": _quantiles(
            summary.response_p50_ns, summary.response_p90_ns, summary.response_p99_ns
        )
        + (f", p99.9 {format_number(tail, '.2f', 1e6)} ms" if tail is not None else ""),
        "send lag": f"p50 {format_number(summary.send_lag_p50_ns, '.2f', 1e6)} ms, p99 {late} ms; "
        f"at most {summary.backlog_peak:,} due and not sent",
    }


def _quantiles(p50_ns: int | None, p90_ns: int | None, p99_ns: int | None) -> str:
    p50, p90, p99 = (format_number(value, ".2f", 1e6) for value in (p50_ns, p90_ns, p99_ns))
    tail = f"not given (needs {100 * BEYOND:,} requests)" if p99_ns is None else f"{p99} ms"
    return f"p50 {p50} ms, p90 {p90} ms, p99 {tail}"


def _queueing(summary: RunSummary) -> dict[str, str]:
    if summary.queued_mean_ns is None:
        return {}
    mean, p50, p99 = (
        format_number(value, ".2f", 1e6)
        for value in (summary.queued_mean_ns, summary.queued_p50_ns, summary.queued_p99_ns)
    )
    tail = "" if summary.queued_p99_ns is None else f", p99 {p99} ms"
    return {
        "queued in the client": f"mean {mean} ms, p50 {p50} ms{tail}; included in the service time"
    }


def _lines_of_both_ends(run: RunRow, summary: RunSummary) -> dict[str, str]:
    if summary.reconciliation is None or summary.in_flight is None:
        reason = (
            "none: the server is not ours, or its ledger is not used"
            if run.unrecorded is None
            else f"incomplete: the server had no room for {run.unrecorded} requests"
        )
        return {"ledger": reason}
    lines = {
        "in flight at the server": f"mean {summary.in_flight.mean:.1f}, "
        f"peak {summary.in_flight.peak}, of {run.concurrency} asked for",
        "connections": format_number(summary.connections, "d") + _of_server_processes(summary),
        "CPU of the server": format_number(summary.server_cpu_us_per_request, ".0f")
        + " µs per request"
        + (f", {format_percent(summary.server.cpu_share)} busy" if summary.server else ""),
        "ledger": str(summary.reconciliation),
    }
    given_up = summary.abandoned
    if given_up is not None and given_up.requests:
        lines["given up by the client"] = (
            f"{format_count(given_up.requests, 'request')} before the answer, on which the "
            f"service spent {given_up.service_ns / 1e9:.2f} s more"
            + _answered_too_late(run, summary, given_up.requests)
        )
    if summary.split is not None:
        split = summary.split
        has_waited = summary.slot_time is not None and summary.slot_time.service_wait > 0
        waiting = (
            f"in the service's queue {split.service_wait.p50_ns / 1e6:.2f}, " if has_waited else ""
        )
        lines["where the time goes"] = (
            f"to server {split.to_server.p50_ns / 1e6:.2f}"
            f"{' (with queueing)' if run.conditions.queues else ''}, "
            f"{waiting}delay {split.delay.p50_ns / 1e6:.2f}, "
            f"late {split.late.p50_ns / 1e6:.2f}, back {split.back.p50_ns / 1e6:.2f} ms "
            f"(medians{_clock_bound(summary)})"
        )
    return lines


def _answered_too_late(run: RunRow, summary: RunSummary, given_up: int) -> str:
    """Return what else is abandoned in the ledger of an interrupted run without failed requests."""
    if not run.failure or summary.errors or summary.reconciliation is None:
        return ""
    others = summary.reconciliation.abandoned - given_up
    return f"; {others} more were answered once the client had stopped" if others > 0 else ""


def _busiest(summary: RunSummary) -> str:
    return "" if summary.processes == 1 else f"the busiest of {summary.processes} processes "


def _of_server_processes(summary: RunSummary) -> str:
    """Return how many each server process had, if there are several."""
    found = summary.connections_of_processes or ()
    return f", of the server's processes {', '.join(map(str, found))}" if len(found) > 1 else ""


def _clock_bound(summary: RunSummary) -> str:
    """Return by how much the clocks of other machines may shift time between both ways."""
    if not summary.clocks:
        return ""
    return f"; to server and back ± {format_bound(summary.clock_bound_ns)}, the clocks' bound"
