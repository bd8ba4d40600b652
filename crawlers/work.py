"""Jobs that have to be computed: what was found for each, and when the computing took place.

A run without such work has its jobs ready. Standard library only.
"""

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import NamedTuple

from server.packed_columns import Columns


class Found(NamedTuple):
    """One item, and the span of computing that led to it, in ns of `time.monotonic_ns()`."""

    item: int
    start_ns: int
    end_ns: int


WORK_COLUMNS = Found._fields
"""In the order of the items: the first is that of the job with seq 0."""


MAX_SIZE = 10_000_000
MAX_PROCESSES = 10_000


@dataclass(frozen=True, slots=True)
class Work:
    """What is computed: a function that is called with size, cost, processes, and yields Found."""

    function: str
    """`package.module:function`, imported by the crawler's process alone."""
    size: int
    cost: int = 0
    processes: int = 1
    """In which it computes; 1: in the crawler's own."""

    def check(self) -> None:
        """Raises ValueError for what cannot have been asked for."""
        bounds = (("size", 1, MAX_SIZE), ("cost", 0, MAX_SIZE), ("processes", 1, MAX_PROCESSES))
        for name, least, most in bounds:
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"work of a {name} of {value!r}")

    @property
    def kind(self) -> str:
        """The name of the function."""
        return self.function.rpartition(":")[2]

    def load(self) -> Callable[[int, int, int], Iterator[Found]]:
        """The function. Raises what its import raises."""
        module, _, name = self.function.partition(":")
        compute: Callable[[int, int, int], Iterator[Found]] = getattr(import_module(module), name)
        return compute

    def found(self) -> Iterator[Found]:
        """Items one by one, each computed when it is asked for."""
        return self.load()(self.size, self.cost, self.processes)


class WorkLog:
    """What was found, in columns."""

    def __init__(self) -> None:
        self._columns = {name: array("q") for name in WORK_COLUMNS}

    def __call__(self, found: Found) -> None:
        """Note an item."""
        for column, value in zip(self._columns.values(), found, strict=True):
            column.append(value)

    def columns(self) -> Columns:
        """WORK_COLUMNS."""
        return self._columns
