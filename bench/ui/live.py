"""Tells every page that watches what happens, without waiting for those that do not read."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

from tornado.websocket import WebSocketClosedError

MOST_WAITING = 1000
"""Messages that may wait for a page. A page that lets more wait has to connect again."""

Write = Callable[[str], Awaitable[None]]


class _Message(NamedTuple):
    text: str
    is_tick: bool


class Watcher:
    """One page that watches. What waits for it is bounded: the newest of successive ticks waits."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._waiting: deque[_Message] = deque()
        self._has_more = asyncio.Event()
        self.is_lost = False
        """Whether something was dropped that is no tick: the page must connect again."""

    def tell(self, text: str, *, is_tick: bool) -> None:
        """Send a message as soon as the page has taken those before it."""
        if is_tick and self._waiting and self._waiting[-1].is_tick:
            self._waiting.pop()
        if len(self._waiting) < MOST_WAITING:
            self._waiting.append(_Message(text, is_tick))
        elif not is_tick:
            self.is_lost = True
        self._has_more.set()

    async def run(self) -> None:
        """Send messages until the page has gone, or lost some."""
        with suppress(WebSocketClosedError):
            while not self.is_lost:
                await self._has_more.wait()
                self._has_more.clear()
                while self._waiting and not self.is_lost:
                    await self._write(self._waiting.popleft().text)


class Watchers:
    """All pages that watch."""

    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def add(self, watcher: Watcher) -> None:
        """Tell this one, too, from now on."""
        self._watchers.add(watcher)

    def remove(self, watcher: Watcher) -> None:
        """Do not tell this one any more."""
        self._watchers.discard(watcher)

    def tell(self, text: str, *, is_tick: bool = False) -> None:
        """Send a message to all of them."""
        for watcher in self._watchers:
            watcher.tell(text, is_tick=is_tick)
