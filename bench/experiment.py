"""What is asked: the cells of a sweep, and the order in which their runs are done. Pure."""

import heapq
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the sweep. `delay_us` is what each of its requests asks for."""

    crawler: str
    concurrency: int
    delay_us: int


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One cell in one trial: one crawl, in a process of its own."""

    number: int
    """In the order in which the runs are done, from 1."""
    trial: int
    """From 1."""
    cell: Cell
    requests: int

    @property
    def name(self) -> str:
        """By which the server keeps its ledger: unique within an experiment."""
        return f"run-{self.number}-trial-{self.trial}"


@dataclass(frozen=True, slots=True)
class Experiment:
    """A sweep of crawlers x concurrency, repeated in trials.

    A cell has `waves` x concurrency requests, so that the last wave is as full as the first.
    """

    crawlers: tuple[str, ...]
    concurrencies: tuple[int, ...]
    delay_us: int
    trials: int
    waves: int
    seed: int
    timeout_s: float

    def cells(self, max_concurrency: dict[str, int]) -> tuple[Cell, ...]:
        """Every point, but one above what a crawler can do; each crawler has at least one.

        `max_concurrency` is by crawler. A crawler that can do less than the smallest concurrency
        asked for is measured at what it can do.
        """
        cells = []
        for crawler in self.crawlers:
            most = max_concurrency[crawler]
            fitting = [c for c in self.concurrencies if c <= most] or [most]
            cells += [Cell(crawler, concurrency, self.delay_us) for concurrency in fitting]
        return tuple(cells)

    def order(self, max_concurrency: dict[str, int]) -> tuple[PlannedRun, ...]:
        """All runs: each trial visits all cells, in an order of its own drawn from the seed.

        So the drift of a machine spreads over all crawlers.
        """
        runs: list[PlannedRun] = []
        for trial in range(1, self.trials + 1):
            cells = list(self.cells(max_concurrency))
            random.Random(self.trial_seed(trial)).shuffle(cells)  # noqa: S311 - not for secrets
            for cell in cells:
                runs.append(PlannedRun(len(runs) + 1, trial, cell, self.waves * cell.concurrency))
        return tuple(runs)

    def trial_seed(self, trial: int) -> int:
        """What is drawn in a trial is drawn from this: the same for all crawlers."""
        digest = sha256(f"{self.seed}/{trial}".encode()).digest()
        return int.from_bytes(digest[:8], "big")

    def to_json(self) -> dict[str, Any]:
        """For a results file."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """What `to_json` gave."""
        lists = {key: tuple(value) for key, value in fields.items() if isinstance(value, list)}
        return cls(**{**fields, **lists})


def ideal_makespan_ns(delays_us: Sequence[int], slots: int) -> int:
    """The shortest span in which `slots` slots can wait for these delays, started in this order.

    List scheduling: each request starts, in the order of seq, on the slot that is free first.
    Crawlers start requests in that order too, so no overhead can beat it (Graham 1966 calls the
    schedule a list schedule; with delays drawn once for all crawlers it is exact, not a bound).
    For a fixed delay D it is ceil(N / slots) x D.
    """
    free_at = [0] * min(slots, len(delays_us))
    for delay_us in delays_us:
        heapq.heapreplace(free_at, free_at[0] + delay_us)
    return max(free_at, default=0) * 1000
