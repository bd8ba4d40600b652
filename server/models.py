"""Models of delays and sizes: distributions in whole numbers, by a text and a seed. Pure.

The server and the bench share it. Standard library only.

One grammar for both. Values are whole numbers of a unit: microseconds for delays, which users write
in milliseconds, and bytes for sizes.

    100                             fixed
    20-200                          uniform, both ends included
    exponential:mean=100
    lognormal:median=120,p99=900
    weighted:50@90,500@9,2000@1     each value with its weight
    trace:FILE                      the values of a file, one per line, in order and again

Random values are drawn by inverse transform from `random.Random(seed).random()`, the one generator
whose stream Python promises to keep.
"""

import math
import random
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import accumulate, cycle, islice
from statistics import NormalDist
from typing import Protocol

from server.request_plan import (
    MAX_DELAY_US,
    MAX_SIZE_BYTES,
    PlanError,
    parse_delay_us,
    quoted,
)

Z99 = NormalDist().inv_cdf(0.99)
"""The 99 % point of the standard normal distribution, 2.32635."""

MOST_CLIPPED = 0.001
"""A model is refused if a larger share of its values exceeds what the server accepts."""

MOST_TRACE_VALUES = 100_000
MOST_WEIGHT = 999_999_999
"""Of one value."""
_MOST_DRAWN = 2**32 - 1
_UNITS = {"k": 1024, "M": 1024 * 1024}
_LEAST_U = 2.0**-54
"""Half the smallest step of random(): `inv_cdf(0)` has no value."""


class ModelError(ValueError):
    """A text that is no model; the message is one line that names the text and the fix."""


