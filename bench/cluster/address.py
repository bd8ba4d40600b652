"""Where a cluster is: the value of `--cluster`."""

import re
from dataclasses import dataclass
from typing import Self

_MOST_LOCAL = 64
_SCHEDULER = re.compile(r"(tcp|tls)://[^\s/@]+:\d{1,5}")


class ClusterAddressError(ValueError):
    """A text that names no cluster; it says what would."""


@dataclass(frozen=True, slots=True)
class ClusterAddress:
    """A scheduler that runs already, or a number of workers to start on this machine."""

    scheduler: str = ""
    local_workers: int = 0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `tcp://HOST:PORT` or `local:N` names. Raises ClusterAddressError."""
        if _SCHEDULER.fullmatch(text):
            return cls(scheduler=text)
        kind, _, count = text.partition(":")
        is_count = count.isascii() and count.isdigit() and 1 <= int(count) <= _MOST_LOCAL
        if kind == "local" and is_count:
            return cls(local_workers=int(count))
        raise ClusterAddressError(
            f"{text!r} is neither tcp://HOST:PORT, the address of a Dask scheduler, nor local:N, "
            f"N workers on this machine (1 to {_MOST_LOCAL})"
        )

    def __str__(self) -> str:
        return self.scheduler or f"local:{self.local_workers}"
