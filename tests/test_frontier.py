"""The frontier against the plainest one: a set, and a search of the whole graph."""

import asyncio
import threading
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawlers.contract import Job
from crawlers.spiders.frontier import NEVER, Frontier, Queue
from crawlers.spiders.task import SiteTask

ORIGINS = ("http://127.0.0.1:80", "http://127.0.0.2:80", "http://127.0.0.3:80")
HOSTS = tuple(origin.removeprefix("http://") for origin in ORIGINS)
HOME = f"{ORIGINS[0]}/0"
RULES = "User-agent: *\nDisallow: /private/"
S = 1_000_000_000

Graph = dict[str, list[str]]


def task(**limits: float) -> SiteTask:
    return SiteTask(**({"site": "", "max_depth": 100, "max_fetches": 1000} | limits))  # type: ignore[arg-type]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Pages of three hosts, some of which robots.txt disallows, and one of a foreign host."""
    urls = [
        f"{ORIGINS[draw(st.integers(0, 2))]}/{draw(st.sampled_from(('', 'private/')))}{number}"
        for number in range(1, draw(st.integers(1, 12)))
    ]
    urls = [HOME, *urls, "http://127.0.0.9:80/away"]
    return {url: draw(st.lists(st.sampled_from(urls), max_size=5)) for url in urls}


def searched(graph: Graph, max_depth: int) -> dict[str, int]:
    """The depth of each page that may be fetched, by a plain search in breadth."""
    depths = {HOME: 0}
    waiting = deque([HOME])
    while waiting:
        url = waiting.popleft()
        for other in graph[url]:
            is_allowed = other.startswith(ORIGINS) and "/private/" not in other
            if is_allowed and other not in depths and depths[url] < max_depth:
                depths[other] = depths[url] + 1
                waiting.append(other)
    return depths


@given(
    graph=graphs(),
    slots=st.integers(1, 6),
    per_host=st.integers(0, 3),
    host_delay_s=st.sampled_from((0.0, 0.5, 2.0)),
    crawl_delay_s=st.sampled_from((0.0, 1.0)),
    durations=st.lists(st.integers(1, 3 * S), min_size=1, max_size=9),
    max_fetches=st.sampled_from((3, 1000)),
)
def test_each_page_is_handed_out_once_within_all_limits(
    graph: Graph,
    slots: int,
    per_host: int,
    host_delay_s: float,
    crawl_delay_s: float,
    durations: list[int],
    max_fetches: int,
) -> None:
    limits = task(per_host=per_host, host_delay_s=host_delay_s, max_fetches=max_fetches)
    queue = Queue(ORIGINS, limits)
    queue.add(HOME, 0, 0)
    rules = f"{RULES}\nCrawl-delay: {crawl_delay_s}"
    now_ns, flying, fetched = 0, list[tuple[int, Job]](), list[str]()
    started: dict[str, int] = {}
    while True:
        found = queue.next(now_ns) if len(flying) < slots else NEVER
        if isinstance(found, Job):
            origin = found.url.rpartition("/private")[0] or found.url.rpartition("/")[0]
            if origin in started:
                assert now_ns - started[origin] >= max(host_delay_s, crawl_delay_s) * S
            else:
                assert found.url == f"{origin}/robots.txt"
            started[origin] = now_ns
            flying.append((now_ns + durations[len(fetched) % len(durations)], found))
            fetched.append(found.url)
            at_once = Counter(job.url[: len(ORIGINS[0])] for _, job in flying)
            assert not per_host or max(at_once.values()) <= per_host
            continue
        if not flying and found is None:
            break
        end_ns, ended = min(flying, default=(NEVER, None))
        if ended is None or (found is not None and found < end_ns):
            assert isinstance(found, int)
            assert now_ns < found < NEVER
            now_ns = found
            continue
        now_ns = max(now_ns, end_ns)
        flying.remove((end_ns, ended))
        if ended.url.endswith("robots.txt"):
            queue.obey(ended.url.removesuffix("/robots.txt"), rules)
        queue.done(ended.seq, graph.get(ended.url, []), now_ns)
    pages = [url for url in fetched if not url.endswith("robots.txt")]
    assert len(set(fetched)) == len(fetched) <= max_fetches
    if max_fetches > len(fetched):
        assert set(pages) == set(searched(graph, 100))
        assert queue.pending == 0
    else:
        assert set(pages) <= set(searched(graph, 100))
    assert queue.jobs()[0] == fetched


