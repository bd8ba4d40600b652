"""Prints what became of the thresholds of `--fail-if`, one line each."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

from bench.analysis.analyse import Analysis
from bench.analysis.thresholds import Judged, Measured, Threshold, judge_thresholds
from bench.exit_codes import EXIT_OK, EXIT_REQUESTS_FAILED, EXIT_THRESHOLD

if TYPE_CHECKING:
    from bench.analysis.cells import CellSummary

_NAMED = 10


def judged(analysis: Analysis, thresholds: Sequence[Threshold]) -> tuple[Judged, ...]:
    """Return each threshold with what was measured in all cells of an experiment."""
    names = [_name(analysis, cell) for cell in analysis.cells]
    return judge_thresholds(thresholds, analysis.cells, names)


def _name(analysis: Analysis, cell: "CellSummary") -> str:
    return f"{analysis.format_series(cell.cell)}, {cell.cell.format_level()}"


def exit_code(found: Sequence[Judged], analysis: Analysis, *, is_complete: bool) -> int:
    """Return the exit code of an experiment. A threshold that fails comes before all else.

    Requests that failed are accepted if a threshold on errors has passed; runs that are INVALID, or
    not made (if not `is_complete`), never are.
    """
    if any(one.has_failed for one in found):
        return EXIT_THRESHOLD
    accepts_errors = any(one.threshold.metric == "errors" for one in found)
    is_sound = analysis.has_no_invalid if accepts_errors else analysis.is_sound
    return EXIT_OK if is_sound and is_complete else EXIT_REQUESTS_FAILED


def print_thresholds(found: Sequence[Judged], stream: TextIO) -> None:
    """Print a line for each threshold."""
    for one in found:
        print(threshold_line(one), file=stream)


def threshold_line(one: Judged) -> str:
    """Return `p99 > 500 ms: failed: 612.0 ms (asyncio, C=100)`, with all cells that fail."""
    name = f"{one.threshold.name}:"
    if not one.measured:
        return f"{name} failed: no run was made"
    if not one.has_failed:
        nearest = one.nearest
        assert nearest is not None
        return f"{name} passed: {_shown(one, nearest)}"
    known = [_shown(one, each) for each in one.failing if each.value is not None]
    unknown = [each.cell for each in one.failing if each.value is None]
    parts = _few(known)
    if unknown:
        lacks = next(cell.lacks for cell in one.failing if cell.value is None)
        parts += [f"not known, because it needs {lacks} ({'; '.join(_few(unknown))})"]
    return f"{name} failed: {', '.join(parts)}"


def _shown(one: Judged, measured: Measured) -> str:
    assert measured.value is not None
    return f"{one.threshold.format(measured.value)} ({measured.cell})"


def _few(texts: Sequence[str]) -> list[str]:
    more = len(texts) - _NAMED
    return [*texts[:_NAMED], *([f"and {more} more"] if more > 0 else [])]


def thresholds_as_json(found: Sequence[Judged]) -> list[dict[str, Any]]:
    """Return the thresholds as plain values. Limits and values are in the unit that is named."""
    return [
        {
            "threshold": one.threshold.name,
            "metric": one.threshold.metric,
            "has_failed": one.has_failed,
            "unit": one.threshold.unit,
            "limit": one.threshold.limit,
            "measured": [{"cell": each.cell, "value": each.value} for each in one.measured],
        }
        for one in found
    ]
