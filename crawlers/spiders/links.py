"""Finds the links of a document: HTML, or a sitemap. Pure, so that any process can do it."""

from functools import lru_cache
from time import thread_time_ns
from typing import NamedTuple

from selectolax.lexbor import LexborHTMLParser
from w3lib.encoding import html_to_unicode, http_content_type_encoding, read_bom

_declared = lru_cache(http_content_type_encoding)
_HTML = ("text/html", "application/xhtml+xml")
_XML = ("application/xml", "text/xml")


class Links(NamedTuple):
    """What a document links to, as it is written there."""

    hrefs: list[str]
    base: str | None = None
    """What `<base href>` says."""
    encoding: str = "utf-8"
    """What is not ASCII in the query of a link is sent in this encoding."""
    cpu_ns: int = 0
    """CPU time of finding them."""


def has_links(content_type: str) -> bool:
    """Return whether a document of this Content-Type can have links."""
    return content_type.lower().startswith(_HTML + _XML)


def find_links(content_type: str, body: bytes) -> Links:
    """Return the links of a document that may be followed."""
    start_ns = thread_time_ns()
    if content_type.lower().startswith(_XML):
        # An HTML parser reads whatever is there, and expands no entities of a document's own.
        locations = [node.text() for node in LexborHTMLParser(body).tags("loc")]
        return Links(locations, cpu_ns=thread_time_ns() - start_ns)
    encoding, text = _decoded(content_type, body)
    tree = LexborHTMLParser(text)
    bases = [node.attributes.get("href") for node in tree.tags("base")]
    hrefs: list[str] = []
    if not any(_forbids(node.attributes) for node in tree.tags("meta")):
        for node in tree.tags("a") + tree.tags("area"):
            attributes = node.attributes
            href = attributes.get("href")
            if href and not ("rel" in attributes and _is_nofollow(attributes["rel"])):
                hrefs.append(href)
    base = next(filter(None, bases), None)
    return Links(hrefs, base, encoding, thread_time_ns() - start_ns)


def _is_nofollow(rel: str | None) -> bool:
    return rel is not None and "nofollow" in rel.lower().split()


def _forbids(meta: dict[str, str | None]) -> bool:
    """Return whether a `<meta>` asks robots to follow no link."""
    if (meta.get("name") or "").strip().lower() != "robots":
        return False
    words = (meta.get("content") or "").lower().replace(",", " ").split()
    return "nofollow" in words or "none" in words


def _decoded(content_type: str, body: bytes) -> tuple[str, bytes | str]:
    """Return the encoding in which links are sent, and the text, decoded as a browser would.

    What is UTF-8 is left to the parser, which saves decoding it twice.
    """
    declared = _declared(content_type)
    if declared == "utf-8" and read_bom(body)[0] in (None, "utf-8"):
        return declared, body
    encoding, text = html_to_unicode(content_type, body, default_encoding="cp1252")
    # A form is never sent in UTF-16: https://encoding.spec.whatwg.org/#get-an-output-encoding
    return "utf-8" if encoding.startswith("utf-") else encoding, text
