"""The baseline for the delay server: the same responses from a minimal tornado.web handler.

It logs every request, like the server of the book's chapter.
"""

import asyncio
import logging
import sys

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler


class AddHandler(RequestHandler):
    """Waits, then responds with a dot."""

    async def get(self) -> None:
        """Respond after `delay` ms."""
        await asyncio.sleep(int(self.get_argument("delay", "1024")) / 1000)
        await self.finish(".")


async def main() -> None:
    """Serve on a free port of 127.0.0.1 until killed."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    (listening,) = bind_sockets(0, "127.0.0.1")
    HTTPServer(Application([("/add", AddHandler)])).add_socket(listening)
    port = listening.getsockname()[1]
    print(f"listening on http://127.0.0.1:{port} control http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
