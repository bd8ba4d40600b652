"""The request targets of a site's resources, and which resource a target names. Pure."""

import re
from string import ascii_letters, digits
from urllib.parse import quote

from server.site.layout import HOPS, Layout
from server.site.resources import MOST_INDEX, NO_RESOURCE, Kind, index_of, kind_of, number_of

ROBOTS_TARGET = "/robots.txt"
SITE_PATH = "/site/"
"""All other targets of a site begin with this and its key."""

WORDS = {
    "iso-8859-1": "café",
    "windows-1252": "œuvre",
    "utf-16-le": "straße",
    "shift_jis": "日本",
    "koi8-r": "мир",
}
"""The word beyond ASCII in the URL of a page whose only link is on a page in this encoding."""

_KINDS = {
    "p": Kind.PAGE,
    "private": Kind.PAGE,
    "files": Kind.BINARY,
    "r": Kind.REDIRECT,
    "loop": Kind.LOOP,
    "calendar": Kind.CALENDAR,
    "away": Kind.OFF_SITE,
}
"""By folder; what is in none is a part of the sitemap."""
_DIGITS = re.compile("[0-9]{1,12}")
_ESCAPE = re.compile("%([0-9A-Fa-f]{2})")
_UNRESERVED = frozenset(f"{ascii_letters}{digits}-._~")
_KEPT = "/?%:@!$&'()*+,;="
"""Characters that are left as they are in a target, besides the unreserved ones."""


def is_in_query(page: int) -> bool:
    """Return whether a page is named by a query: every fourth is."""
    return page % 4 == 3


class Targets:
    """The targets of one site."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.prefix = f"{SITE_PATH}{layout.spec.key}/"
        self._pages = f"{self.prefix}p/"
        self.private = f"{self.prefix}private/"
        """The folder that robots.txt disallows."""

    def of(self, number: int) -> str:
        """Return the canonical target of a resource that exists."""
        target = self.iri_of(number)
        return target if target.isascii() else quote(target, safe=_KEPT)

    def iri_of(self, number: int) -> str:
        """Return the canonical target of a resource, with letters beyond ASCII as they are."""
        if number <= MOST_INDEX:
            return self._page(number)
        kind, index = kind_of(number), index_of(number)
        if kind == Kind.ROBOTS:
            return ROBOTS_TARGET
        if kind == Kind.SITEMAP:
            return f"{self.prefix}sitemap-{index}.xml"
        if kind in (Kind.REDIRECT, Kind.LOOP):
            folder = "r" if kind == Kind.REDIRECT else "loop"
            return f"{self.prefix}{folder}/{index // HOPS}-{index % HOPS}"
        if kind == Kind.CALENDAR:
            return f"{self.prefix}calendar/{index}.html"
        if kind == Kind.BINARY:
            return f"{self.prefix}files/{index}.bin"
        return f"{self.prefix}away/{index}.html"

    def label_of(self, number: int) -> str:
        """Return the text of a link to a resource."""
        return f"{Kind(kind_of(number)).name.capitalize()} {index_of(number)}"

    def is_in_folder(self, target: str) -> bool:
        """Return whether a target is in the folder of most pages."""
        return target.startswith(self._pages)

    def _page(self, page: int) -> str:
        if not page:
            return self.prefix
        special = self._layout.special_of(page)
        if special == "disallowed":
            return f"{self.private}{page}.html"
        if special == "encodings":
            parent = (page - 1) // self._layout.branches
            word = WORDS[self._layout.encoding_of_parent(parent)]
            return f"{self._pages}{word}-{page}.html"
        if is_in_query(page):
            return f"{self._pages}item?id={page}&view=all"
        return f"{self._pages}{page}.html"

    def number_of(self, host: int, target: str) -> int:
        """Return the resource that a target names on a host, in any spelling that means the same.

        NO_RESOURCE if there is none.
        """
        number = self._canonical(host, target)
        if number == NO_RESOURCE:
            again = normalised(target)
            if again != target:
                number = self._canonical(host, again)
        return number

    def _canonical(self, host: int, target: str) -> int:
        """Return the resource whose canonical target this is."""
        layout = self._layout
        if target.startswith(self.prefix):
            rest = target[len(self.prefix) :]
            # The last number is the index, if the target is one of ours, which is found out below.
            found = _DIGITS.findall(rest)
            kind = _KINDS.get(rest.partition("/")[0], Kind.SITEMAP)
            number = number_of(kind, int(found[-1])) if found else 0
            if kind in (Kind.REDIRECT, Kind.LOOP) and len(found) == 2:
                number = number_of(kind, int(found[0]) * HOPS + int(found[1]))
        elif target == ROBOTS_TARGET:
            number = number_of(Kind.ROBOTS, host)
        else:
            return NO_RESOURCE
        is_there = layout.exists(number) and layout.host_of(number) == host
        return number if is_there and self.of(number) == target else NO_RESOURCE


def normalised(target: str) -> str:
    """Return the one spelling of the targets that mean the same by RFC 3986, 6.2.2.

    They differ in the percent-encoding of characters that need none, or must have one, and in the
    segments `.` and `..`; here also in the order of the query.
    """
    path, _, query = target.partition("?")
    segments: list[str] = []
    segment = ""
    for segment in _escaped(path).split("/")[1:]:
        if segment == "..":
            del segments[-1:]
        elif segment != ".":
            segments.append(segment)
    if segment in (".", ".."):
        segments.append("")
    path = f"/{'/'.join(segments)}"
    return f"{path}?{'&'.join(sorted(_escaped(query).split('&')))}" if query else path


def _escaped(text: str) -> str:
    """Return a text in which what need not be percent-encoded is not, and all else is."""
    # What a client sends unescaped has come in Latin-1, which keeps the bytes.
    return quote(_ESCAPE.sub(_unescaped, text).encode("latin-1", "replace"), safe=_KEPT)


def _unescaped(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()
