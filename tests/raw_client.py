"""Speaks to a server in bytes, so that a test decides what goes over the wire."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

_HANG_S = 20.0


async def until(condition: Callable[[], object]) -> None:
    """Let the loop run until something has happened in it."""
    async with asyncio.timeout(_HANG_S):
        while not condition():  # noqa: ASYNC110 - what is waited for sets no event
            await asyncio.sleep(0)


class Response(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes
    head: bytes


class RawClient:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connect(cls, port: int) -> "RawClient":
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=32 * 1024 * 1024))

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def drain(self) -> None:
        await self._writer.drain()

    async def get(self, target: str, *headers: str) -> Response:
        self.send(request("GET", target, *headers))
        return await self.read_response()

    async def read_head(self) -> bytes:
        async with asyncio.timeout(_HANG_S):
            return await self._reader.readuntil(b"\r\n\r\n")

    async def read_response(self, is_head: bool = False) -> Response:
        """One response, told apart from the next by its Content-Length."""
        head = await self.read_head()
        status_line, *lines = head.decode("ascii").strip().split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        status = int(status_line.split()[1])
        body = b""
        if not is_head and status >= 200:
            async with asyncio.timeout(_HANG_S):
                body = await self._reader.readexactly(int(headers["content-length"]))
        return Response(status, headers, body, head)

    async def read_exactly(self, count: int) -> bytes:
        async with asyncio.timeout(_HANG_S):
            return await self._reader.readexactly(count)

    async def read_to_end(self) -> bytes:
        async with asyncio.timeout(_HANG_S):
            return await self._reader.read()

    async def close(self) -> None:
        self.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    def abort(self) -> None:
        self._writer.transport.abort()


def request(
    method: str, target: str, *headers: str, version: str = "1.1", body: bytes = b""
) -> bytes:
    """A request with a Host header, in bytes."""
    lines = [f"{method} {target} HTTP/{version}", "Host: 127.0.0.1", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body
