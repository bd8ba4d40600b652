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
    with QuietSession() as session:
        session.headers.update(HEADERS)
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        for job in when_due(jobs, sleep):
            _fetch(session, job, timeout_s, record)


def _fetch(session: requests.Session, job: Job, timeout_s: float, record: Recorder) -> None:
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
            for chunk_bytes in read_whole(response.raw, start_ns + int(timeout_s * 1e9)):
                size_bytes += chunk_bytes
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    ) as exception:
        error = error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
