"""Greenlets, with geventhttpclient: C greenlets over one iterator; nothing is patched."""

import ssl
from collections.abc import Iterator
from time import monotonic_ns
from urllib.parse import urlsplit

import gevent
import gevent.ssl
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.trust import BY_DEFAULT, ssl_context, trusted

_CHUNK_BYTES = 65_536


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    clients: dict[str, HTTPClient] = {}

    def client_of(url: str) -> HTTPClient:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in clients:
            clients[origin] = HTTPClient.from_url(
                origin,
                concurrency=concurrency,
                headers=HEADERS,
                connection_timeout=timeout_s,
                network_timeout=timeout_s,
                insecure=trusted().is_insecure,
                # Its own `insecure` looks away from the name, and not from the signature.
                ssl_context_factory=_make_context if trusted() != BY_DEFAULT else None,
            )
        return clients[origin]

    def work() -> None:
        for job in jobs:
            _fetch(client_of(job.url), job, timeout_s, record)

    gevent.joinall([gevent.spawn(work) for _ in range(concurrency)], raise_error=True)
    for client in clients.values():
        client.close()


def _fetch(client: HTTPClient, job: Job, timeout_s: float, record: Recorder) -> None:
    status = size_bytes = 0
    error = ""
    is_asked = False
    start_ns = monotonic_ns()
    # The library's own timeouts bound each read; this one bounds the whole fetch.
    deadline = gevent.Timeout.start_new(timeout_s)
    response = None
    try:
        parts = urlsplit(job.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        response = client.get(target)
        is_asked = True
        status = response.status_code
        while chunk := response.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
    except gevent.Timeout as expired:
        if expired is not deadline:
            raise
        error = "timeout"
    except (HTTPParseError, OSError, ValueError) as exception:
        error = _error_word(exception, is_asked)
    finally:
        deadline.cancel()
        if response is not None:
            response.release()
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)


def _make_context(cafile: str) -> gevent.ssl.SSLContext | None:
    del cafile  # that of the library
    return ssl_context(gevent.ssl.create_default_context)


def _error_word(exception: Exception, is_asked: bool) -> str:
    match exception:
        case TimeoutError():
            return "timeout"
        case HTTPConnectionClosed():
            return "closed"
        case HTTPParseError():
            is_cut = any(words in str(exception).lower() for words in ("closed", "incomplete"))
            return "closed" if is_cut else "malformed"
        case ssl.SSLError():
            return "connect"
        case ConnectionResetError() | BrokenPipeError():
            return "reset"
        case OSError():
            return "failed" if is_asked else "connect"
        case _:
            return "failed"
