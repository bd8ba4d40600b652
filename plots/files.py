"""How a plot is written: whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Written whole or not at all: a plot half written is taken for a plot."""
    draft = path.with_name(f".{path.name}-{os.getpid()}")  # another may draw the same
    try:
        draft.unlink(missing_ok=True)  # in a folder of somebody else it may lead anywhere
        with draft.open("xb") as stream:
            yield stream
        draft.replace(path)
    except BaseException as error:
        draft.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:  # a full disk names no file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
