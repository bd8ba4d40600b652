"""Coroutines, with Tornado's client on libcurl, which keeps connections and is written in C."""

from collections.abc import Iterator

import pycurl
from tornado.curl_httpclient import CurlError
from tornado.httpclient import AsyncHTTPClient

from crawlers.contract import Job, Recorder
from crawlers.tornado_client import Kind
from crawlers.tornado_coroutine import crawl_with

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
    """Fetch every job."""
    AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
    kind = Kind(_curl_word, {"prepare_curl_callback": _no_proxy}, takes_context=False)
    crawl_with(kind, jobs, concurrency, timeout_s, record)


def _no_proxy(curl: pycurl.Curl) -> None:
    """Tell libcurl to ignore the proxies of the environment."""
    curl.setopt(pycurl.NOPROXY, "*")


def _curl_word(error: BaseException) -> str:
    if not isinstance(error, CurlError):
        return "failed"
    # libcurl reports E_RECV_ERROR for every failed read, and also for a chunk without a size.
    if error.errno == pycurl.E_RECV_ERROR and "reset" not in str(error).lower():
        return "malformed"
    return _WORDS.get(error.errno, "failed")
