"""Helpers with which rules judge a run and word their evidence."""

from bench.contract.runs import BrokenError
from bench.results.columns import IntColumns
from crawlers.contract import failure_word


def require(is_so: bool, evidence: str) -> None:
    """Raise BrokenError with this evidence unless `is_so`."""
    if not is_so:
        raise BrokenError(evidence)


def failure_counts(fetches: IntColumns) -> dict[str, int]:
    """Return how many fetches failed, by word."""
    counts: dict[str, int] = {}
    for code, status in zip(fetches["error"].tolist(), fetches["status"].tolist(), strict=True):
        word = failure_word(code, status, is_planned=True)
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def abbreviated(numbers: list[int]) -> str:
    """Return `15 (0, 1, 2, ...)`: how many numbers there are, and the first twelve."""
    shown = ", ".join(map(str, numbers[:12]))
    return f"{len(numbers)} ({shown}{', ...' if len(numbers) > 12 else ''})"
