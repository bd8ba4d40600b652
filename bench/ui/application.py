"""The routes of `crawlbench ui`: pages, scripts, the API and the WebSocket."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketHandler

from bench.errors import StoreError
from bench.plan.presets import CHAPTER, OF_SCENARIOS, QUICK, STANDARD, Preset
from bench.plan.scenarios import SCENARIOS
from bench.ui.access import PAGE_OF_RESULTS_POLICY, POLICY, Access, Asked, without_token
from bench.ui.experiment import BusyError, Experiment
from bench.ui.figures import FigureError, Figures
from bench.ui.form import FormError, Planned, command_of, parse_form, words_of
from bench.ui.listing import PAGE, Entry, Listing, NoResultsError
from bench.ui.live import Watcher, Watchers
from bench.ui.playground import TAILS, Playground, parse_knobs
from bench.ui.verbs import VerbError, Verbs
from crawlers.installed import install_command, installed_versions
from crawlers.registry import REGISTRY, find, group
from server import __version__

PAGES = Path(__file__).parent / "pages"
_STATIC = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The types of the files that pages load."""
_CHUNK_BYTES = 1_000_000

_STATUS_OF: dict[type[Exception], int] = {
    NoResultsError: 404,
    BusyError: 409,
    StoreError: 409,
    FormError: 400,
    VerbError: 422,
    FigureError: 503,
    OSError: 500,
}
"""The status of a response for each error of ours; their texts are one line for the user."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What the handlers work with."""

    access: Access
    listing: Listing
    verbs: Verbs
    figures: Figures
    experiment: Experiment
    playground: Playground
    watchers: Watchers
    plan: Callable[[Sequence[str]], Planned]
    """Says what a command line would do."""

    def check_idle(self) -> None:
        """Raise BusyError if something is measured."""
        self.experiment.check_idle()
        if self.playground.is_running:
            raise BusyError("the playground is making a crawl: wait for it")


class _Base(web.RequestHandler):
    """Checks who asks, and says errors in one line."""

    def initialize(self, parts: Parts) -> None:
        self.parts = parts
        self._task: asyncio.Task[None] | None = None

    def set_default_headers(self) -> None:
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def prepare(self) -> None:
        if refusal := self.parts.access.refusal(self.asked()):
            raise web.HTTPError(403, reason=refusal)

    def asked(self) -> Asked:
        """Return what the request says about itself."""
        headers = self.request.headers
        return Asked(
            method=self.request.method or "",
            host=self.request.host,
            origin=headers.get("Origin", ""),
            fetch_site=headers.get("Sec-Fetch-Site", ""),
            token=self.get_cookie(self.parts.access.cookie, "") or "",
        )

    async def answer(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work of a response. It is given up if the browser goes away."""
        task = self._task = asyncio.create_task(work)
        await asyncio.wait([task])
        if task.cancelled():
            return
        error = task.exception()
        if error is None or isinstance(error, StreamClosedError):
            return
        if self._headers_written:  # only a broken connection tells the browser that it is not all
            connection = self.request.connection
            assert isinstance(connection, HTTP1Connection)
            connection.stream.close()
            return
        raise error

    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def write_json(self, value: object) -> None:
        """Send a value as JSON."""
        self.set_header("Content-Type", "application/json")
        self.write(msgspec.json.encode(value))

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log a defect, but not a mistake or the departure of a browser."""
        if not isinstance(value, (web.HTTPError, StreamClosedError, *_STATUS_OF)):
            super().log_exception(kind, value, trace)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs.get("exc_info", (None, None, None))[1]
        text = self._reason
        for kind, status in _STATUS_OF.items():
            if isinstance(error, kind):
                self.set_status(status)
                text = str(error)
                break
        if self.request.path.startswith("/api/"):
            self.write_json({"error": text})
        else:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"{text}\n")
        self.finish()


