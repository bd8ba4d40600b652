"""What is crawled: a server of our own for as long as it is needed, or any URL."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from bench.experiment import PlannedRun
from bench.pinning import Pinning, pin
from bench.runner import Target
from server.announcement import parse_greeting
from server.process import ServerProcess

_RECOGNISE_TIMEOUT_S = 5.0


@contextmanager
def private_server(pinning: Pinning, runs: Sequence[PlannedRun]) -> Iterator[Target]:
    """A delay server on free ports, with room for the largest of the runs in its ledger.

    Raises server.process.ServerStartError.
    """
    # Twice the requests: a crawler may send each of them again, and be found out.
    rows = max(1000, 2 * max(run.requests for run in runs))
    with ServerProcess("--ledger-rows", str(rows)) as server:
        pin(server.pid, pinning.server)
        yield Target(server.addresses.data_url, server.addresses.control_url)


def recognise(url: str) -> Target:
    """Whether a URL is of a delay server: its `GET /` says so. Others are fetched as they are."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query:
        return Target(url, "")
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=_RECOGNISE_TIMEOUT_S)
    try:
        connection.request("GET", "/")
        body = connection.getresponse().read(1000)
    except (OSError, HTTPException):
        return Target(url, "")
    finally:
        connection.close()
    greeting = parse_greeting(body.decode("latin-1"))
    return Target(url, greeting[1] if greeting else "")
