"""Spiders that are wrong in one way each, and one that is right: all are the serial one, whose
frontier is replaced."""

from collections.abc import Callable, Iterable, Iterator
from zlib import crc32

from crawlers.contract import Job, Recorder
from crawlers.spiders.contract import Frontier, Visit
from crawlers.spiders.serial_requests import spider as crawl_serially

DROPPED = 97
"""One URL of this many is dropped."""
MOST_MORE = 60


class _Outside:
    """A frontier that hands out further URLs beside those of the right one."""

    def __init__(self, inside: Frontier, done: Callable[["_Outside", Job, Iterable[str]], None]):
        self.inside = inside
        self.start_url, self.hosts, self.task = inside.start_url, inside.hosts, inside.task
        self.seen: set[str] = set()
        self.more: list[Job] = []
        self._done = done
        self._own: set[int] = set()

    def add(self, url: str) -> bool:
        return self.inside.add(url)

    def take(self, url: str, depth: int = 0) -> Job:
        return self.inside.take(url, depth)

    def fetch_too(self, url: str) -> None:
        """Fetch a URL whatever the right frontier says, but once, and not without an end."""
        if url not in self.seen and len(self.seen) < MOST_MORE:
            self.seen.add(url)
            job = self.inside.take(url)
            self._own.add(job.seq)
            self.more.append(job)

    def done(self, job: Job, found: Iterable[str]) -> None:
        if job.seq in self._own:
            for url in found:
                self._done(self, job, [url])
        else:
            self._done(self, job, found)

    def end(self, job: Job, found: Iterable[str]) -> None:
        """End a job of the right frontier, which adds what was found."""
        if job.seq not in self._own:
            self.inside.done(job, found)
        else:
            for url in found:
                self.inside.add(url)

    def __iter__(self) -> Iterator[Job]:
        return self

    def __next__(self) -> Job:
        if self.more:
            return self.more.pop(0)
        return next(self.inside)

    def __aiter__(self) -> "_Outside":
        return self

    async def __anext__(self) -> Job:
        raise AssertionError("the serial spider does not ask for it")


def _with(done: Callable[[_Outside, Job, Iterable[str]], None]) -> Callable[..., None]:
    def spider(
        frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
    ) -> None:
        outside = _Outside(frontier, done)
        crawl_serially(outside, concurrency, timeout_s, record, visit)

    return spider


def _hash(url: str) -> int:
    """Return a number of its path and query: the port is another in each run."""
    return crc32(url.split("/", 3)[3].encode())


def _keep_all(outside: _Outside, job: Job, found: Iterable[str]) -> None:
    outside.end(job, found)


def _drop_some(outside: _Outside, job: Job, found: Iterable[str]) -> None:
    outside.end(job, [url for url in found if _hash(url) % DROPPED])


def _keep_fragments(outside: _Outside, job: Job, found: Iterable[str]) -> None:
    urls = list(found)
    outside.end(job, urls)
    for url in urls:
        if _hash(url) % 10 == 0 and "/p/" in url:
            outside.fetch_too(f"{url}#top")


def _ignore_robots(outside: _Outside, job: Job, found: Iterable[str]) -> None:
    urls = list(found)
    outside.end(job, urls)
    for url in urls:
        if "/private/" in url:
            outside.fetch_too(url)


def _ignore_depth(outside: _Outside, job: Job, found: Iterable[str]) -> None:
    urls = list(found)
    outside.end(job, urls)
    for url in urls:
        if "/calendar/" in url:
            outside.fetch_too(url)


right = _with(_keep_all)
drops_some = _with(_drop_some)
keeps_fragments = _with(_keep_fragments)
ignores_robots = _with(_ignore_robots)
falls_into_the_trap = _with(_ignore_depth)


def forgets_some(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Fetch all, and leave one in ten out of the records."""

    def forgetful(seq: int, *values: object) -> None:
        if seq % 10:
            record(seq, *values)  # type: ignore[arg-type]

    crawl_serially(frontier, concurrency, timeout_s, forgetful, visit)  # type: ignore[arg-type]


def never_ends(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """Crawl all, and wait for ever."""
    from threading import Event

    crawl_serially(frontier, concurrency, timeout_s, record, visit)
    Event().wait()


def does_nothing(
    frontier: Frontier, concurrency: int, timeout_s: float, record: Recorder, visit: Visit
) -> None:
    """End at once."""
