"""Every crawler of ours against servers that are not: HTTP/1.0, aiohttp, https."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme

from bench.measure.pinning import UNPINNED
from bench.measure.runner import ProcessRunner, Target
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import Cell, PlannedRun
from crawlers import tornado_simple
from crawlers.contract import ERROR_WORDS, Crawl, Job, Recorder
from crawlers.registry import REGISTRY
from crawlers.trust import BY_DEFAULT, Trust
from tests.foreign_servers import (
    CHUNK_BYTES,
    CHUNKS,
    LENGTH_BYTES,
    aiohttp_server,
    python_server,
)

NAMES = [
    info.name for info in REGISTRY if not (info.is_pattern or info.adapts)
]  # those fetch as others do
_SIBLINGS = (
    *("asyncio-uvloop", "asyncio-threads", "protocol-uvloop", "grequests"),
    *("tornado-callback", "tornado-simple-callback"),
)
"""Crawlers that fetch by the code of others."""
EACH = [
    pytest.param(name, marks=[pytest.mark.thorough] if name in _SIBLINGS else []) for name in NAMES
]
REFUSED = (0, 0, "connect")

Fetched = list[tuple[int, int, str]]
"""Status, size and error of each request."""


class Servers(NamedTuple):
    """Where they are."""

    python: str
    aiohttp: str
    https: str
    of_another_name: str
    of_another_authority: str
    cafile: str


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("served")
    (folder / "file").write_text("f" * 500)
    authority, another = trustme.CA(), trustme.CA()
    cafile = folder / "authority.pem"
    authority.cert_pem.write_to_path(str(cafile))

    def tls(issuer: trustme.CA, name: str) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        issuer.issue_cert(name).configure_cert(context)
        return context

    with ExitStack() as stack:
        yield Servers(
            stack.enter_context(python_server(folder)),
            stack.enter_context(aiohttp_server()),
            stack.enter_context(aiohttp_server(tls(authority, "127.0.0.1"))),
            stack.enter_context(aiohttp_server(tls(authority, "elsewhere.example"))),
            stack.enter_context(aiohttp_server(tls(another, "127.0.0.1"))),
            str(cafile),
        )


def fetch(name: str, urls: list[str], trust: Trust) -> Fetched:
    """Each of the URLs, two at a time, in a process of its own."""
    cell = Cell(name, 2, Delay.fixed(0))
    runner = ProcessRunner(Target(urls[0], "", tuple(urls), trust), 5.0, UNPINNED)
    result = runner.run(PlannedRun(1, 1, cell, len(urls), Entrant(name, name)))
    assert result.outcome is not None, result
    rows = sorted(zip(*result.outcome.fetches.values(), strict=True))
    return [(status, size, ERROR_WORDS[error]) for _, _, _, status, size, error in rows]


class Answers(NamedTuple):
    """Of one crawler, by what it was told to trust."""

    by_default: Fetched
    with_cafile: Fetched
    insecure: Fetched


@pytest.fixture(scope="module")
def answers(
    servers: Servers, request: pytest.FixtureRequest
) -> Iterator[dict[str, "Future[Answers]"]]:
    """Of the crawlers that are tested: most of the time goes into starting processes, so some are
    run together."""
    plain = [
        *[f"{servers.python}/file#fragment"] * 6,
        f"{servers.python}/missing",
        *(f"{servers.aiohttp}/{path}" for path in ("length", "chunked", "empty", "length")),
        *[f"{servers.aiohttp}/cookie"] * 3,
    ]
    https = [
        *(f"{servers.https}/{path}" for path in ("length", "chunked", "empty", "length")),
        f"{servers.of_another_name}/length",
        f"{servers.of_another_authority}/length",
    ]

    def ask(name: str) -> Answers:
        return Answers(
            fetch(name, [*plain, f"{servers.https}/length"], BY_DEFAULT),
            fetch(name, https, Trust(cafile=servers.cafile)),
            fetch(name, https, Trust(is_insecure=True)),
        )

    with ThreadPoolExecutor(2) as executor:
        tested = {
            str(item.callspec.params["name"]): None
            for item in request.session.items
            if isinstance(item, pytest.Function)
            and item.path == request.path
            and "answers" in item.fixturenames
        }
        yield {name: executor.submit(ask, name) for name in tested}


OF_AIOHTTP = [
    (200, LENGTH_BYTES, ""),
    (200, CHUNKS * CHUNK_BYTES, ""),
    (204, 0, ""),
    (200, LENGTH_BYTES, ""),
]


@pytest.mark.timeout(120)  # for the first to wait for others
@pytest.mark.parametrize("name", EACH)
def test_bodies_of_other_servers_are_read_whole(
    answers: dict[str, "Future[Answers]"], name: str
) -> None:
    """A length, chunks, no body, and a body that ends with its connection (HTTP/1.0)."""
    *files, missing, a, b, c, d, _, _, _, _ = answers[name].result().by_default
    assert files == [(200, 500, "")] * 6
    assert (missing[0], missing[2]) == (404, "")
    assert [a, b, c, d] == OF_AIOHTTP


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", EACH)
def test_an_authority_that_nobody_named_is_not_trusted(
    answers: dict[str, "Future[Answers]"], name: str
) -> None:
    assert answers[name].result().by_default[-1] == REFUSED


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", EACH)
def test_with_cafile_its_authority_is_trusted_for_the_names_in_its_certificates(
    answers: dict[str, "Future[Answers]"], name: str
) -> None:
    assert answers[name].result().with_cafile == [*OF_AIOHTTP, REFUSED, REFUSED]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", EACH)
def test_with_insecure_any_certificate_will_do(
    answers: dict[str, "Future[Answers]"], name: str
) -> None:
    assert answers[name].result().insecure == [*OF_AIOHTTP, OF_AIOHTTP[0], OF_AIOHTTP[0]]


@pytest.mark.parametrize("crawl", [tornado_simple.crawl, tornado_simple.crawl_by_callbacks])
def test_tornados_own_client_makes_one_context_and_not_one_for_each_request(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, crawl: Crawl
) -> None:
    made: list[ssl.SSLContext] = []
    create = ssl.create_default_context

    def create_and_count(*arguments: Any, **options: Any) -> ssl.SSLContext:
        made.append(create(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(ssl, "create_default_context", create_and_count)
    for told in (Trust(cafile=servers.cafile), Trust(is_insecure=True)):
        made.clear()
        monkeypatch.setattr("crawlers.trust._trust", told)
        recorder = Recorder()
        crawl((Job(seq, f"{servers.https}/length") for seq in range(6)), 2, 5.0, recorder)
        assert list(recorder.columns()["status"]) == [200] * 6
        assert len(made) == 1


@pytest.mark.thorough
def test_the_commands_hand_on_what_is_to_be_trusted(servers: Servers, tmp_path: Path) -> None:
    url = ["--url", f"{servers.https}/length", "-n", "3", "-c", "1"]
    for module in (["bench", "crawl"], ["crawlers"]):
        done = [
            subprocess.run(
                [sys.executable, "-P", "-m", *module, "gevent", *url, *more],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                timeout=50,
            )
            for more in ([], ["--cafile", servers.cafile], ["--insecure"])
        ]
        assert [one.returncode for one in done] == [1, 0, 0]
        assert "InsecureRequestWarning" not in done[2].stderr
        if module[0] == "bench":
            assert f"connect: {servers.https}/length (3 times)" in done[0].stderr
            assert "--cafile FILE trusts an authority" in done[0].stderr


def test_a_crawler_that_asks_nobody_is_told_by_the_environment(servers: Servers) -> None:
    """Python's own urllib, as in the example of README."""
    name = "tests.broken_crawlers:with_urllib"
    (fetched,) = fetch(name, [f"{servers.https}/length"], Trust(cafile=servers.cafile))
    assert fetched == (200, LENGTH_BYTES, "")


@pytest.mark.parametrize(
    "name",
    [
        "geventhttpclient",
        *(pytest.param(name, marks=pytest.mark.thorough) for name in ("gevent", "asyncio")),
    ],
)
def test_https_is_waited_for_together(servers: Servers, name: str) -> None:
    """By its own clocks: each request of 0.2 s while the others are under way too."""
    runner = ProcessRunner(
        Target(f"{servers.https}/slow", "", (), Trust(cafile=servers.cafile)), 5.0, UNPINNED
    )
    cell = Cell(name, 4, Delay.fixed(0))
    result = runner.run(PlannedRun(1, 1, cell, 8, Entrant(name, name)))
    assert result.outcome is not None
    fetches = result.outcome.fetches
    first_ends = min(fetches["end_ns"])
    assert sum(start < first_ends for start in fetches["start_ns"]) == 4
    assert sorted(fetches["end_ns"])[3] < sorted(fetches["start_ns"])[4] + 10**8


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", EACH)
def test_no_cookie_is_kept(answers: dict[str, "Future[Answers]"], name: str) -> None:
    """An odd one made httpx fail every request after it."""
    *_, a, b, c, _ = answers[name].result().by_default
    assert [a, b, c] == [(200, len("Cookie: None"), "")] * 3
