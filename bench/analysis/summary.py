"""Numbers of a run, from the raw requests of both ends. Pure.

What they are worth is for bench.analysis.validity to say.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.in_flight import Levels, Plateau, steady_plateau
from bench.analysis.quantiles import quantile, tail_quantile
from bench.analysis.reconciliation import Reconciliation
from bench.analysis.split import Split, SplitSummary
from bench.analysis.stalls import IdleSlots, Stall, client_stall, idle_slots, idle_stall
from bench.plan.experiment import ideal_makespan_ns
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from crawlers.contract import ERROR_WORDS
from server.request_plan import Plan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from crawlers.spec import Usage

_SLACK_NS = 100_000_000
"""For a client that is busy when a limit of time passes."""
_LEAST_LOAD_NS = 200_000_000
"""Of a makespan: for less, four samples, the server's load is not told."""


@dataclass(frozen=True, slots=True)
class Accounts:
    """All that was recorded of a run, in columns.

    `arrivals` is None where the server is not ours; `load`, samples of the server's load, may be
    empty.
    """

    fetches: IntColumns
    arrivals: IntColumns | None
    load: IntColumns
    plans: tuple[Plan, ...] = ()
    """What each request asked for, in the order of seq, where that is not drawn from the run's own
    model."""


@dataclass(frozen=True, slots=True)
class InFlight:
    """At the server, from arrival to reply."""

    mean: float
    peak: int
    plateau: Plateau | None


@dataclass(frozen=True, slots=True)
class ServerLoad:
    """Of the server over the makespan."""

    cpu_share: float
    waited_share: float | None
    """Of the time: it could have run, and another ran on its CPU; None: the system says not."""
    longest_lag_ns: int
    """How late its loop was, at the worst."""


@dataclass(frozen=True, slots=True)
class SlotTime:
    """Shares of the time that all slots have together, slots x makespan. They add up to 1."""

    delay: float
    late: float
    """The server's lateness."""
    opening: float
    """To the server, of the first request of each connection."""
    under_way: float
    """To the server of all others, and back."""
    unavoidable: float
    """No request, as the ideal schedule has slots without one too: its last wave is ragged."""
    idle: float
    """No request beyond that: between two, before the first, after the last."""


@dataclass(frozen=True, slots=True)
class Clusters:
    """Good requests that are later than planned by what the kernel is known to make of it."""

    around_1_s: int
    """0.95 to 1.25 s: a SYN that was dropped and sent again."""
    around_40_ms: int
    """35 to 45 ms on the way there or back: Nagle's algorithm and a delayed ACK. Not of the first
    request of a connection: opening many at once takes as long."""


@dataclass(frozen=True, slots=True)
class Impossible:
    """Good requests whose records cannot be true, and one of them."""

    what: str
    count: int
    seq: int