class _Page(_Base):
    """A page. The first visit, with the token, gets a cookie."""

    def initialize(self, parts: Parts, template: str) -> None:  # type: ignore[override]
        super().initialize(parts)
        self.template = template

    def asked(self) -> Asked:
        """Return what the request says; here the token may be in the URL."""
        asked = super().asked()
        token = self.get_query_argument("token", "") or asked.token
        return replace(asked, token=token, is_page=True)

    async def get(self, name: str = "") -> None:
        """Send the page."""
        if "token" in self.request.query_arguments:
            self._let_in()
            return
        if name:
            await asyncio.to_thread(self.parts.listing.entry, name)
        template = _TEMPLATES.get_template(self.template)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(template.render(name=name, folder=self.parts.listing.folder, **_OF_PAGES))

    def _let_in(self) -> None:
        access = self.parts.access
        self.set_cookie(access.cookie, access.token, httponly=True, samesite="Strict", path="/")
        path = without_token(self.request.uri or "/")
        if self.request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            self.redirect(path)
            return
        # Somebody clicked the address on a page elsewhere, such as a terminal in a browser. After a
        # redirect, the cookie would not be sent, because that page began it. This page begins anew.
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(_TEMPLATES.from_string(_GO_ON).render(path=path))


_GO_ON = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>crawlbench</title>
<meta http-equiv="refresh" content="0; url={{ path }}"><a href="{{ path }}">Go on</a></html>
"""

_TEMPLATES = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)
_OF_PAGES = {"version": __version__}


class _Static(_Base):
    async def get(self, name: str) -> None:
        """Send a script or a style sheet: one of the pages, or one that figures need."""
        path = _static_files().get(name) or (await self.parts.figures.files()).get(name)
        kind = _STATIC.get(Path(name).suffix)
        if path is None or kind is None:
            raise web.HTTPError(404, reason="there is no such file")
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "no-cache")  # it has an ETag
        self.write(await asyncio.to_thread(path.read_bytes))


def _static_files() -> dict[str, Path]:
    """Return the files next to the templates that pages load, by name."""
    return {path.name: path for path in PAGES.rglob("*") if path.suffix in _STATIC}


class _Api(_Base):
    """A handler of the API."""

    def write_with_state(self, value: dict[str, Any]) -> None:
        """Send a value, and whether something is measured, which looking at results disturbs."""
        is_measuring = self.parts.experiment.state.is_measuring or self.parts.playground.is_running
        self.write_json({**value, "is_measuring": is_measuring})


class _Results(_Api):
    async def get(self) -> None:
        """Send the list of all results."""
        listing = self.parts.listing
        entries = await asyncio.to_thread(listing.entries)
        results = [asdict(entry) for entry in entries]
        self.write_with_state({"folder": str(listing.folder), "results": results})


class _Result(_Api):
    async def get(self, name: str) -> None:
        """Send what the page of a result shows, without its tables and figures."""
        self.write_with_state(await asyncio.to_thread(self.parts.listing.details, name))

    async def delete(self, name: str) -> None:
        """Remove results, and say what is left in their folder."""
        if name == self.parts.experiment.state.folder:
            self.parts.experiment.check_idle()  # it may still draw figures
        left = await asyncio.to_thread(self.parts.listing.delete, name)
        self.write_json({"left": left})


class _Text(_Api):
    async def get(self, name: str) -> None:
        """Send the tables of a result as text."""
        await self.answer(self._send(name))

    async def _send(self, name: str) -> None:
        path = await asyncio.to_thread(self.parts.listing.path, name)
        text = await self.parts.verbs.text("report", str(path), "--all")
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        await self.finish(text)


class _Export(_Api):
    async def get(self, name: str, what: str) -> None:
        """Send all runs or requests of a result as CSV."""
        await self.answer(self._send(name, what))

    async def _send(self, name: str, what: str) -> None:
        path = await asyncio.to_thread(self.parts.listing.path, name)
        self.set_header("Content-Type", "text/csv; charset=utf-8")
        self.set_header("Content-Disposition", f'attachment; filename="{what}.csv"')
        pieces = self.parts.verbs.pieces("export", str(path), "--what", what)
        async with aclosing(pieces) as rows:
            async for piece in rows:
                self.write(piece)
                await self.flush()
        await self.finish()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.clear_header("Content-Disposition")
        super().write_error(status_code, **kwargs)


class _Report(_Base):
    async def get(self, name: str) -> None:
        """Send the report.html of a result, which may be somebody else's."""
        await self.answer(self._send(name))

    async def _send(self, name: str) -> None:
        path = (await asyncio.to_thread(self.parts.listing.path, name)) / PAGE
        if path.is_symlink() or not path.is_file():
            raise web.HTTPError(404, reason=f"{name} has no {PAGE}: crawlbench plots draws it")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", PAGE_OF_RESULTS_POLICY)
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                self.write(piece)
                await self.flush()
        await self.finish()


