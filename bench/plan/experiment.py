"""The plan of a sweep: its cells, and the order of its runs. Pure."""

import heapq
import random
import shlex
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.program import PROGRAM
from crawlers.work import Work
from server.request_plan import MAX_DELAY_US, Plan

SWEEP = "sweep"
CALIBRATION = "calibration"
"""Two kinds of experiments with crawlers only; bench.kinds has all kinds."""

CELL = "cell"
CEILING = "ceiling"
"""The role of a run: CELL is a point of the sweep, CEILING measures how fast the server answers a
floor client."""

MAX_RUNS = 1_000_000
"""Most runs of an experiment that is read from a file."""

CEILING_CONCURRENCY = 100
CEILING_REQUESTS = 10_000


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the sweep. `crawler` is the label of an entrant."""

    crawler: str
    concurrency: int
    delay: Delay


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """One cell in one trial: one crawl, in a fresh process."""

    number: int
    """The place in the order of runs, from 1."""
    trial: int
    """The trial, from 1; 0 for a run that is not a cell."""
    cell: Cell
    requests: int
    entrant: Entrant
    seed: int = 0
    """The seed of the delays."""
    role: str = CELL
    faults: tuple[tuple[int, str], ...] = ()
    """Seq and fault of server.request_plan, for requests that are to fail."""
    work: Work | None = None
    """The computation for each request, if any."""
    work_s: float = 0.0
    """The expected time of all computing."""

    @property
    def name(self) -> str:
        """The name of the run in the server's ledger, unique within an experiment."""
        return f"run-{self.number}-trial-{self.trial}"

    def delays_us(self) -> "array[int]":
        """Return the delay of each request, in the order of seq."""
        return self.cell.delay.drawn(self.seed, self.requests)


