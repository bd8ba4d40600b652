"""What a rule of the contract is, and what looking at it finds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from bench.contract.faults import Played
from bench.contract.runs import BrokenError, ContractRunner, UnknownError


class RuleLevel(Enum):
    """What follows if a rule is broken."""

    MUST = "MUST"
    """A number would be wrong."""
    SHOULD = "SHOULD"
    """A word would be less precise than it could be."""


MUST, SHOULD = RuleLevel.MUST, RuleLevel.SHOULD


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the contract."""

    level: RuleLevel
    title: str
    look: Callable[[], str]
    """Returns the evidence that the rule is kept. Raises BrokenError or UnknownError."""
    played: Played | None = None
    """The fault that the rule is about, if any."""

    def finding(self) -> "Finding":
        """Look, and return what was found."""
        try:
            return Finding(self.level, self.title, True, self.look(), self.played)
        except UnknownError as unknown:
            return Finding(self.level, self.title, None, str(unknown), self.played)
        except BrokenError as broken:
            return Finding(self.level, self.title, False, str(broken), self.played)


@dataclass(frozen=True, slots=True)
class RuleGroup:
    """Rules that share their runs of the crawler."""

    title: str
    """What is broken if those runs fail."""
    rules: Callable[[ContractRunner], Iterator[Rule]]
    """Does the runs and yields the rules. Raises BrokenError."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one rule is kept, and the evidence."""

    level: RuleLevel
    rule: str
    """The title of the rule."""
    is_kept: bool | None
    """None if it cannot be decided; then no number is wrong because of it."""
    evidence: str
    played: Played | None = None
    """The fault that the rule is about, if any."""

    @property
    def is_broken(self) -> bool:
        """Whether a number would be wrong."""
        return self.level is MUST and self.is_kept is False
