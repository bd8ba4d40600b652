"""A pool of threads over one frontier, with urllib3."""

from concurrent.futures import ThreadPoolExecutor

from crawlers.contract import Job, Recorder
from crawlers.spiders.contract import Frontier, Visit
from crawlers.spiders.following import Response, follow_links
from crawlers.threads_urllib3 import fetch_one
from crawlers.urllib3_pools import open_pools


def spider(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl a site."""
    pools = open_pools(concurrency, len(frontier.hosts))

    def fetch(job: Job, chunks: list[bytes]) -> Response | None:
        return fetch_one(job, pools, timeout_s, record, chunks)

    with ThreadPoolExecutor(concurrency) as executor:
        workers = [
            executor.submit(follow_links, frontier, visit, fetch) for _ in range(concurrency)
        ]
        for worker in workers:
            worker.result()
    pools.clear()
