"""A few requests to the delay server, one at a time, and what both ends saw of them."""

from http.client import HTTPConnection
from statistics import median
from time import monotonic_ns
from typing import TextIO
from urllib.parse import urlsplit

from server.announcement import Addresses
from server.control_client import fetch_run
from server.ledger import ANSWERED
from server.request_plan import Plan, to_target

_DELAYS_MS = (0, 1, 10, 100)
_REQUESTS = 20


def demonstrate(addresses: Addresses, out: TextIO) -> bool:
    """Print a table of asked and measured delays; False if a request was not answered well."""
    print(f"the server listens on {addresses.data_url}", file=out)
    print(f"{_REQUESTS} requests for each delay, one after another; medians in ms\n", file=out)
    print(f"{'delay asked':>12} {'waited by server':>17} {'seen by client':>15}", file=out)
    all_answered = True
    for delay_ms in _DELAYS_MS:
        name = f"demonstration-{delay_ms}"
        client_ms, is_good = _fetch_all(addresses.data_url, name, delay_ms)
        ledger = fetch_run(addresses.control_url, name)
        columns = ledger.columns
        server_ms = [
            (replied - arrived) / 1e6
            for arrived, replied in zip(columns["arrived_ns"], columns["replied_ns"], strict=True)
        ]
        all_answered &= is_good and columns["outcome"].count(ANSWERED) == _REQUESTS
        print(f"{delay_ms:>12} {median(server_ms):>17.3f} {median(client_ms):>15.3f}", file=out)
    print("\nThe sweep over crawlers is not built yet.", file=out)
    return all_answered


def _fetch_all(data_url: str, name: str, delay_ms: int) -> tuple[list[float], bool]:
    """Client latencies in ms, and whether every answer was the planned one."""
    parts = urlsplit(data_url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=10)
    latencies_ms = []
    is_good = True
    for seq in range(_REQUESTS):
        start_ns = monotonic_ns()
        connection.request("GET", to_target(Plan(name, seq, delay_ms * 1000)))
        response = connection.getresponse()
        is_good &= response.read() == b"." and response.status == 200
        latencies_ms.append((monotonic_ns() - start_ns) / 1e6)
    connection.close()
    return latencies_ms, is_good
