"""What a server says several times a second, and the client that asks for it."""

import asyncio
import json
import math
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.control_client import ControlError, LiveClient
from server.ledger import CLIENT_GONE
from server.live_counts import LiveCounts, merge_live
from server.log_histogram import MOST_NS, bucket_of, end_of, quantile_ns
from tests.conftest import InProcessServer
from tests.raw_client import request, until
from tests.test_hostile_servers import HEAD, as_json, saying, serving

TIMES_NS = st.one_of(st.integers(0, MOST_NS - 1), st.integers(0, 10_000))
GOOD = {"monotonic_ns": 1, "requests": 9, "ended": 7, "in_flight": 2, "errors": 1}
GOOD_ANSWER = {**GOOD, "times": {"96": 7}}


def test_the_buckets_follow_each_other_and_are_narrow() -> None:
    bucket, count = 0, 0
    while bucket < MOST_NS:
        end = end_of(bucket)
        assert bucket_of(bucket) == bucket_of(end - 1) == bucket
        assert end - bucket == 1 or end - bucket <= bucket / 16
        bucket, count = end, count + 1
    assert count < 1000


@given(st.lists(TIMES_NS, min_size=1), st.floats(0, 1))
def test_a_quantile_is_in_the_bucket_of_the_exact_one(times_ns: list[int], share: float) -> None:
    exact = sorted(times_ns)[max(0, math.ceil(share * len(times_ns)) - 1)]
    estimate = quantile_ns(Counter(map(bucket_of, times_ns)), share)
    assert estimate is not None
    assert bucket_of(exact) <= estimate <= end_of(bucket_of(exact))


def test_without_times_there_is_no_quantile() -> None:
    assert quantile_ns({}, 0.5) is None
    assert quantile_ns({96: 0}, 0.5) is None


@pytest.fixture
def live(server: InProcessServer) -> Iterator[LiveClient]:
    with closing(LiveClient(server.addresses.control_url)) as client:
        yield client


async def test_live_counts_are_of_what_happened(server: InProcessServer, live: LiveClient) -> None:
    before = await asyncio.to_thread(live.counts)
    assert before == LiveCounts(before.monotonic_ns, 0, 0, 0, 0, {})
    client = await server.connect()
    await client.get("/add?name=t&seq=0&delay=0")
    await client.get("/add?name=t&seq=1&delay=20")
    await client.get("/add?delay=0")  # in no run: it has no time
    await client.get("/add?delay=NaN")  # an error, and in no run
    await server.ask(request("GET", "/add?name=t&seq=2&delay=0&fault=close"))
    gone = await server.connect()
    gone.send(request("GET", "/add?name=t&seq=3&delay=60000"))
    await until(lambda: server.data.in_flight == 1)
    waiting = await asyncio.to_thread(live.counts)
    gone.abort()
    await until(lambda: server.data.in_flight == 0)
    after = await asyncio.to_thread(live.counts)
    assert (waiting.requests, waiting.ended, waiting.in_flight, waiting.errors) == (6, 5, 1, 2)
    assert (after.requests, after.ended, after.in_flight, after.errors) == (6, 6, 0, 3)
    run = server.ledger.find("t")
    assert run is not None
    taken_ns = [end - begin for begin, end in zip(run.arrived_ns, run.replied_ns, strict=True)]
    assert after.times == Counter(map(bucket_of, taken_ns))
    gone_ns = taken_ns[list(run.outcome).index(CLIENT_GONE)]
    assert Counter(after.times) - Counter(waiting.times) == {bucket_of(gone_ns): 1}


