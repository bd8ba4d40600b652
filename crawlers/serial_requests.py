"""One request after another, with requests: a session, so that the connection is kept."""

from collections.abc import Iterator
from time import monotonic_ns

import requests
import urllib3
from requests.adapters import HTTPAdapter

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.urllib3_errors import error_word

_CHUNK_BYTES = 65_536
_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError)


class _Session(requests.Session):
    """Leaves redirects alone: requests would read them, without a time limit, even unfollowed."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """None: nothing is a redirect."""
        del resp
        return None


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job; `concurrency` can only be 1."""
    with _Session() as session:
        session.trust_env = False  # no proxies, no .netrc, and a third of the CPU time saved
        session.headers.update(HEADERS)
        adapter = HTTPAdapter(pool_connections=1, pool_maxsize=1, max_retries=0)
        session.mount("http://", adapter)
        session.mount("https://", adapter)
        for job in jobs:
            _fetch(session, job, timeout_s, record)


def _fetch(session: requests.Session, job: Job, timeout_s: float, record: Recorder) -> None:
    status = size_bytes = 0
    error = ""
    start_ns = monotonic_ns()
    deadline_ns = start_ns + int(timeout_s * 1e9)
    try:
        with session.get(
            job.url, timeout=timeout_s, allow_redirects=False, stream=True
        ) as response:
            status = response.status_code
            raw = response.raw
            # requests bounds each read, not the whole body; a read at a time can be stopped.
            while True:
                left_s = (deadline_ns - monotonic_ns()) / 1e9
                if left_s <= 0:
                    error = "timeout"
                    response.close()
                    break
                if raw.connection is not None and raw.connection.sock is not None:
                    raw.connection.sock.settimeout(left_s)
                chunk = raw.read1(_CHUNK_BYTES)
                if not chunk:
                    break
                size_bytes += len(chunk)
    except (
        requests.RequestException,
        urllib3.exceptions.HTTPError,
        OSError,
        ValueError,
    ) as exception:
        error = error_word(exception)
    record(job.seq, start_ns, monotonic_ns(), status, size_bytes, error)
