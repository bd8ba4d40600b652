"""One page after another, with requests."""

from crawlers.contract import Job, Recorder
from crawlers.serial_requests import fetch_one, open_session
from crawlers.spiders.contract import Frontier, Visit
from crawlers.spiders.following import Response, follow_links


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl a site; `concurrency` can only be 1."""
    with open_session(len(frontier.hosts)) as session:

        def fetch(job: Job, chunks: list[bytes]) -> Response | None:
            response = fetch_one(job, session, timeout_s, record, chunks)
            return None if response is None else response.raw

        follow_links(frontier, visit, fetch)