class Model(Protocol):
    """A distribution of whole numbers."""

    @property
    def mean(self) -> float:
        """The expected value."""

    @property
    def is_bounded(self) -> bool:
        """Whether there is a largest value."""

    def quantile(self, q: float) -> int:
        """Return the smallest value that at least a share q of all values does not exceed."""

    def drawn(self, seed: int, count: int) -> "array[int]":
        """Return the first `count` values of a seed; a longer run begins like a shorter one."""

    def share_above(self, most: int) -> float:
        """Return the share of values above `most`."""

    def format(self, value: Callable[[float], str]) -> str:
        """Return the text that parses to this model; `value` formats one value."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """All whole numbers from `low` to `high` alike, both included; fixed if they are equal."""

    low: int
    high: int

    @property
    def mean(self) -> float:
        """The expected value."""
        return (self.low + self.high) / 2

    @property
    def is_bounded(self) -> bool:
        """Whether there is a largest value."""
        return True

    def quantile(self, q: float) -> int:
        """Return the smallest value that at least a share q of all values does not exceed."""
        values = self.high - self.low + 1
        return self.low + max(0, math.ceil(q * values - 1e-9) - 1)

    def drawn(self, seed: int, count: int) -> "array[int]":
        """Return the first `count` values of a seed."""
        if self.low == self.high:
            return array("I", [self.low]) * count
        values = self.high - self.low + 1
        return _drawn(lambda u: self.low + int(u * values), seed, count)

    def share_above(self, most: int) -> float:
        """Return the share of values above `most`."""
        return max(0, self.high - max(most, self.low - 1)) / (self.high - self.low + 1)

    def format(self, value: Callable[[float], str]) -> str:
        """Return `100` or `20-200`."""
        low = value(self.low)
        return low if self.low == self.high else f"{low}-{value(self.high)}"


@dataclass(frozen=True, slots=True)
class Exponential:
    """The quantile at u is -mean ln(1 - u)."""

    mean: float

    @property
    def is_bounded(self) -> bool:
        """Whether there is a largest value."""
        return False

    def quantile(self, q: float) -> int:
        """Return the quantile, rounded."""
        return round(-self.mean * math.log1p(-_inside(q)))

    def drawn(self, seed: int, count: int) -> "array[int]":
        """Return the first `count` values of a seed."""
        return _drawn(self.quantile, seed, count)

    def share_above(self, most: int) -> float:
        """Return the share of values above `most`."""
        return math.exp(-most / self.mean)

    def format(self, value: Callable[[float], str]) -> str:
        """Return `exponential:mean=100`."""
        return f"exponential:mean={value(self.mean)}"


@dataclass(frozen=True, slots=True)
class Lognormal:
    """The quantile at u is median exp(sigma z(u)), where sigma = ln(p99 / median) / z(0.99)."""

    median: int
    p99: int

    @property
    def sigma(self) -> float:
        """The standard deviation of the logarithm."""
        return math.log(self.p99 / self.median) / Z99

    @property
    def mean(self) -> float:
        """The expected value, median exp(sigma^2 / 2)."""
        return self.median * math.exp(self.sigma**2 / 2)

    @property
    def is_bounded(self) -> bool:
        """Whether there is a largest value."""
        return False

    def quantile(self, q: float) -> int:
        """Return the quantile, rounded."""
        return round(self.median * math.exp(self.sigma * NormalDist().inv_cdf(_inside(q))))

    def drawn(self, seed: int, count: int) -> "array[int]":
        """Return the first `count` values of a seed."""
        median, sigma, z = self.median, self.sigma, NormalDist().inv_cdf
        return _drawn(lambda u: round(median * math.exp(sigma * z(u))), seed, count)

    def share_above(self, most: int) -> float:
        """Return the share of values above `most`."""
        return 1 - NormalDist().cdf(math.log(most / self.median) / self.sigma)

    def format(self, value: Callable[[float], str]) -> str:
        """Return `lognormal:median=120,p99=900`."""
        return f"lognormal:median={value(self.median)},p99={value(self.p99)}"


@dataclass(frozen=True, slots=True)
class Weighted:
    """Few values, each with a whole weight; `values` ascends."""

    values: tuple[int, ...]
    weights: tuple[int, ...]

    @property
    def mean(self) -> float:
        """The expected value."""
        return math.fsum(map(math.prod, zip(self.values, self.weights, strict=True))) / self._total

    @property
    def _total(self) -> int:
        return sum(self.weights)

    @property
    def is_bounded(self) -> bool:
        """Whether there is a largest value."""
        return True

    def quantile(self, q: float) -> int:
        """Return the smallest value that at least a share q of all values does not exceed."""
        sums = list(accumulate(self.weights))
        return self.values[min(bisect_left(sums, q * sums[-1] - 1e-9), len(sums) - 1)]

    def drawn(self, seed: int, count: int) -> "array[int]":
        """Return the first `count` values of a seed."""
        sums = list(accumulate(self.weights))
        total = sums[-1]
        return _drawn(lambda u: self.values[bisect_right(sums, int(u * total))], seed, count)

    def share_above(self, most: int) -> float:
        """Return the share of values above `most`."""
        above = self.weights[bisect_right(self.values, most) :]
        return sum(above) / self._total

    def format(self, value: Callable[[float], str]) -> str:
        """Return `weighted:50@90,500@9`."""
        pairs = zip(self.values, self.weights, strict=True)
        return "weighted:" + ",".join(f"{value(one)}@{weight}" for one, weight in pairs)


@dataclass(frozen=True, slots=True)
class Trace:
    """Values of a file, replayed in order, and again from the start; the seed changes nothing."""

    name: str = field(compare=False)
    """The file as the user named it; the values alone tell traces apart."""
    values: tuple[int, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of the values, as decimal numbers in lines."""
        return sha256("\n".join(map(str, self.values)).encode()).hexdigest()

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return math.fsum(self.values) / len(self.values)

    @property
    def is_bounded(self) -> bool:
        """Whether there is a largest value."""
        return True

    def quantile(self, q: float) -> int:
        """Return the smallest value that at least a share q of the values does not exceed."""
        return sorted(self.values)[max(0, math.ceil(q * len(self.values) - 1e-9) - 1)]

    def drawn(self, seed: int, count: int) -> "array[int]":
        """Return the first `count` values."""
        return array("I", islice(cycle(self.values), count))

    def share_above(self, most: int) -> float:
        """Return the share of values above `most`."""
        return sum(value > most for value in self.values) / len(self.values)

    def format(self, value: Callable[[float], str]) -> str:
        """Return `trace:FILE`."""
        return f"trace:{self.name}"


