"""The frontier: what was found and not fetched yet, and when each host may be asked again.

`Queue` decides, and knows no clock; `Frontier` waits, in threads, greenlets and coroutines.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from threading import Condition
from time import monotonic_ns, thread_time_ns
from typing import Self

from protego import Protego

from crawlers.contract import Job
from crawlers.spiders.task import SiteTask

AGENT = "crawlbench"
"""The name by which a spider looks for its rules in robots.txt."""
ROBOTS = "/robots.txt"
NEVER = 2**63 - 1
"""An instant that does not come: only the end of a job can change something."""
NOTHING_ALLOWED = "User-agent: *\nDisallow: /"
"""The rules of a host whose robots.txt cannot be had (RFC 9309, 2.3.1.4)."""

_MOST_DELAY_S = 86_400


@dataclass(slots=True)
class _Host:
    """One host: what waits for it, and when it was asked."""

    origin: str
    delay_ns: int
    is_known: bool = False
    """Whether a URL of it was found, which was then preceded by its robots.txt."""
    rules: Protego | None = None
    """None until its robots.txt was visited."""
    waiting: deque[int] = field(default_factory=deque)
    """Places of URLs that wait for the rules, or for the limits of the host."""
    in_flight: int = 0
    next_ns: int = 0
    """When it may be asked again."""
    is_listed: bool = False
    """Whether it is among those that may be asked, now or later."""


class Queue:
    """What a frontier decides. It is told the time, and must not be shared."""

    def __init__(self, origins: Sequence[str], task: SiteTask) -> None:
        self._hosts = {origin: _Host(origin, round(task.host_delay_s * 1e9)) for origin in origins}
        self._task = task
        self._seen: set[str] = set()
        # Of each URL, at its place in the order of discovery: columns, as objects take much memory.
        self._urls: list[str] = []
        self._added_ns, self._depths = array("q"), array("q")
        self._jobs = array("q")
        """The place of each job, by seq."""
        self._in_flight: set[int] = set()
        self._ready: deque[int] = deque()
        """Places of URLs that may be fetched now: a host without limits does not make them wait."""
        self._askable: list[tuple[int, int, _Host]] = []
        """A heap of hosts with limits, by when they may be asked, and in turn."""
        self._turns = count()
        self.pending = 0
        """How many URLs wait to be handed out."""

    @property
    def in_flight(self) -> int:
        """How many jobs were handed out and not ended."""
        return len(self._in_flight)

    @property
    def is_spent(self) -> bool:
        """Whether as many jobs were handed out as may be."""
        return len(self._jobs) >= self._task.max_fetches

    @property
    def is_over(self) -> bool:
        """Whether there will be no further job."""
        return self.is_spent or not (self._ready or self._askable or self._in_flight)

    @property
    def has_more(self) -> bool:
        """Whether a job can be handed out, now or at a known time."""
        return bool(self._ready or self._askable)

    def add(self, url: str, depth: int, now_ns: int) -> bool:
        """Add a canonical URL; return whether it is new and, as far as is known, allowed."""
        if url in self._seen or depth > self._task.max_depth:
            return False
        host = self._hosts.get(_origin(url))
        if host is None:
            return False
        if not host.is_known:
            host.is_known = True
            robots = host.origin + ROBOTS
            self._ready.append(self._discover(robots, 0, now_ns))
            if url == robots:
                return True
        if host.rules is None:
            host.waiting.append(self._discover(url, depth, now_ns))
            return True
        if not host.rules.can_fetch(url, AGENT):
            self._seen.add(url)
            return False
        place = self._discover(url, depth, now_ns)
        if self._has_limits(host):
            host.waiting.append(place)
            self._list(host)
        else:
            self._ready.append(place)
        return True

    def next(self, now_ns: int) -> Job | int | None:
        """Return a job, or when there may be one (NEVER: once one is done); None at the end."""
        if self.is_spent:
            return None
        if self._ready:
            place = self._ready.popleft()
        elif self._askable:
            if self._askable[0][0] > now_ns:
                return self._askable[0][0]
            host = heappop(self._askable)[2]
            host.is_listed = False
            place = host.waiting.popleft()
        else:
            return NEVER if self._in_flight else None
        host = self._hosts[_origin(self._urls[place])]
        host.in_flight += 1
        host.next_ns = now_ns + host.delay_ns
        self._list(host)
        self.pending -= 1
        job = self._job(place)
        self._in_flight.add(job.seq)
        return job

    def take(self, url: str, depth: int, now_ns: int) -> Job:
        """Return a job for a URL that waits for nothing, and is not ended by `done`."""
        place = self._discover(url, depth, now_ns)
        self.pending -= 1
        return self._job(place)

    def obey(self, origin: str, text: str) -> None:
        """Keep the rules of the robots.txt of a host, also for what was found on it before."""
        host = self._hosts[origin]
        host.rules = Protego.parse(text)
        asked_s = host.rules.crawl_delay(AGENT) or 0.0
        if 0 < asked_s <= _MOST_DELAY_S and (longer_ns := round(asked_s * 1e9)) > host.delay_ns:
            host.next_ns += longer_ns - host.delay_ns
            host.delay_ns = longer_ns
        held, host.waiting = host.waiting, deque()
        allowed = [one for one in held if host.rules.can_fetch(self._urls[one], AGENT)]
        self.pending -= len(held) - len(allowed)
        if self._has_limits(host):
            host.waiting.extend(allowed)
            self._list(host)
        else:
            self._ready.extend(allowed)

    def done(self, seq: int, found: Iterable[str], now_ns: int) -> None:
        """End a job. Raises ValueError for one that is not in flight."""
        try:
            self._in_flight.remove(seq)
        except KeyError:
            raise ValueError(f"job {seq} is not in flight: was it done twice?") from None
        place = self._jobs[seq]
        host = self._hosts[_origin(self._urls[place])]
        host.in_flight -= 1
        if host.rules is None:  # only its robots.txt can have been in flight
            self.obey(host.origin, NOTHING_ALLOWED)
        self._list(host)
        depth = self._depths[place] + 1
        for url in found:
            if url not in self._seen:
                self.add(url, depth, now_ns)

    def jobs(self) -> tuple[list[str], "array[int]", "array[int]"]:
        """Return URL, instant of discovery and depth of each job. Any thread may call it."""
        places = self._jobs[:]
        return (
            [self._urls[place] for place in places],
            array("q", [self._added_ns[place] for place in places]),
            array("q", [self._depths[place] for place in places]),
        )

    def _has_limits(self, host: _Host) -> bool:
        return self._task.per_host > 0 or host.delay_ns > 0

    def _list(self, host: _Host) -> None:
        """List a host as one that may be asked, if something waits for that alone."""
        most = self._task.per_host
        is_full = 0 < most <= host.in_flight
        if host.waiting and host.rules is not None and not host.is_listed and not is_full:
            host.is_listed = True
            heappush(self._askable, (host.next_ns, next(self._turns), host))

    def _discover(self, url: str, depth: int, now_ns: int) -> int:
        self._seen.add(url)
        self._urls.append(url)
        self._added_ns.append(now_ns)
        self._depths.append(depth)
        self.pending += 1
        return len(self._urls) - 1

    def _job(self, place: int) -> Job:
        self._jobs.append(place)
        return Job(len(self._jobs) - 1, self._urls[place])


def _origin(url: str) -> str:
    """Return `scheme://address:port` of a canonical URL; "" for a text that is none."""
    return url[: max(0, url.find("/", 8))]


class Frontier:
    """Hands out jobs as crawlers.spiders.contract says, and waits for them."""

    def __init__(self, start_url: str, hosts: Sequence[str], task: SiteTask) -> None:
        self.start_url, self.hosts, self.task = start_url, tuple(hosts), task
        scheme = start_url.partition("://")[0]
        self.queue = Queue([f"{scheme}://{host}" for host in hosts], task)
        self.cpu_ns = 0
        """CPU time of the frontier, in all threads; guarded by `lock`."""
        self.lock = Condition()
        self._has_begun = False
        self._blocked = 0
        self._futures: deque[asyncio.Future[None]] = deque()
        self._alarm_ns = NEVER
        """When the first of those that wait will look again by itself."""

    def add(self, url: str) -> bool:
        """Add a canonical URL at depth 0; return whether it is new and may be fetched."""
        with self.lock:
            is_new = self.queue.add(url, 0, monotonic_ns())
            self._wake()
        return is_new

    def take(self, url: str, depth: int = 0) -> Job:
        """Return a job for a URL that is about to be fetched without being handed out."""
        with self.lock:
            return self.queue.take(url, depth, monotonic_ns())

    def obey(self, origin: str, text: str) -> None:
        """Keep the rules of the robots.txt of a host (`scheme://address:port`)."""
        with self.lock:
            self.queue.obey(origin, text)

    def done(self, job: Job, found: Iterable[str]) -> None:
        """End a job: add what it found. Raises ValueError for a job that is not in flight."""
        start_ns = thread_time_ns()
        with self.lock:
            self.queue.done(job.seq, found, monotonic_ns())
            self._wake()
            self.cpu_ns += thread_time_ns() - start_ns

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Job:
        with self.lock:
            while True:
                found = self._next()
                if found is None:
                    raise StopIteration
                if isinstance(found, Job):
                    return found
                wait_s = self._set_alarm(found)
                self._blocked += 1
                self.lock.wait(wait_s)
                self._blocked -= 1
                self._end_alarm(found)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Job:
        while True:
            with self.lock:
                found = self._next()
            if found is None:
                raise StopAsyncIteration
            if isinstance(found, Job):
                return found
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            self._futures.append(future)
            wait_s = self._set_alarm(found)
            alarm = loop.call_later(wait_s, _resolve, future) if wait_s is not None else None
            await future
            if alarm:
                alarm.cancel()
            self._end_alarm(found)

    def _next(self) -> Job | int | None:
        start_ns = thread_time_ns()
        if not self._has_begun:  # and not before: a program with a frontier of its own never does
            self._has_begun = True
            self.queue.add(self.start_url, 0, monotonic_ns())
        found = self.queue.next(monotonic_ns())
        if not isinstance(found, int):
            self._wake()
        self.cpu_ns += thread_time_ns() - start_ns
        return found

    def _set_alarm(self, when_ns: int) -> float | None:
        """Return how long to wait at most; None if another one looks again soon enough."""
        if when_ns >= self._alarm_ns:
            return None
        self._alarm_ns = when_ns
        return max(0.0, (when_ns - monotonic_ns()) / 1e9)

    def _end_alarm(self, when_ns: int) -> None:
        if when_ns == self._alarm_ns:
            self._alarm_ns = NEVER

    def _wake(self) -> None:
        """Wake one that waits, who wakes the next if there is more; at the end, wake all."""
        is_over = self.queue.is_over
        if not is_over and not self.queue.has_more:
            return
        if self._blocked:
            self.lock.notify(self._blocked if is_over else 1)
        while self._futures:
            future = self._futures.popleft()
            if not future.done():
                future.set_result(None)
                if not is_over:
                    return


def _resolve(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
