"""The entrants of an experiment: a crawler under a label, and how it is run. Pure.

How it is run: on which event loop, in how many processes, on which interpreter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath

from bench.errors import UsageError
from crawlers.crawler_file import is_file_name, module_of, split_file_name

MOST_PROCESSES = 1024
"""Most crawler processes of one run."""

_LABEL = re.compile(r"[A-Za-z0-9._+*@-]{1,60}")
_HOW = re.compile(r"([^+*@]*)(?:\+([a-z0-9_]+))?(?:\*([0-9]{1,6}))?")
"""A crawler's name, its event loop and its number of processes."""


class EntrantError(UsageError):
    """A text that does not name an entrant; the message says why."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """A crawler under a label: one line of every table and plot."""

    label: str
    crawler: str
    """A name of the registry, `package.module:function` or `path/to/file.py:function`."""
    python: str = ""
    """Path of the interpreter that the crawler runs on; "" for this one."""
    declared_as: str = ""
    """The row of the registry that also applies, if its crawler has no row there."""
    processes: int = 1
    """How many processes share each run."""
    loop: str = ""
    """The event loop, by its name in crawlers.loops; "" for the crawler's own."""

    @property
    def program(self) -> str:
        """What each of its processes runs, as in `asyncio+uvloop@/path/to/python`."""
        loop = f"+{self.loop}" if self.loop else ""
        return f"{self.crawler}{loop}" + (f"@{self.python}" if self.python else "")

    def __str__(self) -> str:
        """Return the text that parse_entrant parses."""
        program = f"{self.crawler}{_how(self)}" + (f"@{self.python}" if self.python else "")
        label = re.sub(r"#\d+\Z", "", self.label)  # with_unique_labels adds it again
        is_needless = label in (program, _own_label(self), _label_with_folder(self))
        return program if is_needless else f"{label}={program}"


def parse_entrant(text: str) -> Entrant:
    """Parse `[LABEL=]CRAWLER[+LOOP][*PROCESSES][@PYTHON]`.

    Examples are `old=asyncio@/path/to/venv/bin/python` and `asyncio+uvloop*4`.

    Raises EntrantError.
    """
    before, equals, after = text.partition("=")
    if "/" in before:  # of the path to a file
        equals = ""
    label, rest = (before, after) if equals else ("", text)
    if equals and not _LABEL.fullmatch(label):
        raise EntrantError(
            f"{label!r} is not a label: use up to 60 letters, digits and . _ + * @ -"
        )
    file, dot_py, after_file = rest.rpartition(".py:")  # folders may have an @ in their names
    named, at, python = after_file.partition("@")
    how = _HOW.fullmatch(named)
    if how is None or not (file or how[1]) or (at and not python):
        raise EntrantError(f"{text!r} is not [LABEL=]CRAWLER[+LOOP][*PROCESSES][@PYTHON]")
    crawler, processes = f"{file}{dot_py}{how[1]}", int(how[3] or 1)
    check_processes(processes)
    if is_file_name(crawler):
        try:
            split_file_name(crawler)
        except ValueError as error:
            raise EntrantError(str(error)) from None
    entrant = Entrant(label, crawler, python, processes=processes, loop=how[2] or "")
    return entrant if label else replace(entrant, label=_own_label(entrant))


def check_processes(processes: int) -> None:
    """Raise EntrantError for a number of processes that a run cannot have."""
    if not 1 <= processes <= MOST_PROCESSES:
        raise EntrantError(
            f"a run cannot have {processes} processes: give a number from 1 to {MOST_PROCESSES}"
        )


def multiplied(
    entrants: Sequence[Entrant],
    *,
    pythons: Sequence[str] = (),
    loops: Sequence[str] = (),
    processes: Sequence[int] = (),
) -> tuple[Entrant, ...]:
    """Return each entrant on each interpreter, on each loop, in each number of processes.

    What is empty changes nothing. Raises EntrantError if an entrant says by itself what is also
    asked for all.
    """
    for entrant in entrants:
        for flag, is_asked, is_own in (
            ("--python", pythons, entrant.python),
            ("--loop", loops, entrant.loop),
            ("--processes", processes, entrant.processes > 1),
        ):
            if is_asked and is_own:
                raise EntrantError(f"{entrant}: leave out {flag}, or this part of the name")
    return tuple(
        _changed(entrant, python or entrant.python, loop or entrant.loop, count)
        for entrant in entrants
        for python in dict.fromkeys(pythons or ("",))
        for loop in dict.fromkeys(loops or ("",))
        for count in dict.fromkeys(processes or (entrant.processes,))
    )


def _changed(entrant: Entrant, python: str, loop: str, processes: int) -> Entrant:
    """Return the entrant run in another way, which its label says, too."""
    changed = replace(entrant, python=python, loop=loop, processes=processes)
    if entrant.label == _own_label(entrant):
        return replace(changed, label=_own_label(changed))
    added = replace(
        changed,
        loop=loop if loop != entrant.loop else "",
        processes=processes if processes != entrant.processes else 1,
    )
    name = _environment_name(python) if python != entrant.python else ""
    return replace(changed, label=f"{entrant.label}{_how(added)}{'@' if name else ''}{name}")


