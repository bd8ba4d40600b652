"""From a results file of `crawlbench primes` to what tables and figures want: works, and savers."""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.analyse import load_run
from bench.analysis.validity import Level
from bench.errors import StoreError
from bench.primes.experiment import PRIMES, PrimesExperiment
from bench.primes.saved_run import SavedRun, look_at
from bench.primes.savers import NO_IO, SAVERS, SERIAL
from crawlers.work import Work

if TYPE_CHECKING:
    from bench.results.store import Store


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


def analyse_primes(store: "Store") -> PrimesAnalysis:
    """Everything in a results file of this kind. Raises StoreError."""
    experiment = store.read_asked(PrimesExperiment)
    asked = {(key_of(cell.work), cell.saver) for cell in experiment.cells}
    runs: dict[tuple[WorkKey, str], list[SavedRun]] = {}
    for run in store.runs():
        if run.work is None or (key_of(run.work), run.crawler) not in asked:
            raise StoreError(f"cannot read {store.path}: nobody asked for run {run.number}")
        saved = look_at(*load_run(store, run), store.work(run.number))
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
