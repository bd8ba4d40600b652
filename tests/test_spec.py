"""What the bench asks of a crawler's process, and the jobs that come of it."""

import io
import json
from array import array
from dataclasses import replace
from time import monotonic_ns

import pytest

import crawlers.spec
from crawlers.contract import DUE_AFTER_S, LIMIT_COLUMNS, Job, Recorder
from crawlers.runtime import Runtime
from crawlers.spec import Outcome, Spec, write_outcome
from crawlers.work import WorkLog
from server.packed_columns import HUGE
from tests.factories import q, usage

RUNTIME = Runtime.of_this_process()
PLAIN = Spec("x", 1, 1.0, "http://h:1/", True, "run", array("I", [0, 1500, 0]))
FULL = replace(
    PLAIN,
    due_after_ns=array("q", [0, 5, 2**40]),
    sizes_bytes=array("I", [1, 0, 70_000]),
    body_bytes=array("I", [2, 0, 1]),
    duration_s=1.5,
)


def jobs_of(spec: Spec) -> list[Job]:
    return list(spec.jobs(WorkLog()))


@pytest.mark.parametrize("spec", [PLAIN, FULL])
def test_a_spec_arrives_as_it_was_sent(spec: Spec) -> None:
    stream = io.BytesIO()
    spec.send(stream)
    stream.write(b"more")
    stream.seek(0)
    assert Spec.receive(stream) == spec
    assert stream.read() == b"more"


def test_a_plain_spec_gives_gets_that_may_start_at_once() -> None:
    assert jobs_of(PLAIN) == [
        Job(0, "http://h:1/add?name=run&seq=0&delay=0"),
        Job(1, "http://h:1/add?name=run&seq=1&delay=1.5"),
        Job(2, "http://h:1/add?name=run&seq=2&delay=0"),
    ]


def test_sizes_are_asked_for_in_the_url() -> None:
    assert [job.url.partition("delay=")[2] for job in jobs_of(FULL)] == [
        "0",
        "1.5&size=0",
        "0&size=70000",
    ]


def test_the_first_job_is_due_after_the_first_next_however_late_it_comes() -> None:
    jobs = FULL.jobs(WorkLog())
    before_ns = monotonic_ns()
    first = next(jobs)
    after_ns = monotonic_ns()
    assert before_ns <= first.due_ns - DUE_AFTER_S * 1e9 <= after_ns
    assert [job.due_ns - first.due_ns for job in jobs] == [5, 2**40]


@pytest.mark.parametrize("size_bytes", [0, 1, 2, 3, 4096])
def test_a_body_is_json_of_exactly_that_many_bytes(size_bytes: int) -> None:
    sizes = array("I", [size_bytes] * 3)
    for job in jobs_of(replace(PLAIN, body_bytes=sizes, is_planned=False)):
        assert job.method == "POST"
        assert job.body is not None
        assert len(job.body) == size_bytes
        assert not size_bytes or json.loads(job.body) in ({}, 1)


def test_the_jobs_of_a_closed_loop_end_when_the_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def jobs_at(spec: Spec, *times_s: float) -> int:
        clock = (int(time_s * 1e9) for time_s in times_s)
        monkeypatch.setattr(crawlers.spec, "monotonic_ns", lambda: next(clock))
        return len(jobs_of(spec))

    timed = replace(PLAIN, duration_s=1.5)
    assert jobs_at(timed, 7.0, 7.0, 8.4, 8.5) == 2
    assert jobs_at(timed, 7.0, 7.0, 7.1, 7.2) == 3
    assert jobs_at(FULL, 7.0) == 3  # jobs of an open loop are due, however late they are


@pytest.mark.parametrize("name", ["due_after_ns", "sizes_bytes", "body_bytes"])
def test_columns_of_another_length_are_an_error(name: str) -> None:
    short = getattr(FULL, name)[:1]
    with pytest.raises(ValueError, match="zip"):
        jobs_of(replace(PLAIN, **{name: short}))


def test_urls_are_fetched_as_they_are() -> None:
    own = replace(PLAIN, is_planned=False, urls=["http://h:1/a", "http://h:1/b?", "http://h:1/c"])
    assert [job.url for job in jobs_of(own)] == own.urls
    assert [job.url for job in jobs_of(replace(own, urls=[]))] == [PLAIN.base_url] * 3


class Limits(Recorder):
    """A record of limits that the real one may not take."""

    def __init__(self, at_ns: "array[int]", most: "array[int]") -> None:
        super().__init__()
        self._made = dict(zip(LIMIT_COLUMNS, (at_ns, most), strict=True))

    def limits(self) -> "dict[str, array[int]]":
        return self._made


def written_and_read(recorder: Recorder, most_rows: int = 3) -> Outcome:
    stream = io.BytesIO()
    write_outcome(stream, usage(), {"python": "3"}, recorder, WorkLog(), RUNTIME)
    stream.seek(0)
    return Outcome.read(stream, most_rows)


@pytest.mark.parametrize(
    ("at_ns", "most"), [(q(), q()), (q(0, 5, 5), q(1, HUGE - 1, 2)), (q(HUGE - 1), q(7))]
)
def test_limits_arrive_as_they_were_recorded(at_ns: "array[int]", most: "array[int]") -> None:
    recorder = Recorder()
    recorder(0, 10, 20, 200, 1)
    for change in zip(at_ns, most, strict=True):
        recorder.limit(*change)
    read = written_and_read(recorder)
    assert read.limits == {"at_ns": at_ns, "most": most}
    assert read.fetches == recorder.columns()


@pytest.mark.parametrize(
    ("at_ns", "most", "said"),
    [
        (q(-1), q(1), "column at_ns is out of range"),
        (q(HUGE), q(1), "column at_ns is out of range"),
        (q(5), q(0), "column most is out of range"),
        (q(5), q(HUGE), "column most is out of range"),
        (q(5, 6), q(1), "its columns differ in length"),
        (q(6, 5), q(1, 2), "its limits are not in the order of time"),
        (q(1, 2, 3, 4), q(1, 2, 1, 2), "longer than 3 items"),
    ],
)
def test_limits_that_no_crawl_can_have_are_refused(
    at_ns: "array[int]", most: "array[int]", said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        written_and_read(Limits(at_ns, most))
