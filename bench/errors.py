"""The two kinds of errors that end a command with one line, each with its exit code."""


class UsageError(ValueError):
    """What was asked for is a mistake; the text names it, the cause and the fix. Exit code 2."""


class MachineError(RuntimeError):
    """This machine, or a file on it, does not allow it; the text says what would. Exit code 3."""
