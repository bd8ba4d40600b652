"""What a check finds in a run, and the verdict that all findings make. Pure."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum

from bench.analysis.summary import RunSummary
from bench.results.schema import RunRow


class Level(IntEnum):
    """Of a reason, and of a verdict: the worst of its reasons, or VALID."""

    VALID = 0
    """As a reason: something to know, and no fault."""
    UNCHECKED = 1
    """There is no ledger, so that most checks could not be made; those that could found nothing."""
    SUSPECT = 2
    INVALID = 3


@dataclass(frozen=True, slots=True)
class Reason:
    """What one check found. `check` names it, the same for all runs."""

    level: Level
    check: str
    text: str

    @property
    def word(self) -> str:
        """How its level is written: a reason of level VALID is a note."""
        return self.level.name if self.level else "note"


@dataclass(frozen=True, slots=True)
class Verdict:
    """On one run."""

    reasons: tuple[Reason, ...]

    @property
    def level(self) -> Level:
        """The worst of the reasons."""
        return max((reason.level for reason in self.reasons), default=Level.VALID)

    def finds(self, check: str) -> bool:
        """Whether a check found something."""
        return any(reason.check == check for reason in self.reasons)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a check looks at."""

    run: RunRow
    summary: RunSummary
    ceiling_per_s: float | None
    """Requests/s of this server with a floor client; None if that was not measured."""


Check = Callable[[Evidence], Iterator[Reason]]


def invalid(check: str, text: str) -> Reason:
    """The number says nothing."""
    return Reason(Level.INVALID, check, text)


def suspect(check: str, text: str) -> Reason:
    """Something besides the crawler is in the number, or may be."""
    return Reason(Level.SUSPECT, check, text)


def unchecked(check: str, text: str) -> Reason:
    """Most checks could not be made."""
    return Reason(Level.UNCHECKED, check, text)


def note(check: str, text: str) -> Reason:
    """Something to know, and no fault."""
    return Reason(Level.VALID, check, text)


def format_counts(counts: dict[str, int]) -> str:
    """`timeout 3, reset 1`."""
    return ", ".join(f"{word} {count}" for word, count in counts.items())
