"""What is asked: work x saver, the order of runs, and what fits into a limit of time."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from time import perf_counter

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun, check_counts, seed_of_trial
from bench.primes.savers import SAVERS, SERIAL, saver_of
from crawlers.work import Work
from server.request_plan import MAX_DELAY_US

NAME = "primes"
"""Of this kind of experiment."""
PRIMES, HASHES = "primes", "hashes"
KINDS_OF_WORK = (PRIMES, HASHES)
"""The functions of bench.primes.work, which is not imported here: it starts processes."""
_COMPUTING = "bench.primes.work"
_FUNCTIONS = frozenset(f"{_COMPUTING}:{kind}" for kind in KINDS_OF_WORK)
FAILING = "500"
"""The fault of an item that is to fail: an answer with this status."""
_SAMPLE = 2000
"""Numbers probed, or iterations of a hash, from which the rest is expected."""


def work_of(kind: str, size: int, cost: int = 0, processes: int = 1) -> Work:
    """One of bench.primes.work, by the name of its function."""
    return Work(f"{_COMPUTING}:{kind}", size, cost, processes)


@lru_cache(maxsize=32)
def items_of(work: Work) -> Sequence[int]:
    """What is to be found, by another way: a sieve for primes."""
    if work.kind == HASHES:
        return range(work.size)
    is_left = bytearray([1]) * max(2, work.size)
    is_left[:2] = b"\0\0"
    for number in range(2, int(work.size**0.5) + 1):
        if is_left[number]:
            multiples = range(number * number, len(is_left), number)
            is_left[multiples.start :: number] = bytes(len(multiples))
    return tuple(number for number, left in enumerate(is_left) if left)


@dataclass(frozen=True, slots=True)
class PrimesCell:
    """One point: some work, by one saver."""

    saver: str
    work: Work


@dataclass(frozen=True, slots=True)
class PrimesExperiment:
    """All points that are measured, each in every trial."""

    cells: tuple[PrimesCell, ...]
    concurrency: int
    """Saves in flight, and the length of a batch; `serial` has one."""
    delay: Delay
    """Of the service."""
    trials: int
    seed: int
    timeout_s: float
    failing: tuple[int, ...] = ()
    """Items that the service refuses, wherever they are found."""
    kind: str = NAME

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """A saver each."""
        asked = {cell.saver for cell in self.cells}
        return tuple(one.entrant for one in SAVERS if one.name in asked)

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """How many runs there are, without making them."""
        return self.trials * len(self.cells)

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """All runs: each trial visits all cells, in an order of its own drawn from the seed."""
        runs: list[PlannedRun] = []
        for trial in range(1, self.trials + 1):
            cells = list(self.cells)
            random.Random(seed_of_trial(self.seed, trial)).shuffle(cells)  # noqa: S311 - not for secrets
            runs += [self.planned(cell, len(runs) + n, trial) for n, cell in enumerate(cells, 1)]
        return tuple(runs)

    def planned(self, cell: PrimesCell, number: int, trial: int) -> PlannedRun:
        """A run of a cell."""
        saver = saver_of(cell.saver)
        items = items_of(cell.work)
        failing = frozenset(self.failing)
        return PlannedRun(
            number,
            trial,
            Cell(
                saver.name,
                1 if saver.is_serial else self.concurrency,
                self.delay if saver.saves else Delay.fixed(0),
            ),
            len(items),
            saver.entrant,
            seed_of_trial(self.seed, trial),
            faults=tuple(
                (seq, FAILING) for seq, item in enumerate(items) if item in failing and saver.saves
            ),
            work=cell.work,
            work_s=expected_work_s(cell.work),
        )

    def plan_shown(self) -> str:
        """`each save takes 50 ms; up to 100 at a time; 1 trial`."""
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        refused = f"; {', '.join(map(str, self.failing))} refused" if self.failing else ""
        return (
            f"each save takes {self.delay}; up to {self.concurrency} at a time; {trials}{refused}"
        )

    def check(self) -> None:
        """Raises ValueError or LookupError for what cannot have been asked for."""
        if self.kind != NAME:
            raise ValueError(f"its kind is {self.kind!r}, and not {NAME!r}")
        if not self.cells:
            raise ValueError("it asks for no cells")
        for cell in self.cells:
            saver_of(cell.saver)
            cell.work.check()
            if cell.work.function not in _FUNCTIONS:  # it would be imported, and called
                raise ValueError(f"work by {cell.work.function!r}")
        if not 0 <= self.delay.low_us <= self.delay.high_us <= MAX_DELAY_US:
            raise ValueError(f"it asks for a delay of {self.delay}")
        counts = {
            "concurrency": self.concurrency,
            "trials": self.trials,
            "timeout": self.timeout_s,
        }
        check_counts(counts, len(self.cells) * self.trials)


def all_cells(works: Iterable[Work], savers: Sequence[str], cores: int) -> Iterator[PrimesCell]:
    """Every work by every saver; on so many cores where a saver uses all."""
    for work in works:
        for name in savers:
            processes = cores if saver_of(name).on_all_cores else 1
            yield PrimesCell(name, Work(work.function, work.size, work.cost, processes))


def fitting(
    cells: Iterable[PrimesCell], seconds_of: Callable[[PrimesCell], float], most_s: float
) -> tuple[PrimesCell, ...]:
    """As many as fit into `most_s` together, the shortest works first; in the order given.

    Half of the time is for the serial saver, the longest by far: without it there is nothing to
    compare with. All other savers do the same works, or they could not be compared.
    """
    cells = tuple(cells)
    groups: dict[tuple[bool, str, int, int], list[PrimesCell]] = {}
    for cell in cells:
        work = cell.work
        key = (cell.saver == SERIAL, work.kind, work.size, work.cost)
        groups.setdefault(key, []).append(cell)
    kept: set[PrimesCell] = set()
    left_s = most_s
    for is_serial in (True, False):
        room_s = left_s / 2 if is_serial else left_s
        spans = {
            key: sum(map(seconds_of, group)) for key, group in groups.items() if key[0] == is_serial
        }
        for key in sorted(spans, key=spans.__getitem__):
            if spans[key] <= room_s:
                room_s -= spans[key]
                left_s -= spans[key]
                kept.update(groups[key])
    return tuple(cell for cell in cells if cell in kept)


def expected_work_s(work: Work) -> float:
    """How long the computing takes on this machine, roughly."""
    if work.kind == HASHES:
        alone_s = work.size * (_HASH_CALL_S + work.cost * _iteration_s())
    else:  # most numbers are given up soon, primes are tried up to their root
        alone_s = _probe_s() * work.size * (work.size / _SAMPLE) ** 0.12
    return alone_s / work.processes


_HASH_CALL_S = 2e-6


@lru_cache
def _iteration_s() -> float:
    from bench.primes.work import hashes

    return _span_s(lambda: list(hashes(1, _SAMPLE, 1))) / _SAMPLE


@lru_cache
def _probe_s() -> float:
    from bench.primes.work import primes

    return _span_s(lambda: list(primes(_SAMPLE, 0, 1))) / _SAMPLE


def _span_s(do: Callable[[], object]) -> float:
    start_s = perf_counter()
    do()
    return perf_counter() - start_s
