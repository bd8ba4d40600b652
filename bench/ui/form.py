"""The form of an experiment: from its fields to the words of a command line. Pure.

A field becomes the value of one option, and can be nothing else: it may not begin with a dash, and
no shell ever reads it. What may lead to files or programs is refused: a crawler must be one of the
registry, and traces are not read.
"""

import shlex
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bench.plan.scenarios import ALL, SCENARIOS
from bench.program import PROGRAM
from crawlers.registry import REGISTRY

_MOST_CHARACTERS = 300
_MOST_CRAWLERS = 100


class FormError(ValueError):
    """A form that cannot be carried out; the text is one line."""


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fields of an experiment, as texts of the options of `run`; "" is the default."""

    crawlers: list[str] = []
    concurrency: str = ""
    delay: str = ""
    trials: str = ""
    requests: str = ""
    waves: str = ""
    duration: str = ""
    rate: str = ""
    capacity: str = ""
    queue: str = ""
    fault_share: str = ""
    scenario: str = ""
    quick: bool = False


class Planned(NamedTuple):
    """What a command line would do."""

    about: str = ""
    """How many runs there are and how long they take, as in `75 runs, about 3 min`."""
    problem: str = ""
    """Why it cannot be done, in one line; "" if it can."""


_TEXTS = tuple(
    name for name in Form.__struct_fields__ if name not in ("crawlers", "scenario", "quick")
)


def parse_form(body: bytes) -> Form:
    """Return the form in a JSON object. Raises FormError."""
    try:
        return msgspec.json.decode(body, type=Form)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise FormError(f"this is not a form: {error}") from None


def words_of(form: Form) -> list[str]:
    """Return the words of the command that the form asks for, without the program's name.

    Raises FormError.
    """
    words = ["run"]
    if form.crawlers:
        words += ["--crawlers", ",".join(checked_crawlers(form.crawlers))]
    for name in _TEXTS:
        if text := _checked_text(name, getattr(form, name)):
            words += [f"--{name.replace('_', '-')}", text]
    if form.scenario:
        if form.scenario not in (ALL, *(one.name for one in SCENARIOS)):
            raise FormError(f"there is no scenario {_quoted(form.scenario)}")
        words += ["--scenario", form.scenario]
    if form.quick:
        words.append("--quick")
    return words


def checked_crawlers(names: Sequence[str]) -> Sequence[str]:
    """Return the names if all are of the registry. Raises FormError."""
    if len(names) > _MOST_CRAWLERS:
        raise FormError(f"give at most {_MOST_CRAWLERS} crawlers")
    known = {info.name for info in REGISTRY}
    for name in names:
        if name not in known:
            raise FormError(
                f"{_quoted(name)} is not one of our crawlers: others are only run from the command "
                "line"
            )
    return names


def command_of(words: Sequence[str]) -> str:
    """Return the command as a user types it."""
    return shlex.join([*shlex.split(PROGRAM), *words])


def _checked_text(name: str, text: str) -> str:
    text = text.strip()
    if len(text) > _MOST_CHARACTERS:
        raise FormError(f"{name}: give at most {_MOST_CHARACTERS} characters")
    if text.startswith("-") or not text.isprintable():
        raise FormError(f"{name}: {_quoted(text)} is not a value")
    if "trace:" in text.lower():
        raise FormError(f"{name}: a trace is read from a file: use the command line for it")
    return text


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
