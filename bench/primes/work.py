"""The computations: primes by trial division, or hashes with an adjustable cost.

The processes that compute import this module. Standard library only, until bcrypt is asked for.
"""

import os
import random
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from hashlib import pbkdf2_hmac
from itertools import repeat
from math import isqrt
from multiprocessing import get_context, parent_process
from string import ascii_lowercase
from time import monotonic_ns
from typing import NamedTuple

from crawlers.work import Found, Work

_CHUNK = 64
"""Most numbers that one of several processes computes at a time."""
_CHUNKS_EACH = 4
"""Least chunks per process, so that none is idle while another has much left."""
_SALT = b"crawlbench"
_PASSWORD_CHARACTERS = 10


class _Computed(NamedTuple):
    item: int
    result: str | None = None


def is_prime(number: int) -> bool:
    """Return whether a number is prime, by trial division, as in the chapter."""
    if number < 4:
        return number > 1
    if number % 2 == 0:
        return False
    return all(number % divisor for divisor in range(3, isqrt(number) + 1, 2))


def primes(work: Work) -> Iterator[Found]:
    """Yield the primes below the size; the cost is not used."""
    return _computed(_primes_among, work)


def hashes(work: Work) -> Iterator[Found]:
    """Yield the numbers below the size, each after PBKDF2 of `cost` iterations (RFC 8018).

    It uses HMAC-SHA256.
    """
    return _computed(_hashes_of, work)


def bcrypt(work: Work) -> Iterator[Found]:
    """Yield the numbers below the size, each with the bcrypt hash of its password.

    The cost is the binary logarithm of bcrypt's rounds, as in the later editions of the chapter.
    """
    import bcrypt  # noqa: F401 - now, while no item is being computed

    return _computed(_bcrypt_of, work)


def password_of(seed: int, number: int) -> bytes:
    """Return the password of an item: different lower-case letters, drawn from the seed."""
    drawn = random.Random(f"{seed}/{number}")  # noqa: S311 - not for secrets
    return "".join(drawn.sample(ascii_lowercase, _PASSWORD_CHARACTERS)).encode("ascii")


def _primes_among(numbers: Iterable[int], _: Work) -> Iterator[_Computed]:
    return map(_Computed, filter(is_prime, numbers))


def _hashes_of(numbers: Iterable[int], work: Work) -> Iterator[_Computed]:
    for number in numbers:
        pbkdf2_hmac("sha256", str(number).encode(), _SALT, work.cost)
        yield _Computed(number)


def _bcrypt_of(numbers: Iterable[int], work: Work) -> Iterator[_Computed]:
    from bcrypt import gensalt, hashpw

    for number in numbers:
        hashed = hashpw(password_of(work.seed, number), gensalt(work.cost))
        yield _Computed(number, hashed.decode("ascii"))


_Compute = Callable[[Iterable[int], Work], Iterator[_Computed]]


def _computed(compute: _Compute, work: Work) -> Iterator[Found]:
    numbers = range(work.size)
    if work.processes == 1:
        return _stamped(compute(numbers, work))
    return _by_processes(compute, numbers, work)


def _stamped(items: Iterator[_Computed]) -> Iterator[Found]:
    """Yield each item with the time when it was asked for and the time when it was found."""
    start_ns = monotonic_ns()
    for item, result in items:
        yield Found(item, start_ns, monotonic_ns(), result)
        start_ns = monotonic_ns()


def _by_processes(compute: _Compute, numbers: range, work: Work) -> Iterator[Found]:
    """Yield the items in the order of the numbers, which are divided into chunks."""
    length = max(1, min(_CHUNK, len(numbers) // (_CHUNKS_EACH * work.processes)))
    chunks = (numbers[first : first + length] for first in range(0, len(numbers), length))
    # We do not fork, because the crawler's process has other threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(work.processes, context, initializer=_end_with_parent) as pool:
        for found in pool.map(partial(_chunk, compute), chunks, repeat(work)):
            yield from found


def _chunk(compute: _Compute, numbers: range, work: Work) -> list[Found]:
    return list(_stamped(compute(numbers, work)))


def _end_with_parent() -> None:
    """End this process when its parent is killed, which a pool does not notice."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
