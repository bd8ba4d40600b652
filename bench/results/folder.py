"""Folders of results, results/<UTC time>/results.sqlite, and links to the newest."""

import contextlib
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import StoreError
from bench.results.store import FILE_NAME

try:
    import fcntl
except ImportError:  # not on Windows
    fcntl = None  # type: ignore[assignment]

DEFAULT_FOLDER = Path("results")
LATEST = "latest"
_GLANCE_S = 0.1
"""Far longer than `is_locked` holds a lock."""
_STAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-(\d{1,3}))?")


def new_folder(parent: Path, now: datetime | None = None) -> Path:
    """Create a folder that is named after the time in UTC, and return its path.

    Raises StoreError, and FileNotFoundError if the current folder no longer exists.
    """
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = _make_unique(parent, stamp)
        _sync(parent)
    except FileNotFoundError:  # the current folder: missing parents would have been created
        raise
    except OSError as error:
        raise StoreError(
            f"cannot make a folder in {parent}: {error.strerror}; name another with --out"
        ) from error
    return folder


def link_latest(folder: Path, kind: str) -> None:
    """Make `latest` and `latest-KIND` next to a folder of results link to it.

    A link to newer results is kept. So is anything of that name that crawlbench did not create,
    which is reported on stderr.
    """
    for name in (LATEST, f"{LATEST}-{kind}"):
        # Links may be unsupported or forbidden. The results can still be found by their folder.
        with contextlib.suppress(OSError):
            _link(folder, name)


def _link(folder: Path, name: str) -> None:
    age = _age_of(folder.name)
    if age is None:
        return  # the user has renamed the folder
    _remove_drafts(folder.parent, name)
    link = folder.parent / name
    if os.path.lexists(link):
        before = _age_of(_target(link))
        if before is None:
            print(
                f"crawlbench: {link} was not created by crawlbench and is left as it is",
                file=sys.stderr,
            )
            return
        if before > age:
            return  # an experiment that started later has already set the link
    draft = folder.parent / f".{name}-{os.getpid()}"
    draft.symlink_to(folder.name)
    draft.replace(link)


def _remove_drafts(parent: Path, name: str) -> None:
    """Remove drafts of links that were left behind by killed processes."""
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
    """Return the target of a link, or "" if it is not a link."""
    try:
        return str(link.readlink())
    except OSError:
        return ""


def _age_of(name: str) -> tuple[str, int] | None:
    """Return a key that orders folders of results by age; None if the name is not of this form."""
    found = _STAMP.fullmatch(name)
    return (found[1], int(found[2] or 1)) if found else None


def is_locked(folder: Path) -> bool:
    """Return whether a process adds to a folder of results. Raises OSError if there is none.

    To find out, the folder is locked for some microseconds, which `exclusive_lock` waits for.
    """
    if fcntl is None:
        return False
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Lock a folder of results during the block, so that no other process adds to it.

    The folder itself is locked, so that no lock file can be left behind. Raises StoreError if
    another process has locked it.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if not _has_locked(descriptor):
            time.sleep(_GLANCE_S)  # it may have been a glance of `is_locked`
            if not _has_locked(descriptor):
                raise StoreError(
                    f"another crawlbench process is writing to {folder}: wait for it, or stop it"
                )
        yield
    finally:
        os.close(descriptor)


def _has_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_file(folder: Path | None, kind: str = "") -> Path:
    """Return the results file in a folder, or in that of the latest experiment for None.

    With `kind`, the latest experiment of this kind is preferred. Links are resolved here, because
    `latest` may change before the file has been read. Raises StoreError.
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
    """Resolve a folder that is a link."""
    if folder.is_dir():  # false for links in a circle, which cannot be resolved
        while folder.is_symlink():
            folder = folder.parent / folder.readlink()
    return folder


def _sync(folder: Path) -> None:
    """Write a folder's entries to the disk, so that they survive a loss of power."""
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
    raise FileExistsError(17, f"there are already 999 folders for {stamp}")
