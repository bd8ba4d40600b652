"""Writes files atomically."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a draft next to `path` for writing, and move it to `path` if the block succeeds.

    If the block fails, the draft is removed and `path` stays as it was. Raises OSError.
    """
    draft = path.with_name(f".{path.name}-{os.getpid()}")  # another process may draw the same file
    try:
        draft.unlink(missing_ok=True)  # in somebody else's folder it may be a link to anywhere
        with draft.open("xb") as stream:
            yield stream
        draft.replace(path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # e.g. a full disk: add the path
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
