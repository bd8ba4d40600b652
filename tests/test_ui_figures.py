"""The process that draws: questions in turn, and another process if it dies or nobody listens."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from bench.ui.experiment import BusyError
from bench.ui.figures import FigureError, Figures
from bench.ui.playground import Playground, parse_knobs
from bench.ui.verbs import VerbError, Verbs
from tests.raw_client import until
from tests.ui_client import fake, on_one_loop


@pytest.fixture
async def figures() -> AsyncIterator[Figures]:
    figures = Figures(fake("fake_figures"))
    yield figures
    await figures.close()


async def answers(figures: Figures, folder: str) -> list[dict[str, Any]]:
    return [
        {name: msgspec.json.decode(value) for name, value in answer.items()}
        async for answer in figures.ask("figures", folder=folder)
    ]


async def pid_of(figures: Figures) -> int:
    """The process that answers; its second figure has that name."""
    return int((await answers(figures, "/good"))[1]["figure"]["name"])


@on_one_loop
async def test_one_process_of_lowest_priority_answers_all_questions(figures: Figures) -> None:
    (first, second) = await answers(figures, "/good")
    assert first["figure"]["question"]["folder"] == "/good"
    assert list(first) == list(second) == ["figure"]
    pid = await pid_of(figures)
    assert pid == second["figure"]["name"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == 19
    assert await answers(figures, "/wrong") == [{"error": "these results cannot be drawn"}]
    assert Path(__file__).with_name("fake_figures.py") == (await figures.files())["bokeh.js"]
    assert await pid_of(figures) == pid


@on_one_loop
async def test_a_process_that_dies_is_reported_and_replaced(figures: Figures) -> None:
    before = await pid_of(figures)
    for folder, message in (("/dies", r"ended \(SIGKILL\): ask again"), ("/nonsense", "nonsense")):
        with pytest.raises(FigureError, match=message):
            await answers(figures, folder)
    assert await pid_of(figures) != before


@on_one_loop
async def test_the_rest_of_an_answer_that_nobody_wants_is_read(figures: Figures) -> None:
    pid = await pid_of(figures)
    async with aclosing(figures.ask("figures", folder="/good")) as some:
        await anext(some)
    assert await pid_of(figures) == pid


@on_one_loop
async def test_a_process_that_has_grown_too_large_is_replaced(
    figures: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.ui.figures._MOST_RESIDENT_BYTES", 1)
    assert await pid_of(figures) != await pid_of(figures)


@on_one_loop
async def test_the_process_ends_with_the_server() -> None:
    figures = Figures(fake("fake_figures"))
    pid = await pid_of(figures)
    await figures.close()
    assert not psutil.pid_exists(pid)


@pytest.mark.thorough  # tests/test_browser.py does so, too
@on_one_loop
async def test_the_playground_makes_a_crawl_and_keeps_nothing(
    figures: Figures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    playground = Playground(Verbs(), figures)
    knobs = b'{"crawler": "asyncio", "delay_ms": 10, "capacity": 2, "duration_s": 0.2}'
    answer = await playground.crawl(parse_knobs(knobs))
    assert answer["command"].endswith(
        "crawl asyncio --concurrency 10 --delay 10 --warm-up 0.005 --duration 0.205 --seed 1 "
        "--capacity 2"
    )
    assert answer["failure"] == ""
    # Two are served at a time, for 10 ms each.
    assert 0 < answer["requests_per_s"] <= answer["ideal_per_s"] == pytest.approx(200)
    assert answer["p50_ms"] > 20
    assert 2 < answer["in_flight"] <= 10
    question = msgspec.json.decode(answer["figure"])["question"]
    assert question["do"] == "timeline"
    assert question["folder"].startswith(str(tmp_path))
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    assert not playground.is_running


@on_one_loop
async def test_the_newest_crawl_of_the_playground_wins(figures: Figures) -> None:
    playground = Playground(Verbs(fake("fake_bench", "goes on")), figures)
    knobs, children = parse_knobs(b'{"crawler": "asyncio"}'), psutil.Process().children
    before = set(children())
    first = asyncio.create_task(playground.crawl(knobs))
    await until(lambda: set(children()) - before)
    process = (set(children()) - before).pop()
    second = asyncio.create_task(playground.crawl(knobs))
    with pytest.raises(BusyError, match="a newer crawl"):
        await first
    assert not process.is_running()
    assert playground.is_running
    second.cancel()  # its browser has gone
    await until(lambda: not playground.is_running)


@on_one_loop
async def test_a_crawl_of_the_playground_that_fails_says_why(figures: Figures) -> None:
    playground = Playground(Verbs(fake("fake_bench", "mistake")), figures)
    with pytest.raises(VerbError, match="no such thing"):
        await playground.crawl(parse_knobs(b'{"crawler": "asyncio"}'))
    assert not playground.is_running
