"""One request after another, with requests; a session keeps the connection."""

from collections.abc import Iterator
from time import monotonic_ns, sleep

import requests
import urllib3
from requests.adapters import HTTPAdapter

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.dispatch import when_due
from crawlers.requests_session import QuietSession
from crawlers.urllib3_bodies import read_whole
from crawlers.urllib3_errors import error_word


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job; `concurrency` can only be 1."""
    with open_session() as session:
        for job in when_due(jobs, sleep):
            fetch_one(job, session, timeout_s, record)


def open_session(hosts: int = 1) -> requests.Session:
    """Return a session that keeps a connection to each of so many hosts, and the contract."""
    session = QuietSession()
    session.headers.update(HEADERS)
    adapter = HTTPAdapter(pool_connections=hosts, pool_maxsize=1, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def fetch_one(
    job: Job,
    session: requests.Session,
    timeout_s: float,
    record: Recorder,
    chunks: list[bytes] | None = None,
) -> requests.Response | None:
    """Fetch one job; return its response unless it failed, and leave its body in `chunks`."""
    response = None
    status = size_bytes = 0
    error = ""
    start_ns = monotonic_ns()
    try:
        with session.request(
            job.method,
            job.url,
            data=job.body,
            headers=job.headers,
            timeout=timeout_s,
            allow_redirects=False,
            stream=True,
        ) as response:
            status = response.status_code
            for chunk in read_whole(response.raw, start_ns + int(timeout_s * 1e9)):
                size_bytes += len(chunk)
                if chunks is not None:
                    chunks.append(chunk)
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    ) as exception:
        error = error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
    return None if error else response
