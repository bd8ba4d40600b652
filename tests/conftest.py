import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from typing import IO

import pytest
from hypothesis import HealthCheck, settings
from tornado.netutil import bind_sockets

from server.announcement import Addresses, url_of
from server.control_port import ControlServer, control_application
from server.data_port import BACKLOG, DataPort
from server.host_rule import HostRule
from server.ledger import Ledger
from server.loop_lag import LoopLag
from server.request_reader import Limits
from server.single_process import SingleProcess
from server.sites import Sites
from tests.raw_client import RawClient, until

# How long an example takes depends on the machine, and says nothing about the code.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
settings.register_profile("long", settings.get_profile("untimed"), max_examples=20_000)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test runs on both loops that the server can run on."""
    factories: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
        "asyncio": asyncio.new_event_loop
    }
    if sys.platform != "win32":
        import uvloop

        factories["uvloop"] = uvloop.new_event_loop
    return factories


UNDRAWN = b"\x89PNG\r\n\x1a\n" + bytes(16)
"""As much of an image as a page reads, which is its size."""


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are made, but not drawn, which takes most of the time where only files count."""

    def save(_: object, file: IO[bytes], **__: object) -> None:
        file.write(UNDRAWN)

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", save)


class InProcessServer:
    """Both ports in the test's own loop, so that a test can look inside and turn the clock."""

    def __init__(self, limits: Limits, ledger: Ledger, max_connections: int) -> None:
        data_sockets = bind_sockets(0, "127.0.0.1", backlog=BACKLOG)
        control_sockets = bind_sockets(0, "127.0.0.1")
        self.port = data_sockets[0].getsockname()[1]
        control_port = control_sockets[0].getsockname()[1]
        self.addresses = Addresses(
            url_of("127.0.0.1", self.port), url_of("127.0.0.1", control_port)
        )
        rule = HostRule("127.0.0.1")
        self.ledger = ledger
        sites = Sites(self.port, addresses=2)
        self.data = DataPort(ledger, rule, control_port, max_connections, limits, sites=sites)
        self.control = ControlServer(control_application(SingleProcess(self.data, LoopLag()), rule))
        self.data.add_sockets(data_sockets)
        self.control.add_sockets(control_sockets)
        self.clients: list[RawClient] = []

    async def connect(self) -> RawClient:
        """A new connection to the data port."""
        client = await RawClient.connect(self.port)
        self.clients.append(client)
        return client

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a connection of their own; everything that comes back until it closes."""
        client = await self.connect()
        client.send(request)
        return await client.read_to_end()

    async def close(self) -> None:
        for client in self.clients:
            await client.close()
        self.data.stop()
        self.control.stop()
        await self.control.close_all_connections()
        for connection in tuple(self.data.connections):
            connection.close()
        await until(lambda: not self.data.connections)


StartServer = Callable[..., InProcessServer]


@pytest.fixture
async def start_server() -> AsyncIterator[StartServer]:
    servers: list[InProcessServer] = []

    def start(
        limits: Limits | None = None, ledger: Ledger | None = None, max_connections: int = 1000
    ) -> InProcessServer:
        server = InProcessServer(limits or Limits(), ledger or Ledger(), max_connections)
        servers.append(server)
        return server

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
def server(start_server: StartServer) -> InProcessServer:
    return start_server()