@dataclass(frozen=True, slots=True)
class RunSummary:
    """One run. Spans are in ns, shares from 0 to 1; None where there is nothing to say."""

    requests: int
    slots: int
    good: int
    """Whole bodies with the planned status and size: only these count as throughput."""
    errors: dict[str, int]
    """What is wrong, by word: of ERROR_WORDS, `status N`, `size`, `missing` (a job that was never
    recorded), `repeated` (one recorded again), `never arrived` (at the server)."""
    makespan_ns: int
    """From the first start to the last end."""
    requests_per_s: float
    ideal_ns: int
    efficiency: float | None
    """Ideal over measured makespan; None if nothing was planned, or not all requests are good."""
    p50_ns: int | None
    p90_ns: int | None
    p99_ns: int | None
    """Of the service time of good requests; as far as bench.analysis.quantiles gives them."""
    split: SplitSummary | None
    slot_time: SlotTime | None
    in_flight: InFlight | None
    connections: int | None
    """That the server saw. These four: None without a ledger."""
    cpu_us_per_request: float
    cpu_share: float
    """Of the CPUs that the crawler can use, over the crawl."""
    waited_share: float | None
    """Of the crawl: its one thread could have run, and another process ran; None: not known."""
    gc_share: float
    gc_longest_ns: int
    peak_memory_bytes: int
    server_cpu_us_per_request: float | None
    server: ServerLoad | None
    ledger: Reconciliation | None
    """None without a ledger, or with one that had no room for all."""
    client_peak: int
    """Requests at a time, by the client's own account."""
    client_plateau: Plateau | None
    """Of the same: what was hardly ever exceeded between the first wave and the last start."""
    queued_share: float | None
    """Of the time: by its own account the client had more requests under way than it had
    connections all in all, more than were ever in flight at the server, and more than failed. So
    some waited inside it. None without a ledger."""
    impossible: tuple[Impossible, ...]
    client_stall: Stall | None
    idle_stall: Stall
    """The longest time without an act of the client with a free slot and jobs left."""
    idle_slots: IdleSlots
    clusters: Clusters | None
    out_of_order: int
    """Requests that were started more than `slots` places away from their place by seq."""
    overtime: int
    """Good requests that took longer than the limit of time and a tenth."""
    outside_ns: int
    """Of the crawl, before the first start and after the last end."""


def summarise(run: RunRow, accounts: Accounts) -> RunSummary | None:
    """The numbers of a run; None if it failed, or recorded nothing."""
    fetches, usage = accounts.fetches, run.usage
    if usage is None or not len(fetches["seq"]):
        return None
    is_planned = accounts.arrivals is not None
    # A ledger that had no room for all says nothing of those that are missing.
    ledger = accounts.arrivals if not run.unrecorded else None
    is_good, errors = _errors(run.requests, fetches, is_planned, ledger, accounts.plans)
    count, good = len(is_good), int(is_good.sum())
    first_ns, last_ns = int(fetches["start_ns"].min()), int(fetches["end_ns"].max())
    makespan_ns = last_ns - first_ns
    delays_us: Sequence[int] = run.delays_us() if is_planned else []
    if accounts.plans:
        delays_us = [plan.delay_us for plan in accounts.plans]
    ideal_ns = ideal_makespan_ns(delays_us, run.slots)
    service_ns = np.sort((fetches["end_ns"] - fetches["start_ns"])[is_good])
    # Most runs are all good: a million rows need not be copied for that.
    good_rows = slice(None) if good == count else is_good
    good_fetches = {name: column[good_rows] for name, column in fetches.items()}
    in_flight = _in_flight(ledger, run.slots) if ledger is not None else None
    connections = len(np.unique(ledger["connection"])) if ledger is not None else None
    split = Split.of(run.requests, good_fetches, ledger) if ledger is not None else None
    client_levels = Levels.of(fetches["start_ns"], fetches["end_ns"])
    server_cpu_ns, server = _server_load(accounts.load, first_ns, last_ns)
    return RunSummary(
        requests=count,
        slots=run.slots,
        good=good,
        errors=errors,
        makespan_ns=makespan_ns,
        requests_per_s=good / max(1, makespan_ns) * 1e9,
        ideal_ns=ideal_ns,
        efficiency=ideal_ns / makespan_ns
        if ideal_ns and makespan_ns and good == run.requests
        else None,
        p50_ns=quantile(service_ns, 0.5) if good else None,
        p90_ns=quantile(service_ns, 0.9) if good else None,
        p99_ns=tail_quantile(service_ns, 0.99),
        split=SplitSummary.of(split) if split is not None else None,
        slot_time=(
            _slot_time(split, run.slots, makespan_ns, ideal_ns) if split is not None else None
        ),
        in_flight=in_flight,
        connections=connections,
        cpu_us_per_request=usage.cpu_ns / count / 1e3,
        cpu_share=usage.cpu_ns / max(1, usage.wall_ns) / run.cores,
        waited_share=_waited_share(usage),
        gc_share=usage.gc_pause_ns / max(1, usage.wall_ns),
        gc_longest_ns=usage.gc_longest_ns,
        peak_memory_bytes=usage.peak_memory_bytes,
        server_cpu_us_per_request=server_cpu_ns / count / 1e3 if server_cpu_ns else None,
        server=server,
        ledger=(
            Reconciliation.of(
                run.requests, fetches, ledger, run.resends, run.conditions.resend_condition
            )
            if ledger is not None
            else None
        ),
        client_peak=client_levels.peak,
        client_plateau=steady_plateau(client_levels, fetches["start_ns"], run.slots),
        queued_share=(
            client_levels.share_above(max(connections, in_flight.peak) + sum(errors.values()))
            if in_flight is not None and connections is not None
            else None
        ),
        impossible=_impossible(split, np.array(delays_us)) if split is not None else (),
        client_stall=client_stall(fetches, ledger) if ledger is not None else None,
        idle_stall=idle_stall(client_levels, run.slots, run.requests),
        idle_slots=idle_slots(client_levels, run.slots, run.requests),
        clusters=_clusters(split) if split is not None else None,
        out_of_order=_out_of_order(fetches, run.slots),
        overtime=int((service_ns > max(1.1 * run.timeout_ns, run.timeout_ns + _SLACK_NS)).sum()),
        outside_ns=max(0, usage.wall_ns - makespan_ns),
    )