class Asked(Protocol):
    """The plan of an experiment of any kind."""

    @property
    def kind(self) -> str:
        """The name of its kind, in bench.kinds."""

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """The entrants, with unique labels."""

    @property
    def timeout_s(self) -> float:
        """The time limit of a fetch."""

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """Return the number of runs without making them."""

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """Return all runs, in the order in which they are done."""

    def check(self) -> None:
        """Raise ValueError for values of the right types that cannot have been asked for."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """A sweep of crawlers x delays x concurrency, repeated in trials.

    A cell has `waves` x concurrency requests, so that the last wave is as full as the first, or
    `requests` if that is not 0. `floor` is the crawler that measures the server's ceiling, as the
    first and the last run; "" for none.
    """

    entrants: tuple[Entrant, ...]
    concurrencies: tuple[int, ...]
    delays: tuple[Delay, ...]
    trials: int
    waves: int
    seed: int
    timeout_s: float
    requests: int = 0
    floor: str = ""
    kind: str = SWEEP
    """SWEEP, CALIBRATION, or what a subclass says."""
    url: str = ""
    """The URL that is fetched, or the address of a delay server that runs already; "" for a server
    of its own."""
    urls: tuple[str, ...] = ()
    """The URLs of a list. Each run fetches them in this order, and again from the start."""
    urls_from: str = ""
    """The file that had the list; `-` for stdin."""
    cafile: str = ""
    is_insecure: bool = False
    """For https: as in crawlers.trust."""

    @property
    def crawlers(self) -> tuple[str, ...]:
        """The labels of the entrants."""
        return tuple(entrant.label for entrant in self.entrants)

    def cells(self, max_concurrency: Mapping[str, int]) -> tuple[Cell, ...]:
        """Return all points up to what each crawler can do, and at least one per crawler.

        `max_concurrency` is by label. A crawler that can do less than the smallest concurrency
        asked for is measured at what it can do.
        """
        cells = []
        for label in self.crawlers:
            most = max_concurrency[label]
            fitting = [c for c in self.concurrencies if c <= most] or [most]
            cells += [Cell(label, at, delay) for delay in self.delays for at in fitting]
        return tuple(cells)

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """Return the number of runs without making them."""
        return self.trials * len(self.cells(max_concurrency)) + 2 * bool(self.floor)

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """Return all runs: each trial visits all cells in a new order, drawn from the seed.

        The drift of a machine thus spreads over all crawlers. All runs of a trial have the same
        delays at the same seq.
        """
        entrant_of = {entrant.label: entrant for entrant in self.entrants}
        runs = self._ceiling_run(1)
        for trial in range(1, self.trials + 1):
            seed = self.trial_seed(trial)
            cells = list(self.cells(max_concurrency))
            random.Random(seed).shuffle(cells)  # noqa: S311 - not for secrets
            for cell in cells:
                requests = self.requests or self.waves * cell.concurrency
                entrant = entrant_of[cell.crawler]
                runs.append(PlannedRun(len(runs) + 1, trial, cell, requests, entrant, seed))
        return (*runs, *self._ceiling_run(len(runs) + 1))

    def _ceiling_run(self, number: int) -> list[PlannedRun]:
        if not self.floor:
            return []
        entrant = Entrant(self.floor, self.floor)
        cell = Cell(self.floor, CEILING_CONCURRENCY, Delay.fixed(0))
        return [PlannedRun(number, 0, cell, CEILING_REQUESTS, entrant, role=CEILING)]

    @property
    def is_repeated(self) -> bool:
        """Whether its cells are measured in trials, so that they may be compared."""
        return True

    def plans(self) -> tuple[Plan, ...]:
        """What each request asks for, in the order of seq, if the delays do not say it all."""
        return ()

    @property
    def knows_delays(self) -> bool:
        """Whether a delay server is asked for the delays; those of other servers are not known."""
        is_own = not (self.url or self.urls)
        return is_own or bool(self.floor) or any(delay.mean_us for delay in self.delays)

    def format_source(self) -> str:
        """Return the URL, `URLs from FILE`, or "" for a server of its own."""
        if self.urls:
            return f"URLs from {'stdin' if self.urls_from == '-' else self.urls_from}"
        return self.url

    def source_words(self) -> list[str]:
        """Return the options that say what is fetched."""
        words = ["--urls", self.urls_from] if self.urls else ["--url", self.url] if self.url else []
        words += ["--cafile", self.cafile] if self.cafile else []
        return words + (["--insecure"] if self.is_insecure else [])

    def url_of(self, seq: int) -> str:
        """Return the URL of a request, of the list if there is one."""
        return self.urls[seq % len(self.urls)] if self.urls else self.url

    def trial_seed(self, trial: int) -> int:
        """Return the seed of a trial, the same for all crawlers, of 63 bits."""
        return seed_of_trial(self.seed, trial)

    def format_plan(self) -> str:
        """Return `delay 100 ms; 10 × C requests per run; 3 trials`, or the URL for the delay."""
        delays = ", ".join(str(delay) for delay in self.delays)
        waves = f"{self.waves} × C"
        size = f"{self.requests or waves} requests per run"
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        delay = f"delay {delays}" if self.knows_delays else ""
        return "; ".join(part for part in (self.format_source(), delay, size, trials) if part)

    def command(self) -> str:
        """Return the command that asks for the same experiment."""
        words = [PROGRAM, "run"]
        words += ["--crawlers", ",".join(str(entrant) for entrant in self.entrants)]
        words += ["--concurrency", ",".join(str(at) for at in self.concurrencies)]
        words += self.source_words()
        if self.knows_delays:
            words += ["--delay", ",".join(str(delay).removesuffix(" ms") for delay in self.delays)]
        words += ["--trials", str(self.trials)]
        words += ["-n", str(self.requests)] if self.requests else ["--waves", str(self.waves)]
        words += ["--seed", str(self.seed), "--timeout", f"{self.timeout_s:g}"]
        return shlex.join(words)

    def check(self) -> None:
        """Raise ValueError for values of the right types that cannot have been asked for."""
        for name in ("entrants", "concurrencies", "delays"):
            if not getattr(self, name):
                raise ValueError(f"it asks for no {name}")
        for delay in self.delays:
            if not 0 <= delay.low_us <= delay.high_us <= MAX_DELAY_US:
                raise ValueError(f"it asks for a delay of {delay}")
        cells = len(self.entrants) * len(self.concurrencies) * len(self.delays)
        check_counts(
            {
                "concurrency": min(self.concurrencies),
                "trials": self.trials,
                "requests": self.requests or self.waves,
                "timeout": self.timeout_s,
            },
            cells * self.trials,
        )


def check_counts(counts: Mapping[str, float], runs: int) -> None:
    """Raise ValueError if a count is not positive, or if there are too many runs."""
    for name, count in counts.items():
        if count <= 0:
            raise ValueError(f"it asks for {name} {count}")
    if runs > MAX_RUNS:
        raise ValueError(f"it asks for {runs:,} runs, but at most {MAX_RUNS:,} are possible")


def seed_of_trial(seed: int, trial: int) -> int:
    """Return a seed of 63 bits for a trial, unrelated to that of any other trial."""
    digest = sha256(f"{seed}/{trial}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def ideal_makespan_ns(delays_us: Sequence[int], slots: int) -> int:
    """Return the shortest makespan of `slots` slots for these delays, started in this order.

    This is list scheduling: each request starts, in the order of seq, on the slot that is free
    first. Crawlers start requests in that order too, so no crawler can be faster (Graham 1966 calls
    the schedule a list schedule; as the delays are drawn once for all crawlers, it is exact and not
    only a bound). For a fixed delay D it is ceil(N / slots) x D.
    """
    if not delays_us:
        return 0
    if min(delays_us) == max(delays_us):
        return -(-len(delays_us) // slots) * delays_us[0] * 1000
    free_at = [0] * min(slots, len(delays_us))
    for delay_us in delays_us:
        heapq.heapreplace(free_at, free_at[0] + delay_us)
    return max(free_at) * 1000
