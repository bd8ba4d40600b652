"""What a spider finds in a response: the links of HTML in any encoding, sitemaps, robots.txt."""

import os
from collections.abc import Iterator
from time import sleep

import pytest

from crawlers.contract import Job
from crawlers.spiders.frontier import Frontier
from crawlers.spiders.task import PARSES, PROCESSES, SiteTask
from crawlers.spiders.visit import Visit, _open_pool

HOST = "127.0.0.1:8000"
ROOT = f"http://{HOST}"
PAGE = Job(0, f"{ROOT}/a/page.html")
ROBOTS = Job(0, f"{ROOT}/robots.txt")
UTF_8 = "text/html; charset=utf-8"


def visit_for(parse: str = "loop") -> tuple[Frontier, Visit]:
    task = SiteTask(site="", max_depth=9, max_fetches=99, parse=parse)
    frontier = Frontier(f"{ROOT}/", (HOST,), task)
    return frontier, Visit(frontier)


@pytest.fixture
def visit() -> Iterator[Visit]:
    visit = visit_for()[1]
    yield visit
    visit.close()


def found(visit: Visit, body: str | bytes, content_type: str = UTF_8) -> list[str]:
    data = body.encode() if isinstance(body, str) else body
    return [
        url.removeprefix(ROOT) for url in visit(PAGE, 200, {"content-type": content_type}, data)
    ]


def test_links_are_found_in_the_order_of_the_document(visit: Visit) -> None:
    body = '<a href=2>2</a><A HREF="/1">1</A><map><area href="3"></map><a>none</a><a href></a>'
    assert found(visit, body) == ["/a/2", "/1", "/a/3"]


def test_what_is_not_to_be_followed_is_not_found(visit: Visit) -> None:
    assert found(visit, '<a rel="x NoFollow" href=1>1</a><a rel=next href=2>2</a>') == ["/a/2"]
    for words in ("noindex, NOFOLLOW", "none"):
        assert found(visit, f'<meta name=Robots content="{words}"><a href=1>1</a>') == []
    assert found(visit, "<!-- <a href=1> --><script>'<a href=2>'</script>") == []


def test_links_are_relative_to_the_first_base(visit: Visit) -> None:
    assert found(visit, "<base target=x><base href=/b/><base href=/c/><a href=1>1</a>") == ["/b/1"]
    assert found(visit, "<base href=data:,x><a href=1>1</a>") == ["/a/1"]


JAPANESE = "<a href='日本'>1</a>".encode("shift_jis")
LATIN = "<a href='café?é=1'>1</a>"
IN_LATIN = "/a/caf%C3%A9?%E9=1"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (LATIN.encode(), UTF_8, "/a/caf%C3%A9?%C3%A9=1"),
        (LATIN.encode("latin-1"), "text/html; charset=ISO-8859-1", IN_LATIN),
        (LATIN.encode("latin-1"), "text/html", IN_LATIN),
        (b"<meta charset=latin1>" + LATIN.encode("latin-1"), "text/html", IN_LATIN),
        (LATIN.encode("utf-16"), UTF_8, "/a/caf%C3%A9?%C3%A9=1"),
        (b"\xef\xbb\xbf" + LATIN.encode(), "text/html", "/a/caf%C3%A9?%C3%A9=1"),
        (JAPANESE, "text/html; charset=Shift_JIS", "/a/%E6%97%A5%E6%9C%AC"),
        (b"<a href='\xff'>1</a>", UTF_8, "/a/%EF%BF%BD"),
        (LATIN.encode("latin-1"), "text/html; charset=no-such-encoding", IN_LATIN),
    ],
)  # fmt: skip
def test_a_page_is_decoded_as_a_browser_does(
    visit: Visit, body: bytes, content_type: str, expected: str
) -> None:
    assert found(visit, body, content_type) == [expected]


def test_a_sitemap_names_pages(visit: Visit) -> None:
    body = f"""<?xml version="1.0"?><urlset><url><loc>
        {ROOT}/1?a=1&amp;b=2 </loc></url><url><loc>{ROOT}/2</loc></url></urlset>"""
    assert found(visit, body, "application/xml") == ["/1?a=1&b=2", "/2"]


def test_nothing_is_found_in_what_is_no_page(visit: Visit) -> None:
    body = b"<a href=1>1</a>"
    assert found(visit, body, "application/octet-stream") == []
    for status in (204, 404, 500):
        assert visit(PAGE, status, {"content-type": UTF_8, "location": "/x"}, body) == []
    assert visit(PAGE, 302, {"location": "../x#y"}, body) == [f"{ROOT}/x"]
    assert visit(PAGE, 302, {}, body) == []


@pytest.mark.parametrize(
    ("status", "may_fetch"), [(200, False), (404, True), (302, True), (500, False)]
)
def test_robots_txt_tells_the_frontier_its_rules(status: int, may_fetch: bool) -> None:
    frontier, visit = visit_for()
    body = f"User-agent: *\nDisallow: /p/\nSitemap: {ROOT}/sitemap.xml".encode()
    urls = visit(ROBOTS, status, {"content-type": "text/html"}, body)
    assert urls == ([f"{ROOT}/sitemap.xml"] if status == 200 else [])
    assert next(frontier) == ROBOTS
    assert frontier.add(f"{ROOT}/p/1") is may_fetch


@pytest.mark.parametrize("parse", PARSES)
async def test_links_are_the_same_wherever_they_are_found(parse: str) -> None:
    _, visit = visit_for(parse)
    arguments = (PAGE, 200, {"content-type": UTF_8}, b"<base href=/b/><a href=1>1</a>")
    try:
        assert await visit.later(*arguments) == visit(*arguments) == [f"{ROOT}/b/1"]
        assert await visit.later(PAGE, 302, {"location": "x"}, b"") == [f"{ROOT}/a/x"]
        assert visit.parse_cpu_ns > 0
    finally:
        visit.close()


def pid_of_one(_: int) -> int:
    sleep(0.02)
    return os.getpid()


def test_all_processes_of_a_pool_have_begun_before_the_first_page() -> None:
    pool = _open_pool(SiteTask(site="", max_depth=9, max_fetches=99, parse=PROCESSES, parsers=6))
    assert pool is not None
    with pool:
        assert len(set(pool.map(pid_of_one, range(6)))) == 6
