"""Shared parts of the crawlers with Tornado's clients: configuration, and one fetch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.trust import ssl_context, trusted

if TYPE_CHECKING:
    import asyncio


@dataclass(frozen=True, slots=True)
class Kind:
    """The differences between Tornado's own client and the one on libcurl."""

    implementation: str
    """The class of the client, as `AsyncHTTPClient.configure` takes it."""
    word_of: Callable[[BaseException], str]
    """Returns the error word for an exception of the client."""
    options: dict[str, Any] = field(default_factory=dict)
    """Further arguments of a request."""
    takes_context: bool = True
    """Whether the client accepts an SSLContext; libcurl has its own TLS."""


def make_client(concurrency: int, kind: Kind) -> AsyncHTTPClient:
    """Return a new client, not the loop's shared one, with a slot for each worker.

    Fetches beyond `max_clients`, 10 by default, would wait in the client's queue.
    """
    AsyncHTTPClient.configure(kind.implementation)
    accepted = trusted()
    if kind.takes_context:
        # With the two options below Tornado would make a context per request: 20 ms of CPU.
        tls: dict[str, Any] = {"ssl_options": ssl_context()}
    else:
        tls = {"validate_cert": not accepted.is_insecure, "ca_certs": accepted.cafile or None}
    return AsyncHTTPClient(force_instance=True, max_clients=concurrency, defaults=tls)


class Fetch:
    """One request: wait for `response`, then call `finish`.

    `response` raises every failure except statuses, because raise_error=False is only about those.
    """

    def __init__(self, client: AsyncHTTPClient, job: Job, timeout_s: float, kind: Kind) -> None:
        self._job = job
        self._kind = kind
        self._status = 0
        self._size_bytes = 0
        self._start_ns = monotonic_ns()
        request = HTTPRequest(
            job.url,
            method=job.method,
            body=job.body,
            headers=job.headers or HEADERS,
            follow_redirects=False,
            decompress_response=False,
            connect_timeout=timeout_s,
            request_timeout=timeout_s,
            header_callback=self._on_header,
            streaming_callback=self._on_body,
            **kind.options,
        )
        self.response: asyncio.Future[HTTPResponse] = client.fetch(request, raise_error=False)

    def _on_header(self, line: str) -> None:
        if line.startswith("HTTP/"):
            code = line.split()[1:2]
            self._status = int(code[0]) if code and code[0].isdigit() else 0

    def _on_body(self, part: bytes) -> None:
        self._size_bytes += len(part)

    def finish(self, record: Recorder) -> None:
        """Record the request; `response` must be done, and is dropped."""
        end_ns = monotonic_ns()
        failure = self.response.exception()
        # It refers to the request, whose callbacks refer to this object: a cycle.
        del self.response
        error = self._kind.word_of(failure) if failure is not None else ""
        record(self._job.seq, self._start_ns, end_ns, self._status, self._size_bytes, error)
