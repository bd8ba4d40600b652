"""One run of `crawlbench primes`: its time, what was saved, its overlap, its verdict. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.accounts import Accounts
from bench.analysis.reconciliation import Reconciliation
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, Reason, Verdict, judge, of_the_host
from bench.primes.experiment import items_of
from bench.primes.savers import FILE_IO, saver_of
from bench.primes.schedule import longest_hold, shortest_ns
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from crawlers.contract import failure_word, is_good
from server.ledger import ANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHECKS = frozenset(
    {
        "ledger",
        "failures",
        "overtime",
        "overrun",
        "impossible",
        "failed",
        "late",
        "server-limited",
        "descriptors",
        "clock",
        "busy machine",
    }
)
"""The checks of bench.analysis.validity that apply to a crawler that computes: it may well stand
still, and leave its responses unread for a second."""
_AHEAD_SHARE = 0.05
_AHEAD_LEAST_NS = 10_000_000
"""How much of a run may be computed before an item that is ready is sent: a thread that sends may
wait for its CPU."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A save that failed."""

    item: int
    reason: str


@dataclass(frozen=True, slots=True)
class SavedRun:
    """The numbers of one run; times are in seconds. `wall_s` is None if it failed."""

    run: RunRow
    verdict: Verdict
    wall_s: float | None
    """Time from before the first item was computed to after the last was saved."""
    cpu_s: float | None
    """CPU time of the crawler's process and of the processes that it started."""
    bound_s: float
    """A bound that the run cannot beat, the longer of two: its CPU time divided by its processes,
    and the schedule of bench.primes.schedule, in which items are computed one after another and
    each is saved when it is ready and a slot is free."""
    found: int
    saved: int
    """Items that the service acknowledged or the file has, each counted once."""
    is_exact: bool
    """Whether every expected item was found, and is in the ledger or the file exactly once."""
    overlap: float | None
    failures: tuple[Failure, ...]

    @property
    def is_whole(self) -> bool:
        """Whether the run did everything; otherwise its time must not be compared."""
        saves = saver_of(self.run.crawler).saves
        return self.wall_s is not None and (not saves or self.saved == self.run.requests)


def look_at(run: RunRow, accounts: Accounts, work: IntColumns) -> SavedRun:
    """Return the numbers of a run, and its verdict."""
    assert run.work is not None
    expected = np.array(items_of(run.work), dtype=np.int64)
    found = work["item"]
    has_service = saver_of(run.crawler).has_service
    is_complete = np.array_equal(found, expected)
    is_exact, saved = is_complete, 0
    summary = summarise(run, accounts)
    if run.crawler == FILE_IO:
        in_file = np.sort(accounts.fetches["seq"][acknowledged(accounts.fetches)])
        is_exact = is_complete and np.array_equal(in_file, np.arange(run.requests))
        saved = len(np.unique(in_file))
    if has_service and accounts.join is not None:
        reconciled = Reconciliation.of(
            run.requests, accounts.join, run.resends, run.conditions.resend_condition
        )
        refused = int(((accounts.fetches["error"] == 0) & ~acknowledged(accounts.fetches)).sum())
        is_exact = is_complete and reconciled.matched == run.requests and not reconciled.unexplained
        saved = max(0, reconciled.matched - refused)
    usage = run.usage
    cpu_s = usage.cpu_ns / 1e9 if usage is not None else None
    processes = run.work.processes
    schedule_ns = shortest_ns(work, run.delays_us(), run.slots, processes) if has_service else 0
    return SavedRun(
        run=run,
        verdict=_judge(run, summary, is_complete, accounts, work),
        wall_s=usage.wall_ns / 1e9 if usage is not None else None,
        cpu_s=cpu_s,
        bound_s=max((cpu_s or 0.0) / processes, schedule_ns / 1e9),
        found=len(found),
        saved=saved,
        is_exact=is_exact,
        overlap=hidden_share(work, accounts.arrivals) if accounts.arrivals is not None else None,
        failures=failures_of(accounts.fetches, found),
    )


def _judge(
    run: RunRow,
    summary: RunSummary | None,
    is_complete: bool,
    accounts: Accounts,
    work: IntColumns,
) -> Verdict:
    reasons: list[Reason] = []
    if run.failure:
        return Verdict((Reason(Level.INVALID, "failed", run.failure),))
    if not is_complete:
        reasons.append(
            Reason(Level.INVALID, "work", "the computed items are not the expected ones")
        )
    impossible = _impossible(run, accounts.fetches, work)
    if impossible:
        reasons.append(Reason(Level.INVALID, "impossible", impossible))
    if saver_of(run.crawler).has_service:
        assert run.work is not None
        # If all cores compute, the server's core is one of them.
        not_of_all = {"busy machine"} if run.work.processes > 1 else set()
        reasons += [
            one for one in judge(run, summary, None).reasons if one.check in _CHECKS - not_of_all
        ]
        # Then a request may be sent in time but read late.
        if not any(one.check == "busy machine" for one in reasons):
            reasons += _computed_ahead(run, accounts, work)
        return Verdict(tuple(reasons))
    if accounts.arrivals is not None and len(accounts.arrivals["seq"]):
        text = f"{len(accounts.arrivals['seq'])} requests arrived from a saver that uses no service"
        reasons.append(Reason(Level.INVALID, "ledger", text))
    if run.crawler == FILE_IO and not acknowledged(accounts.fetches).all():
        text = "the file does not have each item exactly once"
        reasons.append(Reason(Level.INVALID, "file", text))
    reasons += of_the_host(run.conditions, run.usage.wall_ns if run.usage is not None else 0)
    return Verdict(tuple(reasons))


