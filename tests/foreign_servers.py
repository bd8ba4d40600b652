"""Servers that are not ours, in threads of the test: Python's own, aiohttp's, that one with TLS."""

import asyncio
import functools
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from aiohttp import web

LENGTH_BYTES = 1000
CHUNKS, CHUNK_BYTES = 3, 70_000


@contextmanager
def python_server(folder: Path) -> Iterator[str]:
    """Serves a folder as HTTP/1.0: a connection a request. Its URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    handler = functools.partial(Handler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


async def _length(_: web.Request) -> web.Response:
    return web.Response(body=b"l" * LENGTH_BYTES)


async def _chunked(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for _ in range(CHUNKS):
        await response.write(b"c" * CHUNK_BYTES)
    await response.write_eof()
    return response


async def _slow(_: web.Request) -> web.Response:
    await asyncio.sleep(0.2)
    return web.Response()


async def _cookie(request: web.Request) -> web.Response:
    """Says what cookie came, and sets one that is odd."""
    text = f"Cookie: {request.headers.get('Cookie')}"
    return web.Response(text=text, headers={"Set-Cookie": "\xff=;;;="})


async def _empty(_: web.Request) -> web.Response:
    return web.Response(status=204)


@contextmanager
def aiohttp_server(tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serves what is routed here, and keeps connections. Its URL."""
    loop = asyncio.new_event_loop()
    application = web.Application()
    application.add_routes(
        [
            web.get("/length", _length),
            web.get("/chunked", _chunked),
            web.get("/empty", _empty),
            web.get("/slow", _slow),
            web.get("/cookie", _cookie),
        ]
    )
    runner = web.AppRunner(application, shutdown_timeout=0)

    async def start() -> int:
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        return int(runner.addresses[0][1])

    # A client that does not trust the certificate is no error of the server's.
    loop.set_exception_handler(lambda _loop, _context: None)
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        port = asyncio.run_coroutine_threadsafe(start(), loop).result(10)
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
