"""The playground: one crawl of a second, and its timeline. Nothing of it is kept."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bench.ui.figures import Figures
from bench.ui.form import FormError, checked_crawlers, command_of
from bench.ui.verbs import Verbs
from server.models import Z99

_P99_TO_MEDIAN = 7.5
"""Of the log-normal tail, as in the scenario heavy-tail."""
_MOST_SHOWN = 2000

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

    def check(self) -> None:
        """Raise FormError for values out of range."""
        checked_crawlers([self.crawler])
        for name, value, least, most in (
            ("delay_ms", self.delay_ms, 0, 5000),
            ("capacity", self.capacity or 1, 1, 10_000),
            ("concurrency", self.concurrency, 1, _MOST_SHOWN),
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
    words = ["crawl", knobs.crawler, "--concurrency", str(knobs.concurrency)]
    words += ["--delay", _delay(knobs), "--duration", f"{knobs.duration_s:g}"]
    return words + (["--capacity", str(knobs.capacity)] if knobs.capacity else [])


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


class Playground:
    """Makes one crawl at a time."""

    def __init__(self, verbs: Verbs, figures: Figures) -> None:
        self._verbs = verbs
        self._figures = figures
        self.is_running = False

    async def crawl(self, knobs: Knobs) -> dict[str, Any]:
        """Make a crawl, and return its numbers and its timeline. Raises VerbError."""
        words = words_of(knobs)
        async with self._folder() as folder:
            told = msgspec.json.decode(
                await self._verbs.text(
                    *words, "--out", str(folder), "--json", "--progress", "none", is_measured=True
                )
            )
            results = Path(told["results"])
            figure = None
            async for answer in self._figures.ask("timeline", folder=str(folder / results.name)):
                figure = answer.get("figure", figure)
        return {**numbers_of(told), "command": command_of(words), "figure": figure}

    @asynccontextmanager
    async def _folder(self) -> AsyncIterator[Path]:
        self.is_running = True
        try:
            with TemporaryDirectory(prefix="crawlbench-") as folder:
                yield Path(folder)
        finally:
            self.is_running = False


def numbers_of(told: dict[str, Any]) -> dict[str, Any]:
    """Return the numbers that the page shows, from the JSON of the verb crawl."""
    requests, ideal_ns = told.get("requests"), told.get("ideal_ns")
    return {
        "verdict": told["verdict"],
        "reasons": [one["text"] for one in told["reasons"]],
        "failure": told["failure"],
        "requests": requests,
        "requests_per_s": told.get("requests_per_s"),
        "p50_ms": _ms(told.get("p50_ns")),
        "p99_ms": _ms(told.get("p99_ns")),
        "in_flight": (told.get("in_flight") or {}).get("mean"),
        "ideal_per_s": requests / ideal_ns * 1e9 if requests and ideal_ns else None,
    }


def _ms(value_ns: int | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6
