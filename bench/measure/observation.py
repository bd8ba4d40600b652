"""Reads the kernel's counters and the clocks before and after a run."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.results.conditions import Conditions

_COUNTERS = {
    "ListenOverflows": "listen_overflows",
    "ListenDrops": "listen_drops",
    "TCPSynRetrans": "syn_retransmits",
}
_JIFFY_NS = 10_000_000
"""One tick of /proc/stat: USER_HZ is 100 on every architecture that Python runs on."""


@dataclass(frozen=True, slots=True)
class Observation:
    """The counters at an instant."""

    wall_ns: int
    monotonic_ns: int
    tcp: dict[str, int]
    time_wait: int | None
    stolen_ns: int | None

    @classmethod
    def now(cls) -> Self:
        """Read all counters."""
        return cls(
            wall_ns=time.time_ns(),
            monotonic_ns=time.monotonic_ns(),
            tcp=parse_netstat(_text("/proc/net/netstat")),
            time_wait=parse_time_wait(_text("/proc/net/sockstat")),
            stolen_ns=parse_stolen_ns(_text("/proc/stat")),
        )

    def until(
        self,
        later: "Observation",
        turned_away: int | None,
        beside: int | None,
        accepted: int | None = None,
    ) -> Conditions:
        """Return the conditions between two observations."""
        tcp = {
            field: later.tcp[name] - self.tcp[name] if name in self.tcp else None
            for name, field in _COUNTERS.items()
        }
        stolen_ns = None
        if self.stolen_ns is not None and later.stolen_ns is not None:
            stolen_ns = later.stolen_ns - self.stolen_ns
        return Conditions(
            span_ns=later.monotonic_ns - self.monotonic_ns,
            clock_step_ns=(later.wall_ns - self.wall_ns) - (later.monotonic_ns - self.monotonic_ns),
            time_wait_before=self.time_wait,
            stolen_ns=stolen_ns,
            turned_away=turned_away,
            beside=beside,
            accepted=accepted,
            listen_overflows=tcp["listen_overflows"],
            listen_drops=tcp["listen_drops"],
            syn_retransmits=tcp["syn_retransmits"],
        )


def parse_netstat(text: str) -> dict[str, int]:
    """Return counters of /proc/net/netstat, which has a line of names, then one of values."""
    found: dict[str, int] = {}
    lines = text.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=False):
        for name, value in zip(names.split(), values.split(), strict=False):
            if name in _COUNTERS:
                found[name] = int(value)
    return found


def parse_time_wait(text: str) -> int | None:
    """Return `tw N` from the TCP line of /proc/net/sockstat."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["TCP:"] and "tw" in words:
            return int(words[words.index("tw") + 1])
    return None


def parse_stolen_ns(text: str) -> int | None:
    """Return the steal time, the eighth number in the first line of /proc/stat, in ns."""
    words = text.partition("\n")[0].split()
    return int(words[8]) * _JIFFY_NS if len(words) > 8 else None


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
