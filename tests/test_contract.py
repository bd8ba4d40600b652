"""The contract of crawlers, for every one of them, through the process that the bench starts."""

import subprocess
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_server, socket

import numpy as np
import pytest

from crawlers.contract import ERROR_WORDS
from crawlers.registry import REGISTRY, CrawlerInfo
from crawlers.spec import Outcome, Spec
from server.control_client import fetch_run
from server.ledger import ANSWERED, WAITING
from server.process import ServerProcess

HANG_S = 30.0


@pytest.fixture(params=REGISTRY, ids=lambda info: info.name)
def info(request: pytest.FixtureRequest) -> CrawlerInfo:
    chosen: CrawlerInfo = request.param
    return chosen


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with ServerProcess() as process:
        yield process


@pytest.fixture
def crawl(
    info: CrawlerInfo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Outcome]:
    """Runs a worker, in which warnings are errors and a proxy is set that does not exist."""
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    def run(
        url: str,
        count: int = 1,
        concurrency: int = 1,
        timeout_s: float = 20.0,
        delay_us: int | None = None,
        run_name: str = "run",
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Outcome:
        path = tmp_path / "outcome"
        spec = Spec(
            crawler=info.name,
            concurrency=concurrency,
            timeout_s=timeout_s,
            base_url=url,
            is_planned=delay_us is not None,
            run_name=run_name,
            outcome_path=str(path),
            delays_us=array("I", [delay_us or 0]) * count,
        )
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "crawlers", "--worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=False,
        ) as process:
            assert process.stdin is not None
            spec.send(process.stdin)
            meanwhile()
            try:
                code = process.wait(HANG_S)
            finally:
                process.kill()
            assert process.stdout is not None
            said = process.stdout.read().decode()
        assert (code, said) == (0, "")
        with path.open("rb") as stream:
            return Outcome.read(stream)

    return run


def words(outcome: Outcome) -> dict[str, int]:
    return dict(Counter(ERROR_WORDS[code] for code in outcome.fetches["error"]))


def test_each_job_is_fetched_once_and_in_order(
    info: CrawlerInfo, server: ServerProcess, crawl: Callable[..., Outcome]
) -> None:
    concurrency = min(7, info.max_concurrency)
    outcome = crawl(
        server.addresses.data_url, 10 * concurrency, concurrency, delay_us=5000, run_name=info.name
    )
    record = fetch_run(server.addresses.control_url, info.name)
    everything = list(range(10 * concurrency))
    assert words(outcome) == {"": 10 * concurrency}
    assert sorted(record.columns["seq"]) == everything
    assert set(record.columns["outcome"]) == {ANSWERED}
    by_start = sorted(zip(outcome.fetches["start_ns"], outcome.fetches["seq"], strict=True))
    assert [seq for _, seq in by_start] == everything
    assert set(outcome.fetches["status"]) == {200}
    assert set(outcome.fetches["size_bytes"]) == {1}
    assert outcome.usage.cpu_ns > 0
    assert set(outcome.versions) == {"python", *info.libraries}


def test_the_slots_are_all_used_and_never_more(
    info: CrawlerInfo, server: ServerProcess, crawl: Callable[..., Outcome]
) -> None:
    concurrency = min(12, info.max_concurrency)
    name = f"{info.name}-slots"
    outcome = crawl(
        server.addresses.data_url, 3 * concurrency, concurrency, delay_us=300_000, run_name=name
    )
    columns = fetch_run(server.addresses.control_url, name).columns
    fetches = outcome.fetches
    assert peak(fetches["start_ns"], fetches["end_ns"]) <= concurrency
    assert peak(columns["arrived_ns"], columns["replied_ns"]) == concurrency
    # A connection for each slot, kept; or one for each request.
    connections = len(set(columns["connection"]))
    assert connections == (concurrency if info.keep_alive else 3 * concurrency)


def peak(starts: "array[int]", ends: "array[int]") -> int:
    events = sorted([(end, -1) for end in ends] + [(start, 1) for start in starts])
    return int(np.cumsum([step for _, step in events]).max())


def test_no_latency_is_below_the_delay_and_both_ends_share_a_clock(
    info: CrawlerInfo, server: ServerProcess, crawl: Callable[..., Outcome]
) -> None:
    name = f"{info.name}-clock"
    outcome = crawl(server.addresses.data_url, 5, 1, delay_us=10_000, run_name=name)
    columns = fetch_run(server.addresses.control_url, name).columns
    for start, arrived, replied, end in zip(
        outcome.fetches["start_ns"],
        columns["arrived_ns"],
        columns["replied_ns"],
        outcome.fetches["end_ns"],
        strict=True,
    ):
        assert start < arrived < arrived + 10_000_000 <= replied < end