class _Drawn(_Api):
    """A handler that sends figures."""

    async def send_answers(self, do: str, **fields: Any) -> None:
        """Send the answers of the process that draws, as they come."""
        self.set_header("Content-Type", "application/x-ndjson")
        async with aclosing(self.parts.figures.ask(do, **fields)) as answers:
            async for answer in answers:
                self.write(msgspec.json.encode(answer) + b"\n")
                # A browser that reads slowly does not keep the process from other questions.
                self.flush()
        await self.finish()


class _Figures(_Drawn):
    async def get(self, name: str) -> None:
        """Send the figures of a result, a line of JSON for each, as soon as it is drawn."""
        await self.answer(self._send(name))

    async def _send(self, name: str) -> None:
        path = await asyncio.to_thread(self.parts.listing.path, name)
        await self.send_answers("figures", folder=str(path))


class _Compare(_Drawn):
    async def get(self, what: str = "") -> None:
        """Send what comparing two results says, or shows."""
        names = self.get_query_argument("a", ""), self.get_query_argument("b", "")
        await self.answer(self._compare(*names, is_drawn=bool(what)))

    async def _compare(self, a: str, b: str, *, is_drawn: bool) -> None:
        folders = [str(await asyncio.to_thread(self.parts.listing.path, one)) for one in (a, b)]
        if is_drawn:
            await self.send_answers("compare", folders=folders)
        else:
            self.write_with_state({"text": await self.parts.verbs.text("compare", *folders)})
            await self.finish()


class _LiveFigures(_Drawn):
    async def get(self) -> None:
        """Send the empty figures that grow while an experiment is measured, in lines of JSON."""
        begun = self.parts.experiment.state.begun
        if begun is None:
            raise web.HTTPError(404, reason="no experiment has begun")
        await self.answer(self.send_answers("live", begun=begun))


class _Choices(_Api):
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


class _Commanding(_Api):
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


class _Command(_Commanding):
    def post(self) -> None:
        """Send the command that a form stands for, and what it would do."""
        try:
            words = words_of(parse_form(self.request.body))
            shown = self.shown(words)
            about, problem = self.parts.plan(words)
        except FormError as error:
            words, shown, about, problem = [], "", "", str(error)
        self.write_json({"command": shown, "words": words, "about": about, "problem": problem})


class _Experiments(_Commanding):
    async def post(self) -> None:
        """Begin the experiment that a form asks for."""
        self.parts.check_idle()
        words = words_of(parse_form(self.request.body))
        if problem := self.parts.plan(words).problem:
            raise FormError(problem)
        out = ["--out", str(self.parts.listing.folder)]
        await self.begin([*words, *out], self.shown(words))


class _Resume(_Commanding):
    async def post(self) -> None:
        """Go on with an experiment that was interrupted."""
        name = _parse(self.request.body, _Name).name
        self.parts.check_idle()
        entry = await asyncio.to_thread(self.parts.listing.entry, name)
        if not entry.can_resume:
            raise FormError(f"{entry.name} cannot be resumed: {entry.why_not}")
        self.parts.check_idle()  # once more, after that wait
        words = ["run", "--resume", str((self.parts.listing.folder / entry.name).absolute())]
        await self.begin(words, command_of(words), entry)


