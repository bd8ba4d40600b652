"""Reads the files of traces, of which no more is read than a trace can need."""

from collections.abc import Sequence
from pathlib import Path

MOST_TRACE_CHARACTERS = 10_000_000


def read_trace(path: str) -> str:
    """Return the text of a trace's file. Raises OSError, or ValueError for one that is too long."""
    with Path(path).open(encoding="utf-8") as file:
        text = file.read(MOST_TRACE_CHARACTERS + 1)
    if len(text) > MOST_TRACE_CHARACTERS:
        raise ValueError(f"it has more than {MOST_TRACE_CHARACTERS:,} characters")
    return text


def refuse_to_read(path: str) -> str:
    """Raise ValueError, because the values of a trace in a results file must be there."""
    raise ValueError(f"the values of the trace {path!r} are missing")


def check_values(name: str, values: Sequence[int], most: int) -> None:
    """Raise ValueError for a value of a trace, in a results file, that no server accepts."""
    wrong = next((value for value in values if not 0 <= value <= most), None)
    if wrong is not None:
        raise ValueError(f"the trace {name!r} has the value {wrong}, and not 0 to {most}")
