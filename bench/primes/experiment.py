"""The plan of a primes experiment: work x saver, the order of runs, what fits into a time limit."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from time import perf_counter

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun, check_counts, seed_of_trial
from bench.primes.savers import SAVERS, SERIAL, saver_of
from crawlers.work import Work

NAME = "primes"
"""The name of this kind of experiment."""
PRIMES, HASHES, BCRYPT = "primes", "hashes", "bcrypt"
KINDS_OF_WORK = (PRIMES, HASHES, BCRYPT)
"""The functions of bench.primes.work, which is not imported here because it starts processes."""
_COMPUTING = "bench.primes.work"
_FUNCTIONS = frozenset(f"{_COMPUTING}:{kind}" for kind in KINDS_OF_WORK)
FAILING = "500"
"""The fault of an item that is to fail: a response with this status."""
_SAMPLE = 2000
"""Numbers, or iterations of a hash, that are timed to estimate the rest."""
LEAST_BCRYPT_COST, MOST_BCRYPT_COST = 4, 31
"""What bcrypt allows."""
_SAMPLE_COST, _SAMPLE_TIMES = 6, 3
"""The cost at which bcrypt is timed, and how often: the shortest time counts."""


def work_of(kind: str, size: int, cost: int = 0, processes: int = 1, seed: int = 0) -> Work:
    """Return a work of bench.primes.work, by the name of its function."""
    method = "POST" if kind == BCRYPT else "GET"
    return Work(f"{_COMPUTING}:{kind}", size, cost, processes, seed, method)


@lru_cache(maxsize=32)
def items_of(work: Work) -> Sequence[int]:
    """Return the items to be found, computed in another way: by a sieve for primes."""
    if work.kind != PRIMES:
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
    """One point: one work, by one saver."""

    saver: str
    work: Work


@dataclass(frozen=True, slots=True)
class PrimesExperiment:
    """The plan: all points, each measured in every trial."""

    cells: tuple[PrimesCell, ...]
    concurrency: int
    """Saves in flight, and the length of a batch; `serial` has one."""
    delay: Delay
    """The delay of the service."""
    trials: int
    seed: int
    timeout_s: float
    failing: tuple[int, ...] = ()
    """Items that the service refuses, wherever they are found."""
    kind: str = NAME

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """One entrant per saver."""
        asked = {cell.saver for cell in self.cells}
        return tuple(one.entrant for one in SAVERS if one.name in asked)

    def count(self, max_concurrency: Mapping[str, int]) -> int:
        """Return the number of runs without making them."""
        return self.trials * len(self.cells)

    def order(self, max_concurrency: Mapping[str, int]) -> tuple[PlannedRun, ...]:
        """Return all runs: each trial visits all cells in a new order, drawn from the seed."""
        runs: list[PlannedRun] = []
        for trial in range(1, self.trials + 1):
            cells = list(self.cells)
            random.Random(seed_of_trial(self.seed, trial)).shuffle(cells)  # noqa: S311 - not for secrets
            runs += [self.planned(cell, len(runs) + n, trial) for n, cell in enumerate(cells, 1)]
        return tuple(runs)

    def planned(self, cell: PrimesCell, number: int, trial: int) -> PlannedRun:
        """Return a run of a cell."""
        saver = saver_of(cell.saver)
        items = items_of(cell.work)
        failing = frozenset(self.failing)
        return PlannedRun(
            number,
            trial,
            Cell(
                saver.name,
                1 if saver.is_serial else self.concurrency,
                self.delay if saver.has_service else Delay.fixed(0),
            ),
            len(items),
            saver.entrant,
            seed_of_trial(self.seed, trial),
            faults=tuple(
                (seq, FAILING)
                for seq, item in enumerate(items)
                if item in failing and saver.has_service
            ),
            work=cell.work,
            work_s=expected_work_s(cell.work),
        )

    def format_plan(self) -> str:
        """Return `each save takes 50 ms; up to 100 at a time; 1 trial`."""
        trials = "1 trial" if self.trials == 1 else f"{self.trials} trials"
        refused = f"; {', '.join(map(str, self.failing))} refused" if self.failing else ""
        return (
            f"each save takes {self.delay}; up to {self.concurrency} at a time; {trials}{refused}"
        )

    def check(self) -> None:
        """Raise ValueError or LookupError for values that cannot have been asked for."""
        if self.kind != NAME:
            raise ValueError(f"its kind is {self.kind!r}, not {NAME!r}")
        if not self.cells:
            raise ValueError("it asks for no cells")
        for cell in self.cells:
            saver_of(cell.saver)
            cell.work.check()
            if cell.work.function not in _FUNCTIONS:  # any other name would be imported and called
                raise ValueError(
                    f"it asks for work by {cell.work.function!r}, which does not exist"
                )
            costs = range(LEAST_BCRYPT_COST, MOST_BCRYPT_COST + 1)
            if cell.work.kind == BCRYPT and cell.work.cost not in costs:
                raise ValueError(f"it asks for bcrypt of a cost of {cell.work.cost}")
        self.delay.check()
        counts = {
            "concurrency": self.concurrency,
            "trials": self.trials,
            "timeout": self.timeout_s,
        }
        check_counts(counts, len(self.cells) * self.trials)


def all_cells(works: Iterable[Work], savers: Sequence[str], cores: int) -> Iterator[PrimesCell]:
    """Return every work by every saver; on all cores where a saver uses them."""
    for work in works:
        for name in savers:
            processes = cores if saver_of(name).on_all_cores else 1
            yield PrimesCell(name, replace(work, processes=processes))


def fitting(
    cells: Iterable[PrimesCell], seconds_of: Callable[[PrimesCell], float], most_s: float
) -> tuple[PrimesCell, ...]:
    """Return the works that fit into `most_s` together, the shortest first, in the given order.

    Half of the time is for the serial saver, which is by far the slowest: without it there is
    nothing to compare with. All other savers do the same works, because they could not be compared
    otherwise. The serial saver does no work that they do not.
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
    alone = _of_serial_alone(kept)
    if alone and any(cell.saver != SERIAL for cell in cells):
        left = (cell for cell in cells if cell not in alone)
        return fitting(left, seconds_of, most_s)
    return tuple(cell for cell in cells if cell in kept)


