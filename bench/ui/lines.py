"""Splits what comes from a process into lines of bounded length. Pure."""


class Lines:
    """Puts chunks together to lines; what a line has beyond `most_bytes` is dropped."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._begun = bytearray()

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines that end in this chunk, without their ends."""
        *ended, rest = chunk.split(b"\n")
        lines = []
        for piece in ended:
            self._add(piece)
            lines.append(bytes(self._begun))
            self._begun.clear()
        self._add(rest)
        return lines

    def rest(self) -> list[bytes]:
        """Return the line that has not ended, if there is one."""
        return [bytes(self._begun)] if self._begun else []

    def _add(self, piece: bytes) -> None:
        self._begun += piece[: self._most_bytes - len(self._begun)]
