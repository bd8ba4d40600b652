"""What the handlers of `crawlbench ui` have in common: who may ask, and errors in one line."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from bench.errors import StoreError
from bench.program import PROGRAM
from bench.ui.access import POLICY, Access, Asked
from bench.ui.experiment import BusyError, Experiment
from bench.ui.figures import FigureError, Figures
from bench.ui.form import FormError, Planned
from bench.ui.listing import Listing, NoResultsError
from bench.ui.live import Watchers
from bench.ui.playground import Playground
from bench.ui.verbs import VerbError, Verbs

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


PAGES = Path(__file__).parent / "pages"
TEMPLATES = Environment(loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined)


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

    def check_idle(self, *, is_for_playground: bool = False) -> None:
        """Raise BusyError if something is measured. In the playground, a newer crawl wins."""
        self.experiment.check_idle()
        if elsewhere := self.measured_elsewhere():
            raise BusyError(f"{elsewhere} is being measured from elsewhere: wait for its end")
        if self.playground.is_running and not is_for_playground:
            raise BusyError("the playground is making a crawl: wait for it")

    def measured_elsewhere(self) -> str:
        """Return the name of results of this folder that others measure; "" if they do not."""
        return "" if self.experiment.is_running else self.listing.measured()

    @property
    def is_measuring(self) -> bool:
        """Whether something is measured, which looking at results disturbs."""
        is_ours = self.experiment.state.is_measuring or self.playground.is_running
        return is_ours or bool(self.measured_elsewhere())


class Base(web.RequestHandler):
    """Checks who asks, and says errors in one line."""

    def initialize(self, parts: Parts) -> None:
        """Take the parts that it works with."""
        self.parts = parts
        self._task: asyncio.Task[None] | None = None

    def set_default_headers(self) -> None:
        """Set the headers of every response."""
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse whoever may not ask."""
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
        """Give up the work of a response that nobody waits for."""
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
        """Say what went wrong, in one line."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        text = self._reason
        for kind, status in _STATUS_OF.items():
            if isinstance(error, kind):
                self.set_status(status)
                text = str(error)
                break
        if self.request.path.startswith("/api/"):
            self.write_json({"error": text})
        elif self.get_status() == 403 or self.request.path.startswith("/static/"):
            # Who is not let in would get no style of a page either.
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"{text}\n")
        else:
            self.write_page("error.html", text=text)
        self.finish()

    def write_page(self, template: str, **fields: object) -> None:
        """Send a page."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.write(TEMPLATES.get_template(template).render(**fields, program=PROGRAM))


class Api(Base):
    """A handler of the API."""

    def write_with_state(self, value: dict[str, Any]) -> None:
        """Send a value, and whether something is measured, which looking at results disturbs."""
        self.write_json({**value, "is_measuring": self.parts.is_measuring})


class Drawn(Api):
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
