"""The results in a folder: what each is, from its header, and how one is removed.

Files come from anywhere and change at any time. Names that come from the network are never used as
paths: they are looked up among the folders that are there.
"""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import StoreError
from bench.kinds import kind_of
from bench.printable import printable
from bench.results.folder import exclusive_lock, is_locked, link_latest
from bench.results.store import FILE_NAME, Store

PAGE = "report.html"
_MOST_PAGE_BYTES = 200_000_000
_FIGURE = re.compile(rb'href="([\w+@.,=*-]{1,200}\.(?:png|svg|pdf))"')
"""A figure that report.html links to."""
_OURS = re.compile(
    rf"(?:{re.escape(FILE_NAME)}(?:-wal|-shm|-journal|\.schema-\d+)?|{re.escape(PAGE)})"
)
_MEASURED = "it is being measured"


class NoResultsError(LookupError):
    """There are no results of this name; the text says so."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What the list says about one folder of results."""

    name: str
    kind: str = ""
    created_utc: str = ""
    title: str = ""
    """What was asked, in one line."""
    crawlers: tuple[str, ...] = ()
    runs_done: int = 0
    runs_planned: int | None = None
    """None if it depends on what the runs show."""
    can_resume: bool = False
    why_not: str = ""
    """Why it cannot be resumed; "" if it can."""
    is_measured: bool = False
    """Whether a process adds runs to it at this moment."""
    bytes: int = 0
    problem: str = ""
    """Why it cannot be read, in one line; "" if it can."""


@dataclass(frozen=True, slots=True)
class _State:
    """Tells whether a results file has changed, and its log."""

    identity: tuple[int, ...]
    bytes: int


