"""The connection pools of the crawlers that use urllib3."""

import urllib3

from crawlers.contract import HEADERS
from crawlers.trust import ssl_context


def open_pools(concurrency: int, hosts: int = 10) -> urllib3.PoolManager:
    """Return pools, for so many hosts, that keep up to `concurrency` connections to each."""
    return urllib3.PoolManager(
        num_pools=hosts, maxsize=concurrency, headers=HEADERS, ssl_context=ssl_context()
    )
