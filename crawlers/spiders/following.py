"""One worker of a spider that waits by blocking: a thread, a greenlet, or the only one there is."""

from collections.abc import Callable, Mapping
from typing import Protocol

from crawlers.contract import Job
from crawlers.spiders.contract import Frontier, Visit


class Response(Protocol):
    """What is needed of a response of urllib3."""

    @property
    def status(self) -> int: ...  # noqa: D102
    @property
    def headers(self) -> Mapping[str, str]: ...  # noqa: D102


def follow_links(
    frontier: Frontier, visit: Visit, fetch: Callable[[Job, list[bytes]], Response | None]
) -> None:
    """Fetch what the frontier hands out until nothing is pending.

    `fetch` leaves the body in a list, and returns None if it failed.
    """
    for job in frontier:
        chunks: list[bytes] = []
        found: list[str] = []
        try:
            response = fetch(job, chunks)
            if response is not None:
                found = visit(job, response.status, response.headers, b"".join(chunks))
        finally:  # others wait for what this job finds
            frontier.done(job, found)
