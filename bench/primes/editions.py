"""The parameters that the three editions of the book publish for this experiment. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from bench.plan.delays import Delay
from bench.primes.experiment import BCRYPT, PRIMES
from bench.primes.savers import FILE_IO, NO_IO, SERIAL


@dataclass(frozen=True, slots=True)
class Edition:
    """What one edition does."""

    work: str
    savers: tuple[str, ...]
    delay: Delay
    timeout_s: float
    sizes: tuple[int, ...] = ()
    bcrypt: tuple[tuple[int, int], ...] = ()
    """Cost and number of hashes."""
    concurrency: int = 100
    """Saves in flight, and the length of a batch."""


_SAVERS = (
    NO_IO,
    FILE_IO,
    SERIAL,
    "batches-aiohttp",
    "async",
    "async-sleep",
    "async-sleep-uvloop",
)
"""Those of the later editions, and `async`, which sends each item before it computes the next."""
_TIMEOUT_S = 300.0
"""The default of aiohttp, which the later editions leave as it is."""

EDITIONS: Mapping[int, Edition] = {
    # Its constant of 100,000 numbers is overwritten before it is used.
    1: Edition(
        PRIMES,
        (NO_IO, SERIAL, "batches"),
        Delay.fixed(50_000),
        timeout_s=10.0,
        sizes=tuple(2**n for n in range(7, 15)),
    ),
    2: Edition(
        BCRYPT,
        _SAVERS,
        Delay.fixed(100_000),
        _TIMEOUT_S,
        bcrypt=((8, 600), (10, 400), (11, 400), (12, 400)),
    ),
    3: Edition(
        BCRYPT,
        _SAVERS,
        Delay.fixed(100_000),
        _TIMEOUT_S,
        bcrypt=((10, 600), (11, 600), (12, 600), (14, 400)),
    ),
}
