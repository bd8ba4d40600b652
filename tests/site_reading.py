"""Reads what a site answers as a browser does, with the standard library alone: an oracle."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import quote, urljoin, urlsplit
from xml.etree import ElementTree

from server.site.site import Answer, Site


class Found(NamedTuple):
    number: int
    is_nofollow: bool


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        href = attributes.get("href")
        if tag == "a" and href is not None:
            self.found.append((href, attributes.get("rel") == "nofollow"))


def headers_of(answer: Answer) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in answer.extra.splitlines())


def text_of(answer: Answer) -> str:
    """The body by its byte order mark, or the header, or <meta>, in this order."""
    content_type = headers_of(answer)["Content-Type"]
    meta = re.search(rb'<meta charset="([^"]+)"', answer.body)
    if answer.body.startswith(b"\xff\xfe"):
        return answer.body[2:].decode("utf-16-le")
    charset = content_type.partition("charset=")[2] or (meta[1].decode() if meta else "utf-8")
    return answer.body.decode(charset)


def resolve(site: Site, base: str, reference: str) -> int:
    """The number of what a reference leads to, which must be an address of 127.0.0.0/8."""
    url = urlsplit(urljoin(base, reference))
    assert url.hostname is not None
    assert url.hostname.startswith("127.0.0.")
    target = quote(url.path, safe="/%") + (f"?{url.query}" if url.query else "")
    return site.number_of(int(url.hostname.rpartition(".")[2]) - 1, target)


def url_of(site: Site, port: int, number: int) -> str:
    return f"http://127.0.0.{site.host_of(number) + 1}:{port}{site.target_of(number)}"


def found_in(site: Site, answer: Answer, base: str) -> Iterator[Found]:
    """What is found in an answer that came from a URL."""
    headers = headers_of(answer)
    if "Location" in headers:
        yield Found(resolve(site, base, headers["Location"]), is_nofollow=False)
    elif headers["Content-Type"].startswith("text/html"):
        anchors = _Anchors()
        anchors.feed(text_of(answer))
        for href, is_nofollow in anchors.found:
            yield Found(resolve(site, base, href), is_nofollow)
    elif headers["Content-Type"] == "application/xml":
        for loc in ElementTree.fromstring(answer.body).iter():  # noqa: S314 - our own
            if loc.tag.endswith("}loc"):
                yield Found(resolve(site, base, str(loc.text)), is_nofollow=False)
    elif headers["Content-Type"].startswith("text/plain"):
        for line in answer.body.decode().splitlines():
            key, _, value = line.partition(": ")
            if key == "Sitemap":
                yield Found(resolve(site, base, value), is_nofollow=False)
