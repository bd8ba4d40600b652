"""Text from elsewhere, made safe to print: control characters are shown, and never obeyed."""

import sys
from typing import TextIO

_MOST_CHARACTERS = 4000
"""As long as a path may be."""


def printable(text: str) -> str:
    r"""One line of printable characters: all others are shown as `\x1b`, `\n`, `\u202e`."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _shown(one) for one in text)


def shortened(text: str) -> str:
    """The same, cut where it is longer than any text of ours."""
    return printable(text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}...")


class PrintableStream:
    """A text stream that shows control characters, but for the ends of lines and tabs."""

    def __init__(self, stream: TextIO) -> None:
        self.bare = stream
        """For those alone that command the terminal themselves."""
        if hasattr(stream, "reconfigure"):  # an encoding may lack what is printable elsewhere
            stream.reconfigure(errors="backslashreplace")

    def write(self, text: str) -> int:
        """As of any stream."""
        if not text.replace("\n", "").isprintable():
            text = "".join(
                one if one.isprintable() or one in "\n\t" else _shown(one) for one in text
            )
        return self.bare.write(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self.bare, name)


def protect_standard_streams() -> None:
    """From now on, whatever is printed on stdout and stderr is printable."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, PrintableStream):  # None: it is closed
            setattr(sys, name, PrintableStream(stream))


def bare(stream: TextIO) -> TextIO:
    """The stream itself, where it is protected."""
    return stream.bare if isinstance(stream, PrintableStream) else stream


def _shown(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
