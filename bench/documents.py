"""Where the documents are: docs/ of the checkout, or what a wheel has of it."""

from contextlib import suppress
from pathlib import Path

_OURS = Path(__file__).parent
_INSTALLED = _OURS / "manual" / "docs"
"""pyproject.toml puts them there."""

DOCUMENTS = _INSTALLED if _INSTALLED.is_dir() else _OURS.parent / "docs"


def document(name: str) -> str:
    """The path of a document, as a user of the current folder can open it."""
    path = DOCUMENTS / name
    with suppress(OSError, ValueError):  # it is elsewhere, or the current folder is gone
        return str(path.relative_to(Path.cwd()))
    return str(path)
