"""The two kinds of errors that end a command with one line, each with its exit code."""

from bench.printable import printable


class UsageError(ValueError):
    """What was asked for is a mistake; the text names it, the cause and the fix. Exit code 2."""


class MachineError(RuntimeError):
    """This machine, or a file on it, does not allow it; the text says what would. Exit code 3."""


class StoreError(MachineError):
    """A results file that cannot be read or written; the text names it, the cause and the fix."""

    def __init__(self, text: str) -> None:
        # Causes are quoted as SQLite words them, and it quotes the file.
        super().__init__(printable(text))
