"""The reasons that checks find in a run, and the verdict that follows from them. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain

from bench.analysis.summary import RunSummary
from bench.results.schema import RunRow

_NUMBER = re.compile(r"(?<![\w.,-])[+-]?\d+(?:,\d{3})*(?:\.\d+)?(?![\w.]*\w)", re.ASCII)


class Level(IntEnum):
    """The level of a reason or a verdict. A verdict has the level of its worst reason, or VALID."""

    VALID = 0
    """No fault. A reason of this level is a note."""
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
        """The level as it is printed, which is `note` for VALID."""
        return self.level.name if self.level else "note"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict on one run, with its reasons."""

    reasons: tuple[Reason, ...]

    @property
    def level(self) -> Level:
        """The level of the worst reason."""
        return max((reason.level for reason in self.reasons), default=Level.VALID)

    def finds(self, check: str) -> bool:
        """Return whether a check found something."""
        return any(reason.check == check for reason in self.reasons)


def shared_reasons(groups: Iterable[Iterable[Verdict]]) -> set[Reason]:
    """Return the reasons that every run of several groups has, so that they can be given once."""
    reasons = [[set(verdict.reasons) for verdict in verdicts] for verdicts in groups]
    runs = [of_run for of_group in reasons for of_run in of_group]
    return set.intersection(*runs) if sum(map(bool, reasons)) > 1 else set()


def reasons_by_trials(trials: Iterable[Verdict]) -> list[tuple[Reason, int]]:
    """Return each reason of a cell with the number of trials that have it, the worst first.

    Reasons that differ in nothing but numbers are one: it has the range of each number.
    """
    found: dict[tuple[Level, str, str], list[list[str]]] = {}
    for verdict in trials:
        texts: dict[tuple[Level, str, str], list[str]] = {}
        for one in verdict.reasons:
            texts.setdefault((one.level, one.check, _NUMBER.sub("0", one.text)), []).append(
                one.text
            )
        for key, of_trial in texts.items():
            found.setdefault(key, []).append(of_trial)
    return [
        (Reason(level, check, _with_ranges([*chain(*texts)])), len(texts))
        for (level, check, _), texts in sorted(found.items(), key=lambda item: -item[0][0])
    ]


def _with_ranges(texts: Sequence[str]) -> str:
    """Return a text for texts that differ in numbers alone, as in `6 to 26 % of the time`."""
    numbers = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    ranges = iter(
        [sorted(set(one), key=lambda text: float(text.replace(",", ""))) for one in numbers]
    )

    def range_of(_: re.Match[str]) -> str:
        lowest, *others = next(ranges)
        return f"{lowest} to {others[-1]}" if others else lowest

    return _NUMBER.sub(range_of, texts[0])


@dataclass(frozen=True, slots=True)
class Evidence:
    """The input of all checks."""

    run: RunRow
    summary: RunSummary
    ceiling_per_s: float | None
    """Requests/s of this server with a floor client; None if that was not measured."""
    cpus: int = 0
    """CPUs of the machine that measured; 0 if that is not known."""


Check = Callable[[Evidence], Iterator[Reason]]


def invalid(check: str, text: str) -> Reason:
    """Return a reason why the number says nothing about the crawler."""
    return Reason(Level.INVALID, check, text)


def suspect(check: str, text: str) -> Reason:
    """Return a reason why the number may contain something other than the crawler."""
    return Reason(Level.SUSPECT, check, text)


def unchecked(check: str, text: str) -> Reason:
    """Return a reason why most checks could not be made."""
    return Reason(Level.UNCHECKED, check, text)


def note(check: str, text: str) -> Reason:
    """Return a note, which does not change the verdict."""
    return Reason(Level.VALID, check, text)


def format_busiest(summary: RunSummary) -> str:
    """Return `the busiest of its 4 processes`."""
    return f"the busiest of its {summary.processes} processes"


def format_counts(counts: dict[str, int]) -> str:
    """Return `timeout 3, reset 1`."""
    return ", ".join(f"{word} {count}" for word, count in counts.items())
