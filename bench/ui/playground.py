"""The playground: one crawl of a second, and its timeline. Nothing of it is kept."""

import asyncio
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bench.plan.delays import Delay
from bench.plan.experiment import seed_of_trial
from bench.plan.ideal import simulate
from bench.ui.experiment import BusyError
from bench.ui.figures import Figures
from bench.ui.form import FormError, checked_crawlers, command_of
from bench.ui.verbs import Verbs
from crawlers.registry import find
from server.models import Z99
from server.service import PLAIN, Service

_P99_TO_MEDIAN = 7.5
"""Of the log-normal tail, as in the scenario heavy-tail."""
_MOST_CONCURRENCY = 2000
_SEED = 1
"""Of the delays, which the ideal client has, too."""
_MOST_SIMULATED = 20_000
"""Most requests that are simulated, which takes a quarter of a second."""

TAILS = {
    "none": "every response takes as long as every other",
    "exponential": "memoryless: one in a hundred takes 4.6 times the mean",
    "lognormal": f"a long tail: one in a hundred takes {_P99_TO_MEDIAN:g} times the median",
}
"""What the delay may be like, around its mean."""


class Knobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a page asks for."""

    crawler: str
    delay_ms: float = 100.0
    """The mean."""
    tail: str = "none"
    capacity: int | None = None
    """How many the service serves at a time; None or 0 for any number."""
    concurrency: int = 10
    duration_s: float = 1.0
    """About how long the time is that counts."""

    def check(self) -> None:
        """Raise FormError for values out of range."""
        checked_crawlers([self.crawler])
        for name, value, least, most in (
            ("delay_ms", self.delay_ms, 0, 5000),
            ("capacity", self.capacity or 1, 1, 10_000),
            ("concurrency", self.concurrency, 1, _MOST_CONCURRENCY),
            ("duration_s", self.duration_s, 0.1, 10),
        ):
            if not least <= value <= most:
                raise FormError(f"{name}: give a number from {least} to {most}")
        if self.tail not in TAILS:
            raise FormError(f"tail: choose from {', '.join(TAILS)}")


def parse_knobs(body: bytes) -> Knobs:
    """Return what a JSON object asks for. Raises FormError."""
    try:
        knobs = msgspec.json.decode(body, type=Knobs)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise FormError(f"this is not a form: {error}") from None
    knobs.check()
    return knobs


def words_of(knobs: Knobs) -> list[str]:
    """Return the words of the command, without the program's name."""
    words = ["crawl", knobs.crawler, "--concurrency", str(_slots(knobs))]
    words += ["--delay", _delay(knobs)]
    warm_up_ms, duration_ms = _span_ms(knobs)
    words += ["--warm-up", f"{warm_up_ms / 1e3:.9g}"] if warm_up_ms else []
    words += ["--duration", f"{duration_ms / 1e3:.9g}", "--seed", str(_SEED)]
    return words + (["--capacity", str(knobs.capacity)] if knobs.capacity else [])


def _span_ms(knobs: Knobs) -> tuple[float, float]:
    """Return the warm-up and the duration of the crawl, in which the warm-up is included.

    What counts is a whole number of delays, and begins and ends halfway between two waves. If it
    ended with a wave, a crawler that is late by a millisecond would lose all of it.
    """
    delay_ms, span_ms = knobs.delay_ms, knobs.duration_s * 1e3
    if not delay_ms:
        return 0.0, span_ms
    return delay_ms / 2, delay_ms / 2 + max(1, round(span_ms / delay_ms)) * delay_ms


def _delay(knobs: Knobs) -> str:
    """Return the delay of this mean, as `--delay` has it."""
    if knobs.tail == "exponential" and knobs.delay_ms:
        return f"exponential:mean={_text(knobs.delay_ms)}"
    if knobs.tail == "lognormal" and knobs.delay_ms:
        # The mean of a log-normal distribution is its median times exp(sigma^2 / 2).
        sigma = math.log(_P99_TO_MEDIAN) / Z99
        median_ms = knobs.delay_ms / math.exp(sigma**2 / 2)
        return f"lognormal:median={_text(median_ms)},p99={_text(median_ms * _P99_TO_MEDIAN)}"
    return _text(knobs.delay_ms)


def _text(value_ms: float) -> str:
    return f"{value_ms:.3f}".rstrip("0").rstrip(".")


