"""From a results file to what tables and figures want: each run, its overlap, what failed. Pure
but for `analyse_primes`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis import load_accounts
from bench.experiment import ideal_makespan_ns
from bench.ledger import Reconciliation
from bench.primes.experiment import PrimesExperiment, items_of
from bench.primes.options import PRIMES
from bench.primes.savers import NO_IO, SAVERS, SERIAL, saver_of
from bench.schema import RunRow
from bench.store import IntColumns, Store, StoreError
from bench.summary import Accounts, RunSummary, summarise
from bench.validity import Level, Reason, Verdict, judge, of_the_host
from crawlers.contract import ERROR_WORDS
from crawlers.work import Work
from server.ledger import ANSWERED

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CHECKS = frozenset(
    {
        *("ledger", "failures", "overtime", "overrun", "impossible", "failed"),
        *("late", "server-limited", "descriptors", "clock", "busy machine"),
    }
)
"""Of bench.validity, those that hold for a crawler that computes: it may well stand still, and its
answers lie there for a second."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A save that failed."""

    item: int
    reason: str


@dataclass(frozen=True, slots=True)
class SavedRun:
    """One run, in seconds. `wall_s` is None if it came to nothing."""

    run: RunRow
    verdict: Verdict
    wall_s: float | None
    """From before the first item was computed to after the last was saved."""
    cpu_s: float | None
    """Of the crawler's process, and of those that it started."""
    bound_s: float
    """The longer of two that it cannot beat: its CPU time, shared out over its processes, and the
    delays, list-scheduled on its slots."""
    found: int
    saved: int
    """Items that the service acknowledged, once each."""
    is_exact: bool
    """Whether every item that was to be found was found, and arrived once and no more."""
    overlap: float | None
    failures: tuple[Failure, ...]

    @property
    def is_whole(self) -> bool:
        """Whether it did all that it was to do: if not, its time is not to be compared."""
        saves = saver_of(self.run.crawler).saves
        return self.wall_s is not None and (not saves or self.saved == self.run.requests)


