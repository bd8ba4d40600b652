"""The bodies of a site's resources, and their header lines. Pure."""

from collections.abc import Iterable
from hashlib import shake_128
from html import escape
from itertools import cycle, islice

from server.site.layout import Layout, Link
from server.site.targets import Targets, is_in_query

HTML = "Content-Type: text/html; charset=utf-8\r\n"
_TYPES = {
    "": HTML,
    "iso-8859-1": "Content-Type: text/html; charset=iso-8859-1\r\n",
    "shift_jis": "Content-Type: text/html; charset=Shift_JIS\r\n",
}
"""By encoding. All others are declared in the page: by a byte order mark, or else by <meta>."""
_TYPE_WITHOUT_CHARSET = "Content-Type: text/html\r\n"
_UTF_16 = "utf-16-le"
_BYTE_ORDER_MARK = b"\xff\xfe"

_PARAGRAPH_BYTES = 128
_PARAGRAPHS = 512
_WORDS = (
    "the of and to a in is it that for was on are as with his they at be this from have or by one "
    "had not but what all were when we there can an your which their said if do will each about "
    "how up out them then she many some so these would other into has more her two like him see "
)
_FIXED = b"</nav>\n</body></html>\n"
_DOTS = b"." * _PARAGRAPH_BYTES

_FORMS = 8
"""A page is linked in one of so many forms, by its index."""
_SPELLINGS = 4
_SHARES = 256


def _paragraphs(count: int) -> bytes:
    letters = cycle(_WORDS)
    lines = []
    for number in range(count):
        start, end = "<p>", f" <em>{number}</em></p>\n"
        room = _PARAGRAPH_BYTES - len(start) - len(end)
        lines.append(f"{start}{''.join(islice(letters, room))}{end}")
    return "".join(lines).encode()


_TEXT = _paragraphs(_PARAGRAPHS)


