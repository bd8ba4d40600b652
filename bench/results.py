"""Where results are: results/<UTC time>/results.sqlite, and results/latest."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.store import FILE_NAME, StoreError

try:
    import fcntl
except ImportError:  # a system without it
    fcntl = None  # type: ignore[assignment]

DEFAULT_FOLDER = Path("results")


def new_folder(parent: Path, now: datetime | None = None, latest: str = "latest") -> Path:
    """A new folder named after the time in UTC, and a link `latest` to it. Raises StoreError."""
    stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        folder = _make_unique(parent, stamp)
    except OSError as error:
        raise StoreError(
            f"cannot make a folder in {parent}: {error.strerror}; name another with --out"
        ) from error
    # Not on a system without links, or where they are not allowed; the folder can be named instead.
    with contextlib.suppress(OSError):
        link = parent / f".{latest}-{os.getpid()}"
        link.symlink_to(folder.name)
        link.replace(parent / latest)
    return folder


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """For one process alone: no other goes on with these results meanwhile. Raises StoreError.

    A lock on the folder itself, which leaves nothing behind whatever happens.
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


def find_file(folder: Path | None) -> Path:
    """The results file in a folder; of the latest experiment for None. Raises StoreError."""
    if folder is None:
        folder = DEFAULT_FOLDER / "latest"
        if not folder.exists():
            raise StoreError(f"there is no {folder}: run an experiment first, or name a folder")
    path = folder if folder.is_file() else folder / FILE_NAME
    if not path.is_file():
        raise StoreError(f"there is no {FILE_NAME} in {folder}")
    return path


def _make_unique(parent: Path, stamp: str) -> Path:
    for attempt in range(1, 1000):
        folder = parent / (stamp if attempt == 1 else f"{stamp}-{attempt}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise FileExistsError(17, f"there are too many results of {stamp}")
