"""What crawlers cost as a multiple of the floor crawler. Pure."""

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.plan.floor import cost_unit


def floor_beside(cell: CellSummary, analysis: Analysis) -> CellSummary | None:
    """The floor crawler's cell of the same delay and concurrency."""
    beside = {
        one.cell.crawler: one
        for one in analysis.cells
        if one.measured
        and (one.cell.delay, one.cell.concurrency) == (cell.cell.delay, cell.cell.concurrency)
    }
    floor = cost_unit(beside)
    return beside[floor] if floor else None


def times_floor(cell: CellSummary, analysis: Analysis, attribute: str) -> float | None:
    """Of an attribute: the multiple of the floor crawler's at the same delay and concurrency."""
    floor = floor_beside(cell, analysis)
    unit = floor.median_of(attribute) if floor is not None else None
    value = cell.median_of(attribute)
    return value / unit if value is not None and unit else None