def _of_serial_alone(cells: Iterable[PrimesCell]) -> set[PrimesCell]:
    """Return the cells of the serial saver that could not be compared with those of any other."""
    by_work: dict[tuple[str, int, int], list[PrimesCell]] = {}
    for cell in cells:
        key = (cell.work.kind, cell.work.size, cell.work.cost)
        by_work.setdefault(key, []).append(cell)
    return {cells[0] for cells in by_work.values() if [cell.saver for cell in cells] == [SERIAL]}


def least_seconds(cells: Iterable[PrimesCell], seconds_of: Callable[[PrimesCell], float]) -> float:
    """Return the time limit with which `fitting` leaves nothing out."""
    serial_s = others_s = 0.0
    for cell in cells:
        if cell.saver == SERIAL:
            serial_s += seconds_of(cell)
        else:
            others_s += seconds_of(cell)
    return max(2 * serial_s, serial_s + others_s)


def expected_work_s(work: Work) -> float:
    """Return roughly how long the computing takes on this machine."""
    if work.kind == HASHES:
        alone_s = work.size * (_HASH_CALL_S + work.cost * _iteration_s())
    elif work.kind == BCRYPT:  # the cost is the logarithm of its rounds
        alone_s = work.size * _bcrypt_s() * 2.0 ** (work.cost - _SAMPLE_COST)
    else:  # most numbers have a small divisor; primes are tried up to their root
        alone_s = _probe_s() * work.size * (work.size / _SAMPLE) ** 0.12
    return alone_s / work.processes


_HASH_CALL_S = 2e-6


@lru_cache
def _iteration_s() -> float:
    from bench.primes.work import hashes

    return _span_s(lambda: list(hashes(work_of(HASHES, 1, _SAMPLE)))) / _SAMPLE


@lru_cache
def _probe_s() -> float:
    from bench.primes.work import primes

    return _span_s(lambda: list(primes(work_of(PRIMES, _SAMPLE)))) / _SAMPLE


@lru_cache
def _bcrypt_s() -> float:
    from bench.primes.work import bcrypt

    work = work_of(BCRYPT, 1, _SAMPLE_COST)
    return min(_span_s(lambda: list(bcrypt(work))) for _ in range(_SAMPLE_TIMES))


def _span_s(do: Callable[[], object]) -> float:
    start_s = perf_counter()
    do()
    return perf_counter() - start_s
