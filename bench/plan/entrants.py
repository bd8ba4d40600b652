"""The entrants of an experiment: a crawler under a label, on one interpreter. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from bench.errors import UsageError

_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,40}")


class EntrantError(UsageError):
    """A text that does not name an entrant; the message says why."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A crawler under a label: one line of every table and plot."""

    label: str
    crawler: str
    """A name of the registry, or `package.module:function`."""
    python: str = ""
    """Path of the interpreter that the crawler runs on; "" for this one."""
    declared_as: str = ""
    """The row of the registry that also applies, if its crawler has no row there."""

    def __str__(self) -> str:
        """Return the text that parse_entrant parses."""
        program = f"{self.crawler}@{self.python}" if self.python else self.crawler
        return program if self.label == program else f"{self.label}={program}"


def parse_entrant(text: str) -> Entrant:
    """Parse `[LABEL=]CRAWLER[@PYTHON]`, as in `old=asyncio@/path/to/venv/bin/python`.

    Raises EntrantError.
    """
    before, equals, after = text.partition("=")
    label, rest = (before, after) if equals else ("", text)
    if equals and not _LABEL.fullmatch(label):
        raise EntrantError(f"{label!r} is not a label: use up to 40 letters, digits and . _ + -")
    crawler, at, python = rest.partition("@")
    if not crawler or (at and not python):
        raise EntrantError(f"{text!r} is not [LABEL=]CRAWLER[@PYTHON]")
    if not label:
        label = f"{crawler}@{_environment_name(python)}" if python else crawler
    return Entrant(label, crawler, python)


def with_unique_labels(entrants: Sequence[Entrant]) -> tuple[Entrant, ...]:
    """Return the entrants with unique labels: repeated ones become `asyncio#2`, `asyncio#3`, ...

    Raises EntrantError if one label is given to two different crawlers.
    """
    taken: set[str] = set()
    first: dict[str, Entrant] = {}
    named = []
    for entrant in entrants:
        if first.setdefault(entrant.label, entrant) != entrant:
            raise EntrantError(
                f"label {entrant.label!r} is given to both {first[entrant.label].crawler} and "
                f"{entrant.crawler}: write LABEL=CRAWLER with two different labels"
            )
        label, count = entrant.label, 1
        while label in taken:
            count += 1
            label = f"{entrant.label}#{count}"
        taken.add(label)
        named.append(replace(entrant, label=label))
    return tuple(named)


def _environment_name(python: str) -> str:
    """Return the folder of a virtual environment, ENVIRONMENT/bin/python, fit for a label."""
    folders = PurePath(python).parent.parts
    is_bin = len(folders) > 1 and folders[-1] in ("bin", "Scripts")
    name = folders[-2] if is_bin else PurePath(python).name
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[:20]
