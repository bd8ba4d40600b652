"""Links are resolved as browsers do, by w3lib, and what is remembered is what w3lib says."""

from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st
from w3lib.url import canonicalize_url

from crawlers.spiders.urls import CanonicalLinks, canonical

BASE = "http://127.0.0.1:8000/a/b/c.html?q=1"
ROOT = "http://127.0.0.1:8000"


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("d.html", "/a/b/d.html"),
        ("/d.html", "/d.html"),
        ("../../../../d", "/d"),
        ("%2e%2E/d", "/a/d"),
        ("./d/.", "/a/b/d/"),
        ("d//e", "/a/b/d//e"),
        ("/d/..//e", "//e"),
        ("d#e", "/a/b/d"),
        ("", "/a/b/c.html?q=1"),
        ("#e", "/a/b/c.html?q=1"),
        ("?z=1&y=2", "/a/b/c.html?y=2&z=1"),
        ("http:d", "/a/b/d"),
        (" \n d\t.html \x00", "/a/b/d.html"),
        ("..\\d?e=\\f", "/a/d?e=%5Cf"),
        ("café", "/a/b/caf%C3%A9"),
        ("caf%c3%a9", "/a/b/caf%C3%A9"),
        ("%64", "/a/b/d"),
        ("%2fd", "/a/b/%2Fd"),
        ("HTTP://127.0.0.1:8000", "/"),
        ("\\\\127.0.0.1:8000\\d", "/d"),
    ],
)
def test_a_link_leads_where_a_browser_would_go(href: str, path: str) -> None:
    assert canonical(BASE, href) == ROOT + path


@pytest.mark.parametrize(
    "href",
    [
        *("javascript:alert(1)", "mailto:a@b", "data:text/html,x", " java\nscript:x", "ftp://a/b"),
        *("http://[", "http://a:99999/", "http://a:b/", "http://\ud800/", "x" * 10_000),
    ],
)
def test_what_is_no_http_url_leads_nowhere(href: str) -> None:
    assert canonical(BASE, href) == ""


def test_only_a_query_is_sent_in_the_encoding_of_the_page() -> None:
    assert canonical(BASE, "é?é=1", "cp1252") == f"{ROOT}/a/b/%C3%A9?%E9=1"


PIECES = st.sampled_from(
    [*"aB7-_./?#&=;:% é日\t\\+@[~'", *("..", "//", "%2e", "%2F", "%e9", "http:", "http://h:1/")]
)
HREFS = st.lists(PIECES, max_size=8).map("".join) | st.text(max_size=20)


@given(st.lists(HREFS, max_size=6), st.sampled_from([BASE, f"{ROOT}/a/b/", f"{ROOT}/"]))
def test_what_is_remembered_is_what_w3lib_says(hrefs: list[str], other: str) -> None:
    links = CanonicalLinks()
    for base_url in (BASE, other, BASE):
        expected = [url for href in hrefs if (url := canonical(base_url, href))]
        assert links.of(base_url, hrefs) == expected


WORDS = st.text("aZ7-_", max_size=2)
SEGMENTS = WORDS.filter(bool) | st.sampled_from(["%61", "é", "..", "~"])
PATHS = st.lists(SEGMENTS, max_size=3).map("/".join)
PAIRS = st.builds("{}{}{}".format, WORDS, st.sampled_from(["=", "=", "", "=="]), WORDS)
QUERIES = st.just("") | st.lists(PAIRS, min_size=1, max_size=3).map("&".join).map("?{}".format)
PLACES = st.sampled_from(
    [
        *("", "", "/", "//", f"{ROOT}/", "http://1.2.3.4/", "HTTP://1.2.3.4:80/", "http://a/"),
        *("http://1.2.3.4:0/", "http://1.2.3.4:08/", "https://1.2.3.4:59999/"),
        "http://1.2.3.4:65536/",
    ]
)


@given(st.builds("{}{}{}".format, PLACES, PATHS, QUERIES))
def test_a_plain_link_is_what_w3lib_would_make_of_it(href: str) -> None:
    try:
        expected = canonicalize_url(urljoin(BASE, href))
    except ValueError:
        expected = ""
    assert canonical(BASE, href) == expected


def test_what_is_remembered_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crawlers.spiders.urls._MOST_REMEMBERED", 3)
    links = CanonicalLinks()
    for start in range(0, 20, 2):
        hrefs = [f"{number}.html" for number in range(start, start + 5)]
        assert links.of(BASE, hrefs) == [f"{ROOT}/a/b/{href}" for href in hrefs]
