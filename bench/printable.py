"""Makes text from elsewhere safe to print: control characters are shown instead of obeyed."""

import sys
from typing import TextIO

_MOST_CHARACTERS = 4000
"""The longest path that systems allow has about this many characters."""


def printable(text: str) -> str:
    r"""Return one line of printable characters; others are escaped as `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def shortened(text: str) -> str:
    """Return printable text, cut if it is longer than any text of this program."""
    return printable(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}...")


class PrintableStream:
    """A text stream that shows control characters, except line ends and tabs."""

    def __init__(self, stream: TextIO) -> None:
        self.bare = stream
        """The stream itself, only for code that controls the terminal."""
        if hasattr(stream, "reconfigure"):  # some encodings lack some printable characters
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """Write text as any stream does, with control characters escaped."""
        if not text.replace("\n", "").isprintable():
            text = "".join(
                one if one.isprintable() or one in "\n\t" else _escaped(one) for one in text
            )
        return self.bare.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.bare, name)


def protect_standard_streams() -> None:
    """Make everything that is printed on stdout and stderr printable from now on."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PrintableStream):  # None: it is closed
            setattr(sys, name, PrintableStream(stream))


def bare(stream: TextIO) -> TextIO:
    """Return the stream inside a PrintableStream, or the stream itself."""
    return stream.bare if isinstance(stream, PrintableStream) else stream


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