def command_words(entrants: Sequence[Entrant]) -> list[str]:
    """Return the words of a command that ask for these entrants: their names, and options for all.

    An environment that crawlbench made has no name of its own: it is asked for by --python and the
    version, if each entrant is on each interpreter.
    """
    pythons = tuple(dict.fromkeys(one.python for one in entrants))
    versions = tuple(map(_version_of, pythons))
    loops = tuple(dict.fromkeys(one.loop for one in entrants if one.loop))
    counts = tuple(dict.fromkeys(one.processes for one in entrants))
    if "" not in versions and len(set(versions)) == len(versions):
        for also_loops, also_counts in ((loops, counts if counts != (1,) else ()), ((), ())):
            plain = tuple(
                dict.fromkeys(_unchanged(one, also_loops, also_counts) for one in entrants)
            )
            on_them = multiplied(multiplied(plain, loops=also_loops), pythons=pythons)
            if multiplied(on_them, processes=also_counts) == tuple(entrants):
                words = [",".join(map(str, plain)), "--python", ",".join(versions)]
                words += ["--loop", ",".join(also_loops)] if also_loops else []
                counted = ",".join(map(str, also_counts))
                return [*words, "--processes", counted] if counted else words
    return [",".join(map(str, entrants))]


def _unchanged(entrant: Entrant, loops: Sequence[str], counts: Sequence[int]) -> Entrant:
    """Return the entrant from which `multiplied` made this one, for its interpreter and for these.

    It may be another one, if the label was given and happens to end so.
    """
    plain = replace(
        entrant,
        python="",
        loop="" if loops else entrant.loop,
        processes=1 if counts else entrant.processes,
    )
    if entrant.label == _own_label(entrant):
        return replace(plain, label=_own_label(plain))
    label = entrant.label.removesuffix(f"*{entrant.processes}" if counts else "")
    label = label.removesuffix(f"@{_environment_name(entrant.python)}")
    return replace(plain, label=label.removesuffix(f"+{entrant.loop}" if loops else ""))


def _version_of(python: str) -> str:
    """Return the name of the interpreter of an environment that crawlbench made; "" for others."""
    parts = PurePath(python).parts
    return parts[-3] if parts[-6:-4] == ("crawlbench", "environments") else ""


def with_crawler(entrant: Entrant, crawler: str) -> Entrant:
    """Return the entrant with another name of its crawler, also in a label that was not given."""
    renamed = replace(entrant, crawler=crawler)
    is_own = entrant.label == _own_label(entrant)
    return replace(renamed, label=_own_label(renamed)) if is_own else renamed


def label_of(name: str, crawler: str, entrants: Sequence[Entrant]) -> str:
    """The label that is meant by `name`: a label, or the name of what the entrant runs.

    `crawler` is the same name with an absolute path. Returns the name itself if nobody has it.
    """
    labels = [entrant.label for entrant in entrants]
    running = (one.label for one in entrants if one.program == crawler and one.processes == 1)
    return name if name in labels else next(running, name)


def with_unique_labels(entrants: Sequence[Entrant]) -> tuple[Entrant, ...]:
    """Return the entrants with unique labels: repeated ones become `asyncio#2`, `asyncio#3`, ...

    Two files of the same name have their folders in their labels: `old/mine:crawl`. Raises
    EntrantError if one label is given to two different crawlers.
    """
    crawlers: dict[str, set[str]] = {}
    for entrant in entrants:
        crawlers.setdefault(entrant.label, set()).add(entrant.crawler)
    entrants = [
        replace(entrant, label=_label_with_folder(entrant))
        if len(crawlers[entrant.label]) > 1 and entrant.label == _own_label(entrant)
        else entrant
        for entrant in entrants
    ]
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


def _own_label(entrant: Entrant) -> str:
    """What it is called if it is given no label: `asyncio@old`, `mine:crawl`, `asyncio*4`."""
    name = f"{own_name(entrant)}{_how(entrant)}"
    return f"{name}@{_environment_name(entrant.python)}" if entrant.python else name


def own_name(entrant: Entrant) -> str:
    """Return the name of its crawler as labels have it: `asyncio`, or `mine:crawl` of a file."""
    name = entrant.crawler
    if is_file_name(name):
        path, _, function = name.rpartition(":")
        name = f"{module_of(path)}:{function}"
    return name


def _how(entrant: Entrant) -> str:
    """Return `+LOOP*PROCESSES`, without what is as usual."""
    loop = f"+{entrant.loop}" if entrant.loop else ""
    return f"{loop}*{entrant.processes}" if entrant.processes != 1 else loop


def _label_with_folder(entrant: Entrant) -> str:
    """The same, and of a crawler in a file with the name of the file's folder."""
    folder = PurePath(entrant.crawler).parent.name if is_file_name(entrant.crawler) else ""
    return f"{_plain(folder)}/{_own_label(entrant)}" if folder else _own_label(entrant)


def _environment_name(python: str) -> str:
    """Return the folder of a virtual environment, ENVIRONMENT/bin/python, fit for a label."""
    folders = PurePath(python).parent.parts
    is_bin = len(folders) > 1 and folders[-1] in ("bin", "Scripts")
    name = folders[-2] if is_bin else PurePath(python).name
    return _plain(name)


def _plain(name: str) -> str:
    """The name of a folder, as a label may have it."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[:20]