def good_service_ns(run: RunRow, accounts: Accounts) -> "NDArray[np.int64]":
    """The service times of a run's good requests, sorted."""
    ledger = accounts.arrivals if not run.unrecorded else None
    is_planned = accounts.arrivals is not None
    is_good, _ = _errors(run.requests, accounts.fetches, is_planned, ledger)
    spans = accounts.fetches["end_ns"] - accounts.fetches["start_ns"]
    return np.sort(spans[is_good])


def _errors(
    requests: int,
    fetches: IntColumns,
    is_planned: bool,
    ledger: IntColumns | None,
    plans: tuple[Plan, ...] = (),
) -> tuple["NDArray[np.bool_]", dict[str, int]]:
    """Which fetches are good, and what is wrong with the others; a job without a fetch counts too.

    A fetch that the server knows nothing of is not good, whatever the crawler says of it.
    """
    status, error, size, seq = (fetches[name] for name in ("status", "error", "size_bytes", "seq"))
    rest = np.ones(len(seq), dtype=bool)
    by_word: Counter[str] = Counter()

    def set_aside(is_bad: "NDArray[np.bool_]", word: str) -> None:
        count = int((is_bad & rest).sum())
        if count:
            by_word[word] += count
        rest[is_bad] = False

    is_first = np.zeros(len(seq), dtype=bool)
    is_first[np.unique(seq, return_index=True)[1]] = True
    set_aside(~is_first | (seq < 0) | (seq >= requests), "repeated")
    missing = requests - int(rest.sum())
    if missing:
        by_word["missing"] = missing
    for code, word in enumerate(ERROR_WORDS):
        if code:
            set_aside(error == code, word)
    for code in np.unique(status).tolist():
        if (code != 200) if is_planned else not 100 <= code < 400:
            set_aside(status == code, f"status {code}")
    if is_planned:
        planned = np.array([plan.size_bytes for plan in plans] or [1])
        set_aside(size != planned[np.clip(seq, 0, len(planned) - 1)], "size")
    if ledger is not None:
        set_aside(~np.isin(seq, ledger["seq"]), "never arrived")
    return rest, dict(by_word.most_common())


def _in_flight(arrivals: IntColumns, slots: int) -> InFlight:
    levels = Levels.at_server(arrivals)
    if levels is None:
        return InFlight(0.0, 0, None)
    return InFlight(levels.mean, levels.peak, steady_plateau(levels, arrivals["arrived_ns"], slots))


