"""The floor crawler: what it is, and what others cost as a multiple of it. Pure."""

from collections.abc import Mapping

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary

FLOORS = ("protocol", "protocol-uvloop")
"""As little as a client can do; the first that was measured is what others are multiples of."""


def floor_of(cells: Mapping[str, CellSummary]) -> str | None:
    """The crawler that costs are multiples of; None where no floor crawler was measured."""
    return next((name for name in FLOORS if name in cells), None)


def floor_beside(cell: CellSummary, analysis: Analysis) -> CellSummary | None:
    """The floor crawler's cell of the same delay and concurrency."""
    beside = {
        one.cell.crawler: one
        for one in analysis.cells
        if one.measured
        and (one.cell.delay, one.cell.concurrency) == (cell.cell.delay, cell.cell.concurrency)
    }
    floor = floor_of(beside)
    return beside[floor] if floor else None


def times_floor(cell: CellSummary, analysis: Analysis, attribute: str) -> float | None:
    """Of an attribute: the multiple of the floor crawler's at the same delay and concurrency."""
    floor = floor_beside(cell, analysis)
    unit = floor.median_of(attribute) if floor is not None else None
    value = cell.median_of(attribute)
    return value / unit if value is not None and unit else None