def _impossible(run: RunRow, fetches: IntColumns, work: IntColumns) -> str:
    """Return what cannot be true about when items were computed, or ""."""
    assert run.work is not None
    starts, ends = work["start_ns"], work["end_ns"]
    if not len(starts):
        return ""
    if (ends < starts).any():
        return "an item was found before its computing began"
    if run.work.processes == 1 and (starts[1:] < ends[:-1]).any():
        return "two items were computed at once, by one process"
    if run.usage is not None and int(ends.max()) - int(starts.min()) > run.usage.wall_ns:
        return "computing took longer than the run"
    seq = fetches["seq"]
    is_known = (seq >= 0) & (seq < len(ends))
    if (fetches["start_ns"][is_known] < ends[seq[is_known]]).any():
        return "an item was saved before it was found"
    return ""


def _computed_ahead(run: RunRow, accounts: Accounts, work: IntColumns) -> Iterator[Reason]:
    """Yield a reason if items were held back while others were computed.

    It makes the run SUSPECT, unless computing ahead is the saver's style.
    """
    assert run.work is not None
    # Computing in other processes does not delay sending.
    if run.work.processes > 1 or run.usage is None or accounts.arrivals is None:
        return
    hold = longest_hold(work, accounts.fetches, accounts.arrivals, run.slots)
    least_ns = max(_AHEAD_LEAST_NS, _AHEAD_SHARE * run.usage.wall_ns)
    if hold is None or hold.span_ns <= least_ns:
        return
    yield Reason(
        Level.VALID if saver_of(run.crawler).computes_ahead else Level.SUSPECT,
        "computes ahead",
        f"it computes ahead: before item {int(work['item'][hold.seq])} reached the service, "
        f"{hold.items} further items were computed, for {hold.span_ns / 1e9:.3f} s with a free "
        "slot",
    )


def acknowledged(fetches: IntColumns) -> "NDArray[np.bool_]":
    """Return for each fetch whether the service acknowledged its item, or the file has it."""
    return is_good(fetches["error"], fetches["status"], is_planned=True)


def failures_of(fetches: IntColumns, items: "NDArray[np.int64]") -> tuple[Failure, ...]:
    """Return the saves that failed, in the order of items."""
    wrong = ~acknowledged(fetches)
    seqs, statuses, codes = (
        fetches["seq"][wrong].tolist(),
        fetches["status"][wrong].tolist(),
        fetches["error"][wrong].tolist(),
    )
    failed = []
    for seq, status, code in sorted(zip(seqs, statuses, codes, strict=True)):
        item = int(items[seq]) if 0 <= seq < len(items) else seq
        failed.append(Failure(item, failure_word(code, status, is_planned=True)))
    return tuple(failed)


def hidden_share(work: IntColumns, arrivals: IntColumns) -> float | None:
    """Return the overlap: the share of the saves' waiting time in which work is computed.

    For each save it takes the time from arrival to response, and the part of it within the spans of
    work; it divides the sums of both. With 0 nobody computes while a save is waited for; with 1
    computing goes on during all waiting. None if no save was answered.
    """
    answered = (arrivals["outcome"] == ANSWERED) & (arrivals["replied_ns"] > 0)
    if not answered.any() or not len(work["item"]):
        return None
    arrived, replied = arrivals["arrived_ns"][answered], arrivals["replied_ns"][answered]
    starts, ends = merged(work["start_ns"], work["end_ns"])
    origin = starts[0]
    at = np.stack([starts, ends], axis=1).ravel() - origin
    done = np.concatenate([[0], np.cumsum(ends - starts)])
    computed = np.stack([done[:-1], done[1:]], axis=1).ravel()
    hidden = np.interp(replied - origin, at, computed) - np.interp(arrived - origin, at, computed)
    waited = int((replied - arrived).sum())
    return float(hidden.sum() / waited) if waited else None


def merged(
    starts: "NDArray[np.int64]", ends: "NDArray[np.int64]"
) -> "tuple[NDArray[np.int64], NDArray[np.int64]]":
    """Return the union of spans, as separate spans in order."""
    order = np.argsort(starts, kind="stable")
    starts, furthest = starts[order], np.maximum.accumulate(ends[order])
    is_first = np.append(True, starts[1:] > furthest[:-1])
    is_last = np.append(is_first[1:], True)
    return starts[is_first], furthest[is_last]


def format_failures(failures: Sequence[Failure], most: int = 100) -> str:
    """Return `97 (status 500), 101 (reset)`, and how many more there are."""
    text = ", ".join(f"{one.item} ({one.reason})" for one in failures[:most])
    more = len(failures) - most
    return f"{text} and {more} more" if more > 0 else text
