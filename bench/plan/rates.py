"""When requests are due if they do not wait for each other: rates, schedules, arrivals. Pure.

    200                     requests per second
    50..500 over 20         a ramp: from 50/s to 500/s within 20 s
    100@0,400@5,100@10      steps: 400/s from the fifth second on

With Lambda(t) for the integral of the rate, request i is due when Lambda(t) = i (fixed arrivals),
or when Lambda(t) is the sum of i exponential variables of mean 1 (Poisson arrivals).
"""

import math
import random
import re
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, islice, pairwise, takewhile
from typing import NamedTuple, Self

FIXED, POISSON = "fixed", "poisson"
ARRIVALS = (FIXED, POISSON)

LEAST_PER_S, MOST_PER_S = 0.01, 100_000.0
MOST_SECONDS = 86_400.0

_NUMBER = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_OVER = " over "


class RateError(ValueError):
    """A text that is no rate; the message is one line that names the text and the fix."""


class Piece(NamedTuple):
    """A span in which the rate changes evenly, or not at all."""

    from_s: float
    span_s: float
    """math.inf for the last."""
    begin_per_s: float
    end_per_s: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate of requests, constant or on a schedule. `text` is canonical."""

    text: str

    @classmethod
    def parse(cls, text: str, over_s: float | None = None) -> Self:
        """Parse a rate as users write it; a ramp needs `over_s`. Raises RateError."""
        if ".." in text and _OVER not in text:
            begin, _, end = text.partition("..")
            _per_s(text, begin)
            _per_s(text, end)
            if over_s is None:
                raise RateError(f"rate {text!r}: a ramp needs --over SECONDS, as in --over 20")
            text = f"{text}{_OVER}{_format(over_s)}"
        pieces = _pieces_of(text)
        if _OVER in text:
            begin, end = _format(pieces[0].begin_per_s), _format(pieces[0].end_per_s)
            return cls(f"{begin}..{end}{_OVER}{_format(pieces[0].span_s)}")
        if "@" not in text:
            return cls(_format(pieces[0].begin_per_s))
        return cls(",".join(f"{_format(one.begin_per_s)}@{_format(one.from_s)}" for one in pieces))

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The schedule, from 0 s on without gaps."""
        return _pieces_of(self.text)

    @property
    def is_constant(self) -> bool:
        """Whether the rate never changes."""
        return all(one.begin_per_s == one.end_per_s for one in self.pieces) and (
            len({one.begin_per_s for one in self.pieces}) == 1
        )

    @property
    def over_s(self) -> float | None:
        """How long a ramp takes; None for all others."""
        return self.pieces[0].span_s if _OVER in self.text else None

    def without_over(self) -> str:
        """Return the text as users write it, with `over_s` apart."""
        return self.text.partition(_OVER)[0]

    @property
    def most_per_s(self) -> float:
        """The highest rate."""
        return max(max(one.begin_per_s, one.end_per_s) for one in self.pieces)

    def due_after_ns(self, arrivals: str, seed: int, requests: int) -> "array[int]":
        """Return when each request is due, in ns after the first, in order of seq."""
        return array("q", islice(self._due(arrivals, seed), requests))

    def requests_within(self, span_s: float, arrivals: str, seed: int) -> int:
        """Return how many requests are due before `span_s` is over, and at least one."""
        span_ns = span_s * 1e9
        return sum(1 for _ in takewhile(lambda due: due < span_ns, self._due(arrivals, seed)))

    def mean_within(self, span_s: float) -> float:
        """Return how many requests are due within a span in the mean, without drawing them."""
        ends_s = [(one.from_s, min(one.from_s + one.span_s, span_s)) for one in self.pieces]
        # A rate changes evenly within a piece: its mean is that of the middle.
        return sum(self.rate_at((a + b) / 2) * (b - a) for a, b in ends_s if a < b)

    def rate_at(self, at_s: float) -> float:
        """Return the rate at an instant, in requests/s."""
        piece = next(one for one in self.pieces if at_s < one.from_s + one.span_s)
        if not math.isfinite(piece.span_s):
            return piece.begin_per_s
        share = (at_s - piece.from_s) / piece.span_s
        return piece.begin_per_s + share * (piece.end_per_s - piece.begin_per_s)

    def _due(self, arrivals: str, seed: int) -> Iterator[int]:
        invert = _inverse_of(self.pieces)
        for value in count() if arrivals == FIXED else _sums_of_exponentials(seed):
            yield round(invert(value) * 1e9)

    def check(self) -> None:
        """Raise RateError for a text that is no rate, or not as `parse` writes it."""
        if Rate.parse(self.text).text != self.text:
            raise RateError(f"rate {self.text!r} is not written as this version writes it")

    def __str__(self) -> str:
        return f"{self.text}/s" if self.is_constant else f"{self.text} (requests/s)"