class _Name(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str


def _parse(body: bytes, kind: type[_Name]) -> _Name:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise FormError(f"this is not what was expected: {error}") from None


class _Stop(_Api):
    def post(self) -> None:
        """Stop the experiment; its finished runs are kept."""
        self.parts.experiment.stop()
        self.set_header("Content-Type", "application/json")
        self.write(self.parts.experiment.message())


class _State(_Api):
    def get(self) -> None:
        """Send the state of the experiment, as the first message of the WebSocket has it."""
        self.set_header("Content-Type", "application/json")
        self.write(self.parts.experiment.message())


class _Playground(_Api):
    async def post(self) -> None:
        """Make one crawl of a second, and send its numbers and its timeline."""
        knobs = parse_knobs(self.request.body)
        self.parts.check_idle()
        await self.answer(self._crawl(self.parts.playground.crawl(knobs)))

    async def _crawl(self, crawl: Awaitable[dict[str, Any]]) -> None:
        self.write_json(await crawl)
        await self.finish()


class _Live(WebSocketHandler):
    """The WebSocket on which pages see what happens."""

    def initialize(self, parts: Parts) -> None:
        self.parts = parts
        self._sending: asyncio.Task[None] | None = None
        self._watcher = Watcher(self._send)

    def prepare(self) -> None:
        headers = self.request.headers
        asked = Asked(
            method="GET",
            host=self.request.host,
            origin=headers.get("Origin", ""),
            fetch_site=headers.get("Sec-Fetch-Site", ""),
            token=self.get_cookie(self.parts.access.cookie, "") or "",
            is_websocket=True,
        )
        if refusal := self.parts.access.refusal(asked):
            raise web.HTTPError(403, reason=refusal)

    def check_origin(self, origin: str) -> bool:
        """`prepare` has done so."""
        return True

    def open(self, *args: str, **kwargs: str) -> None:
        """Send the whole state, and from then on each event."""
        self._watcher.tell(self.parts.experiment.message(), is_tick=False)
        self.parts.watchers.add(self._watcher)
        self._sending = asyncio.create_task(self._run())

    async def _run(self) -> None:
        await self._watcher.run()
        self.close(1013, "too slow: connect again")

    async def _send(self, text: str) -> None:
        await self.write_message(text)

    def on_message(self, message: str | bytes) -> None:
        """Ignore what pages say."""

    def on_close(self) -> None:
        """Forget the page."""
        self.parts.watchers.remove(self._watcher)
        if self._sending is not None:
            self._sending.cancel()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._reason}\n")

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log a defect, but not a refusal."""
        if not isinstance(value, web.HTTPError | StreamClosedError):
            super().log_exception(kind, value, trace)


class _NotFound(_Base):
    def prepare(self) -> None:
        super().prepare()
        raise web.HTTPError(404, reason="there is no such page")


def ui_application(parts: Parts) -> web.Application:
    """Return the application."""
    common = {"parts": parts}
    name = "([^/]+)"

    def page(template: str) -> dict[str, Any]:
        return {**common, "template": template}

    routes: list[Any] = [
        (r"/", _Page, page("results.html")),
        (rf"/results/{name}", _Page, page("result.html")),
        (r"/compare", _Page, page("compare.html")),
        (r"/new", _Page, page("new.html")),
        (r"/running", _Page, page("running.html")),
        (r"/playground", _Page, page("playground.html")),
        (rf"/results/{name}/{PAGE}", _Report, common),
        (rf"/static/{name}", _Static, common),
        (r"/api/results", _Results, common),
        (rf"/api/results/{name}", _Result, common),
        (rf"/api/results/{name}/report.txt", _Text, common),
        (rf"/api/results/{name}/figures", _Figures, common),
        (rf"/api/results/{name}/(runs|requests).csv", _Export, common),
        (r"/api/compare", _Compare, common),
        (r"/api/compare/(figures)", _Compare, common),
        (r"/api/choices", _Choices, common),
        (r"/api/command", _Command, common),
        (r"/api/experiments", _Experiments, common),
        (r"/api/stop", _Stop, common),
        (r"/api/resume", _Resume, common),
        (r"/api/state", _State, common),
        (r"/api/live", _Live, common),
        (r"/api/live/figures", _LiveFigures, common),
        (r"/api/playground", _Playground, common),
    ]
    return web.Application(
        routes,
        default_handler_class=_NotFound,
        default_handler_args=common,
        log_function=lambda handler: None,
        websocket_ping_interval=30,
        websocket_max_message_size=1024,
    )
