"""What `crawlbench run` sweeps when it is not told otherwise. Pure."""

from dataclasses import dataclass, replace

from bench.plan.delays import Delay


@dataclass(frozen=True, slots=True)
class Preset:
    """An experiment, but for its seed and its limit of time."""

    crawlers: tuple[str, ...]
    concurrencies: tuple[int, ...]
    delays: tuple[Delay, ...]
    trials: int
    waves: int
    requests: int = 0
    """Of each run; 0: waves x concurrency."""


STANDARD = Preset(
    crawlers=("chapter", "protocol-uvloop"),
    concurrencies=(1, 10, 100, 250, 500),
    delays=(Delay.fixed(100_000),),
    trials=3,
    waves=10,
)

QUICK = replace(STANDARD, concurrencies=(1, 10, 100), trials=1)

CHAPTER = Preset(
    crawlers=("asyncio",),
    concurrencies=tuple(range(1, 477, 25)),
    delays=tuple(Delay.fixed(ms * 1000) for ms in (50, 300, 550, 800)),
    trials=1,
    waves=10,
    requests=500,
)
"""The sweep behind the chapter's figure "finding the right number of concurrent requests"."""
