"""The open loop's dispatcher, by a clock and sleeps of its own."""

import asyncio
from collections.abc import Iterator

import pytest

import crawlers.dispatch
from crawlers.contract import Job
from crawlers.dispatch import dispatch, look_ahead, when_due


class Clock:
    """Time that passes only in sleeps, each of which ends early at first."""

    def __init__(self) -> None:
        self.now_ns = 100
        self.sleeps = 0

    def __call__(self) -> int:
        return self.now_ns

    def sleep(self, left_s: float) -> None:
        self.sleeps += 1
        left_ns = round(left_s * 1e9)
        self.now_ns += left_ns // 2 if left_ns > 8 else left_ns

    async def sleep_async(self, left_s: float) -> None:
        self.sleep(left_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(crawlers.dispatch, "monotonic_ns", clock)
    return clock


def due_at(*dues_ns: int) -> Iterator[Job]:
    return (Job(seq, "http://h/", due_ns) for seq, due_ns in enumerate(dues_ns))


@pytest.mark.parametrize(
    ("dues_ns", "is_open_loop"), [((), False), ((0, 0), False), ((9, 8), True)]
)
def test_the_first_job_shows_whether_the_loop_is_open(
    dues_ns: tuple[int, ...], is_open_loop: bool
) -> None:
    jobs, found = look_ahead(due_at(*dues_ns))
    assert found is is_open_loop
    assert list(jobs) == list(due_at(*dues_ns))


def test_looking_ahead_takes_one_job() -> None:
    source = due_at(1, 2, 3)
    look_ahead(source)
    assert [job.seq for job in source] == [1, 2]


def test_a_job_is_yielded_when_it_is_due_though_a_timer_fires_early(clock: Clock) -> None:
    seen = [(job.seq, clock.now_ns) for job in when_due(due_at(1000, 500, 1001), clock.sleep)]
    assert seen == [(0, 1000), (1, 1000), (2, 1001)]


def test_without_due_times_nothing_sleeps(clock: Clock) -> None:
    assert [job.seq for job in when_due(due_at(0, 0), clock.sleep)] == [0, 1]
    assert clock.sleeps == 0


async def test_a_slot_is_taken_and_then_the_job_and_the_last_slot_is_used_first(
    clock: Clock,
) -> None:
    free, log = asyncio.LifoQueue[int](), []
    for slot in range(3):
        free.put_nowait(slot)

    def jobs() -> Iterator[Job]:
        for job in due_at(1000, 1000, 2000, 1500):
            log.append(f"take {job.seq} of {free.qsize()} free")
            yield job

    def start(slot: int, job: Job) -> None:
        log.append(f"start {job.seq} on {slot} at {clock.now_ns}")
        if job.seq:  # the first never ends before the others
            free.put_nowait(slot)
        if job.seq == 3:
            free.put_nowait(2)

    await dispatch(jobs(), 3, free.get, clock.sleep_async, start)
    assert log == [
        "take 0 of 2 free",
        "start 0 on 2 at 1000",
        "take 1 of 1 free",
        "start 1 on 1 at 1000",
        "take 2 of 1 free",
        "start 2 on 1 at 2000",
        "take 3 of 1 free",
        "start 3 on 1 at 2000",
    ]


async def test_it_returns_when_all_jobs_are_done(clock: Clock) -> None:
    free = asyncio.LifoQueue[int]()
    free.put_nowait(0)
    free.put_nowait(1)
    work = asyncio.create_task(
        dispatch(due_at(200), 2, free.get, clock.sleep_async, lambda slot, job: None)
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert clock.now_ns == 200
    assert not work.done()
    free.put_nowait(1)
    await work
