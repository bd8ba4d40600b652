"""Visits responses: finds what they link to, here or in a pool, and the rules of robots.txt."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from threading import Barrier
from time import thread_time_ns

from protego import Protego

from crawlers.contract import Job
from crawlers.spiders.frontier import NOTHING_ALLOWED, ROBOTS, Frontier
from crawlers.spiders.links import Links, find_links, has_links
from crawlers.spiders.task import LOOP, PROCESSES, SiteTask
from crawlers.spiders.urls import CanonicalLinks, canonical


class Visit:
    """Finds the links of responses, as crawlers.spiders.contract says. Threads may share it."""

    def __init__(self, frontier: Frontier) -> None:
        self._frontier = frontier
        self._links = CanonicalLinks()
        self._pool = _open_pool(frontier.task)
        self._blocking_pool = self._pool if frontier.task.parse == PROCESSES else None
        self.parse_cpu_ns = 0
        """CPU time of finding links in documents, in all threads and processes."""

    def __call__(self, job: Job, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Return the canonical URLs that a response links to."""
        content_type = _content_type(job, status, headers)
        if content_type is None:
            return self._other(job, status, headers, body)
        if self._blocking_pool is None:
            return self._canonical(job, find_links(content_type, body))
        future = self._blocking_pool.submit(find_links, content_type, body)
        return self._canonical(job, future.result())

    async def later(
        self, job: Job, status: int, headers: Mapping[str, str], body: bytes
    ) -> list[str]:
        """Do the same while the event loop goes on, if the task has a pool for that."""
        content_type = _content_type(job, status, headers)
        if self._pool is None or content_type is None:
            return self(job, status, headers, body)
        loop = asyncio.get_running_loop()
        links = await loop.run_in_executor(self._pool, find_links, content_type, body)
        return self._canonical(job, links)

    def close(self) -> None:
        """End the pool."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _canonical(self, job: Job, links: Links) -> list[str]:
        start_ns = thread_time_ns()
        base_url = canonical(job.url, links.base, links.encoding) if links.base else ""
        urls = self._links.of(base_url or job.url, links.hrefs, links.encoding)
        with self._frontier.lock:
            self.parse_cpu_ns += links.cpu_ns
            self._frontier.cpu_ns += thread_time_ns() - start_ns
        return urls

    def _other(self, job: Job, status: int, headers: Mapping[str, str], body: bytes) -> list[str]:
        """Return the links of what is no document."""
        if _is_robots(job.url):
            return self._robots(job, status, body)
        if 300 <= status < 400 and (location := headers.get("location")):
            return self._links.of(job.url, [location])
        return []

    def _robots(self, job: Job, status: int, body: bytes) -> list[str]:
        # https://www.rfc-editor.org/rfc/rfc9309#section-2.3.1: unavailable, or unreachable
        text = body.decode("utf-8", "replace") if status == 200 else ""
        self._frontier.obey(
            job.url.removesuffix(ROBOTS), NOTHING_ALLOWED if status >= 500 else text
        )
        return self._links.of(job.url, Protego.parse(text).sitemaps)


def _content_type(job: Job, status: int, headers: Mapping[str, str]) -> str | None:
    """Return the Content-Type of a document; None of what is none."""
    content_type = headers.get("content-type", "")
    is_document = status == 200 and has_links(content_type) and not _is_robots(job.url)
    return content_type if is_document else None


def _is_robots(url: str) -> bool:
    return url.endswith(ROBOTS) and url.count("/") == 3


def _open_pool(task: SiteTask) -> Executor | None:
    """Return the pool of a task, with all its threads or processes begun."""
    if task.parse == LOOP:
        return None
    pool: Executor
    if task.parse == PROCESSES:
        # A fork of a process with threads and an event loop may hang.
        context = get_context("spawn")
        all_begun = context.Barrier(task.parsers)
        pool = ProcessPoolExecutor(task.parsers, context, _begin, (all_begun,))
    else:
        pool = ThreadPoolExecutor(task.parsers)
    for begun in [pool.submit(find_links, "text/html", b"") for _ in range(task.parsers)]:
        begun.result()
    return pool


def _begin(all_begun: Barrier) -> None:
    """Begin a process of a pool, and wait for the others: the first could do all first tasks."""
    find_links("text/html", b"")
    all_begun.wait()
