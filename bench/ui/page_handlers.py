"""Serves the pages, and the scripts and styles that they load."""

import asyncio
from dataclasses import replace
from pathlib import Path

from tornado import web

from bench.ui.access import Asked, without_token
from bench.ui.handlers import PAGES, TEMPLATES, Base, Parts

_STATIC = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
"""The types of the files that pages load."""
_GO_ON = """\
<!doctype html><html lang="en"><meta charset="utf-8"><title>crawlbench</title>
<meta http-equiv="refresh" content="0; url={{ path }}"><a href="{{ path }}">Go on</a></html>
"""


class PageHandler(Base):
    """A page. The first visit, with the token, gets a cookie."""

    def initialize(self, parts: Parts, template: str) -> None:  # type: ignore[override]
        """Take the parts that it works with."""
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
        self.write_page(self.template)

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
        self.write(TEMPLATES.from_string(_GO_ON).render(path=path))


class StaticHandler(Base):
    """Scripts and style sheets."""

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
