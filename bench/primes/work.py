"""What is computed: primes by trial division, or hashes of a cost that can be tuned.

Imported by the processes that compute. Standard library only.
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
"""Numbers that a process of several computes at a time, at the most."""
_CHUNKS_EACH = 4
"""At the least: so that none has nothing to do while another has much left."""
_SALT = b"crawlbench"


def is_prime(number: int) -> bool:
    """By trial division, as in the chapter."""
    if number < 4:
        return number > 1
    if number % 2 == 0:
        return False
    return all(number % divisor for divisor in range(3, isqrt(number) + 1, 2))


def primes(size: int, cost: int, processes: int) -> Iterator[Found]:
    """The primes among the first `size` numbers, from 0 on; `cost` is their own."""
    return _computed(_primes_among, size, cost, processes)


def hashes(size: int, cost: int, processes: int) -> Iterator[Found]:
    """Of the numbers below `size`: PBKDF2 of `cost` iterations of HMAC-SHA256 (RFC 8018)."""
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
    """Each with the time from when it was asked for to when it was there."""
    start_ns = monotonic_ns()
    for item in items:
        yield Found(item, start_ns, monotonic_ns())
        start_ns = monotonic_ns()


def _by_processes(compute: _Compute, numbers: range, cost: int, processes: int) -> Iterator[Found]:
    """In the order of the numbers; they are shared out in chunks."""
    length = max(1, min(_CHUNK, len(numbers) // (_CHUNKS_EACH * processes)))
    chunks = (numbers[first : first + length] for first in range(0, len(numbers), length))
    # Not forked: the crawler's process has threads of its own.
    context = get_context("spawn")
    with ProcessPoolExecutor(processes, context, initializer=_end_with_parent) as pool:
        for found in pool.map(partial(_chunk, compute), chunks, repeat(cost)):
            yield from found


def _chunk(compute: _Compute, numbers: range, cost: int) -> list[Found]:
    return list(_stamped(compute(numbers, cost)))


def _end_with_parent() -> None:
    """A pool does not notice that whoever it works for was killed."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
