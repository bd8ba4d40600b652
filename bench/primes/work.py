"""The computations: primes by trial division, or hashes with an adjustable cost.

The processes that compute import this module. Standard library only.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import pbkdf2_hmac
from itertools import repeat
from math import isqrt
from multiprocessing import get_context, parent_process
from time import monotonic_ns

from crawlers.work import Found

_CHUNK = 64
"""Most numbers that one of several processes computes at a time."""
_CHUNKS_EACH = 4
"""Least chunks per process, so that none is idle while another has much left."""
_SALT = b"crawlbench"


def is_prime(number: int) -> bool:
    """Return whether a number is prime, by trial division, as in the chapter."""
    if number < 4:
        return number > 1
    if number % 2 == 0:
        return False
    return all(number % divisor for divisor in range(3, isqrt(number) + 1, 2))


def primes(size: int, cost: int, processes: int) -> Iterator[Found]:
    """Yield the primes below `size`; `cost` is not used."""
    return _computed(_primes_among, size, cost, processes)


def hashes(size: int, cost: int, processes: int) -> Iterator[Found]:
    """Yield the numbers below `size`, each after PBKDF2 of `cost` iterations (RFC 8018).

    It uses HMAC-SHA256.
    """
    return _computed(_hashes_of, size, cost, processes)


def _primes_among(numbers: Iterable[int], _: int) -> Iterator[int]:
    return filter(is_prime, numbers)


def _hashes_of(numbers: Iterable[int], cost: int) -> Iterator[int]:
    for number in numbers:
        pbkdf2_hmac("sha256", str(number).encode(), _SALT, cost)
        yield number


_Compute = Callable[[Iterable[int], int], Iterator[int]]


def _computed(compute: _Compute, size: int, cost: int, processes: int) -> Iterator[Found]:
    numbers = range(size)
    if processes == 1:
        return _stamped(compute(numbers, cost))
    return _by_processes(compute, numbers, cost, processes)


def _stamped(items: Iterator[int]) -> Iterator[Found]:
    """Yield each item with the time when it was asked for and the time when it was found."""
    start_ns = monotonic_ns()
    for item in items:
        yield Found(item, start_ns, monotonic_ns())
        start_ns = monotonic_ns()


def _by_processes(compute: _Compute, numbers: range, cost: int, processes: int) -> Iterator[Found]:
    """Yield the items in the order of the numbers, which are divided into chunks."""
    length = max(1, min(_CHUNK, len(numbers) // (_CHUNKS_EACH * processes)))
    chunks = (numbers[first : first + length] for first in range(0, len(numbers), length))
    # We do not fork, because the crawler's process has other threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
        for found in pool.map(partial(_chunk, compute), chunks, repeat(cost)):
            yield from found


def _chunk(compute: _Compute, numbers: range, cost: int) -> list[Found]:
    return list(_stamped(compute(numbers, cost)))


def _end_with_parent() -> None:
    """End this process when its parent is killed, which a pool does not notice."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
