"""Seeded delay models: how long each request of a run asks the server to wait. Pure."""

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from bench.plan.traces import check_values, read_trace, refuse_to_read
from server.models import Model, ModelError, Trace, clipped, format_ms, parse_delays
from server.request_plan import MAX_DELAY_US


@dataclass(frozen=True, slots=True)
class Delay:
    """A distribution of delays. `text` is in milliseconds, as users write it."""

    text: str
    digest: str = ""
    """Of the values of a trace; "" for all other models."""
    trace_us: tuple[int, ...] = field(default=(), compare=False, repr=False)
    """The values of a trace, which are kept because its file may change."""

    @classmethod
    def fixed(cls, delay_us: int) -> Self:
        """Return the same delay for all requests."""
        return cls(format_ms(delay_us))

    @classmethod
    def between(cls, low_us: int, high_us: int) -> Self:
        """Return delays that are uniform from `low_us` to `high_us`, both included."""
        low = format_ms(low_us)
        return cls(low if low_us == high_us else f"{low}-{format_ms(high_us)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a model of milliseconds, which may name a file to read. Raises ModelError."""
        model = parse_delays(text, read_trace)
        if isinstance(model, Trace):
            return cls(model.format(format_ms), model.digest, model.values)
        return cls(model.format(format_ms))

    @property
    def model(self) -> Model:
        """The distribution, in us. Raises ModelError for a text that is no model."""
        return _model_of(self)

    @property
    def mean_us(self) -> float:
        """The expected delay."""
        return self.model.mean

    @property
    def is_none(self) -> bool:
        """Whether no request waits."""
        return not self.model.mean

    @property
    def is_fixed(self) -> bool:
        """Whether all requests wait equally long."""
        return self.least_us == self.most_us

    @property
    def least_us(self) -> int:
        """The shortest delay."""
        return self.quantile_us(0)

    @property
    def most_us(self) -> int:
        """The longest delay, or the p99.9 of models without an end."""
        return self.quantile_us(1 if self.model.is_bounded else 0.999)

    def quantile_us(self, q: float) -> int:
        """Return the smallest delay that at least a share q of all delays does not exceed."""
        return min(self.model.quantile(q), MAX_DELAY_US)

    def drawn(self, seed: int, requests: int) -> "array[int]":
        """Return the delays of a run in us, by seq; a longer run begins like a shorter one."""
        return clipped(self.model, self.model.drawn(seed, requests), MAX_DELAY_US)

    def check(self) -> None:
        """Raise ValueError for a text that is no model, or not as `parse` writes it."""
        check_values(self.text, self.trace_us, MAX_DELAY_US)
        model = self.model
        if model.format(format_ms) != self.text:
            raise ModelError(f"delay {self.text!r} is not written as this version writes it")

    def __str__(self) -> str:
        return self.text if self.digest else f"{self.text} ms"


@lru_cache(maxsize=1000)
def _model_of(delay: Delay) -> Model:
    if delay.trace_us:
        return Trace(delay.text.partition(":")[2], delay.trace_us)
    return parse_delays(delay.text, refuse_to_read)