def parse_model(
    text: str,
    parse: Callable[[str], int],
    read: Callable[[str], str],
    most: int,
    most_text: str,
) -> Model:
    """Return the model that a text names.

    `parse` reads one value and raises ValueError; `read` returns the text of a trace's file and
    raises OSError; `most` is the largest value that the server accepts, `most_text` the same as
    users write it. Raises ModelError.
    """
    name, colon, rest = text.partition(":")
    if not colon:
        model: Model = _parse_plain(text, parse)
    elif name in _PARSERS:
        model = _PARSERS[name](text, rest, parse, read)
    else:
        raise ModelError(
            f"{quoted(text)}: there is no model {quoted(name)}; give a value (100), a range "
            f"(20-200), or one of {', '.join(f'{one}:...' for one in _PARSERS)}"
        )
    share = model.share_above(most)
    if share > MOST_CLIPPED:
        raise ModelError(
            f"{quoted(text)}: {share:.2%} of its values would exceed the most that the server "
            f"accepts, {most_text}; at most {MOST_CLIPPED:.1%} may"
        )
    return model


def parse_delays(text: str, read: Callable[[str], str]) -> Model:
    """Return a model of delays in us, from a text in ms. Raises ModelError.

    `read` returns the text of a trace's file and raises OSError or ValueError.
    """
    most = f"{format_ms(MAX_DELAY_US)} ms"
    return parse_model(text, _microseconds, read, MAX_DELAY_US, most)


def parse_sizes(text: str, read: Callable[[str], str]) -> Model:
    """Return a model of sizes in bytes; `2k` and `1M` are allowed. Raises as `parse_delays`."""
    return parse_model(text, _bytes, read, MAX_SIZE_BYTES, f"{MAX_SIZE_BYTES} bytes")


def format_ms(value_us: float) -> str:
    """Return microseconds as milliseconds, in at most three decimals."""
    return f"{value_us / 1000:.3f}".rstrip("0").rstrip(".")


def format_bytes(value: float) -> str:
    """Return whole bytes."""
    return str(round(value))


def clipped(model: Model, drawn: "array[int]", most: int) -> "array[int]":
    """Return drawn values, none of them above `most`."""
    if not model.share_above(most):
        return drawn
    return array("I", (min(value, most) for value in drawn))


def split_models(text: str) -> list[str]:
    """Return the models of a list separated by commas, which some models contain, too."""
    models: list[str] = []
    for piece in text.split(","):
        if models and ":" not in piece and ("=" in piece or "@" in piece):
            models[-1] += f",{piece}"
        else:
            models.append(piece)
    return models


def _parse_plain(text: str, parse: Callable[[str], int]) -> Uniform:
    low_text, dash, high_text = text.partition("-")
    if dash and not (low_text and high_text):
        raise ModelError(f"{quoted(text)}: give a value (100) or a range (20-200)")
    low = _value(text, low_text, parse)
    high = _value(text, high_text, parse) if dash else low
    if high < low:
        raise ModelError(f"{quoted(text)}: give the smaller number first, as in 20-200")
    return Uniform(low, high)


def _parse_exponential(
    text: str, rest: str, parse: Callable[[str], int], read: Callable[[str], str]
) -> Exponential:
    mean = _settings(text, rest, parse, "mean")["mean"]
    if not mean:
        raise ModelError(f"{quoted(text)}: the mean must be above 0")
    return Exponential(mean)


def _parse_lognormal(
    text: str, rest: str, parse: Callable[[str], int], read: Callable[[str], str]
) -> Lognormal:
    values = _settings(text, rest, parse, "median", "p99")
    if not 0 < values["median"] < values["p99"]:
        raise ModelError(f"{quoted(text)}: the median must be above 0, and p99 above the median")
    return Lognormal(**values)


