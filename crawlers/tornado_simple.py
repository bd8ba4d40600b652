"""Tornado's own client, in Python: coroutines and callbacks with it."""

from collections.abc import Iterator

from tornado.httputil import HTTPInputError
from tornado.iostream import StreamClosedError
from tornado.simple_httpclient import HTTPStreamClosedError, HTTPTimeoutError

from crawlers import tornado_callback, tornado_coroutine
from crawlers.contract import Job, Recorder
from crawlers.tornado_client import Kind


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job, by coroutines."""
    tornado_coroutine.crawl_with(_SIMPLE, jobs, concurrency, timeout_s, record)


def crawl_by_callbacks(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Fetch every job, by callbacks on futures."""
    tornado_callback.crawl_with(_SIMPLE, jobs, concurrency, timeout_s, record)


def _word(error: BaseException) -> str:
    match error:
        case HTTPTimeoutError() | TimeoutError():
            return "timeout"
        case HTTPStreamClosedError() | StreamClosedError():
            return "closed"
        case HTTPInputError():
            return "malformed"
        case ConnectionResetError() | BrokenPipeError():
            return "reset"
        case OSError():
            return "connect"
        case _:
            return "failed"


_SIMPLE = Kind("tornado.simple_httpclient.SimpleAsyncHTTPClient", _word)
"""It opens a connection for each request."""
