"""Who takes part in an experiment: a crawler, on which interpreter, under which label. Pure."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from bench.errors import UsageError

_LABEL = re.compile(r"[A-Za-z0-9._+-]{1,40}")


class EntrantError(UsageError):
    """A text that names no entrant; it says why."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One line of every table and plot."""

    label: str
    crawler: str
    """A name of the registry, or `package.module:function`."""
    python: str = ""
    """Path of the interpreter that it runs on; "": this one."""
    declared_as: str = ""
    """The row of the registry that holds for it as well, where its crawler has no row."""

    def __str__(self) -> str:
        """As parse_entrant takes it."""
        program = f"{self.crawler}@{self.python}" if self.python else self.crawler
        return program if self.label == program else f"{self.label}={program}"


def parse_entrant(text: str) -> Entrant:
    """`[LABEL=]CRAWLER[@PYTHON]`, as in `old=asyncio@/path/to/venv/bin/python`.

    Raises EntrantError.
    """
    before, equals, after = text.partition("=")
    label, rest = (before, after) if equals else ("", text)
    if equals and not _LABEL.fullmatch(label):
        raise EntrantError(f"{label!r} is no label: up to 40 letters, digits, and . _ + -")
    crawler, at, python = rest.partition("@")
    if not crawler or (at and not python):
        raise EntrantError(f"{text!r} is not [LABEL=]CRAWLER[@PYTHON]")
    if not label:
        label = f"{crawler}@{_environment_name(python)}" if python else crawler
    return Entrant(label, crawler, python)


def with_labels_of_their_own(entrants: Sequence[Entrant]) -> tuple[Entrant, ...]:
    """The same, where a crawler asked for twice is labelled `asyncio#2`, `asyncio#3` and so on.

    Raises EntrantError where one label is given to two things.
    """
    taken: set[str] = set()
    first: dict[str, Entrant] = {}
    named = []
    for entrant in entrants:
        if first.setdefault(entrant.label, entrant) != entrant:
            raise EntrantError(
                f"label {entrant.label!r} is given to {first[entrant.label].crawler} and to "
                f"{entrant.crawler}: write LABEL=CRAWLER with two labels"
            )
        label, count = entrant.label, 1
        while label in taken:
            count += 1
            label = f"{entrant.label}#{count}"
        taken.add(label)
        named.append(replace(entrant, label=label))
    return tuple(named)


def _environment_name(python: str) -> str:
    """The folder of a virtual environment, ENVIRONMENT/bin/python, as a label may have it."""
    folders = PurePath(python).parent.parts
    is_bin = len(folders) > 1 and folders[-1] in ("bin", "Scripts")
    name = folders[-2] if is_bin else PurePath(python).name
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[:20]