async def test_one_connection_is_kept_and_replaced_once_it_has_ended(
    server: InProcessServer, live: LiveClient
) -> None:
    for _ in range(3):
        await asyncio.to_thread(live.counts)
        (stream,) = server.control.streams
    stream.close()
    await asyncio.to_thread(live.counts)
    (other,) = (one for one in server.control.streams if not one.closed())
    assert other is not stream
    server.control.stop()
    other.close()
    for _ in range(2):
        with pytest.raises(ControlError, match=r"GET http://127\.0\.0\.1:\d+/live: .*refused"):
            await asyncio.to_thread(live.counts)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "closed connection without response"),
        (HEAD, "it is not JSON"),
        (HEAD + b"x" * 70_000, "longer than 65536 bytes"),
        (as_json([GOOD_ANSWER]), "it is no JSON object"),
        (as_json(GOOD), "it has no times"),
        *((as_json({**GOOD_ANSWER, name: -1}), f"it has no {name}") for name in GOOD),
        (as_json({**GOOD_ANSWER, "requests": True}), "it has no requests"),
        (as_json({**GOOD_ANSWER, "errors": 2**62}), "it has no errors"),
        (as_json({**GOOD_ANSWER, "times": {"96": 1.5}}), "it has no number of times"),
        (as_json({**GOOD_ANSWER, "times": {"97": 1}}), "its times are in no buckets"),
        (as_json({**GOOD_ANSWER, "times": {"-1": 1}}), "its times are in no buckets"),
        (as_json({**GOOD_ANSWER, "times": {"\u0663": 1}}), "its times are in no buckets"),
        (as_json({**GOOD_ANSWER, "times": {"9" * 5000: 1}}), "its times are in no buckets"),
        (as_json({**GOOD_ANSWER, "times": {str(2**62): 1}}), "its times are in no buckets"),
        (as_json({**GOOD_ANSWER, "times": {"9" * 19: 1}}), "its times are in no buckets"),
        (b"HTTP/1.1 404 \x1b[2J\r\n\r\nthe paths here are\x1b[2J", "404, the paths here are?[2J"),
    ],
)
def test_an_answer_that_has_no_live_counts_is_one_line(data: bytes, said: str) -> None:
    with (
        serving(saying(data)) as url,
        closing(LiveClient(url)) as live,
        pytest.raises(ControlError) as caught,
    ):
        live.counts()
    assert said in str(caught.value)
    assert str(caught.value).startswith(f"GET {url}/live: ")
    assert str(caught.value).isprintable()


def test_a_server_that_closes_each_connection_is_asked_on_new_ones() -> None:
    with serving(saying(as_json(GOOD_ANSWER))) as url, closing(LiveClient(url)) as live:
        for _ in range(2):
            assert live.counts() == LiveCounts(**GOOD, times={96: 7})


def test_a_server_that_says_nothing_has_the_time_limit_of_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with (
            closing(LiveClient(url, timeout_s=0.1)) as live,
            pytest.raises(ControlError, match="timed out"),
        ):
            live.counts()


@contextmanager
def answering_on_one_connection(*answers: bytes) -> Iterator[str]:
    """Answers one connection's requests, then closes it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                for answer in answers:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def kept(answer: object) -> bytes:
    body = json.dumps(answer).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


@given(st.binary(max_size=300), st.booleans())
def test_any_second_answer_is_counts_or_one_line(data: bytes, has_head: bool) -> None:
    second = HEAD * has_head + data
    with (
        answering_on_one_connection(kept(GOOD_ANSWER), second) as url,
        closing(LiveClient(url)) as live,
    ):
        live.counts()
        with pytest.raises(ControlError):
            live.counts()


COUNTS = st.builds(
    LiveCounts,
    monotonic_ns=st.integers(0, 2**40),
    requests=st.integers(0, 2**40),
    ended=st.integers(0, 2**40),
    in_flight=st.integers(0, 2**40),
    errors=st.integers(0, 2**40),
    times=st.dictionaries(TIMES_NS.map(bucket_of), st.integers(1, 2**40), max_size=5),
)


@settings(max_examples=30)
@given(st.lists(COUNTS, min_size=1, max_size=3))
def test_counts_of_several_processes_are_added_and_survive_the_wire(
    members: list[LiveCounts],
) -> None:
    both = merge_live(members, 5)
    assert LiveCounts.parse(json.loads(json.dumps(both.as_json()))) == both
    assert both.monotonic_ns == 5
    for name in ("requests", "ended", "in_flight", "errors"):
        assert getattr(both, name) == sum(getattr(one, name) for one in members)
    assert Counter(both.times).total() == sum(sum(one.times.values()) for one in members)
    for bucket, count in both.times.items():
        assert count == sum(one.times.get(bucket, 0) for one in members)