class Listing:
    """The results in a folder. Headers are kept until their files change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._known: dict[str, tuple[_State, Entry]] = {}

    def entries(self) -> list[Entry]:
        """Return all results, the newest first. What disappears meanwhile is left out."""
        found: dict[str, tuple[_State, Entry]] = {}
        for name in _names(self.folder):
            with suppress(FileNotFoundError, NotADirectoryError):
                found[name] = self._known_or_read(name)
        self._known = found
        entries = [self._with_lock(entry) for _, entry in found.values()]
        return sorted(entries, key=lambda one: (one.created_utc, one.name), reverse=True)

    def measured(self) -> str:
        """Return the name of results that a process adds runs to now; "" if there are none."""
        for name in _names(self.folder):
            with suppress(OSError):  # it has been deleted meanwhile
                if is_locked(self.folder / name):
                    return name
        return ""

    def entry(self, name: str) -> Entry:
        """Return the results of a name. Raises NoResultsError."""
        with suppress(FileNotFoundError, NotADirectoryError):
            if name in _names(self.folder):
                self._known[name] = known = self._known_or_read(name)
                return self._with_lock(known[1])
        raise NoResultsError(f"there are no results {printable(name)[:100]!r} in {self.folder}")

    def path(self, name: str) -> Path:
        """Return the absolute path of a folder of results. Raises NoResultsError."""
        return (self.folder / self.entry(name).name).absolute()

    def details(self, name: str) -> dict[str, Any]:
        """Return an entry and what else the page of a result shows. Raises NoResultsError."""
        entry = self.entry(name)
        about: dict[str, Any] = {"plan": entry.title, "command": "", "environment": {}}
        if not entry.problem:
            with suppress(StoreError), Store.open(self.path(name) / FILE_NAME) as store:
                asked = store.read_asked(kind_of(store).asked)
                # Not every kind has a command that repeats it.
                about["command"] = getattr(asked, "command", str)()
                about["environment"] = store.environment()
        has_report = _is_file(self.folder / name / PAGE)
        return {**asdict(entry), **about, "has_report": has_report}

    def delete(self, name: str) -> list[str]:
        """Remove results and what was drawn of them, and return the names of what is left.

        The folder goes if nothing is left in it. Raises NoResultsError, StoreError while it is
        measured, and OSError.
        """
        folder = self.path(name)
        with exclusive_lock(folder):
            made = {file.name for file in folder.iterdir() if _OURS.fullmatch(file.name)}
            made |= _figures(folder / PAGE)
            _remove_files(folder, made)
            left = sorted(printable(file.name) for file in folder.iterdir())
            if not left:
                folder.rmdir()
        known = self._known.pop(name, None)
        self._link_again(folder, known[1].kind if known else "")
        return left

    def _link_again(self, removed: Path, kind: str) -> None:
        """Let `latest` and its like, which led to removed results, lead to the newest of others."""
        for link in [one for one in removed.parent.iterdir() if one.is_symlink()]:
            if str(link.readlink()) == removed.name and link.name.startswith("latest"):
                link.unlink()
        others = [one for one in self.entries() if not one.problem and one.runs_done]
        newest = next(iter(others), None)
        of_kind = next((one for one in others if one.kind == kind), None)
        for entry in filter(None, (newest, of_kind)):
            link_latest(self.folder / entry.name, entry.kind)

    def _known_or_read(self, name: str) -> tuple[_State, Entry]:
        state = _state(self.folder / name / FILE_NAME)
        known = self._known.get(name)
        if known is not None and known[0] == state:
            return known
        return state, replace(_read(self.folder / name), bytes=state.bytes)

    def _with_lock(self, entry: Entry) -> Entry:
        """Return the entry as it is while a process adds runs to it, if one does."""
        with suppress(OSError):  # it has been deleted, and the next list says so
            if is_locked(self.folder / entry.name):
                return replace(
                    entry, is_measured=True, can_resume=False, why_not=_MEASURED, problem=""
                )
        return entry


def _names(folder: Path) -> Iterator[str]:
    """Yield the names of folders that have a results file, without those of links."""
    try:
        items = list(os.scandir(folder))
    except (FileNotFoundError, NotADirectoryError):  # nothing has been measured yet
        return
    for item in items:
        is_hidden = item.name.startswith(".") or not item.name.isprintable()
        is_folder = not is_hidden and item.is_dir(follow_symlinks=False)
        if is_folder and os.path.lexists(folder / item.name / FILE_NAME):
            yield item.name


def _read(folder: Path) -> Entry:
    """Return what the header of a results file says. Raises FileNotFoundError."""
    try:
        path = folder / FILE_NAME
        if not _is_file(path):
            raise StoreError(f"{FILE_NAME} is not a regular file")
        with Store.open(path) as store:
            kind = kind_of(store)
            asked = store.read_asked(kind.asked)
            done, planned = store.count_runs(), store.runs_asked()
            entry = Entry(
                folder.name,
                kind.name,
                store.created_utc(),
                title=str(getattr(asked, "format_plan", str)()),
                crawlers=tuple(one.label for one in asked.entrants),
                runs_done=done,
                runs_planned=planned or None,
            )
    except (StoreError, OSError) as error:
        if not folder.exists():
            raise FileNotFoundError from None
        return Entry(folder.name, problem=printable(str(error)), why_not="it cannot be read")
    why_not = kind.why_not_resumed or ("" if done < planned else "all of its runs have been made")
    return replace(entry, can_resume=not why_not, why_not=why_not)


def _state(path: Path) -> _State:
    """Return the state of a results file with its log. Raises FileNotFoundError."""
    identity: list[int] = []
    total = 0
    for one in (path, path.with_name(f"{path.name}-wal")):
        try:
            found = one.lstat()
        except FileNotFoundError:
            if one == path:
                raise
            continue
        identity += [found.st_ino, found.st_mtime_ns, found.st_size]
        total += found.st_size
    return _State(tuple(identity), total)


def _is_file(path: Path) -> bool:
    """Return whether this is a regular file, and no link to one."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except OSError:
        return False


def _figures(page: Path) -> set[str]:
    """Return the names of the figures that a report.html links to."""
    if not _is_file(page) or page.stat().st_size > _MOST_PAGE_BYTES:
        return set()
    return {name.decode() for name in _FIGURE.findall(page.read_bytes())}


def _remove_files(folder: Path, names: set[str]) -> None:
    """Remove files of a folder, and no links' targets, even if it becomes a link meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for name in sorted(names):
            with suppress(FileNotFoundError, IsADirectoryError, PermissionError):
                os.unlink(name, dir_fd=descriptor)
    finally:
        os.close(descriptor)
