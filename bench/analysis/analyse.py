"""Computes cells, verdicts and the server's ceiling from a results file."""

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.analysis.accounts import Accounts
from bench.analysis.cells import CellSummary, Trial
from bench.analysis.summary import RunSummary, summarise
from bench.analysis.validity import Level, Verdict, judge
from bench.plan.experiment import CEILING, Cell, Experiment, RequestModel
from bench.results.schema import RunRow
from crawlers.contract import ERROR_WORDS
from server.request_plan import MAX_DELAY_US

if TYPE_CHECKING:
    from bench.results.store import Store

MAX_NS = 2**60
"""Highest believable time in ns: 36 years on a clock that starts with the machine."""

_BOUNDS = {
    "fetch": {
        "start_ns": (0, MAX_NS),
        "end_ns": (0, MAX_NS),
        "error": (0, len(ERROR_WORDS) - 1),
    },
    "limit": {"at_ns": (0, MAX_NS), "most": (1, MAX_NS)},
    "arrival": {
        "arrived_ns": (0, MAX_NS),
        "begin_ns": (0, MAX_NS),
        "due_ns": (0, MAX_NS),
        "replied_ns": (0, MAX_NS),
        "delay_us": (0, MAX_DELAY_US),
    },
}
"""Lowest and highest believable values of the columns that are used in computations."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """The analysis of all runs of an experiment."""

    experiment: Experiment
    cells: tuple[CellSummary, ...]
    """All cells, ordered by crawler, delay and size as in the command, then by what is varied."""
    ceilings: tuple[Trial, ...]
    """The runs of the floor crawler that measure the server's ceiling, first and last."""

    @property
    def runs(self) -> tuple[RunRow, ...]:
        """The runs of all cells, without those that measure the ceiling."""
        return tuple(trial.run for cell in self.cells for trial in cell.trials)

    def of_request(self, request: RequestModel) -> "Analysis":
        """Return the part of the analysis whose requests ask for this."""
        return replace(
            self,
            experiment=replace(self.experiment, delays=(request.delay,), sizes=(request.size,)),
            cells=tuple(cell for cell in self.cells if cell.cell.request == request),
        )

    def by_crawler(self) -> dict[str, list[CellSummary]]:
        """Return the cells with results by crawler, in order. Crawlers without any are left out."""
        found: dict[str, list[CellSummary]] = {}
        for cell in self.cells:
            if cell.measured:
                found.setdefault(cell.cell.crawler, []).append(cell)
        return found

    def format_series(self, cell: Cell) -> str:
        """Return the crawler, and what its requests ask for if that differs between cells."""
        is_one = len(self.experiment.requests_asked) == 1
        return cell.crawler if is_one else f"{cell.crawler}, {cell.request}"

    def latency_label(self, crawler: str) -> str:
        """Return the label of a crawler in figures of latencies, which says if they hold a wait."""
        queues = any(cell.queues for cell in self.cells if cell.cell.crawler == crawler)
        return f"{crawler}\n(with queueing)" if queues else crawler

    @property
    def ceiling_per_s(self) -> float | None:
        """The server's ceiling in requests/s; None if it was not measured."""
        return _ceiling_per_s(self.ceilings)

    @property
    def only_trial(self) -> Trial | None:
        """The trial of an experiment that is a single crawl; None if it was not made."""
        return next((trial for cell in self.cells for trial in cell.trials), None)

    @property
    def is_sound(self) -> bool:
        """Whether no run is INVALID, and no request failed."""
        return self.has_no_invalid and all(
            trial.summary is None or not trial.summary.errors for trial in self._trials
        )

    @property
    def has_no_invalid(self) -> bool:
        """Whether no run is INVALID."""
        return all(trial.verdict.level is not Level.INVALID for trial in self._trials)

    @property
    def _trials(self) -> tuple[Trial, ...]:
        return (*(trial for cell in self.cells for trial in cell.trials), *self.ceilings)