def ideal_rate_per_s(knobs: Knobs) -> float | None:
    """Return the responses per second of a client that costs nothing, for the same delays.

    None for a delay of 0, with which it takes no time.
    """
    delay = Delay.parse(_delay(knobs))
    mean_s = delay.mean_us / 1e6
    if not mean_s:
        return None
    slots, at_once = _slots(knobs), _at_once(knobs)
    # In the time there are about at_once x duration / mean; a tail may make it more.
    warm_up_ns, duration_ns = (round(span_ms * 1e6) for span_ms in _span_ms(knobs))
    count = math.ceil(2 * at_once * (duration_ns / 1e9 / mean_s + 1)) + slots
    if count > _MOST_SIMULATED:
        return at_once / mean_s
    service = Service.parse({"capacity": str(knobs.capacity)}) if knobs.capacity else PLAIN
    delays_us = delay.drawn(seed_of_trial(_SEED, 1), count)
    ideal = simulate(delays_us, service, slots=slots, duration_ns=duration_ns)
    return ideal.good_per_s_within(warm_up_ns, duration_ns)


def drawn_mean_ms(knobs: Knobs, requests: int) -> float | None:
    """Return the mean of the delays that the first requests of a crawl have; None for no requests.

    With a long tail, it can be far from the mean that is asked for.
    """
    drawn_us = Delay.parse(_delay(knobs)).drawn(seed_of_trial(_SEED, 1), requests)
    return sum(drawn_us) / len(drawn_us) / 1000 if drawn_us else None


def limit_per_s(knobs: Knobs) -> float | None:
    """Return the most responses per second in the long run (Little's law); None without delay."""
    mean_s = Delay.parse(_delay(knobs)).mean_us / 1e6
    return _at_once(knobs) / mean_s if mean_s else None


def _slots(knobs: Knobs) -> int:
    """Return how many requests the crawler has in flight."""
    return min(knobs.concurrency, find(knobs.crawler).max_concurrency)


def _at_once(knobs: Knobs) -> int:
    """Return how many of them the service serves at a time."""
    return min(_slots(knobs), knobs.capacity or _slots(knobs))


class Playground:
    """Makes one crawl at a time."""

    def __init__(self, verbs: Verbs, figures: Figures) -> None:
        self._verbs = verbs
        self._figures = figures
        self._crawling: asyncio.Task[dict[str, Any]] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a crawl is being made."""
        return self._crawling is not None and not self._crawling.done()

    async def crawl(self, knobs: Knobs) -> dict[str, Any]:
        """Make a crawl, and return its numbers and its timeline. One that goes on is given up.

        Raises VerbError, and BusyError if this one is given up for a newer one.
        """
        while self._crawling is not None and not self._crawling.done():
            self._crawling.cancel()
            await asyncio.wait([self._crawling])
        crawling = self._crawling = asyncio.create_task(self._crawl(knobs))
        try:
            await asyncio.wait([crawling])
        finally:
            crawling.cancel()  # nobody waits for it
        if crawling.cancelled():
            raise BusyError("a newer crawl in the playground has taken the place of this one")
        return crawling.result()

    async def _crawl(self, knobs: Knobs) -> dict[str, Any]:
        words = words_of(knobs)
        with TemporaryDirectory(prefix="crawlbench-") as name:
            folder = Path(name)
            told = msgspec.json.decode(
                await self._verbs.text(
                    *words, "--out", str(folder), "--json", "--progress", "none", is_measured=True
                )
            )
            results = Path(told["results"])
            figure = None
            async for answer in self._figures.ask("timeline", folder=str(folder / results.name)):
                figure = answer.get("figure", figure)
        ideal_per_s = await asyncio.to_thread(ideal_rate_per_s, knobs)
        return {
            **numbers_of(told),
            "ideal_per_s": ideal_per_s,
            "limit_per_s": limit_per_s(knobs),
            "drawn_mean_ms": drawn_mean_ms(knobs, told.get("requests") or 0),
            "command": command_of(words),
            "figure": figure,
        }


def numbers_of(told: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that the page shows, from the JSON of the verb crawl."""
    return {
        "verdict": told["verdict"],
        "reasons": [one["text"] for one in told["reasons"]],
        "failure": told["failure"],
        "requests": told.get("requests"),
        "requests_per_s": told.get("requests_per_s"),
        "p50_ms": _ms(told.get("p50_ns")),
        "p99_ms": _ms(told.get("p99_ns")),
        "in_flight": (told.get("in_flight") or {}).get("mean"),
    }


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6
