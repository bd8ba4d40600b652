"""The connection pools of the crawlers that use urllib3."""

import urllib3

from crawlers.contract import HEADERS
from crawlers.trust import ssl_context


def open_pools(concurrency: int) -> urllib3.PoolManager:
    """Return pools that keep up to `concurrency` connections to a host."""
    return urllib3.PoolManager(maxsize=concurrency, headers=HEADERS, ssl_context=ssl_context())
