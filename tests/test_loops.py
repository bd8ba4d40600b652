"""The event loop that is asked for is the one that crawlers run on."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.parser import parse
from bench.cli.runtime_options import with_runtimes
from bench.plan.entrants import Entrant, parse_entrant
from crawlers import loops
from crawlers.asyncio_dispatch import new_event_loop
from crawlers.asyncio_threads import split
from crawlers.loops import UnknownLoopError, check_loop, choose, installed_loops
from crawlers.registry import ANY, REGISTRY, CrawlerNotInstalledError, find, group


@pytest.fixture(autouse=True)
def none_is_chosen_after_a_test() -> Iterator[None]:
    yield
    choose("")


def made(*, is_open_loop: bool, own: str = "") -> str:
    from importlib import import_module

    loop = new_event_loop(is_open_loop, import_module(own).new_event_loop if own else None)
    loop.close()
    return type(loop).__module__.partition(".")[0]


@pytest.mark.parametrize("name", installed_loops())
@pytest.mark.parametrize("is_open_loop", [False, True])
def test_a_crawler_runs_on_the_loop_that_was_chosen(name: str, is_open_loop: bool) -> None:
    choose(name)
    assert made(is_open_loop=is_open_loop) == name
    assert made(is_open_loop=is_open_loop, own="uvloop") == name


def test_a_crawler_has_a_loop_of_its_own_if_none_was_chosen() -> None:
    assert made(is_open_loop=False) == "asyncio"
    assert made(is_open_loop=True, own="uvloop") == "uvloop"


def test_what_cannot_be_chosen_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownLoopError, match="'uvlop'; did you mean 'uvloop'"):
        check_loop([find("asyncio")], "uvlop")
    three = [find(name) for name in ("gevent", "asyncio", "serial")]
    with pytest.raises(
        UnknownLoopError, match=r"^gevent, serial cannot run on uvloop; .* asyncio,"
    ):
        check_loop(three, "uvloop")
    with pytest.raises(UnknownLoopError, match="serial cannot"):
        asked(Entrant("asyncio", "asyncio"), Entrant("serial", "serial"), loop="uvloop")
    monkeypatch.setattr(loops, "find_spec", lambda _: None)
    with pytest.raises(CrawlerNotInstalledError, match=r"pip install .*rloop"):
        choose("rloop")


def asked(*entrants: Entrant, loop: str) -> tuple[Entrant, ...]:
    crawlers = ",".join(one.crawler for one in entrants)
    _, arguments = parse(["run", "--loop", loop, "--crawlers", crawlers])
    return with_runtimes(entrants, arguments)


def test_those_of_a_group_that_cannot_run_on_a_loop_are_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    members = [Entrant(info.name, info.name) for info in group("chapter")]
    for words in ([], ["--crawlers", "chapter,asyncio"]):
        _, arguments = parse(["run", "--loop", "uvloop", *words])
        found = with_runtimes(members, arguments)
        assert {one.crawler for one in found} == {
            info.name for info in group("chapter") if info.takes_loop
        }
        left_out = capsys.readouterr().err.partition("cannot be chosen: ")[2].strip().split(", ")
        assert {*left_out, *(one.crawler for one in found)} == {one.crawler for one in members}
    _, arguments = parse(["run", "--loop", "uvloop", "--crawlers", "chapter,serial"])
    with pytest.raises(UnknownLoopError, match=r"^serial cannot run on uvloop"):
        with_runtimes(members, arguments)


def test_each_crawler_is_measured_on_each_loop() -> None:
    found = asked(Entrant("asyncio", "asyncio"), Entrant("p", "protocol"), loop="asyncio,uvloop")
    assert [(one.label, one.loop) for one in found] == [
        ("asyncio+asyncio", "asyncio"),
        ("asyncio+uvloop", "uvloop"),
        ("p+asyncio", "asyncio"),
        ("p+uvloop", "uvloop"),
    ]
    assert parse_entrant(str(found[1])) == found[1]


@given(st.integers(1, 10_000), st.integers(1, 128))
def test_event_loops_in_threads_share_the_slots(concurrency: int, threads: int) -> None:
    slots = split(concurrency, threads)
    assert sum(slots) == concurrency
    assert len(slots) <= threads
    assert 1 <= min(slots) <= max(slots) <= min(slots) + 1


def test_only_threads_use_more_cores_without_a_gil() -> None:
    more = {
        info.name for info in REGISTRY if info.cores_on(has_gil=False) > info.cores_on(has_gil=True)
    }
    assert more == {"threads", "threads-map", "asyncio-threads"}
    assert all(find(name).cores_on(has_gil=False) == ANY for name in more)
