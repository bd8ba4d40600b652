"""The plan of a sweep: its cells, and the order of its runs. Pure."""

import heapq
import random
import shlex
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple, Protocol

from bench.plan.delays import Delay
from bench.plan.entrants import MOST_PROCESSES, Entrant, command_words
from bench.plan.load import (
    CLOSED,
    OPEN_LOOP_S,
    SEED_OF_BODIES,
    SEED_OF_SIZES,
    Load,
    most_in_flight,
    most_requests,
)
from bench.plan.rates import FIXED, POISSON, Rate
from bench.plan.sizes import ONE_BYTE, Size
from bench.program import PROGRAM
from crawlers.spiders.task import SiteTask
from crawlers.work import Work
from server.request_plan import Plan
from server.service import PLAIN, Service

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


class RequestModel(NamedTuple):
    """What the requests of a cell ask for."""

    delay: Delay
    size: Size

    def __str__(self) -> str:
        return str(self.delay) if self.size == ONE_BYTE else f"{self.delay}, {self.size}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the sweep. `crawler` is the label of an entrant."""

    crawler: str
    concurrency: int
    """In open loop, the most requests that may be in flight."""
    delay: Delay
    size: Size = ONE_BYTE
    rate: Rate | None = None
    """None in closed loop."""

    @property
    def request(self) -> RequestModel:
        """What its requests ask for."""
        return RequestModel(self.delay, self.size)

    @property
    def level(self) -> float:
        """What is varied within a series: the concurrency, or the highest rate in open loop."""
        return self.concurrency if self.rate is None else self.rate.most_per_s

    def format_level(self) -> str:
        """Return `C=100`, or `200/s` in open loop."""
        return f"C={self.concurrency}" if self.rate is None else str(self.rate)


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
    load: Load = CLOSED
    service: Service = PLAIN
    body: Size | None = None
    """The size of a body that each request sends by POST; None for GET."""
    site: SiteTask | None = None
    """The site that a spider crawls, if any. `requests` is then the most that it may fetch."""

    @property
    def name(self) -> str:
        """The name of the run in the server's ledger, unique within an experiment."""
        return f"run-{self.number}-trial-{self.trial}"

    def delays_us(self) -> "array[int]":
        """Return the delay of each request, in the order of seq."""
        return self.cell.delay.drawn(self.seed, self.requests)

    def sizes_bytes(self) -> "array[int]":
        """Return the size of each response, in the order of seq; empty if all have one byte."""
        if self.cell.size == ONE_BYTE:
            return array("I")
        return self.cell.size.drawn(self.seed ^ SEED_OF_SIZES, self.requests)

    def body_bytes(self) -> "array[int]":
        """Return the size of the body of each request, in the order of seq; empty for GET."""
        if self.body is None:
            return array("I")
        return self.body.drawn(self.seed ^ SEED_OF_BODIES, self.requests)

    def due_after_ns(self) -> "array[int]":
        """Return when each request is due after the first; empty in closed loop."""
        return self.load.due_after_ns(self.seed, self.requests)


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
    `requests` if that is not 0, or as many as `duration_s` allows. With `rates`, it is in open
    loop: then rates take the place of concurrencies, of which there may be one at most. `floor` is
    the crawler that measures the server's ceiling, as the first and the last run; "" for none.
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
    sizes: tuple[Size, ...] = (ONE_BYTE,)
    rates: tuple[Rate, ...] = ()
    arrivals: str = FIXED
    """When requests are due: one of bench.plan.rates.ARRIVALS."""
    duration_s: float = 0.0
    warm_up_s: float = 0.0
    body: Size | None = None
    """The size of a body that each request sends by POST; None for GET."""
    service: Service = PLAIN
    """What the server does with all requests of a run together."""
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
    server_processes: int = 0
    """How many processes serve, all on one port; 0 means by the cores of this machine."""
    cluster: str = ""
    """The scheduler of the machines that carry the runs, as in `tcp://host:8786`, or `local:N`; ""
    for this machine alone."""
    bind: str = ""
    """The address that the server listens on; "" for a loopback address."""

    @property
    def crawlers(self) -> tuple[str, ...]:
        """The labels of the entrants."""
        return tuple(entrant.label for entrant in self.entrants)

    def cells(self, max_concurrency: Mapping[str, int]) -> tuple[Cell, ...]:
        """Return all points up to what each crawler can do, and at least one per crawler.

        `max_concurrency` is by label, of one process. A crawler that can do less than the smallest
        concurrency asked for is measured at what it can do. A concurrency that is too small to give
        each process a request is left out.
        """
        return tuple(
            Cell(entrant.label, at, delay, size, rate)
            for entrant in self.entrants
            for delay in self.delays
            for size in self.sizes
            for at, rate in self._points(
                delay, max_concurrency[entrant.label] * entrant.processes, entrant.processes
            )
        )

    @property
    def requests_asked(self) -> tuple[RequestModel, ...]:
        """Every delay model with every size model."""
        return tuple(RequestModel(delay, size) for delay in self.delays for size in self.sizes)

    @property
    def is_open(self) -> bool:
        """Whether requests begin when they are due, whatever happened to those before them."""
        return bool(self.rates)

    def _points(self, delay: Delay, most: int, least: int) -> list[tuple[int, Rate | None]]:
        """Return what is varied within a series: a concurrency, or a rate."""
        if not self.rates:
            possible = [at for at in self.concurrencies if least <= at <= most]
            return [(at, None) for at in possible or [max(least, min(most, *self.concurrencies))]]
        in_flight = self.concurrencies or (0,)
        return [
            (max(least, min(most, in_flight[0] or most_in_flight(rate, delay.mean_us))), rate)
            for rate in self.rates
        ]

    def load(self, cell: Cell) -> Load:
        """Return how the requests of a cell are spread over time."""
        return Load(cell.rate, self.arrivals, self.duration_s, self.warm_up_s)

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
                runs.append(
                    PlannedRun(
                        len(runs) + 1,
                        trial,
                        cell,
                        self._requests_of(cell, seed),
                        entrant_of[cell.crawler],
                        seed,
                        load=self.load(cell),
                        service=self.service,
                        body=self.body,
                    )
                )
        return (*runs, *self._ceiling_run(len(runs) + 1))

    def _requests_of(self, cell: Cell, seed: int) -> int:
        if self.requests:
            return self.requests
        load = self.load(cell)
        if load.is_open:
            return load.requests(seed)
        if load.ends_by_time:
            refuses = self.service.refuses
            mean_us = cell.delay.mean_us
            return most_requests(cell.concurrency, mean_us, self.duration_s, may_refuse=refuses)
        return self.waves * cell.concurrency

    def _ceiling_run(self, number: int) -> list[PlannedRun]:
        if not self.floor:
            return []
        # As many processes as crawlers have at most, so that none can outrun the ceiling.
        most = max(entrant.processes for entrant in self.entrants)
        entrant = Entrant(self.floor, self.floor, processes=most)
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
        return is_own or bool(self.floor) or not all(delay.is_none for delay in self.delays)

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
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        delay = f"delay {delays}" if self.knows_delays else ""
        parts = (self.format_source(), delay, *self.format_load(), self._format_length(), trials)
        return "; ".join(filter(None, parts))

    def _format_length(self) -> str:
        if self.requests:
            return f"{self.requests} requests per run"
        if self.duration_s or self.rates:
            return f"{self.duration_s or OPEN_LOOP_S:g} s per run"
        return f"{self.waves} × C requests per run"

    def format_load(self) -> list[str]:
        """Return what is asked besides delays and the length of a run, as clauses."""
        clauses = []
        if self.sizes != (ONE_BYTE,):
            clauses.append(f"size {', '.join(map(str, self.sizes))}")
        if self.body is not None:
            clauses.append(f"POST of {self.body}")
        if self.rates:
            clauses.append(f"open loop at {', '.join(map(str, self.rates))}")
            clauses[-1] += ", Poisson arrivals" if self.arrivals == POISSON else ""
        if self.warm_up_s:
            clauses.append(f"the first {self.warm_up_s:g} s do not count")
        if str(self.service):
            clauses.append(str(self.service))
        return clauses

    def command(self) -> str:
        """Return the command that asks for the same experiment."""
        words = [PROGRAM, "run"]
        words += ["--crawlers", *command_words(self.entrants)]
        if self.concurrencies:
            words += ["--concurrency", ",".join(str(at) for at in self.concurrencies)]
        words += self.source_words()
        if self.knows_delays:
            words += ["--delay", ",".join(delay.text for delay in self.delays)]
        words += self.load_options()
        words += self.parallel_options()
        words += ["--trials", str(self.trials)]
        if self.requests:
            words += ["-n", str(self.requests)]
        elif not self.duration_s and not self.rates:
            words += ["--waves", str(self.waves)]
        words += ["--seed", str(self.seed), "--timeout", f"{self.timeout_s:g}"]
        return shlex.join(words)

    def load_options(self) -> list[str]:
        """Return the options that ask for sizes, rates, times and the service."""
        words = []
        if self.sizes != (ONE_BYTE,):
            words += ["--size", ",".join(size.text for size in self.sizes)]
        if self.body is not None:
            words += ["--method", "POST", "--body-size", self.body.text]
        if self.rates:
            ramps = {rate.over_s for rate in self.rates if rate.over_s}
            words += ["--rate", ",".join(rate.without_over() for rate in self.rates)]
            words += ["--over", f"{ramps.pop():g}"] if ramps else []
        words += ["--arrivals", self.arrivals] if self.arrivals != FIXED else []
        words += ["--duration", f"{self.duration_s:g}"] if self.duration_s else []
        words += ["--warm-up", f"{self.warm_up_s:g}"] if self.warm_up_s else []
        for flag, text in self.service.flags().items():
            words += [f"--{flag}", text]
        return words

    def parallel_options(self) -> list[str]:
        """Return the options that say on how many processes the work is spread."""
        words = ["--server-processes", str(self.server_processes)] if self.server_processes else []
        return words + self.place_options()

    def place_options(self) -> list[str]:
        """Return the options that say on which machines it runs."""
        words = ["--cluster", self.cluster] if self.cluster else []
        return words + (["--bind", self.bind] if self.bind else [])

    def check(self) -> None:
        """Raise ValueError for values of the right types that cannot have been asked for."""
        if not 0 <= self.server_processes <= MOST_PROCESSES:
            raise ValueError(f"it asks for {self.server_processes} server processes")
        for one in self.entrants:
            if not 1 <= one.processes <= MOST_PROCESSES:
                raise ValueError(f"it asks for {one.processes} processes")
        needed = ("entrants", "delays", "sizes", "rates" if self.rates else "concurrencies")
        for name in needed:
            if not getattr(self, name):
                raise ValueError(f"it asks for no {name}")
        checked: tuple[Delay | Size | Rate, ...] = (*self.delays, *self.sizes, *self.rates)
        for model in checked:
            model.check()
        if self.body is not None:
            self.body.check()
        Load(None, self.arrivals, self.duration_s, self.warm_up_s).check()
        self.service.check()
        if self.rates and len(self.concurrencies) > 1:
            raise ValueError("it asks for rates and for several concurrencies")
        cells = len(self.entrants) * len(self.delays) * len(self.sizes)
        cells *= len(self.rates or self.concurrencies)
        check_counts(
            {
                "concurrency": min(self.concurrencies, default=1),
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


def share_of(concurrency: int, ordinal: int, processes: int) -> int:
    """Return how much of a concurrency a process has; all have as much, or one more."""
    return concurrency // processes + (ordinal < concurrency % processes)


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
