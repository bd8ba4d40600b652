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
_PLAIN = re.compile(
    r"(https?://[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?::[1-9][0-9]{0,3}|:[1-5][0-9]{4})?(?=/))?"
    r"(/)?[\w-]+(?:[/.][\w-]+)*"
    r"(\?[\w-]+=[\w-]*(?:&[\w-]+=[\w-]*)*)?",
    re.ASCII,
)
"""A link that is canonical as it is, if its query is sorted: an address, or none, a path, a query.

w3lib would take twenty times as long to find nothing to do."""
_FROM_ROOT = re.compile("/(?!/)")
_FROM_FOLDER = re.compile(r"(?i)(?!https?:)[\w.%]")
_OF_THE_FOLDER = re.compile(r"(?i)(?!https?:(?!//))(https?://|[/.]*)\w")
"""How a link begins that has a path of its own, so that its base URL matters only by its folder."""


def canonical(base_url: str, href: str, encoding: str = "utf-8") -> str:
    """Return the canonical URL that a link leads to; "" for one that leads to nothing by HTTP.

    `base_url` must be canonical. `encoding` is that of the page: what is not ASCII in a query is
    sent in it.
    """
    if len(href) > _MOST_CHARS:
        return ""
    if (plain := _PLAIN.fullmatch(href)) and _is_sorted(plain[3]):
        if plain[1]:
            return href
        return (base_url[: base_url.find("/", 8)] if plain[2] else _folder(base_url)) + href
    if _UNUSUAL.search(href):
        # https://url.spec.whatwg.org/#concept-basic-url-parser, its first steps and its backslashes
        href = href.strip(_STRIPPED).translate(_DROPPED)
        href = _PATH.sub(lambda path: path[0].replace("\\", "/"), href, count=1)
    if _OTHER_SCHEME.match(href):
        return ""
    try:
        url = canonicalize_url(_joined(base_url, href), encoding=encoding)
    except ValueError:  # of ports, brackets and characters that no URL can have
        return ""
    return url if url.startswith(("http://", "https://")) else ""


def _joined(base_url: str, href: str) -> str:
    """Return the absolute URL, in which w3lib resolves what is left of dot segments.

    urljoin takes as long as all the rest, and drops empty segments, which browsers do not.
    """
    if _FROM_ROOT.match(href):
        return base_url[: base_url.find("/", 8)] + href
    if _FROM_FOLDER.match(href):
        return _folder(base_url) + href
    return urljoin(base_url, href)


def _is_sorted(query: str | None) -> bool:
    if query is None:
        return True
    pairs = [pair.split("=") for pair in query[1:].split("&")]
    return pairs == sorted(pairs)


def _folder(url: str) -> str:
    path = url.partition("?")[0]
    return path[: path.rindex("/") + 1]


def _is_of_folder(href: str) -> bool:
    """Return whether a link leads to the same URL from all pages of a folder."""
    is_of_encoding = "?" in href and not href.isascii()
    return bool(_OF_THE_FOLDER.match(href)) and not is_of_encoding and not _UNUSUAL.search(href)


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
            if url is None and "#" in href and not _UNUSUAL.search(href):
                href = href.partition("#")[0]
                url = known.get(href)
            if url is None:
                url = canonical(base_url, href, encoding)
                if _is_of_folder(href):
                    known[href] = url
                    self._count += 1
            if url:
                urls.append(url)
        if self._count > _MOST_REMEMBERED:
            self._known, self._count = {}, 0
        return urls
