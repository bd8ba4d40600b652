"""Clients of the server that flood it, never read, send half, or are somebody else's web page."""

import contextlib
import http.server
import resource
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from server.control_client import health, stats
from server.process import ServerProcess
from tests.faults.place import Place, must
from tests.faults.table import NotHereError, fault

GROUP = "client"
_HONEST = "an honest crawl beside it is sound; the server goes on"
_MANY = 500


@contextmanager
def _server(*flags: str) -> Iterator[ServerProcess]:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with ServerProcess(*flags) as server:
        yield server


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    return parts.hostname, parts.port


def _open(stack: ExitStack, url: str, count: int, data: bytes = b"") -> list[socket.socket]:
    """Connections that say this, and then nothing more."""
    opened = []
    for _ in range(count):
        connection = stack.enter_context(socket.create_connection(_address(url), 10))
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(data)
        opened.append(connection)
    return opened


def _crawl(place: Place, server: ServerProcess) -> str:
    """An honest crawl of the server: every request good and accounted for."""
    done = place.call(
        *(
            "crawl",
            "protocol",
            "-n",
            200,
            "-c",
            20,
            "--delay",
            10,
            "--url",
            server.addresses.data_url,
        )
    )
    must(
        done.code == 0, f"an honest crawl: exit {done.code}: {done.stdout[-300:]} {done.last_line}"
    )
    must("200 matched" in done.stdout, f"the ledger says otherwise: {done.stdout[-400:]}")
    must(health(server.addresses.control_url)["pid"] == server.pid, "another server answers")
    return "an honest crawl beside it is sound: 200 of 200 matched"


def _beside(place: Place, count: int, data: bytes, to_control: bool = False) -> str:
    with _server() as server, ExitStack() as stack:
        url = server.addresses.control_url if to_control else server.addresses.data_url
        _open(stack, url, count, data)
        return _crawl(place, server)


@fault(GROUP, f"{_MANY} clients that send half a request", _HONEST)
def _(place: Place) -> str:
    return _beside(place, _MANY, b"GET /add?delay=0 HTTP/1.1\r\nHost: local")


@fault(GROUP, f"{_MANY} clients that say nothing at all", _HONEST)
def _(place: Place) -> str:
    return _beside(place, _MANY, b"")


@fault(GROUP, f"{_MANY} clients that send half a body", _HONEST)
def _(place: Place) -> str:
    return _beside(
        place,
        _MANY,
        b"POST /add?delay=0 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nx",
    )


@fault(GROUP, "200 clients that ask for 16 MB each and read nothing", _HONEST, is_fast=True)
def _(place: Place) -> str:
    return _beside(
        place, 200, b"GET /add?delay=0&size=16777216 HTTP/1.1\r\nHost: localhost\r\n\r\n"
    )


@fault(GROUP, "100 clients that ask for 64 x 1 MB in one piece, and read nothing", _HONEST)
def _(place: Place) -> str:
    return _beside(
        place, 100, b"GET /add?delay=0&size=1000000 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 64
    )


@fault(GROUP, f"{_MANY} clients that send noise", _HONEST)
def _(place: Place) -> str:
    return _beside(place, _MANY, place.random.randbytes(8_000))


@fault(GROUP, f"{_MANY} clients that send a header without end", _HONEST)
def _(place: Place) -> str:
    return _beside(place, _MANY, b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000)


@fault(
    GROUP,
    "32 clients of the control port that ask and do not read",
    "the control port answers others",
)
def _(place: Place) -> str:
    with _server() as server, ExitStack() as stack:
        place.call(
            "crawl",
            "protocol",
            "-n",
            50_000,
            "-c",
            50,
            "--delay",
            0,
            "--url",
            server.addresses.data_url,
        )
        _open(
            stack,
            server.addresses.control_url,
            32,
            b"GET /stats HTTP/1.1\r\nHost: localhost\r\n\r\n" * 200,
        )
        return _crawl(place, server)


@fault(GROUP, "64 clients of the control port that say nothing", "the control port answers others")
def _(place: Place) -> str:
    return _beside(place, 64, b"", to_control=True)


@fault(
    GROUP,
    "64 clients of the control port that send half a request",
    "the control port answers others",
)
def _(place: Place) -> str:
    return _beside(place, 64, b"GET /stats HT", to_control=True)


