"""A server of pages in the test's own loop, and a browser that is let in."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from bench.ui.figures import Figures
from bench.ui.form import Planned
from bench.ui.serving import Ui
from bench.ui.verbs import Verbs

HERE = Path(__file__).parent

on_one_loop = pytest.mark.asyncio(loop_factories=["asyncio"])
"""The pages are served on asyncio's own loop alone."""


def fake(program: str, *words: str) -> list[str]:
    """The command of a program in this folder."""
    return [sys.executable, "-m", f"tests.{program}", *words]


def no_plan(words: Sequence[str]) -> Planned:
    return Planned("1 run, about 1 s")


class Browser:
    """Has the cookie of a server, and says where its requests come from."""

    def __init__(self, ui: Ui) -> None:
        self.ui = ui
        access = ui.parts.access
        self.address = f"http://127.0.0.1:{access.port}"
        self.headers = {
            "Cookie": f"{access.cookie}={access.token}",
            "Origin": self.address,
            "Sec-Fetch-Site": "same-origin",
        }
        self._client = AsyncHTTPClient(force_instance=True)
        self._sockets: list[WebSocketClientConnection] = []

    async def ask(
        self,
        path: str,
        method: str = "GET",
        body: bytes | str | None = None,
        without: Sequence[str] = (),
        **changed: str,
    ) -> HTTPResponse:
        """The response to a request, whatever its status. Headers are named with underscores."""
        headers = {**self.headers, **{name.replace("_", "-"): one for name, one in changed.items()}}
        for name in without:
            del headers[name]
        return await self._client.fetch(
            HTTPRequest(
                f"{self.address}{path}",
                method,
                headers,
                body,
                allow_nonstandard_methods=True,
                follow_redirects=False,
            ),
            raise_error=False,
        )

    async def get(self, path: str) -> Any:
        """The JSON of a response."""
        return json.loads((await self.ask(path)).body)

    async def post(self, path: str, **fields: object) -> tuple[int, Any]:
        """The status and the JSON of a response to a form."""
        response = await self.ask(path, "POST", json.dumps(fields))
        return response.code, json.loads(response.body)

    async def watch(self, **changed: str) -> "Watching":
        """A WebSocket. Raises HTTPClientError if it is refused."""
        headers = {**self.headers, **{name.replace("_", "-"): one for name, one in changed.items()}}
        url = self.address.replace("http", "ws") + "/api/live"
        socket = await websocket_connect(HTTPRequest(url, headers=headers))
        self._sockets.append(socket)
        return Watching(socket)

    async def close(self) -> None:
        for socket in self._sockets:
            socket.close()
            while await socket.read_message() is not None:
                pass
        self._client.close()


class Watching:
    """A page that reads what happens."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket

    async def message(self) -> dict[str, Any]:
        text = await self.socket.read_message()
        assert text is not None
        message: dict[str, Any] = json.loads(text)
        return message

    async def until(self, state: str) -> dict[str, Any]:
        """The first state of this name that comes."""
        while True:
            message = await self.message()
            if message.get("state", {}).get("state") == state:
                found: dict[str, Any] = message["state"]
                return found

    async def event(self, name: str) -> dict[str, Any]:
        """The first event of this name that comes."""
        while True:
            message = await self.message()
            if message.get("event") == name:
                return message


def make_ui(folder: Path, what: str = "goes on", verbs: Verbs | None = None) -> Ui:
    """A server whose experiments and figures come from programs of this folder."""
    return Ui(
        folder,
        no_plan,
        verbs=verbs,
        figures=Figures(fake("fake_figures")),
        bench=fake("fake_bench", what),
    )