@given(graphs(), st.integers(0, 4))
def test_one_at_a_time_goes_as_deep_as_it_may_in_the_order_of_a_search(
    graph: Graph, max_depth: int
) -> None:
    graph = {
        url.replace(ORIGINS[1], ORIGINS[0]): [one.replace(ORIGINS[1], ORIGINS[0]) for one in found]
        for url, found in graph.items()
    }
    queue = Queue(ORIGINS[:1], task(max_depth=max_depth))
    queue.add(HOME, 0, 0)
    while isinstance(job := queue.next(0), Job):
        if job.url.endswith("robots.txt"):
            queue.obey(ORIGINS[0], RULES)
        queue.done(job.seq, graph.get(job.url, []), job.seq)
    urls, added_ns, depths = queue.jobs()
    own = {
        url: [one for one in found if one.startswith(ORIGINS[0])] for url, found in graph.items()
    }
    expected = searched(own, max_depth)
    assert dict(zip(urls[1:], depths[1:], strict=True)) == expected
    assert urls[1:] == list(expected)
    assert list(added_ns) == sorted(added_ns)


def test_what_does_not_come_of_the_frontier_is_refused() -> None:
    queue = Queue(ORIGINS[:1], task(max_depth=1))
    assert queue.add(HOME, 0, 0)
    assert not queue.add(HOME, 0, 0)
    assert not queue.add(f"{ORIGINS[1]}/x", 0, 0)
    assert not queue.add(f"{ORIGINS[0]}/deep", 2, 0)
    job = queue.next(0)
    assert isinstance(job, Job)
    queue.done(job.seq, (), 0)
    with pytest.raises(ValueError, match="job 0 is not in flight"):
        queue.done(job.seq, (), 0)


def test_a_host_whose_robots_txt_cannot_be_had_is_left_alone() -> None:
    frontier = Frontier(HOME, HOSTS[:1], task())
    frontier.done(next(frontier), ())
    assert list(frontier) == []
    assert frontier.queue.pending == 0


@pytest.mark.parametrize("asked", ["-1", "inf", "nan", "1e99", "soon"])
def test_a_crawl_delay_that_makes_no_sense_is_none(asked: str) -> None:
    queue = Queue(ORIGINS[:1], task())
    queue.add(HOME, 0, 0)
    robots = queue.next(0)
    assert isinstance(robots, Job)
    queue.obey(ORIGINS[0], f"User-agent: *\nCrawl-delay: {asked}")
    queue.done(robots.seq, (), 0)
    assert isinstance(queue.next(0), Job)


def test_a_program_with_a_frontier_of_its_own_takes_jobs() -> None:
    frontier = Frontier(HOME, HOSTS[:1], task())
    assert frontier.take(HOME) == Job(0, HOME)
    assert frontier.take("http://elsewhere/", 3) == Job(1, "http://elsewhere/")
    assert list(frontier.queue.jobs()[2]) == [0, 3]
    assert frontier.queue.pending == 0


def tree(job: Job) -> list[str]:
    """The children of a page in a tree of 40 pages, on all hosts."""
    name = job.url.rpartition("/")[2]
    if name == "robots.txt":
        return []
    children = range(int(name) * 3 + 1, min(40, int(name) * 3 + 4))
    return [f"{ORIGINS[child % 3]}/{child}" for child in children]


def follow(frontier: Frontier, job: Job, seen: list[str]) -> None:
    if job.url.endswith("robots.txt"):
        frontier.obey(job.url.removesuffix("/robots.txt"), "")
    seen.append(job.url)
    frontier.done(job, tree(job))


LIMITS: tuple[dict[str, float], ...] = ({}, {"per_host": 1}, {"host_delay_s": 0.001})


@pytest.mark.parametrize("limits", LIMITS)
async def test_coroutines_that_wait_are_woken(limits: dict[str, float]) -> None:
    frontier = Frontier(HOME, HOSTS, task(**limits))
    seen: list[str] = []

    async def work() -> None:
        async for job in frontier:
            await asyncio.sleep(0)
            follow(frontier, job, seen)

    await asyncio.gather(*(work() for _ in range(10)))
    assert len(seen) == len(set(seen)) == 43


@pytest.mark.parametrize("limits", LIMITS)
def test_threads_that_wait_are_woken(limits: dict[str, float]) -> None:
    frontier = Frontier(HOME, HOSTS, task(**limits))
    seen: list[str] = []

    def work() -> None:
        for job in frontier:
            follow(frontier, job, seen)

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == len(set(seen)) == 43


@pytest.mark.parametrize("url", ["http://127.0.0.1:80", "http://127.0.0.1:809", "", "x", "http://"])
def test_a_url_without_a_path_is_of_no_host(url: str) -> None:
    queue = Queue(ORIGINS, task())
    assert not queue.add(url, 0, 0)
    assert queue.next(0) is None