@fault(GROUP, "2000 clients that connect and reset", _HONEST)
def _(place: Place) -> str:
    import struct

    with _server() as server:
        for _ in range(2000):
            connection = socket.create_connection(_address(server.addresses.data_url), 10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        return _crawl(place, server)


@fault(GROUP, "strangers use up the names of the ledger", _HONEST)
def _(place: Place) -> str:
    with _server() as server:
        with socket.create_connection(_address(server.addresses.data_url), 10) as connection:
            for start in range(0, 5000, 50):
                connection.sendall(
                    b"".join(
                        b"GET /add?name=n%d&delay=0 HTTP/1.1\r\nHost: localhost\r\n\r\n" % number
                        for number in range(start, start + 50)
                    )
                )
                left = 50
                while left > 0:
                    left -= connection.recv(65_536).count(b"HTTP/1.1 200")
        return _crawl(place, server)


@fault(GROUP, "strangers use up the rows of the ledger", _HONEST)
def _(place: Place) -> str:
    with _server("--ledger-rows", "5000") as server:
        place.run(
            [
                *(
                    sys.executable,
                    "-P",
                    "-m",
                    "crawlers",
                    "protocol",
                    "--delay",
                    "0",
                    "-n",
                    "20000",
                ),
                *("-c", "10", "--name", "stranger", "--url", server.addresses.data_url),
            ]
        )
        return _crawl(place, server)


def _answer(url: str, *headers: str, target: str = "/add?name=page&delay=0") -> str:
    """The status line of one request."""
    with socket.create_connection(_address(url), 10) as connection:
        lines = [f"GET {target} HTTP/1.1", "Host: 127.0.0.1", *headers, "Connection: close", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        return connection.recv(4096).decode(errors="replace").partition("\r\n")[0]


@fault(
    GROUP,
    "requests of web pages (Origin, Sec-Fetch-Site)",
    "403 on both ports, and no row in the ledger",
    is_fast=True,
)
def _(place: Place) -> str:
    pages = (
        ("Origin: http://example.org",),
        ("Origin: null",),
        ("Origin: http://127.0.0.1:1",),
        ("Sec-Fetch-Site: cross-site",),
        ("Sec-Fetch-Site: same-site",),
    )
    with _server() as server:
        for url, target in (
            (server.addresses.data_url, "/add?name=page&delay=0"),
            (server.addresses.control_url, "/stats"),
        ):
            for headers in pages:
                said = _answer(url, *headers, target=target)
                must(" 403 " in said, f"{headers}: {said}")
            said = _answer(url, "Sec-Fetch-Site: none", target=target)
            must(" 200 " in said, f"a person's own request: {said}")
        rows = stats(server.addresses.control_url)["ledger"]["rows"]
    must(rows == 1, f"{rows} rows, and not 1")
    return "10 of 10 refused; a person's own request is answered"


@fault(GROUP, "a name of another host (DNS rebinding)", "403 on both ports")
def _(place: Place) -> str:
    with _server() as server:
        for url in server.addresses:
            with socket.create_connection(_address(url), 10) as connection:
                connection.sendall(
                    b"GET /stats HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
                )
                said = connection.recv(4096)
            must(b" 403 " in said, f"{said[:80]!r}")
    return "refused"


_PAGE = """<!doctype html><title>a page</title><script>
const one = (path) => fetch("{data}" + path, {{mode: "no-cors"}}).catch(() => 0);
const all = [];
for (let n = 0; n < 200; n++) all.push(one("/add?delay=0&name=page" + n));
for (let n = 0; n < 20; n++) all.push(fetch("{control}/stats", {{mode: "no-cors"}}).catch(() => 0));
const image = new Image(); image.src = "{data}/add?delay=0&name=image";
Promise.all(all).then(() => fetch("/done"));
</script>"""


def _chromium() -> str:
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise NotHereError("no chromium")


@fault(
    GROUP,
    "a web page in a real browser that fetches from the server",
    "no row in the ledger; an honest crawl beside it is sound",
    leaves_nothing=False,
)
def _(place: Place) -> str:
    browser = _chromium()
    is_done = threading.Event()
    with _server() as server:
        page = _PAGE.format(data=server.addresses.data_url, control=server.addresses.control_url)

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = page.encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if self.path == "/done":
                    is_done.set()

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
            threading.Thread(target=site.serve_forever, daemon=True).start()
            profile = Path(place.folder / "profile")
            command = [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", "--disable-quic", f"--user-data-dir={profile}"),
                f"http://127.0.0.1:{site.server_address[1]}/",
            ]
            process = subprocess.Popen(
                command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=place.environment
            )
            try:
                must(is_done.wait(40), "the browser did not load the page")
                counted = stats(server.addresses.control_url)
                said = _crawl(place, server)
            finally:
                process.kill()
                process.wait()
                site.shutdown()
    must(counted["requests"] >= 200, f"only {counted['requests']} requests came")
    rows = counted["ledger"]["rows"]
    must(rows == 0, f"{rows} rows in the ledger")
    return f"{counted['requests']} requests of the page, no row; {said}"


@fault(
    GROUP,
    "10 000 connections that are open and idle",
    _HONEST,
)
def _(place: Place) -> str:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 11_000:
        raise NotHereError(f"{hard} open files allowed, and 11 000 needed")
    with _server() as server, ExitStack() as stack:
        _open(stack, server.addresses.data_url, 10_000)
        place.wait_for(
            "all are accepted",
            lambda: stats(server.addresses.control_url)["connections"]["open"] >= 10_000,
        )
        return _crawl(place, server)
