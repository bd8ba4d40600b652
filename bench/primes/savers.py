"""All savers in one table: which crawler saves, and on how many cores items are computed."""

from dataclasses import dataclass

from bench.plan.entrants import Entrant


@dataclass(frozen=True, slots=True)
class Saver:
    """One saver: a row of the table."""

    name: str
    crawler: str
    """A crawler of crawlers.registry, or of this package."""
    style: str
    is_serial: bool = False
    on_all_cores: bool = False
    """Whether processes on every core compute."""
    declared_as: str = ""
    """The row of crawlers.registry with its libraries and behaviour, if its crawler has no row
    there."""
    computes_ahead: bool = False
    """Whether the saver computes further items before it sends what it has, by design."""

    @property
    def saves(self) -> bool:
        """Whether it saves anything at all."""
        return self.name != NO_IO

    @property
    def has_service(self) -> bool:
        """Whether it saves to the service, whose ledger then knows what it saved."""
        return self.name not in (NO_IO, FILE_IO)

    @property
    def entrant(self) -> Entrant:
        """The entrant that stands for this saver in an experiment."""
        return Entrant(self.name, self.crawler, declared_as=self.declared_as)


NO_IO, FILE_IO, SERIAL = "no-io", "file-io", "serial"

SAVERS = (
    Saver(NO_IO, "bench.primes.no_io:crawl", "computes, and saves nothing: the floor", True),
    Saver(
        FILE_IO, "bench.primes.file_io:crawl", "a line for each item to a file, no service", True
    ),
    Saver(SERIAL, "serial", "one after another: compute, save, compute, save", True),
    Saver(
        "batches",
        "bench.primes.batches:crawl",
        "compute C, save C at once, compute C",
        declared_as="grequests",
        computes_ahead=True,
    ),
    Saver(
        "batches-aiohttp",
        "bench.primes.aiohttp_batches:crawl",
        "the same, with coroutines and new connections",
        declared_as="asyncio",
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
    Saver(
        "async-sleep",
        "bench.primes.asyncio_sleep_saver:crawl",
        "the loop has one turn after each item, as published",
        declared_as="asyncio",
        computes_ahead=True,
    ),
    Saver(
        "async-sleep-uvloop",
        "bench.primes.uvloop_sleep_saver:crawl",
        "the same, on libuv",
        declared_as="asyncio-uvloop",
        computes_ahead=True,
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
    """Return the row of a saver. Raises LookupError."""
    for saver in SAVERS:
        if saver.name == name:
            return saver
    raise LookupError(f"there is no saver {name!r}")
