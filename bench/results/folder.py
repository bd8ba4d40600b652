"""Where results are: results/<UTC time>/results.sqlite, and links to the newest."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import StoreError
from bench.results.store import FILE_NAME

try:
    import fcntl
except ImportError:  # a system without it
    fcntl = None  # type: ignore[assignment]

DEFAULT_FOLDER = Path("results")
LATEST = "latest"
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-(\d{1,3}))?")


def new_folder(parent: Path, now: datetime | None = None) -> Path:
    """A new folder named after the time in UTC. Raises StoreError."""
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = _make_unique(parent, stamp)
        _sync(parent)
    except OSError as error:
        raise StoreError(
            f"cannot make a folder in {parent}: {error.strerror}; name another with --out"
        ) from error
    return folder


def link_latest(folder: Path, kind: str) -> None:
    """Let `latest` and `latest-KIND` beside a folder of results lead to it, unless to a newer one.

    What has that name and is no link of ours stays as it is; stderr says so.
    """
    for name in (LATEST, f"{LATEST}-{kind}"):
        # Not on a system without links, or where they are not allowed; the folder has a name.
        with contextlib.suppress(OSError):
            _link(folder, name)


def _link(folder: Path, name: str) -> None:
    age = _age_of(folder.name)
    if age is None:
        return  # it was given a name of its own
    _remove_drafts(folder.parent, name)
    link = folder.parent / name
    if os.path.lexists(link):
        before = _age_of(_target(link))
        if before is None:
            print(
                f"crawlbench: {link} is not a link that crawlbench made: it stays as it is",
                file=sys.stderr,
            )
            return
        if before > age:
            return  # of an experiment that began later, beside this one
    draft = folder.parent / f".{name}-{os.getpid()}"
    draft.symlink_to(folder.name)
    draft.replace(link)


def _remove_drafts(parent: Path, name: str) -> None:
    """Of links whose process was killed before it could put them in their place."""
    for draft in parent.glob(f".{name}-*"):
        number = draft.name.removeprefix(f".{name}-")
        is_ours = number.isascii() and number.isdigit() and _age_of(_target(draft)) is not None
        if is_ours and not _is_another_alive(int(number)):
            draft.unlink(missing_ok=True)


def _is_another_alive(number: int) -> bool:
    if number == os.getpid():
        return False
    try:
        os.kill(number, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _target(link: Path) -> str:
    """Where a link leads; "" of what is none."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _age_of(name: str) -> tuple[str, int] | None:
    """By which folders of results are ordered; None of a name that is none of theirs."""
    found = _STAMP.fullmatch(name)
    return (found[1], int(found[2] or 1)) if found else None


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock a folder of results, so that no other process adds to it meanwhile. Raises StoreError.

    The lock is on the folder itself: it leaves nothing behind, whatever happens.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreError(
                f"another crawlbench is at work in {folder}: wait for it, or stop it"
            ) from None
        yield
    finally:
        os.close(descriptor)


def find_file(folder: Path | None, kind: str = "") -> Path:
    """The results file in a folder; of the latest experiment for None. Raises StoreError.

    `kind`: the latest of this kind, where there is one. Links are followed now: `latest` may lead
    elsewhere before all is read.
    """
    if folder is None:
        folder = DEFAULT_FOLDER / f"{LATEST}-{kind}"
        if not kind or not folder.exists():
            folder = DEFAULT_FOLDER / LATEST
        if not folder.exists():
            raise StoreError(f"there is no {folder}: run an experiment first, or name a folder")
    path = folder if folder.is_file() else folder / FILE_NAME
    path = _followed(path.parent) / path.name
    if not path.is_file():
        raise StoreError(f"there is no {FILE_NAME} in {folder}")
    return path


def _followed(folder: Path) -> Path:
    """Where a folder that is a link leads."""
    if folder.is_dir():  # of links in a circle there is no end
        while folder.is_symlink():
            folder = folder.parent / folder.readlink()
    return folder


def _sync(folder: Path) -> None:
    """What is in a folder survives a loss of power from now on, its name at the least."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _make_unique(parent: Path, stamp: str) -> Path:
    for attempt in range(1, 1000):
        folder = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise FileExistsError(17, f"there are too many results of {stamp}")
