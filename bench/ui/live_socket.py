"""The WebSocket on which pages see what happens."""

import asyncio
from typing import Any

from tornado import web
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketHandler

from bench.ui.access import Asked
from bench.ui.handlers import Parts
from bench.ui.live import Watcher


class LiveSocket(WebSocketHandler):
    """The WebSocket on which pages see what happens."""

    def initialize(self, parts: Parts) -> None:
        """Take the parts that it works with."""
        self.parts = parts
        self._sending: asyncio.Task[None] | None = None
        self._watcher = Watcher(self._send)

    def prepare(self) -> None:
        """Refuse whoever may not ask."""
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
        """Say what went wrong, in one line."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self._reason}\n")

    def log_exception(self, kind: Any, value: Any, trace: Any) -> None:
        """Log a defect, but not a refusal."""
        if not isinstance(value, web.HTTPError | StreamClosedError):
            super().log_exception(kind, value, trace)
