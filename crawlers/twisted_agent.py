"""Deferreds, awaited by coroutines, with Twisted's Agent: C workers over one iterator."""

import contextlib
from collections.abc import Iterator
from io import BytesIO
from time import monotonic_ns
from typing import Any

from twisted.internet import defer, task
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    Agent,
    BrowserLikePolicyForHTTPS,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.dispatch import dispatch, look_ahead
from crawlers.trust import BY_DEFAULT, trusted
from crawlers.twisted_errors import error_word


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    failures: list[Failure] = []
    with contextlib.suppress(SystemExit):  # react ends the process, like a main function
        task.react(_main, (jobs, concurrency, timeout_s, record, failures))
    if failures:
        failures[0].raiseException()


def _main(
    reactor: Any,
    jobs: Iterator[Job],
    concurrency: int,
    timeout_s: float,
    record: Recorder,
    failures: list[Failure],
) -> "Deferred[None]":
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.maxPersistentPerHost = concurrency  # 2 by default
    pool.retryAutomatically = False
    agents = _Agents(reactor, timeout_s, pool)
    jobs, is_open_loop = look_ahead(jobs)

    async def work() -> None:
        for job in jobs:
            await _fetch(reactor, agents, job, timeout_s, record)

    async def fetch_when_due() -> None:
        slots = defer.DeferredSemaphore(concurrency)

        def sleep(left_s: float) -> "Deferred[None]":
            return task.deferLater(reactor, left_s)

        def start(_: object, job: Job) -> None:
            fetched = Deferred.fromCoroutine(_fetch(reactor, agents, job, timeout_s, record))
            fetched.addErrback(failures.append)
            fetched.addBoth(lambda _: slots.release())

        await dispatch(jobs, concurrency, slots.acquire, sleep, start)

    async def crawl_all() -> None:
        workers = [fetch_when_due()] if is_open_loop else [work() for _ in range(concurrency)]
        try:
            await gatherResults(map(Deferred.fromCoroutine, workers), consumeErrors=True)
        except defer.FirstError as first:
            failures.append(first.subFailure)
        await pool.closeCachedConnections()

    return Deferred.fromCoroutine(crawl_all())


def _https_policy() -> Any:
    """Return the policy that says which certificates are accepted."""
    if trusted() == BY_DEFAULT:
        return BrowserLikePolicyForHTTPS()
    from crawlers.twisted_tls import AnyCertificate, authorities

    if trusted().is_insecure:
        return AnyCertificate()
    return BrowserLikePolicyForHTTPS(authorities())


class _Agents:
    """Agents that keep connections, except to servers that speak HTTP/1.0.

    Such servers close after each response. Twisted's pool would hand out the closed connection once
    more, so that every second request would fail.
    """

    def __init__(self, reactor: Any, timeout_s: float, pool: HTTPConnectionPool) -> None:
        policy = _https_policy()
        closing = HTTPConnectionPool(reactor, persistent=False)
        self._keeping, self._closing = (
            Agent(reactor, contextFactory=policy, connectTimeout=timeout_s, pool=one)
            for one in (pool, closing)
        )
        self._origins_of_http_1_0: set[str] = set()

    def of(self, url: str) -> Agent:
        """Return the agent for a request."""
        if self._origins_of_http_1_0 and _origin(url) in self._origins_of_http_1_0:
            return self._closing
        return self._keeping

    def note_http_1_0(self, url: str) -> None:
        """Note that the server of this request answered with HTTP/1.0."""
        self._origins_of_http_1_0.add(_origin(url))


def _origin(url: str) -> str:
    return url[: url.find("/", len("https://"))]


_HEADERS = Headers({name: [value] for name, value in HEADERS.items()})


async def _fetch(
    reactor: Any, agents: "_Agents", job: Job, timeout_s: float, record: Recorder
) -> None:
    body = _Body()
    word = ""
    start_ns = monotonic_ns()

    async def get() -> None:
        agent = agents.of(job.url)
        headers = _HEADERS
        sent: Any = None
        if job.body is not None:
            headers = Headers({name: [value] for name, value in (job.headers or {}).items()})
            sent = FileBodyProducer(BytesIO(job.body))
        method, url = job.method.encode("ascii"), job.url.encode("ascii")
        response: Any = await agent.request(method, url, headers, sent)
        body.status = response.code
        if response.version[1:] == (1, 0):
            agents.note_http_1_0(job.url)
        response.deliverBody(body)
        await body.done

    try:
        # This bounds the whole fetch: cancelling closes the connection.
        await Deferred.fromCoroutine(get()).addTimeout(timeout_s, reactor)
    except Exception as exception:
        word = error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), body.status, body.size_bytes, word)


class _Body(Protocol):
    """Counts the bytes of a body; `done` is called back at its end."""

    def __init__(self) -> None:
        self.status = 0
        self.size_bytes = 0
        self.done: Deferred[None] = Deferred(self._abort)
        self._is_over = False

    def _abort(self, _: object) -> None:
        # The end that aborting causes is ignored: `done` ends as cancelled.
        self._is_over = True
        if self.transport is not None:
            self.transport.stopProducing()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """Count a piece of the body."""
        self.size_bytes += len(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Report the end of the body, with or without the connection."""
        if self._is_over:
            return
        self._is_over = True
        if reason.check(ResponseDone, PotentialDataLoss):
            self.done.callback(None)
        else:
            self.done.errback(reason)
