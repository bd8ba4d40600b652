"""Seeded size models: how many bytes each response, or each body that is sent, has. Pure."""

from array import array
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Self

from bench.plan.traces import check_values, read_trace, refuse_to_read
from server.models import Model, ModelError, Trace, clipped, format_bytes, parse_sizes
from server.request_plan import MAX_SIZE_BYTES


@dataclass(frozen=True, slots=True)
class Size:
    """A distribution of sizes. `text` is in bytes, as users write it, with k and M for units."""

    text: str
    digest: str = ""
    """Of the values of a trace; "" for all other models."""
    trace_bytes: tuple[int, ...] = field(default=(), compare=False, repr=False)
    """The values of a trace, which are kept because its file may change."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse a model of bytes, which may name a file to read. Raises ModelError."""
        model = parse_sizes(text, read_trace)
        if isinstance(model, Trace):
            return cls(model.format(format_bytes), model.digest, model.values)
        return cls(model.format(format_bytes))

    @property
    def model(self) -> Model:
        """The distribution, in bytes. Raises ModelError for a text that is no model."""
        return _model_of(self)

    def drawn(self, seed: int, requests: int) -> "array[int]":
        """Return the sizes of a run in bytes, by seq; a longer run begins like a shorter one."""
        return clipped(self.model, self.model.drawn(seed, requests), MAX_SIZE_BYTES)

    def check(self) -> None:
        """Raise ValueError for a text that is no model, or not as `parse` writes it."""
        check_values(self.text, self.trace_bytes, MAX_SIZE_BYTES)
        if self.model.format(format_bytes) != self.text:
            raise ModelError(f"size {self.text!r} is not written as this version writes it")

    def __str__(self) -> str:
        return self.text if self.digest else f"{self.text} bytes"


ONE_BYTE = Size("1")
"""The size of a response unless another is asked for."""


@lru_cache(maxsize=1000)
def _model_of(size: Size) -> Model:
    if size.trace_bytes:
        return Trace(size.text.partition(":")[2], size.trace_bytes)
    return parse_sizes(size.text, refuse_to_read)