@dataclass(frozen=True, slots=True)
class SavedCell:
    """All trials of some work by one saver."""

    saver: str
    work: Work
    runs: tuple[SavedRun, ...]

    def median_of(self, value: Callable[[SavedRun], float | None]) -> float | None:
        """Over the trials that have it."""
        known = [one for run in self.runs if (one := value(run)) is not None]
        return median(known) if known else None

    @property
    def walls_s(self) -> list[float]:
        """Of the trials that came to something, from the least to the most."""
        return sorted(run.wall_s for run in self.runs if run.wall_s is not None)

    @property
    def wall_s(self) -> float | None:
        """The median."""
        return median(self.walls_s) if self.walls_s else None

    @property
    def level(self) -> Level:
        """The worst of its runs."""
        return max(run.verdict.level for run in self.runs)

    @property
    def is_whole(self) -> bool:
        """Whether all of its runs are."""
        return all(run.is_whole for run in self.runs)

    def median_run(self) -> SavedRun | None:
        """The run whose time is the median, or next below it."""
        known = sorted(
            (run for run in self.runs if run.wall_s is not None), key=lambda run: run.wall_s or 0.0
        )
        return known[(len(known) - 1) // 2] if known else None


WorkKey = tuple[str, int, int]
"""Kind, cost, size: the same work, on however many cores."""


def key_of(work: Work) -> WorkKey:
    """By which works are ordered and put together."""
    return work.kind, work.cost, work.size


@dataclass(frozen=True, slots=True)
class PrimesAnalysis:
    """An experiment, looked at whole."""

    experiment: PrimesExperiment
    cells: tuple[SavedCell, ...]
    """In the order of works, then of savers."""

    @property
    def is_sound(self) -> bool:
        """Whether no run failed or is INVALID, and no save failed."""
        runs = [run for cell in self.cells for run in cell.runs]
        return not any(run.failures or run.verdict.level is Level.INVALID for run in runs)

    def by_work(self) -> dict[WorkKey, dict[str, SavedCell]]:
        """Of each work its savers."""
        found: dict[WorkKey, dict[str, SavedCell]] = {}
        for cell in self.cells:
            found.setdefault(key_of(cell.work), {})[cell.saver] = cell
        return found

    def savers(self) -> tuple[str, ...]:
        """Those that were measured, in the order of their table."""
        measured = {cell.saver for cell in self.cells}
        return tuple(saver.name for saver in SAVERS if saver.name in measured)

    def shown_works(self) -> list[WorkKey]:
        """Of each kind the work that says most, of those that most savers did.

        Of hashes the best balanced: what the floor computes takes about as long as the waiting
        must. Of primes, which are never near that, the largest.
        """
        by_work = self.by_work()
        shown = []
        for kind in dict.fromkeys(kind for kind, _, _ in by_work):
            keys = [key for key in by_work if key[0] == kind]
            most = max(len(by_work[key]) for key in keys)
            whole = [key for key in keys if len(by_work[key]) == most]
            if kind == PRIMES:
                shown.append(max(whole, key=lambda key: key[2]))
            else:
                shown.append(min(whole, key=lambda key: self._imbalance(by_work[key])))
        return shown

    def _imbalance(self, savers: dict[str, SavedCell]) -> float:
        floor = savers.get(NO_IO)
        if floor is None or not floor.wall_s:
            return 0.0
        items = floor.runs[0].run.requests
        return float(abs(np.log(floor.wall_s / self.waiting_s(items))))

    def waiting_s(self, items: int) -> float:
        """So long whole waves of `concurrency` saves wait, each for the mean delay."""
        asked = self.experiment
        return max(-(-items // asked.concurrency) * asked.delay.mean_us / 1e6, 1e-9)


def speed_up(cell: SavedCell, savers: dict[str, SavedCell]) -> float | None:
    """How many times faster than the serial saver, at the same work."""
    serial = savers.get(SERIAL)
    if serial is None or not (serial.is_whole and cell.is_whole):
        return None
    if not serial.wall_s or not cell.wall_s:
        return None
    return serial.wall_s / cell.wall_s


def analyse_primes(store: Store) -> PrimesAnalysis:
    """Everything in a results file of this kind. Raises StoreError."""
    try:
        experiment = PrimesExperiment.from_json(store.asked())
    except (ValueError, TypeError, LookupError) as error:
        raise StoreError(f"cannot read {store.path}: {error}") from error
    asked = {(key_of(cell.work), cell.saver) for cell in experiment.cells}
    runs: dict[tuple[WorkKey, str], list[SavedRun]] = {}
    for run in store.runs():
        if run.work is None or (key_of(run.work), run.crawler) not in asked:
            raise StoreError(f"cannot read {store.path}: nobody asked for run {run.number}")
        saved = look_at(run, load_accounts(store, run), store.work(run.number))
        runs.setdefault((key_of(run.work), run.crawler), []).append(saved)
    rank = {saver.name: n for n, saver in enumerate(SAVERS)}
    cells = []
    for (key, saver), trials in sorted(
        runs.items(), key=lambda one: (one[0][0], rank.get(one[0][1], len(rank)))
    ):
        work = trials[0].run.work
        assert work is not None
        assert key_of(work) == key
        cells.append(SavedCell(saver, work, tuple(trials)))
    return PrimesAnalysis(experiment, tuple(cells))


def look_at(run: RunRow, accounts: Accounts, work: IntColumns) -> SavedRun:
    """The numbers of a run, and what they are worth."""
    assert run.work is not None
    expected = np.array(items_of(run.work), dtype=np.int64)
    found = work["item"]
    saves = saver_of(run.crawler).saves
    is_complete = np.array_equal(found, expected)
    is_exact, saved = is_complete, 0
    summary = summarise(run, accounts)
    if saves and accounts.arrivals is not None:
        joined = Reconciliation.of(run.requests, accounts.fetches, accounts.arrivals, run.resends)
        refused = int((accounts.fetches["status"] >= 400).sum())
        is_exact = is_complete and joined.matched == run.requests and not joined.unexplained
        saved = max(0, joined.matched - refused)
    usage = run.usage
    cpu_s = usage.cpu_ns / 1e9 if usage is not None else None
    waiting_s = ideal_makespan_ns(run.delays_us(), run.slots) / 1e9 if saves else 0.0
    return SavedRun(
        run=run,
        verdict=_judge(run, summary, saves, is_complete, accounts, work),
        wall_s=usage.wall_ns / 1e9 if usage is not None else None,
        cpu_s=cpu_s,
        bound_s=max((cpu_s or 0.0) / run.work.processes, waiting_s),
        found=len(found),
        saved=saved,
        is_exact=is_exact,
        overlap=hidden_share(work, accounts.arrivals) if accounts.arrivals is not None else None,
        failures=failures_of(accounts.fetches, found),
    )


def _judge(
    run: RunRow,
    summary: RunSummary | None,
    saves: bool,
    is_complete: bool,
    accounts: Accounts,
    work: IntColumns,
) -> Verdict:
    reasons: list[Reason] = []
    if run.failure:
        return Verdict((Reason(Level.INVALID, "failed", run.failure),))
    if not is_complete:
        reasons.append(
            Reason(Level.INVALID, "work", "what was computed is not what was to be found")
        )
    impossible = _impossible(run, accounts.fetches, work)
    if impossible:
        reasons.append(Reason(Level.INVALID, "impossible", impossible))
    if saves:
        assert run.work is not None
        # Where all cores compute, the server's is one of them.
        not_of_all = {"busy machine"} if run.work.processes > 1 else set()
        reasons += [
            one for one in judge(run, summary, None).reasons if one.check in _CHECKS - not_of_all
        ]
        return Verdict(tuple(reasons))
    if accounts.arrivals is not None and len(accounts.arrivals["seq"]):
        text = f"{len(accounts.arrivals['seq'])} requests of a saver that saves nothing"
        reasons.append(Reason(Level.INVALID, "ledger", text))
    reasons += of_the_host(run.conditions, run.usage.wall_ns if run.usage is not None else 0)
    return Verdict(tuple(reasons))


def _impossible(run: RunRow, fetches: IntColumns, work: IntColumns) -> str:
    """What cannot be true of when items were computed; "" if nothing is."""
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


def failures_of(fetches: IntColumns, items: "NDArray[np.int64]") -> tuple[Failure, ...]:
    """Each save that went wrong, by its item, in the order of items."""
    wrong = (fetches["error"] != 0) | (fetches["status"] >= 400)
    failed = []
    for seq, status, code in sorted(
        zip(*(fetches[name][wrong].tolist() for name in ("seq", "status", "error")), strict=True)
    ):
        item = int(items[seq]) if 0 <= seq < len(items) else seq
        failed.append(Failure(item, ERROR_WORDS[code] or f"status {status}"))
    return tuple(failed)


def hidden_share(work: IntColumns, arrivals: IntColumns) -> float | None:
    """The overlap: of the time that saves wait at the service, the share in which work is computed.

    For each save from its arrival to its answer, how much of it lies within the spans of work;
    summed, over the sum of all waits. 0: nobody computes while a save is waited for; 1: no save is
    ever waited for alone. None if nothing was answered.
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
    """The union of spans, as spans apart from each other, in order."""
    order = np.argsort(starts, kind="stable")
    starts, furthest = starts[order], np.maximum.accumulate(ends[order])
    is_first = np.append(True, starts[1:] > furthest[:-1])
    is_last = np.append(is_first[1:], True)
    return starts[is_first], furthest[is_last]


def shown_item(failures: Sequence[Failure], most: int = 100) -> str:
    """`97 (status 500), 101 (reset)`, and how many more."""
    text = ", ".join(f"{one.item} ({one.reason})" for one in failures[:most])
    more = len(failures) - most
    return f"{text} and {more} more" if more > 0 else text