def _parse_weighted(
    text: str, rest: str, parse: Callable[[str], int], read: Callable[[str], str]
) -> Weighted:
    weights: dict[int, int] = {}
    for pair in rest.split(","):
        value_text, _, weight = pair.partition("@")
        if not pair:
            raise ModelError(
                f"{quoted(text)}: give each value its weight, as in weighted:50@90,500@10"
            )
        value = _value(text, value_text, parse)
        is_whole = weight.isascii() and weight.isdigit() and len(weight) < 20
        # A value that is repeated has the sum, which must parse again.
        weights[value] = weights.get(value, 0) + (int(weight) if is_whole else 0)
        if not (is_whole and int(weight) and weights[value] <= MOST_WEIGHT):
            raise ModelError(
                f"{quoted(text)}: {quoted(pair)} needs a whole weight from 1 to {MOST_WEIGHT}, as "
                "in weighted:50@90,500@10"
            )
    return Weighted(tuple(sorted(weights)), tuple(weights[value] for value in sorted(weights)))


def _parse_trace(
    text: str, rest: str, parse: Callable[[str], int], read: Callable[[str], str]
) -> Trace:
    if not rest:
        raise ModelError(f"{quoted(text)}: give the file of the trace, as in trace:FILE")
    try:
        lines = read(rest).removeprefix("\ufeff").splitlines()
    except UnicodeDecodeError:
        raise ModelError(f"cannot read the trace {rest!r}: it is not a text file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ModelError(f"cannot read the trace {rest!r}: {reason}") from None
    found = {n: line.strip() for n, line in enumerate(lines, 1) if line.strip()}
    if not 0 < len(found) <= MOST_TRACE_VALUES:
        raise ModelError(
            f"the trace {rest!r} has {len(found):,} values; give 1 to {MOST_TRACE_VALUES:,}, one "
            "per line"
        )
    return Trace(
        rest,
        tuple(_value(f"trace:{rest}, line {n}", line, parse) for n, line in found.items()),
    )


_PARSERS: Mapping[str, Callable[[str, str, Callable[[str], int], Callable[[str], str]], Model]] = {
    "exponential": _parse_exponential,
    "lognormal": _parse_lognormal,
    "weighted": _parse_weighted,
    "trace": _parse_trace,
}


def _settings(text: str, rest: str, parse: Callable[[str], int], *names: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for pair in rest.split(","):
        name, _, value = pair.partition("=")
        if name not in names or name in found:
            wanted = ",".join(f"{one}=..." for one in names)
            raise ModelError(f"{quoted(text)}: give {text.partition(':')[0]}:{wanted}")
        found[name] = _value(text, value, parse)
    if len(found) != len(names):
        wanted = ",".join(f"{one}=..." for one in names)
        raise ModelError(f"{quoted(text)}: give {text.partition(':')[0]}:{wanted}")
    return found


def _value(text: str, value: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(value)
    except ValueError as error:
        raise ModelError(str(error) if value == text else f"{quoted(text)}: {error}") from None


def _microseconds(text: str) -> int:
    try:
        return parse_delay_us(text)
    except PlanError:
        raise ValueError(
            f"{quoted(text)} is not a delay: give ms, 0 to {format_ms(MAX_DELAY_US)}, with up to "
            "three decimals"
        ) from None


def _bytes(text: str) -> int:
    number, unit = (text[:-1], _UNITS[text[-1]]) if text[-1:] in _UNITS else (text, 1)
    if not (number.isascii() and number.isdigit() and len(number) <= 9):
        raise ValueError(f"{quoted(text)} is not a size: give whole bytes, or 2k, or 1M")
    value = int(number) * unit
    if value > MAX_SIZE_BYTES:
        raise ValueError(f"{quoted(text)} is too large: give 0 to {MAX_SIZE_BYTES} bytes")
    return value


def _inside(u: float) -> float:
    return min(max(u, _LEAST_U), 1 - 2.0**-53)


def _drawn(at: Callable[[float], int], seed: int, count: int) -> "array[int]":
    draw = random.Random(seed).random  # noqa: S311 - not for secrets
    return array("I", (min(at(_inside(draw())), _MOST_DRAWN) for _ in range(count)))
