"""The form of an experiment: from its fields to the words of a command line. Pure.

A field becomes the value of one option, and can be nothing else: one that begins with a dash is
written as `--option=-5`, and no shell ever reads it. What may lead to files or programs is refused:
a crawler must be one of the registry, and traces are not read.
"""

import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from bench.plan.scenarios import ALL, SCENARIOS
from bench.program import PROGRAM
from crawlers.registry import REGISTRY

_MOST_CHARACTERS = 300
_MOST_CRAWLERS = 100

LABELS = {
    "crawlers": "Crawlers",
    "concurrency": "Concurrency",
    "delay": "Delay",
    "trials": "Trials",
    "requests": "Requests",
    "waves": "Waves",
    "duration": "Duration",
    "rate": "Rate",
    "capacity": "Capacity",
    "queue": "Queue",
    "fault_share": "Faults",
    "scenario": "Scenario",
    "quick": "Quick",
}
"""What the page calls the fields."""
_OPTION = re.compile(r"(?<![\w'-])(?:argument )?(?:-n/)?(?:--([a-z]+(?:-[a-z]+)*)|-n\b)")
_ABOUT_NUMBERS = re.compile(r"(--[a-z-]+) [\d.,@]+: ")
"""The begin of a message that shows a number as it was read, and not the text that it is from."""


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
    open_loop: bool = False
    """Whether a rate is asked for, which has no default."""


class Planned(NamedTuple):
    """What a command line would do."""

    about: str = ""
    """How many runs there are and how long they take, as in `75 runs, about 3 min`."""
    problem: str = ""
    """Why it cannot be done, in one line; "" if it can."""


_TEXTS = tuple(name for name in LABELS if name not in ("crawlers", "scenario", "quick"))


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
    if form.open_loop and not form.rate.strip():
        raise FormError("Rate: give requests per second, such as 100 or 100,200,400")
    words = ["run"]
    if form.crawlers:
        words += ["--crawlers", ",".join(checked_crawlers(form.crawlers))]
    for name in _TEXTS:
        if text := _checked_text(name, getattr(form, name)):
            option = f"--{name.replace('_', '-')}"
            words += [f"{option}={text}"] if text.startswith("-") else [option, text]
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


def in_fields(problem: str, words: Sequence[str]) -> str:
    """Return what is wrong with a command, with the labels of fields for the names of options.

    Where the message has a number instead of the text that was typed, it gets the text.
    """
    if (found := _ABOUT_NUMBERS.match(problem)) and found[1] in words:
        typed = _quoted(words[words.index(found[1]) + 1])
        problem = f"{found[1]} {typed}: {problem[found.end() :]}"
    return _OPTION.sub(_label, problem)


def _label(option: re.Match[str]) -> str:
    return LABELS.get((option[1] or "requests").replace("-", "_"), option[0])


def _checked_text(name: str, text: str) -> str:
    """Return the text of a field without empty items in its list. Raises FormError."""
    label, text = LABELS[name], text.strip()
    if len(text) > _MOST_CHARACTERS:
        raise FormError(f"{label}: give at most {_MOST_CHARACTERS} characters")
    if text == "--" or not text.isprintable():  # argparse drops `--`, even behind `=`
        raise FormError(f"{label}: {_quoted(text)} is not a value")
    if "trace:" in text.lower():
        raise FormError(f"{label}: a trace is read from a file: use the command line for it")
    return ",".join(filter(None, map(str.strip, text.split(",")))) or text


def _quoted(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
