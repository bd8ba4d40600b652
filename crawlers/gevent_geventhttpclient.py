"""Greenlets, with geventhttpclient: C greenlets over one iterator; nothing is patched."""

import ssl
from collections.abc import Iterator
from time import monotonic_ns
from typing import Any
from urllib.parse import urlsplit

import gevent
import gevent.ssl
from gevent.exceptions import ConcurrentObjectUseError
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.gevent_dispatch import fetch_all
from crawlers.trust import ssl_context, trusted

_CHUNK_BYTES = 65_536


class _SendsOnce(HTTPClient):
    """A client that does not send a request again.

    The library sends a request again as many times as its pool has connections, and once more, even
    on fresh connections: 100 requests to a server that closes at once arrived 2200 times at C = 20.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        # HTTPClient.request makes size + 1 further attempts. The pool already has its size.
        self._connection_pool.size = -1


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    clients: dict[str, HTTPClient] = {}

    def client_of(url: str) -> HTTPClient:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in clients:
            clients[origin] = _SendsOnce.from_url(
                origin,
                concurrency=concurrency,
                headers=HEADERS,
                connection_timeout=timeout_s,
                network_timeout=timeout_s,
                insecure=trusted().is_insecure,
                ssl_context_factory=_make_context,
            )
        return clients[origin]

    def fetch(job: Job) -> None:
        _fetch(client_of(job.url), job, timeout_s, record)

    fetch_all(jobs, concurrency, fetch)
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
        response = client.request(job.method, target, body=job.body, headers=job.headers)
        is_asked = True
        status = response.status_code
        while chunk := response.read(_CHUNK_BYTES):
            if size_bytes:
                gevent.sleep(0)  # data that has arrived is read without letting other greenlets run
            size_bytes += len(chunk)
    except gevent.Timeout as expired:
        if expired is not deadline:
            raise
        error = "timeout"
    # An interim response (103) would pass the socket to another greenlet during our read.
    except (HTTPParseError, OSError, ValueError, ConcurrentObjectUseError) as exception:
        error = _error_word(exception, is_asked)
    finally:
        deadline.cancel()
        if response is not None:
            response.release()
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)


def _make_context(cafile: str) -> ssl.SSLContext:
    """Return an SSL context for the library, which then passes its own list of authorities.

    The library's default context is a plain one, whose handshakes and reads stop all greenlets; and
    its `insecure` turns off only the check of the name, not of the signature.
    """
    return ssl_context(_cooperative_context) or _cooperative_context(cafile)


def _cooperative_context(cafile: str | None) -> ssl.SSLContext:
    context = gevent.ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if cafile:
        context.load_verify_locations(cafile)
    else:
        context.load_default_certs()
    return context


def _error_word(exception: Exception, is_asked: bool) -> str:
    match exception:
        case TimeoutError():
            return "timeout"
        case HTTPConnectionClosed():
            # A reset before the response is reported as a close; only its context has the cause.
            is_reset = isinstance(exception.__context__, ConnectionResetError)
            return "reset" if is_reset else "closed"
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
