"""Crawlers that do not read what they say they have read, each in one way."""

from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from time import monotonic_ns
from urllib.parse import parse_qs, urlsplit

from crawlers.contract import Job, Recorder


def by_content_length(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Believes the header, and reads nothing."""
    _crawl(jobs, record, lambda _, response: int(response.headers["Content-Length"]))


def one_byte(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Says what is true of nearly all requests of a sweep."""
    _crawl(jobs, record, lambda _, __: 1)


def as_planned(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Knows from the URL how much will come."""
    _crawl(jobs, record, lambda job, _: _planned(job))


def first_piece(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Reads what is there, and believes the header for the rest."""

    def read(_: Job, response: HTTPResponse) -> int:
        response.read1(65_536)
        return int(response.headers["Content-Length"])

    _crawl(jobs, record, read)


def off_the_clock(
    jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder
) -> None:
    """Reads all of it, after the end that it records."""
    for job in jobs:
        start_ns = monotonic_ns()
        connection, response = _ask(job)
        end_ns = monotonic_ns()
        record(job.seq, start_ns, end_ns, response.status, len(response.read()))
        connection.close()


def _crawl(
    jobs: Iterator[Job], record: Recorder, size_of: Callable[[Job, HTTPResponse], int]
) -> None:
    for job in jobs:
        start_ns = monotonic_ns()
        connection, response = _ask(job)
        size_bytes = size_of(job, response)
        record(job.seq, start_ns, monotonic_ns(), response.status, size_bytes)
        connection.close()


def _ask(job: Job) -> tuple[HTTPConnection, HTTPResponse]:
    parts = urlsplit(job.url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    connection.request("GET", f"{parts.path}?{parts.query}")
    return connection, connection.getresponse()


def _planned(job: Job) -> int:
    return int(parse_qs(urlsplit(job.url).query).get("size", ["1"])[0])
