"""The spiders of Scrapy and Crawlee: what they fetch, each fetch once in the record, no traces."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import ClassVar, NamedTuple

import pytest

from crawlers.loading import load
from crawlers.registry import ONLY_SPIDERS, CrawlerInfo, CrawlerNotInstalledError
from crawlers.spiders.registry import find_spider

MOST_MONTHS = 5

FRAMEWORKS = ("scrapy", "crawlee")


def _page(*links: str) -> tuple[int, str, bytes]:
    text = "".join(f"<a href='{link}'>a link</a>" for link in links)
    return 200, "text/html; charset=utf-8", f"<html><body>{text}</body></html>".encode()


HOME = (
    *("a", "a#part", "./folder/../a", "q?x=1&y=2", "q?y=2&x=1"),
    *("chain", "loop", "missing", "broken", "private/page", "month/0"),
    *("http://127.0.0.2:PORT/second", "http://127.0.0.2:PORT/caf\u00e9"),
    "http://127.0.0.3:PORT/elsewhere",
)

PAGES: dict[str, tuple[int, str, bytes]] = {
    "/robots.txt": (200, "text/plain", b"User-agent: *\nDisallow: /private/\n"),
    "/a": _page(),
    "/q?x=1&y=2": _page(),
    "/chain": (302, "/hop", b""),
    "/hop": (301, "/end", b""),
    "/end": _page("/"),
    "/loop": (302, "/loop", b""),
    "/caf%C3%A9": _page(),
    "/missing": (404, "text/plain", b"none"),
    "/broken": (500, "text/plain", b"oh"),
    "/private/page": _page(),
    "/second": _page("/a"),
    "/elsewhere": _page(),
}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    asked: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        address, port = self.connection.getsockname()
        self.asked[f"http://{address}:{port}{self.path}"] += 1
        if self.path == "/":
            status, kind, body = _page(*(one.replace("PORT", str(port)) for one in HOME))
        elif self.path.startswith("/month/"):
            status, kind, body = _page(f"/month/{int(self.path[7:]) + 1}")
        else:
            status, kind, body = PAGES[self.path]
        self.send_response(status)
        self.send_header("Location" if status in (301, 302) else "Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Fetch(NamedTuple):
    url: str
    depth: int
    status: int
    size_bytes: int
    error: str


class TinySite:
    """Two hosts, and a third one that is not of the site; all on the same port."""

    def __init__(self, folder: Path, port: int, asked: Counter[str]) -> None:
        self.folder = folder
        self.port = port
        self.asked = asked

    def crawl(
        self, name: str, max_depth: int = MOST_MONTHS, max_fetches: int = 1000, port: int = 0
    ) -> list[Fetch]:
        hosts = ",".join(f"127.0.0.{last}:{port or self.port}" for last in (1, 2))
        url = f"http://127.0.0.1:{port or self.port}/"
        limits = map(str, (max_depth, max_fetches, 5))
        done = subprocess.run(
            [sys.executable, "-m", "tests.framework_crawl", name, url, hosts, *limits],
            cwd=self.folder,
            env={"PYTHONPATH": str(Path(__file__).parents[1]), "http_proxy": "http://127.0.0.1:1"},
            capture_output=True,
            check=False,
            text=True,
        )
        assert (done.stderr, done.returncode) == ("", 0)
        assert list(self.folder.iterdir()) == []
        return [Fetch(*row) for row in json.loads(done.stdout)]


@pytest.fixture
def tiny_site(tmp_path: Path) -> Iterator[TinySite]:
    class Handler(_Handler):
        asked: ClassVar[Counter[str]] = Counter()

    with ExitStack() as stack:
        port = 0
        for last in (1, 2, 3):
            server = stack.enter_context(ThreadingHTTPServer((f"127.0.0.{last}", port), Handler))
            port = server.server_port
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            stack.callback(server.shutdown)
        yield TinySite(tmp_path, port, Handler.asked)


@pytest.mark.parametrize("name", ["scrapy", pytest.param("crawlee", marks=pytest.mark.thorough)])
def test_a_framework_crawls_the_site_and_records_each_request_that_it_sends(
    name: str, tiny_site: TinySite
) -> None:
    pytest.importorskip(name)
    info = find_spider(name)
    fetches = tiny_site.crawl(name)
    urls = Counter(one.url for one in fetches)
    first, second = (f"http://127.0.0.{last}:{tiny_site.port}" for last in (1, 2))

    assert urls == tiny_site.asked
    assert not any("private" in url or "127.0.0.3" in url for url in urls)
    assert {one.depth for one in fetches if "/month/" in one.url} == set(range(1, MOST_MONTHS + 1))
    assert urls[f"{first}/a"] == urls[f"{second}/second"] == urls[f"{first}/robots.txt"] == 1
    assert {url for url in urls if "/q" in url} == {f"{first}/q?x=1&y=2"}
    assert [urls[first + one] for one in ("/chain", "/hop", "/end")] == [1, 1, 1]
    assert next(one for one in fetches if one.url.endswith("/hop")) == (
        f"{first}/hop",
        1,
        301,
        0,
        "",
    )
    assert {one[2:] for one in fetches if one.url.endswith("/broken")} == {(500, 2, "")}
    assert info is not None
    assert urls[f"{first}/broken"] == 1 + info.retries
    assert fetches[0].url == f"{first}/robots.txt"


@pytest.mark.thorough
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_ends_when_its_fetches_are_spent(name: str, tiny_site: TinySite) -> None:
    pytest.importorskip(name)
    assert len(tiny_site.crawl(name, max_fetches=3)) == tiny_site.asked.total() == 3


@pytest.mark.thorough
@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_framework_reports_a_site_that_refuses_connections(
    name: str, tiny_site: TinySite
) -> None:
    pytest.importorskip(name)
    assert {one[2:] for one in tiny_site.crawl(name, port=1)} == {(0, 0, "connect")}


@pytest.mark.parametrize("info", ONLY_SPIDERS, ids=FRAMEWORKS)
def test_a_framework_that_is_not_installed_is_named_with_the_way_to_install_it(
    info: CrawlerInfo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, info.module, raising=False)
    monkeypatch.setitem(sys.modules, info.name, None)
    with pytest.raises(
        CrawlerNotInstalledError, match=rf"cannot be imported .* pip install .*'{info.name}"
    ):
        load(info)
