"""Serves the form, the experiment that is measured, and the playground."""

import asyncio
from collections.abc import Awaitable, Sequence
from pathlib import Path
from typing import Any

import msgspec
from tornado import web

from bench.plan.presets import CHAPTER, OF_SCENARIOS, QUICK, STANDARD, Preset
from bench.plan.scenarios import SCENARIOS
from bench.ui.form import FormError, command_of, parse_form, words_of
from bench.ui.handlers import Api, Drawn
from bench.ui.listing import Entry
from bench.ui.playground import TAILS, parse_knobs
from crawlers.installed import install_command, installed_versions
from crawlers.registry import REGISTRY, find, group


class ChoicesHandler(Api):
    """The choices of the form."""

    async def get(self) -> None:
        """Send what the form offers."""
        crawlers, usual = [], _crawlers_of(STANDARD)
        for info in REGISTRY:
            is_installed = bool(installed_versions(info))
            why_not = "" if is_installed else install_command(info)
            crawlers.append(
                {
                    "name": info.name,
                    "summary": info.style,
                    "is_installed": is_installed,
                    "why_not": why_not,
                    "is_default": info.name in usual,
                    "open_loop": info.open_loop,
                    "max_concurrency": info.max_concurrency,
                }
            )
        self.write_json(
            {
                "crawlers": crawlers,
                "scenarios": [{"name": one.name, "summary": one.summary} for one in SCENARIOS],
                "presets": {
                    "standard": _preset(STANDARD),
                    "quick": _preset(QUICK),
                    "chapter": _preset(CHAPTER),
                    "scenario": _preset(OF_SCENARIOS),
                },
                "tails": [{"name": name, "summary": text} for name, text in TAILS.items()],
            }
        )


def _crawlers_of(preset: Preset) -> list[str]:
    """Return the crawlers of a preset that are installed here."""
    named = [info for name in preset.crawlers for info in group(name) or (find(name),)]
    return [info.name for info in named if installed_versions(info)]


def _preset(preset: Preset) -> dict[str, Any]:
    """Return the fields of the form that a preset stands for."""
    return {
        "crawlers": _crawlers_of(preset),
        "concurrency": ",".join(map(str, preset.concurrencies)),
        "delay": ",".join(delay.text for delay in preset.delays),
        "trials": str(preset.trials),
        "waves": "" if preset.requests else str(preset.waves),
        "requests": str(preset.requests or ""),
    }


class _Commanding(Api):
    """A handler that shows a command."""

    def shown(self, words: Sequence[str]) -> str:
        """Return the command that does the same from the command line."""
        folder = self.parts.listing.folder
        is_usual = folder == Path("results")
        return command_of([*words, *([] if is_usual else ["--out", str(folder)])])

    async def begin(self, words: Sequence[str], shown: str, results: Entry | None = None) -> None:
        """Begin an experiment, or go on with one that has results, and send its state."""
        await self.parts.experiment.start([*words, "--progress", "json"], shown, results)
        self.set_status(202)
        self.set_header("Content-Type", "application/json")
        self.write(self.parts.experiment.message())


class CommandHandler(_Commanding):
    """The command of a form."""

    def post(self) -> None:
        """Send the command that a form stands for, and what it would do."""
        try:
            words = words_of(parse_form(self.request.body))
            shown = self.shown(words)
            about, problem = self.parts.plan(words)
        except FormError as error:
            words, shown, about, problem = [], "", "", str(error)
        self.write_json({"command": shown, "words": words, "about": about, "problem": problem})


class ExperimentsHandler(_Commanding):
    """New experiments."""

    async def post(self) -> None:
        """Begin the experiment that a form asks for."""
        self.parts.check_idle()
        words = words_of(parse_form(self.request.body))
        if problem := self.parts.plan(words).problem:
            raise FormError(problem)
        out = ["--out", str(self.parts.listing.folder)]
        await self.begin([*words, *out], self.shown(words))


class ResumeHandler(_Commanding):
    """Experiments that go on."""

    async def post(self) -> None:
        """Go on with an experiment that was interrupted."""
        name = _parse(self.request.body, _Name).name
        entry = await asyncio.to_thread(self.parts.listing.entry, name)
        self.parts.check_idle()
        if not entry.can_resume:
            raise FormError(f"{entry.name} cannot be resumed: {entry.why_not}")
        words = ["run", "--resume", str((self.parts.listing.folder / entry.name).absolute())]
        await self.begin(words, command_of(words), entry)


class _Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


def _parse(body: bytes, kind: type[_Name]) -> _Name:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise FormError(f"this is not what was expected: {error}") from None


class StopHandler(Api):
    """The end of an experiment."""

    def post(self) -> None:
        """Stop the experiment; its finished runs are kept."""
        self.parts.experiment.stop()
        self.set_header("Content-Type", "application/json")
        self.write(self.parts.experiment.message())


class StateHandler(Api):
    """What is measured."""

    def get(self) -> None:
        """Send the state of the experiment, as the first message of the WebSocket has it."""
        self.set_header("Content-Type", "application/json")
        self.write(self.parts.experiment.message())


class LiveFiguresHandler(Drawn):
    """The figures of what is measured."""

    async def get(self) -> None:
        """Send the empty figures that grow while an experiment is measured, in lines of JSON."""
        begun = self.parts.experiment.state.begun
        if begun is None:
            raise web.HTTPError(404, reason="no experiment has begun")
        await self.answer(self.send_answers("live", begun=begun))


class PlaygroundHandler(Api):
    """Single crawls."""

    async def post(self) -> None:
        """Make one crawl of a second, and send its numbers and its timeline."""
        knobs = parse_knobs(self.request.body)
        self.parts.check_idle(is_for_playground=True)
        await self.answer(self._crawl(self.parts.playground.crawl(knobs)))

    async def _crawl(self, crawl: Awaitable[dict[str, Any]]) -> None:
        self.write_json(await crawl)
        await self.finish()
