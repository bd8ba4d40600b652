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
_MOST_REMEMBERED = 262_144
"""Links that are remembered at a time: some 40 MB, besides the URLs, which the frontier keeps."""

_STRIPPED = "".join(map(chr, range(33)))
_UNUSUAL = re.compile(rf"[{_STRIPPED}\\]")
_DROPPED = str.maketrans("", "", "\t\r\n")
_OTHER_SCHEME = re.compile(r"(?i)(?!https?:)[a-z][a-z0-9+.-]*:")
_PATH = re.compile("[^?#]*")
_PLAIN = re.compile(r"/?[A-Za-z0-9_-]+(?:[/.][A-Za-z0-9_-]+)*")
"""A path that is canonical as it is: w3lib would take twenty times as long to find nothing."""
_OF_THE_PAGE = re.compile(r"(?i)(https?:)?([?#]|$)")
"""A link whose result depends on the whole base URL, and not on its folder alone."""


def canonical(base_url: str, href: str, encoding: str = "utf-8") -> str:
    """Return the canonical URL that a link leads to; "" for one that leads to nothing by HTTP.

    `base_url` must be canonical. `encoding` is that of the page: what is not ASCII in a query is sent in it.
    """
    if len(href) > _MOST_CHARS:
        return ""
    if _PLAIN.fullmatch(href):
        if href[0] == "/":
            return base_url[: base_url.find("/", 8)] + href
        return _folder(base_url) + href
    if _UNUSUAL.search(href):
        # https://url.spec.whatwg.org/#concept-basic-url-parser, its first steps and its backslashes
        href = href.strip(_STRIPPED).translate(_DROPPED)
        href = _PATH.sub(lambda path: path[0].replace("\\", "/"), href, count=1)
    if _OTHER_SCHEME.match(href):
        return ""
    try:
        url = canonicalize_url(urljoin(base_url, href), encoding=encoding)
    except ValueError:  # of ports, brackets and characters that no URL can have
        return ""
    return url if url.startswith(("http://", "https://")) else ""


def _folder(url: str) -> str:
    path = url.partition("?")[0]
    return path[: path.rindex("/") + 1]


class CanonicalLinks:
    """Resolves the links of pages. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, str]] = {}
        self._count = 0

    def of(self, base_url: str, hrefs: Iterable[str], encoding: str = "utf-8") -> list[str]:
        """Return the canonical URLs of links, in order, without those that lead to nothing."""
        folder = _folder(base_url)
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