def analyse(store: "Store") -> Analysis:
    """Analyse all runs of a results file. Raises StoreError."""
    experiment = store.experiment()
    cpus = store.environment().get("cpus")
    cpus = cpus if isinstance(cpus, int) else 0
    runs = []
    summaries: dict[int, RunSummary | None] = {}
    for kept in store.runs():
        run, accounts = load_run(store, kept)
        runs.append(run)
        summaries[run.number] = summarise(run, accounts)
    ceilings = tuple(
        Trial(run, summaries[run.number], _of_ceiling(run, summaries[run.number], cpus))
        for run in runs
        if run.role == CEILING
    )
    ceiling_per_s = _ceiling_per_s(ceilings)
    trials: dict[Cell, list[Trial]] = defaultdict(list)
    for run in runs:
        if run.role == CEILING:
            continue
        summary = summaries[run.number]
        trials[run.cell].append(Trial(run, summary, judge(run, summary, ceiling_per_s, cpus)))
    rank_of = {label: rank for rank, label in enumerate(experiment.crawlers)}
    rank_of_request = {one: rank for rank, one in enumerate(experiment.requests_asked)}

    def rank(cell: Cell) -> tuple[int, int, float]:
        by_request = rank_of_request.get(cell.request, len(rank_of_request))
        return rank_of.get(cell.crawler, len(rank_of)), by_request, cell.level

    ordered = sorted(trials, key=rank)
    cells = tuple(CellSummary(cell, tuple(trials[cell])) for cell in ordered)
    return Analysis(experiment, cells, ceilings)


def _of_ceiling(run: RunRow, summary: RunSummary | None, cpus: int) -> Verdict:
    """Judge a ceiling run. Being limited by the server is no fault, because that is its purpose."""
    reasons = judge(run, summary, None, cpus).reasons
    return Verdict(tuple(one for one in reasons if one.check != "server-limited"))


def load_run(store: "Store", run: RunRow) -> tuple[RunRow, Accounts]:
    """Return a run and its records.

    If a record is out of bounds, the run is returned as failed and without records, so that the
    other runs can still be analysed. Raises StoreError.
    """
    accounts = load_accounts(store, run)
    wrong = _out_of_bounds(run, accounts)
    if not wrong:
        return run, accounts
    nothing = [
        {name: column[:0] for name, column in columns.items()}
        for columns in (accounts.fetches, accounts.load)
    ]
    failed = replace(run, failure=run.failure or f"impossible record: {wrong}", usage=None)
    return failed, Accounts(nothing[0], None, nothing[1])


def _out_of_bounds(run: RunRow, accounts: Accounts) -> str:
    """Describe the first value that no clock, crawler or server can produce, or return ""."""
    fetches, limits = accounts.fetches, accounts.limits
    # In open loop, 0 means that no job was taken. What was fetched then could not be judged.
    if run.load.is_open and len(fetches["seq"]) and not 0 < run.first_due_ns <= MAX_NS:
        return f"first_due_ns {run.first_due_ns}"
    tables = {"fetch": fetches, "arrival": accounts.arrivals or {}, "limit": limits}
    for table, columns in tables.items():
        for name, (least, most) in _BOUNDS[table].items():
            column = columns.get(name)
            if column is not None and len(column):
                for value in (int(column.min()), int(column.max())):
                    if not least <= value <= most:
                        return f"{name} {value}"
    is_before = fetches["end_ns"] < fetches["start_ns"]
    if is_before.any():
        return f"a fetch that ended before it began (seq {fetches['seq'][is_before][0]})"
    if (limits["at_ns"][1:] < limits["at_ns"][:-1]).any():
        return "limits that are not in the order of time"
    return ""


def load_accounts(store: "Store", run: RunRow) -> Accounts:
    """Read all records of a run. Raises StoreError."""
    arrivals = None if run.unrecorded is None else store.arrivals(run.number)
    plans = store.plans()
    return Accounts(
        store.fetches(run.number),
        arrivals,
        store.server_load(run.number),
        plans if len(plans) == run.requests else (),
        store.limits(run.number),
        tuple(store.processes(run.number)),
    )


def _ceiling_per_s(ceilings: tuple[Trial, ...]) -> float | None:
    """Return the highest rate of the VALID runs; if none is, of the runs that are not INVALID."""
    for worst in (Level.VALID, Level.SUSPECT):
        rates = [
            trial.summary.requests_per_s
            for trial in ceilings
            if trial.summary is not None and trial.verdict.level <= worst
        ]
        if rates:
            return max(rates)
    return None
