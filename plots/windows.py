"""Windows of time, into which the requests of a run are counted. Pure."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WIDTHS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
_MOST_WINDOWS = 120


class Windows(NamedTuple):
    """Windows of equal width, from the first due instant or the first start on."""

    origin_ns: int
    width_ns: int
    number: int

    @property
    def edges_s(self) -> "NDArray[np.float64]":
        """Where windows begin, and where the last one ends."""
        edges: NDArray[np.float64] = np.arange(self.number + 1) * self.width_ns / 1e9
        return edges

    def of(self, at_ns: "NDArray[np.int64]") -> "NDArray[np.int64]":
        """Return the window of each instant."""
        return np.clip((at_ns - self.origin_ns) // self.width_ns, 0, self.number - 1)

    def per_s(self, at_ns: "NDArray[np.int64]") -> "NDArray[np.float64]":
        """Return how many instants per second are in each window."""
        counts = np.bincount(self.of(at_ns), minlength=self.number)
        rates: NDArray[np.float64] = counts / (self.width_ns / 1e9)
        return rates

    def quantiles(
        self, at_ns: "NDArray[np.int64]", values: "NDArray[np.int64]", q: float
    ) -> "NDArray[np.float64]":
        """Return a quantile of the values in each window; NaN for an empty one."""
        window = self.of(at_ns)
        order = np.lexsort((values, window))
        ends = np.searchsorted(window[order], np.arange(self.number + 1))
        counts = np.diff(ends)
        rank = ends[:-1] + np.maximum(0, np.ceil(q * counts).astype(np.int64) - 1)
        found = np.full(self.number, np.nan)
        found[counts > 0] = values[order][rank[counts > 0]]
        return found


def windows_of(origin_ns: int, last_ns: int) -> Windows:
    """Return windows of a tenth of a second, or wider ones if there would be too many."""
    span_ns = max(1, last_ns - origin_ns)
    widest_ns = -(-span_ns // _MOST_WINDOWS)  # times from a file may be years apart
    fitting = (round(width_s * 1e9) for width_s in _WIDTHS_S)
    width_ns = next((width_ns for width_ns in fitting if width_ns >= widest_ns), widest_ns)
    return Windows(origin_ns, width_ns, -(-span_ns // width_ns))
