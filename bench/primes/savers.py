"""Every way of saving, in one table: which crawler saves, and on how many cores is computed."""

from dataclasses import dataclass

from bench.plan.entrants import Entrant


@dataclass(frozen=True, slots=True)
class Saver:
    """A row of the table."""

    name: str
    crawler: str
    """Of crawlers.registry, or one of this package's own."""
    style: str
    is_serial: bool = False
    on_all_cores: bool = False
    """Whether processes on every core compute."""
    declared_as: str = ""
    """The row of crawlers.registry with its libraries and habits, where its crawler is none of that
    table."""
    computes_ahead: bool = False
    """Whether it is its style to compute further items before it sends what it has."""

    @property
    def saves(self) -> bool:
        """Whether it saves anything at all."""
        return self.name != NO_IO

    @property
    def entrant(self) -> Entrant:
        """As which it takes part in an experiment."""
        return Entrant(self.name, self.crawler, declared_as=self.declared_as)


NO_IO, SERIAL = "no-io", "serial"

SAVERS = (
    Saver(NO_IO, "bench.primes.no_io:crawl", "computes, and saves nothing: the floor", True),
    Saver(SERIAL, "serial", "one after another: compute, save, compute, save", True),
    Saver(
        "batches",
        "bench.primes.batches:crawl",
        "compute C, save C at once, compute C",
        declared_as="grequests",
        computes_ahead=True,
    ),
    Saver(
        "async",
        "bench.primes.asyncio_saver:crawl",
        "coroutines save while the next item is computed",
        declared_as="asyncio",
    ),
    Saver(
        "async-uvloop",
        "bench.primes.uvloop_saver:crawl",
        "the same, on libuv",
        declared_as="asyncio-uvloop",
    ),
    Saver("threads", "threads", "threads save while one of them computes"),
    Saver(
        "processes",
        "threads",
        "threads save, processes on all cores compute",
        on_all_cores=True,
    ),
)


def saver_of(name: str) -> Saver:
    """The row of a saver. Raises LookupError."""
    for saver in SAVERS:
        if saver.name == name:
            return saver
    raise LookupError(f"there is no saver {name!r}")
