"""Makes links absolute and canonical, as browsers resolve them; what was done once is remembered.

w3lib takes some 10 us for a link, and a page has tens of them: without the memory a spider would
take longer for its links than for its fetches.
"""

import re
from collections.abc import Iterable
from urllib.parse import urljoin

from w3lib.url import canonicalize_url

_MOST_CHARS = 8_192
"""Longer links are dropped: servers refuse them, and some steps take time by the square."""
_MOST_REMEMBERED = 131_072
"""Links that are remembered at a time: some 30 MB."""

_STRIPPED = "".join(map(chr, range(33)))
_DROPPED = str.maketrans("", "", "\t\r\n")
_SCHEME = re.compile(r"(?i)([a-z][a-z0-9+.-]*):")
_FOLLOWED = ("http", "https")
_OF_THE_PAGE = re.compile(r"(?i)(https?:)?([?#]|$)")
"""A link whose result depends on the whole base URL, and not on its folder alone."""


def canonical(base_url: str, href: str, encoding: str = "utf-8") -> str:
    """Return the canonical URL that a link leads to; "" for one that leads to nothing by HTTP.

    `encoding` is that of the page: what is not ASCII in a query is sent in it.
    """
    if len(href) > _MOST_CHARS:
        return ""
    # https://url.spec.whatwg.org/#concept-basic-url-parser, its first steps and its backslashes
    href = href.strip(_STRIPPED).translate(_DROPPED)
    scheme = _SCHEME.match(href)
    if scheme and scheme[1].lower() not in _FOLLOWED:
        return ""
    end = min((at for mark in "?#" if (at := href.find(mark)) >= 0), default=len(href))
    href = href[:end].replace("\\", "/") + href[end:]
    try:
        url = canonicalize_url(urljoin(base_url, href), encoding=encoding)
    except ValueError:  # of ports, brackets and characters that no URL can have
        return ""
    return url if url.startswith(("http://", "https://")) else ""


class CanonicalLinks:
    """Resolves the links of pages. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}
        self._count = 0

    def of(self, base_url: str, hrefs: Iterable[str], encoding: str = "utf-8") -> list[str]:
        """Return the canonical URLs of links, in order, without those that lead to nothing.

        `base_url` must be canonical.
        """
        path = base_url.partition("?")[0]
        folder = path[: path.rindex("/") + 1]
        known = self._known.get(folder)
        if known is None:
            known = self._known.setdefault(folder, {})
        urls = []
        for href in hrefs:
            url = known.get(href)
            if url is None:
                url = canonical(base_url, href, encoding)
                if href.isascii() and not _OF_THE_PAGE.match(href.strip(_STRIPPED)):
                    known[href] = url
                    self._count += 1
            if url:
                urls.append(url)
        if self._count > _MOST_REMEMBERED:
            self._known, self._count = {}, 0
        return urls
