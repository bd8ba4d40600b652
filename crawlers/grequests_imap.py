"""requests on greenlets, with grequests: its imap over one iterator, one sized session."""

from collections.abc import Iterator
from time import monotonic_ns

import gevent
import grequests
import requests
import urllib3
from requests.adapters import HTTPAdapter

from crawlers.contract import HEADERS, Job, Recorder
from crawlers.dispatch import when_due
from crawlers.requests_session import QuietSession
from crawlers.urllib3_errors import error_word

_CHUNK_BYTES = 65_536


class Fetch(grequests.AsyncRequest):  # type: ignore[misc]
    """A request that records itself within `send`, with its slot held: imap reports no times."""

    def __init__(
        self, job: Job, session: requests.Session, timeout_s: float, record: Recorder
    ) -> None:
        super().__init__(
            job.method,
            job.url,
            session=session,
            data=job.body,
            headers=job.headers,
            allow_redirects=False,
        )
        self._seq = job.seq
        self._timeout_s = timeout_s
        self._record = record

    def send(self, **kwargs: object) -> "Fetch":
        """Send and record the request; imap calls this in a greenlet of its pool."""
        status = size_bytes = 0
        error = ""
        start_ns = monotonic_ns()
        # requests bounds each read; this one bounds the whole fetch.
        deadline = gevent.Timeout.start_new(self._timeout_s)
        try:
            super().send(**{**kwargs, "stream": True})
            if self.response is None:
                error = error_word(self.exception)
            else:
                status = self.response.status_code
                while chunk := self.response.raw.read1(_CHUNK_BYTES):
                    if size_bytes:
                        gevent.sleep(
                            0
                        )  # data that has arrived is read without letting other greenlets run
                    size_bytes += len(chunk)
        except gevent.Timeout as expired:
            if expired is not deadline:
                raise
            error = "timeout"
        except (
            requests.RequestException,
            urllib3.exceptions.HTTPError,
            OSError,
            ValueError,
        ) as exception:
            error = error_word(exception)
        finally:
            deadline.cancel()
            if error and self.response is not None:
                self.response.close()
        self._record(self._seq, start_ns, monotonic_ns(), status, size_bytes, error)
        return self


def sized_session(connections: int) -> QuietSession:
    """Return a session that keeps this many connections."""
    session = QuietSession()
    session.headers.update(HEADERS)
    adapter = HTTPAdapter(pool_connections=1, pool_maxsize=connections, max_retries=0)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    return session


def crawl(jobs: Iterator[Job], concurrency: int, timeout_s: float, record: Recorder) -> None:
    """Fetch every job."""
    with sized_session(concurrency) as session:
        due = when_due(jobs, gevent.sleep)
        fetches = (Fetch(job, session, timeout_s, record) for job in due)
        for _ in grequests.imap(fetches, size=concurrency):
            pass