def _rest_of_page(page: int, nav: bytes, size: int) -> bytes:
    """Return the end of <nav>, then paragraphs and dots up to a size, and the end of the page.

    Each page begins at a paragraph of its own.
    """
    whole, dots = divmod(max(0, size - len(nav) - len(_FIXED)), _PARAGRAPH_BYTES)
    start = page % _PARAGRAPHS * _PARAGRAPH_BYTES
    end = start + whole * _PARAGRAPH_BYTES
    text = _TEXT * (-(-end // len(_TEXT))) if end > len(_TEXT) else _TEXT
    return b"%b</nav>\n%b%b</body></html>\n" % (nav, text[start:end], _DOTS[:dots])


def body_bytes(characters: int, encoding: str) -> int:
    """Return the size of a page of so many characters in an encoding; "" is UTF-8."""
    # A byte order mark, and no character beyond the first plane.
    return len(_BYTE_ORDER_MARK) + 2 * characters if encoding == _UTF_16 else characters


class Markup:
    """The bodies of one site, whose hosts listen on one port."""

    def __init__(self, layout: Layout, targets: Targets, port: int) -> None:
        self._layout, self._targets = layout, targets
        spec = layout.spec
        colon_port = f":{port}" if port != 80 else ""
        self._origins = [f"http://127.0.0.{n}{colon_port}" for n in range(1, spec.hosts + 2)]
        share = round(spec.share_percent("spellings") * _SHARES / 100)
        # A random byte chooses a spelling: where its forms begin in a table of anchors.
        self._choices = bytes(
            _FORMS * (1 + byte % _SPELLINGS) if byte < share else 0 for byte in range(_SHARES)
        )
        folder = f"{targets.prefix}p/"
        is_alone = spec.hosts == 1
        absolute = f"{self._origins[0]}{folder}" if is_alone else folder
        bases = ("", folder, "", "", absolute, "", "", absolute)
        self._in_folder = _anchors(bases)
        """Formats of links within the folder of pages."""
        self._elsewhere = _anchors([base or folder for base in bases])
        self._far = [
            _anchors([f"{origin}{folder}"] * _FORMS)
            for origin in self._origins[: 0 if is_alone else spec.hosts]
        ]
        """Formats of links from another host, by host."""

    def url(self, number: int) -> str:
        """Return the canonical URL of a resource."""
        return f"{self._origins[self._layout.host_of(number)]}{self._targets.of(number)}"

    def page(self, page: int, size: int) -> tuple[str, bytes]:
        """Return the Content-Type line and the body of a page that has content."""
        layout = self._layout
        special, pages, spellings, encoding = layout.links_of_page(page)
        host, canonical = layout.host_of_page(page), self._targets.of(page)
        near = self._in_folder if self._targets.is_in_folder(canonical) else self._elsewhere
        choices = zip(pages, spellings.translate(self._choices), strict=True)
        if not self._far:
            anchors = [near[form | other & 7] for other, form in choices]
        else:
            tables = [*self._far[:host], near, *self._far[host + 1 :]]
            host_of = layout.host_of_page
            anchors = [tables[host_of(other)][form | other & 7] for other, form in choices]
        is_told = encoding in _TYPES or encoding == _UTF_16
        meta = "" if is_told else f'<meta charset="{encoding}">'
        top = (
            f'<!DOCTYPE html>\n<html lang="en"><head>{meta}<title>Page {page}</title>'
            f'<link rel="canonical" href="{escape(canonical)}"></head>\n'
            f"<body><h1>Page {page}</h1>\n<nav>\n"
            f"{self._special_anchors(special, host) if special else ''}"
        )
        # One formatting of bytes takes a sixth of the time of twenty of texts.
        nav = b"".join(anchors) % tuple(pages)
        if encoding == _UTF_16:
            text = _rest_of_page(page, nav, size - len(top)).decode()
            body = _BYTE_ORDER_MARK + f"{top}{text}".encode(_UTF_16)
        else:
            head = top.encode(encoding or "utf-8")
            body = head + _rest_of_page(page, nav, size - len(head))
        return _TYPES.get(encoding, _TYPE_WITHOUT_CHARSET), body

    def month(self, month: int, links: Iterable[int]) -> tuple[str, bytes]:
        """Return the Content-Type line and the body of a month of the calendar."""
        anchors = self._special_anchors(map(Link, links), 0)
        return HTML, _short_page(f"Month {month}", f"<nav>\n{anchors}</nav>")

    def redirect(self, number: int, following: int) -> tuple[str, bytes]:
        """Return the header lines and the body of a redirect to another resource."""
        layout, target = self._layout, self._targets.of(following)
        is_near = layout.host_of(number) == layout.host_of(following) and number % 2 == 0
        location = target if is_near else self.url(following)
        return f"{HTML}Location: {location}\r\n", _short_page("It has moved", "")

    def plain(self, title: str) -> tuple[str, bytes]:
        """Return the Content-Type line and the body of a page that is only a title."""
        return HTML, _short_page(title, "")

    def robots(self, sitemaps: Iterable[int]) -> tuple[str, bytes]:
        """Return the Content-Type line and the body of a robots.txt."""
        spec = self._layout.spec
        is_allowed = not spec.share_percent("disallowed")
        lines = ["User-agent: *"]
        lines.append("Disallow:" if is_allowed else f"Disallow: {self._targets.private}")
        if spec.crawl_delay_s:
            lines.append(f"Crawl-delay: {spec.crawl_delay_s:g}")
        lines += [f"Sitemap: {self.url(part)}" for part in sitemaps]
        body = "".join(f"{line}\n" for line in lines)
        return "Content-Type: text/plain; charset=utf-8\r\n", body.encode()

    def sitemap(self, pages: Iterable[int]) -> tuple[str, bytes]:
        """Return the Content-Type line and the body of a part of the sitemap."""
        urls = "".join(f"<url><loc>{escape(self.url(page))}</loc></url>\n" for page in pages)
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
        )
        return "Content-Type: application/xml\r\n", body.encode()

    def file(self, page: int, size: int) -> tuple[str, bytes]:
        """Return the Content-Type line and the body of a file that is not HTML."""
        # Only who parses files as HTML finds this link, which leads nowhere.
        start = f'\0\1<a href="{self._targets.prefix}files/none-{page}.html">none</a>\0'.encode()
        random_bytes = shake_128(f"{self._layout.spec.seed}:{page}".encode())
        body = start + random_bytes.digest(max(0, size - len(start)))
        return "Content-Type: application/octet-stream\r\n", body

    def _special_anchors(self, links: Iterable[Link], host: int) -> str:
        layout, targets = self._layout, self._targets
        anchors = []
        for number, is_nofollow in links:
            other = layout.host_of(number)
            origin = "" if other == host else self._origins[other]
            rel = ' rel="nofollow"' if is_nofollow else ""
            href = escape(f"{origin}{targets.iri_of(number)}")
            anchors.append(f'<a href="{href}"{rel}>{targets.label_of(number)}</a>\n')
        return "".join(anchors)


def _short_page(title: str, content: str) -> bytes:
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><h1>{title}</h1>\n{content}</body></html>\n"
    ).encode()


def _anchors(bases: Iterable[str]) -> list[bytes]:
    """Return formats of links to a page, which take its index.

    There is one for each of _FORMS, canonical; and then as many for each of _SPELLINGS.
    """
    rows: list[list[bytes]] = [[] for _ in range(1 + _SPELLINGS)]
    for form, base in enumerate(bases):
        is_query = is_in_query(form)
        name = "item?id=%d&amp;view=all" if is_query else "%d.html"
        escaped = "%%69tem?id=%d&amp;view=all" if is_query else "%d%%2Ehtml"
        # Only in references without a host: urllib leaves the `..` of others as they are.
        is_absolute = base.startswith("http:")
        hrefs = (
            f"{base}{name}",
            f"{base}{name}#part",
            f"{base}{name}#top" if is_absolute else f"{base}../p/{name}",
            f"{base}{escaped}",
            f"{base}item?view=all&amp;id=%d" if is_query else f"{base}{name}#",
        )
        for row, href in zip(rows, hrefs, strict=True):
            row.append(f'<a href="{href}">A page</a>\n'.encode())
    return [anchor for row in rows for anchor in row]