def _slot_time(split: Split, slots: int, makespan_ns: int, ideal_ns: int) -> SlotTime:
    whole = max(1, slots * makespan_ns)
    delay = float(split.delay.sum()) / whole
    late = float(split.late.sum()) / whole
    opening = float(split.to_server[split.is_first].sum()) / whole
    to_server, back = float(split.to_server.sum()) / whole, float(split.back.sum()) / whole
    under_way = to_server - opening + back
    unavoidable = max(0.0, slots * ideal_ns / whole - delay)
    idle = 1 - delay - late - opening - under_way - unavoidable
    return SlotTime(delay, late, opening, under_way, unavoidable, idle)


def _waited_share(usage: "Usage") -> float | None:
    """Only of a crawler that is one thread: others wait for their own like."""
    if usage.waited_ns is None or usage.main_cpu_ns is None:
        return None
    if usage.main_cpu_ns < 0.9 * usage.cpu_ns:
        return None
    return usage.waited_ns / max(1, usage.wall_ns)


def _server_load(load: IntColumns, first_ns: int, last_ns: int) -> tuple[int, ServerLoad | None]:
    """CPU time in ns between the samples around a span, and shares of the span.

    Outside the span there is next to nothing to do, so that all of it belongs to the span.
    """
    at = load["at_ns"]
    if not len(at):
        return 0, None
    begin = max(0, int(np.searchsorted(at, first_ns, side="right")) - 1)
    end = min(len(at) - 1, int(np.searchsorted(at, last_ns)))
    cpu_ns = int(load["cpu_ns"][end] - load["cpu_ns"][begin])
    makespan_ns = last_ns - first_ns
    if makespan_ns < _LEAST_LOAD_NS:
        return cpu_ns, None
    waited_ns = int(load["waited_ns"][end] - load["waited_ns"][begin])
    is_waiting_known = int(load["waited_ns"][begin]) >= 0
    lags = load["late_ns"][begin + 1 : end + 1]
    return cpu_ns, ServerLoad(
        cpu_share=min(1.0, cpu_ns / makespan_ns),
        waited_share=waited_ns / makespan_ns if is_waiting_known else None,
        longest_lag_ns=int(lags.max()) if len(lags) else 0,
    )


def _impossible(split: Split, planned_us: "NDArray[np.int64]") -> tuple[Impossible, ...]:
    """What physics or the plan forbids, for requests of which both ends have a record."""
    found = []
    for what, is_wrong in (
        ("arrived before they were started", split.to_server < 0),
        ("were over before they were answered", split.back < 0),
        ("were answered before their delay was over", split.late < 0),
        ("asked for another delay than planned", split.delay != planned_us[split.seq] * 1000),
    ):
        if is_wrong.any():
            found.append(Impossible(what, int(is_wrong.sum()), int(split.seq[is_wrong][0])))
    return tuple(found)


def _out_of_order(fetches: IntColumns, slots: int) -> int:
    """Jobs are handed out in the order of seq, one to a slot; a clock may be read a little later.

    What was recorded again does not count, and what is missing shifts nobody.
    """
    by_start = fetches["seq"][np.argsort(fetches["start_ns"], kind="stable")]
    seqs, at = np.unique(by_start, return_index=True)
    place = np.empty(len(seqs), dtype=np.int64)
    place[np.argsort(at)] = np.arange(len(seqs))
    return int((np.abs(place - np.arange(len(seqs))) > slots).sum())


def _clusters(split: Split) -> Clusters:
    late = split.to_server + split.late + split.back
    second = _between(late, 950, 1250)
    if 3 * _between(late, 650, 950) > second:
        second = 0  # a tail, no cluster
    acks = 0
    for way in (split.to_server[~split.is_first], split.back[~split.is_first]):
        inside = _between(way, 35, 45)
        if inside > 3 * max(_between(way, 25, 35), _between(way, 45, 55)):
            acks += inside
    return Clusters(second, acks)


def _between(values: "NDArray[np.int64]", low_ms: int, high_ms: int) -> int:
    return int(((values >= low_ms * 1_000_000) & (values < high_ms * 1_000_000)).sum())
