"""Costs of crawlers as multiples of the floor crawler's costs. Pure."""

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.plan.floor import cost_unit


def floor_cell_for(cell: CellSummary, analysis: Analysis) -> CellSummary | None:
    """Return the floor crawler's cell with the same delay and concurrency, or None without one."""
    at_same_point = {
        one.cell.crawler: one
        for one in analysis.cells
        if one.measured
        and (one.cell.request, one.cell.level) == (cell.cell.request, cell.cell.level)
    }
    floor = cost_unit(at_same_point)
    return at_same_point[floor] if floor else None


def times_floor(cell: CellSummary, analysis: Analysis, attribute: str) -> float | None:
    """Return the median of an attribute of RunSummary as a multiple of the floor crawler's.

    Both are measured at the same delay and concurrency. Returns None if either is unknown.
    """
    floor = floor_cell_for(cell, analysis)
    unit = floor.median_of(attribute) if floor is not None else None
    value = cell.median_of(attribute)
    return value / unit if value is not None and unit else None
