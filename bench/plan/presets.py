"""The presets of `crawlbench run`: the sweep by default, and others. Pure."""

from dataclasses import dataclass, replace

from bench.plan.delays import Delay


@dataclass(frozen=True, slots=True)
class Preset:
    """An experiment without its seed and its time limit."""

    crawlers: tuple[str, ...]
    concurrencies: tuple[int, ...]
    delays: tuple[Delay, ...]
    trials: int
    waves: int
    requests: int = 0
    """Requests of each run; 0 for waves x concurrency."""


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

OF_SCENARIOS = Preset(
    crawlers=("asyncio-aimd", "asyncio-vegas", "asyncio"),
    concurrencies=(10, 50, 200),
    delays=(),
    trials=1,
    waves=STANDARD.waves,
)
"""`run --scenario`, whose delay is that of the scenario."""
