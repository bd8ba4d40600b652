"""Jobs that must be computed first: what was found for each job, and when it was computed.

A run without such work has its jobs ready. Standard library only.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from time import monotonic_ns
from typing import NamedTuple

from server.packed_columns import Columns


class Found(NamedTuple):
    """One item, and the span of computing that led to it, in ns of `time.monotonic_ns()`."""

    item: int
    start_ns: int
    end_ns: int
    result: str | None = None
    """What was computed; None if the item itself is the result."""


WORK_COLUMNS = ("item", "start_ns", "end_ns")
"""Columns of the computed items, in order: the first item belongs to the job with seq 0."""


MAX_SIZE = 10_000_000
MAX_PROCESSES = 10_000


@dataclass(frozen=True, slots=True)
class Work:
    """The computation: a function that is called with this and yields Found."""

    function: str
    """`package.module:function`; only the crawler's process imports it."""
    size: int
    cost: int = 0
    processes: int = 1
    """How many processes compute; with 1 it is the crawler's own."""
    seed: int = 0
    """The seed of what is drawn at random."""
    method: str = "GET"
    """How an item is saved: GET, by its number in the URL, or POST, by its result as JSON."""

    def check(self) -> None:
        """Raise ValueError for values that cannot have been asked for."""
        bounds = (("size", 1, MAX_SIZE), ("cost", 0, MAX_SIZE), ("processes", 1, MAX_PROCESSES))
        for name, least, most in bounds:
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"work of a {name} of {value!r}")
        if type(self.seed) is not int or self.seed < 0:
            raise ValueError(f"work of a seed of {self.seed!r}")
        if self.method not in ("GET", "POST"):
            raise ValueError(f"work with a method of {self.method!r}")

    @property
    def kind(self) -> str:
        """The name of the function."""
        return self.function.rpartition(":")[2]

    def load(self) -> Callable[["Work"], Iterator[Found]]:
        """Import and return the function. Raises what its import raises."""
        module, _, name = self.function.partition(":")
        compute: Callable[[Work], Iterator[Found]] = getattr(import_module(module), name)
        return compute

    def found(self) -> Iterator[Found]:
        """Yield items, each computed when it is asked for."""
        return self.load()(self)


def numbers(work: Work) -> Iterator[Found]:
    """Yield 0 to `work.size` - 1 at no cost: their spans say when each job was taken."""
    for item in range(work.size):
        taken_ns = monotonic_ns()
        yield Found(item, taken_ns, taken_ns)


class WorkLog:
    """What was known of the jobs when they were made: the items that were found, in columns."""

    def __init__(self, first_due_ns: int = 0) -> None:
        self.first_due_ns = first_due_ns
        """When the first job is due; 0 in closed loop, and before the first is taken."""
        self._columns = {name: array("q") for name in WORK_COLUMNS}

    def __call__(self, found: Found) -> None:
        """Note an item."""
        for name, column in self._columns.items():
            column.append(getattr(found, name))

    def columns(self) -> Columns:
        """Return the WORK_COLUMNS."""
        return self._columns
