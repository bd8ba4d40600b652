"""The two kinds of errors that end a command with one line, each with its exit code."""

from bench.printable import printable


class UsageError(ValueError):
    """The user asked for something wrong; the text names it, the cause and the fix. Exit code 2."""


class MachineError(RuntimeError):
    """This machine, or a file on it, does not allow it; the text gives the fix. Exit code 3."""


class StoreError(MachineError):
    """A results file that cannot be read or written; the text names it, the cause and the fix."""

    def __init__(self, text: str) -> None:
        # SQLite's own messages may quote text from the file.
        super().__init__(printable(text))
