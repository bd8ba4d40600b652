"""Serves the pages until a signal ends it, and ends all processes that it has started."""

import asyncio
import errno
import os
import secrets
import signal
import socket
import sys
import webbrowser
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

from bench.errors import MachineError
from bench.ui.access import Access
from bench.ui.application import ui_application
from bench.ui.experiment import Experiment
from bench.ui.figures import Figures
from bench.ui.form import Planned
from bench.ui.handlers import Parts
from bench.ui.listing import Listing
from bench.ui.live import Watchers
from bench.ui.playground import Playground
from bench.ui.verbs import Verbs
from server.control_port import ControlServer

_MOST_CONNECTIONS = 300
"""Each page that is open keeps one, and connects again if it is replaced."""
_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


class Ui:
    """The server and all that it needs."""

    def __init__(
        self,
        folder: Path,
        plan: Callable[[Sequence[str]], Planned],
        port: int = 0,
        *,
        verbs: Verbs | None = None,
        figures: Figures | None = None,
        bench: Sequence[str] | None = None,
    ) -> None:
        """Listen on a port of 127.0.0.1; 0 for any. Raises MachineError if it is taken."""
        bound = _bound(port)
        listing, watchers = Listing(folder), Watchers()
        access = Access(bound.getsockname()[1], secrets.token_urlsafe(24))
        verbs, figures = verbs or Verbs(), figures or Figures()
        experiment = Experiment(
            listing,
            lambda text, is_tick: watchers.tell(text, is_tick=is_tick),
            *([bench] if bench else []),
        )
        playground = Playground(verbs, figures)
        self.parts = Parts(access, listing, verbs, figures, experiment, playground, watchers, plan)
        self._server = ControlServer(ui_application(self.parts))
        self._server.most_connections = _MOST_CONNECTIONS
        self._server.add_socket(bound)
        self._server.keep_ticking()

    @property
    def url(self) -> str:
        """The address that lets a browser in."""
        return self.parts.access.url

    async def close(self) -> None:
        """End everything. The experiment keeps its finished runs."""
        self._server.stop()
        await self.parts.experiment.close()
        await self._server.close_all_connections()
        await self.parts.figures.close()


def _bound(port: int) -> socket.socket:
    try:
        bound = socket.create_server(("127.0.0.1", port))
    except OSError as error:
        taken = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror
        raise MachineError(
            f"cannot listen on port {port}: {taken}; choose another --port, or leave it out"
        ) from None
    bound.setblocking(False)
    return bound


async def serve(
    folder: Path,
    plan: Callable[[Sequence[str]], Planned],
    port: int,
    *,
    has_browser: bool,
) -> None:
    """Serve the results in a folder until a signal ends it. Raises MachineError."""
    ended = asyncio.Event()
    ui = Ui(folder, plan, port)

    def end() -> None:
        if ended.is_set():  # the second time: at once
            ui.parts.experiment.kill()
        ended.set()

    loop = asyncio.get_running_loop()
    for name in _SIGNALS:
        number = getattr(signal, name)
        if signal.getsignal(number) is not signal.SIG_IGN:
            loop.add_signal_handler(number, end)
    print(f"{ui.url}\nOpen this address in a browser. Ctrl-C ends it.", flush=True)
    if has_browser:
        _open(ui.url)
    await ended.wait()
    if ui.parts.experiment.is_running:
        print("crawlbench: stopping the experiment; its finished runs are kept", file=sys.stderr)
    await ui.close()


def _open(url: str) -> None:
    """Open a browser if there is a desktop; one in the terminal would take that over."""
    has_desktop = any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
    if has_desktop or sys.platform in ("darwin", "win32"):
        Thread(target=webbrowser.open, args=[url], daemon=True).start()