def split_rates(text: str) -> list[str]:
    """Return the rates of a list separated by commas, which schedules of steps contain, too.

    A schedule ends where another begins, at `@0`. A constant rate behind a schedule is taken for
    one of its steps, of which `Rate.parse` says that its begin is missing.
    """
    rates: list[str] = []
    for piece in text.split(","):
        begins_another = piece.endswith("@0") or ".." in piece
        if rates and "@" in rates[-1] and not begins_another:
            rates[-1] += f",{piece}"
        else:
            rates.append(piece)
    return rates


def _sums_of_exponentials(seed: int) -> Iterator[float]:
    draw = random.Random(seed).random  # noqa: S311 - not for secrets
    total = 0.0
    while True:
        yield total
        total -= math.log1p(-draw())


def _inverse_of(pieces: tuple[Piece, ...]) -> Callable[[float], float]:
    """Return the inverse of Lambda, for values that ascend."""
    left = list(pieces)
    done = 0.0

    def invert(value: float) -> float:
        nonlocal done
        while math.isfinite(left[0].span_s) and value - done >= _requests_of(left[0]):
            done += _requests_of(left.pop(0))
        piece, rest = left[0], value - done
        slope = 0.0
        if math.isfinite(piece.span_s):
            slope = (piece.end_per_s - piece.begin_per_s) / piece.span_s
        # rest = begin t + slope t^2 / 2, in the form that is exact where the slope is small.
        root = math.sqrt(max(0.0, piece.begin_per_s**2 + 2 * slope * rest))
        return piece.from_s + 2 * rest / (piece.begin_per_s + root)

    return invert


def _requests_of(piece: Piece) -> float:
    return (piece.begin_per_s + piece.end_per_s) / 2 * piece.span_s


def _pieces_of(text: str) -> tuple[Piece, ...]:
    ends, over, span = text.partition(_OVER)
    if over:
        begin_text, dots, end_text = ends.partition("..")
        if not dots:
            raise RateError(f"rate {text!r}: only a ramp such as 50..500 takes --over")
        begin, end = _per_s(text, begin_text), _per_s(text, end_text)
        span_s = _seconds(text, span)
        if not span_s:
            raise RateError(f"rate {text!r}: a ramp over 0 s is none; give --over a longer span")
        return (Piece(0.0, span_s, begin, end), Piece(span_s, math.inf, end, end))
    if "@" not in text:
        rate = _per_s(text, text)
        return (Piece(0.0, math.inf, rate, rate),)
    steps = []
    for piece in text.split(","):
        rate_text, at, second = piece.partition("@")
        if not at:
            raise RateError(f"rate {text!r}: give each step its begin, as in 100@0,400@5")
        steps.append((_seconds(text, second), _per_s(text, rate_text)))
    if steps[0][0]:
        raise RateError(f"rate {text!r}: the first step must begin at 0 s")
    for (before, _), (after, _) in pairwise(steps):
        if after <= before:
            raise RateError(f"rate {text!r}: each step must begin after the one before")
    ends_s = [at for at, _ in steps[1:]] + [math.inf]
    return tuple(
        Piece(at, end - at, rate, rate) for (at, rate), end in zip(steps, ends_s, strict=True)
    )


def _per_s(text: str, number: str) -> float:
    value = float(number) if _NUMBER.fullmatch(number) else -1.0
    if not LEAST_PER_S <= value <= MOST_PER_S:
        which = "" if number == text else f"{number!r} is not a rate; "
        raise RateError(
            f"rate {text!r}: {which}give {LEAST_PER_S:g} to {MOST_PER_S:,.0f} requests per second"
        )
    return value


def _seconds(text: str, number: str) -> float:
    value = float(number) if _NUMBER.fullmatch(number) else -1.0
    if not 0 <= value <= MOST_SECONDS:
        raise RateError(
            f"rate {text!r}: {number!r} is not a number of seconds, 0 to {MOST_SECONDS:,.0f}"
        )
    return value


def _format(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".")
