"""Tornado's client on libcurl, as the chapter configures it: coroutines and callbacks with it."""

from collections.abc import Iterator

import pycurl
from tornado.curl_httpclient import CurlError

from crawlers import tornado_callback, tornado_coroutine
from crawlers.contract import Job, Recorder
from crawlers.tornado_client import Kind

_WORDS = {
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_COULDNT_RESOLVE_HOST: "connect",
    pycurl.E_SSL_CONNECT_ERROR: "connect",
    pycurl.E_PEER_FAILED_VERIFICATION: "connect",
    pycurl.E_GOT_NOTHING: "closed",
    pycurl.E_PARTIAL_FILE: "closed",
    pycurl.E_RECV_ERROR: "reset",
    pycurl.E_SEND_ERROR: "reset",
    pycurl.E_UNSUPPORTED_PROTOCOL: "malformed",  # "Received HTTP/0.9 when not allowed"
    pycurl.E_FTP_WEIRD_SERVER_REPLY: "malformed",  # of HTTP as well
    pycurl.E_BAD_CONTENT_ENCODING: "malformed",
}


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job, by coroutines."""
    tornado_coroutine.crawl_with(_CURL, jobs, concurrency, timeout_s, record)


def crawl_by_callbacks(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Fetch every job, by callbacks on futures."""
    tornado_callback.crawl_with(_CURL, jobs, concurrency, timeout_s, record)


def _no_proxy(curl: pycurl.Curl) -> None:
    """Tell libcurl to ignore the proxies of the environment."""
    curl.setopt(pycurl.NOPROXY, "*")


def _word(error: BaseException) -> str:
    if not isinstance(error, CurlError):
        return "failed"
    # libcurl reports E_RECV_ERROR for every failed read, and also for a chunk without a size.
    if error.errno == pycurl.E_RECV_ERROR and "reset" not in str(error).lower():
        return "malformed"
    return _WORDS.get(error.errno, "failed")


_CURL = Kind(
    "tornado.curl_httpclient.CurlAsyncHTTPClient",
    _word,
    {"prepare_curl_callback": _no_proxy},
    takes_context=False,
)
"""It keeps connections, and is written in C."""