@pytest.mark.parametrize("size", [0, 5_000_000])
def test_the_whole_body_is_read(
    server: ServerProcess, crawl: Callable[..., Outcome], size: int
) -> None:
    outcome = crawl(f"{server.addresses.data_url}/add?delay=0&size={size}", 2)
    assert list(outcome.fetches["size_bytes"]) == [size, size]
    assert words(outcome) == {"": 2}


def test_a_status_is_recorded_and_no_redirect_followed(
    server: ServerProcess, crawl: Callable[..., Outcome]
) -> None:
    outcome = crawl(f"{server.addresses.data_url}/nowhere", 2)
    assert list(outcome.fetches["status"]) == [404, 404]
    redirect = b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 3\r\n\r\nabc"
    with serving(lambda client: client.sendall(redirect)) as url:
        outcome = crawl(url)
    assert list(outcome.fetches["status"]) == [302]
    assert list(outcome.fetches["size_bytes"]) == [3]


def test_the_same_bytes_are_asked_for_by_all(
    server: ServerProcess, info: CrawlerInfo, crawl: Callable[..., Outcome]
) -> None:
    name = f"{info.name}-head"
    crawl(server.addresses.data_url, delay_us=0, run_name=name)
    head = fetch_run(server.addresses.control_url, name).first_request_head.decode().lower()
    assert head.startswith(f"get /add?name={name}&seq=0&delay=0 http/1.1\r\n")
    assert "\r\naccept-encoding: identity\r\n" in head


def test_no_connection_is_a_failure_recorded(crawl: Callable[..., Outcome]) -> None:
    with create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    outcome = crawl(f"http://127.0.0.1:{port}/", 3)
    assert words(outcome) == {"connect": 3}
    assert list(outcome.fetches["status"]) == [0, 0, 0]


@pytest.mark.parametrize(
    ("said", "word"),
    [(b"", "closed"), (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", "closed")],
    ids=["before-the-answer", "in-mid-body"],
)
def test_a_connection_that_is_closed_too_early_is_a_failure_recorded(
    crawl: Callable[..., Outcome], said: bytes, word: str
) -> None:
    with serving(lambda client: client.sendall(said)) as url:
        outcome = crawl(url, 2)
    assert words(outcome) == {word: 2}


def test_what_is_not_http_is_a_failure_recorded(crawl: Callable[..., Outcome]) -> None:
    with serving(lambda client: client.sendall(b"220 smtp.example ready\r\n\r\n")) as url:
        outcome = crawl(url)
    assert words(outcome) == {"malformed": 1}


@pytest.mark.parametrize("kind", ["hung", "dripping"])
def test_the_timeout_bounds_the_whole_fetch(crawl: Callable[..., Outcome], kind: str) -> None:
    over = threading.Event()

    def answer(client: socket) -> None:
        if kind == "dripping":
            client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not over.wait(0.05):
            if kind == "dripping":
                client.sendall(b".")

    with serving(answer) as url:
        outcome = crawl(url, 2, timeout_s=0.5)
        over.set()
    assert words(outcome) == {"timeout": 2}
    assert list(outcome.fetches["status"]) == [200 if kind == "dripping" else 0] * 2
    for start, end in zip(outcome.fetches["start_ns"], outcome.fetches["end_ns"], strict=True):
        assert 0.49e9 <= end - start < 10e9  # the drip goes on for longer


def test_a_server_that_goes_in_mid_run_costs_failures_and_no_more(
    info: CrawlerInfo, crawl: Callable[..., Outcome]
) -> None:
    with ServerProcess() as doomed:
        control_url = doomed.addresses.control_url

        def stop_soon() -> None:
            deadline = time.monotonic() + HANG_S
            while time.monotonic() < deadline:
                try:
                    if WAITING in fetch_run(control_url, "run").columns["outcome"]:
                        break
                except RuntimeError:
                    time.sleep(0.01)
            doomed.stop()

        concurrency = min(4, info.max_concurrency)
        outcome = crawl(
            doomed.addresses.data_url, 60, concurrency, delay_us=50_000, meanwhile=stop_soon
        )
    assert sorted(outcome.fetches["seq"]) == list(range(60))
    assert set(words(outcome)) <= {"", "reset", "closed", "connect"}
    assert words(outcome)["connect"] > 0


@contextmanager
def serving(answer: Callable[[socket], None]) -> Iterator[str]:
    """A server that reads a request, does as told, and closes; its URL."""
    listening = create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(client,), daemon=True).start()

    def converse(client: socket) -> None:
        with client:
            try:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(4096)
                answer(client)
            except OSError:
                pass

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        # Closing alone would not wake the thread that accepts.
        with listening:
            listening.shutdown(2)
        thread.join()
