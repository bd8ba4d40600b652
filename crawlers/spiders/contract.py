"""The contract of spiders: a spider fetches what its frontier hands out, and says what it found.

    def spider(frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder,
               visit: Visit) -> None

It takes jobs from the frontier, by `next` or by `async for`, at most `concurrency` at a time. Each
job is fetched as crawlers.contract says, recorded once under its seq, and handed back once by
`frontier.done`, whether or not the fetch failed. Iteration ends when nothing is pending: no job
waits, and none is being fetched. `next` waits while other jobs are in flight, because they may
find more. Redirects are not followed: their Location is a link like any other.

`visit` is called with each response and returns what it links to. It keeps nothing of the body.

The frontier never hands out a URL twice. It keeps robots.txt, the limits of each host, and the
limits of the task: how far from the start, and how many fetches. A spider that finds its work by
itself, as frameworks do, calls `frontier.take` for each URL that it is about to fetch.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from typing import Protocol

from crawlers.contract import Job, Recorder
from crawlers.spiders.task import SiteTask


class Frontier(Iterator[Job], AsyncIterable[Job], Protocol):
    """What was found, and not yet fetched. Threads may share it."""

    start_url: str
    """The home page."""
    hosts: tuple[str, ...]
    """`address:port` of each host of the site: no other is to be asked."""
    task: SiteTask
    """The limits to keep."""

    def add(self, url: str) -> bool:
        """Add a canonical URL at depth 0; return whether it is new and may be fetched."""

    def done(self, job: Job, found: Iterable[str]) -> None:
        """End a job: add what it found, as canonical URLs."""

    def take(self, url: str, depth: int = 0) -> Job:
        """Return a job for a URL that is about to be fetched without being handed out."""


class Visit(Protocol):
    """Finds the links of a response."""

    def __call__(self, job: Job, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Return the canonical URLs that a response links to. The names of headers are lower-case.

        Nothing is found in what is neither a good page nor a redirect.
        """

    async def later(
        self, job: Job, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """Do the same where the task says, in a thread or a process, while the loop goes on."""


Spider = Callable[[Frontier, int, float, Recorder, Visit], None]
