"""The experiment that pages see: begun, watched, stopped, resumed, and whatever may befall it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from shutil import rmtree
from typing import Any

import pytest

from bench.ui.lines import Lines
from bench.ui.live import MOST_WAITING, Watcher, Watchers
from tests.fake_bench import LONG_LINE
from tests.hostile_results import make_results, sql
from tests.ui_client import Browser, make_ui, on_one_loop

NAME = "2026-01-02T03-04-05Z"
"""The folder that the bench in these tests says it has made."""
FORM = {"crawlers": ["asyncio"]}

Open = Callable[[str], Browser]


@pytest.fixture
async def open_browser(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens a browser on a server whose bench does what it is told here."""
    browsers: list[Browser] = []

    def opened(what: str) -> Browser:
        make_results(tmp_path / NAME, sql("DELETE FROM run WHERE number = 2"))
        browsers.append(Browser(make_ui(tmp_path, what)))
        return browsers[-1]

    yield opened
    for browser in browsers:
        await browser.close()
        browser.ui.parts.experiment.kill()
        await browser.ui.close()


@on_one_loop
async def test_an_experiment_is_watched_to_its_end(open_browser: Open) -> None:
    browser = open_browser("done")
    page = await browser.watch()
    assert (await page.message())["state"]["state"] == "nothing"
    status, answer = await browser.post("/api/experiments", **FORM)
    assert (status, answer["state"]["state"]) == (202, "running")
    assert (await page.event("begun"))["crawlers"] == ["asyncio"]
    assert (await page.event("run_done"))["number"] == 1
    assert (await page.event("tick"))["runs_done"] == 1
    drawing = await page.until("drawing")
    assert (drawing["ending"], drawing["is_measuring"]) == ("done", False)
    ended = await page.until("ended")
    assert (ended["ending"], ended["folder"], ended["problem"]) == ("done", NAME, "")
    assert [one["number"] for one in ended["runs"]] == [1, 2]
    assert ended["messages"] == ["10 runs, about 1 s"]
    # What the server can do at most is not drawn next to what crawlers reach.
    assert [bool(moment["live"]) for moment in ended["last_minute"]] == [False, False, True]
    # The command runs into the folder of the list, and says what happens as JSON.
    words = ended["begun"]["command"]
    assert words == (
        f"run --crawlers asyncio --out {browser.ui.parts.listing.folder} --progress json"
    )


@on_one_loop
async def test_a_second_experiment_is_refused_and_the_first_is_named(open_browser: Open) -> None:
    browser = open_browser("goes on")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    for path, fields in (
        ("/api/experiments", FORM),
        ("/api/playground", {"crawler": "asyncio"}),
        ("/api/resume", {"name": NAME}),
    ):
        status, answer = await browser.post(path, **fields)
        assert status == 409
        assert "run --crawlers asyncio" in answer["error"]
    assert (await browser.get("/api/results"))["is_measuring"]
    await page.event("begun")
    deleted = await browser.ask(f"/api/results/{NAME}", "DELETE")
    assert deleted.code == 409


@on_one_loop
async def test_a_stopped_experiment_keeps_its_runs_and_is_resumed(open_browser: Open) -> None:
    browser = open_browser("goes on")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    await page.event("tick")
    _, answer = await browser.post("/api/stop")
    assert answer["state"]["is_stopping"]
    ended = await page.until("ended")
    assert (ended["ending"], ended["problem"], ended["can_resume"]) == ("interrupted", "", True)
    status, answer = await browser.post("/api/resume", name=NAME)
    assert status == 202
    folder = browser.ui.parts.listing.folder / NAME
    assert answer["state"]["command"].endswith(f"run --resume {folder}")
    assert (answer["state"]["folder"], runs_of(answer["state"])) == (NAME, (1, 1, 2))
    # They are safe from the first moment on, before the bench has locked them.
    refused = await browser.ask(f"/api/results/{NAME}", "DELETE")
    assert (refused.code, folder.is_dir()) == (409, True)
    await page.event("run_done")  # the bench of these tests says so, and keeps none
    await page.event("tick")
    going = (await browser.get("/api/state"))["state"]
    assert (going["number"], runs_of(going)) == (2, (1, 2, 3))
    await browser.post("/api/stop")
    assert runs_of(await page.until("ended")) == (1, 1, 2)


@on_one_loop
async def test_a_bench_that_dies_before_it_begins_leaves_what_there_was(open_browser: Open) -> None:
    browser = open_browser("dies")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    ended = await page.until("ended")
    assert (ended["ending"], ended["folder"], ended["can_resume"]) == ("killed", "", False)
    assert runs_of(ended) == (0, 0, None)
    await browser.post("/api/resume", name=NAME)
    ended = await page.until("ended")
    assert (ended["ending"], ended["folder"], ended["can_resume"]) == ("killed", NAME, True)
    assert runs_of(ended) == (1, 1, 2)


def runs_of(state: dict[str, Any]) -> tuple[int, int, int | None]:
    """How many there were before, are made now, and are planned."""
    return state["runs_before"], state["runs_done"], state["runs_planned"]


@on_one_loop
async def test_what_cannot_be_resumed_says_why(open_browser: Open, tmp_path: Path) -> None:
    make_results(tmp_path / "complete")
    status, answer = await open_browser("done").post("/api/resume", name="complete")
    assert status == 400
    assert answer["error"] == "complete cannot be resumed: all of its runs have been made"


@on_one_loop
async def test_two_pages_see_the_same_and_a_new_one_sees_it_all(open_browser: Open) -> None:
    browser = open_browser("goes on")
    pages = [await browser.watch(), await browser.watch()]
    await browser.post("/api/experiments", **FORM)
    seen = [[await page.event(name) for name in ("begun", "run_done", "tick")] for page in pages]
    assert seen[0] == seen[1]
    later = (await (await browser.watch()).message())["state"]
    assert [later["begun"], *later["runs"], later["tick"]] == seen[0]
    assert later["last_minute"] == [{"elapsed_s": 1.0, "live": None}]
    assert (await browser.get("/api/state"))["state"] == later
    figures = await browser.ask("/api/live/figures")
    assert figures.body.count(b"\n") == 2


@on_one_loop
async def test_a_bench_that_is_killed_is_reported(open_browser: Open) -> None:
    browser = open_browser("goes on")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    await page.event("tick")
    process = browser.ui.parts.experiment._process  # noqa: SLF001
    assert process is not None
    process.kill()
    ended = await page.until("ended")
    assert (ended["ending"], ended["can_resume"]) == ("killed", True)
    assert ended["problem"] == "the process that measures died of SIGKILL"


@on_one_loop
async def test_a_folder_deleted_under_the_experiment_is_reported(
    open_browser: Open, tmp_path: Path
) -> None:
    browser = open_browser("goes on")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    await page.event("tick")
    rmtree(tmp_path / NAME)
    await browser.post("/api/stop")
    ended = await page.until("ended")
    assert (ended["folder"], ended["can_resume"]) == ("", False)
    assert ended["problem"].startswith(f"there are no results '{NAME}' in ")
    assert (await browser.get("/api/results"))["results"] == []


@on_one_loop
async def test_a_mistake_is_told_in_the_words_of_the_bench(open_browser: Open) -> None:
    browser = open_browser("mistake")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    ended = await page.until("ended")
    assert (ended["ending"], ended["problem"]) == ("failed", "no such thing")


@on_one_loop
async def test_figures_that_cannot_be_drawn_are_reported(open_browser: Open) -> None:
    browser = open_browser("undrawn")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    ended = await page.until("ended")
    assert (ended["ending"], ended["problem"]) == ("done", "the disk is full: not all is drawn")


@on_one_loop
async def test_noise_on_stderr_is_cut_and_printable(open_browser: Open) -> None:
    browser = open_browser("noise")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    ended = await page.until("ended")
    assert ended["ending"] == "done"
    assert ended["messages"] == [
        "10 runs, about 1 s", "x" * 500, '{"event": "none"}', '{"event":', "\ufffd\\x1b[2J"
    ]  # fmt: skip
    assert len(ended["messages"][1]) < LONG_LINE
    assert len(ended["last_minute"]) == 4 * 60


@on_one_loop
async def test_a_bench_that_does_not_stop_is_killed(
    open_browser: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.ui.experiment._KILL_S", 0.0)
    browser = open_browser("stubborn")
    page = await browser.watch()
    await browser.post("/api/experiments", **FORM)
    while (await page.event("message"))["text"] != "deaf":
        pass
    await browser.post("/api/stop")
    ended = await page.until("ended")
    assert (ended["ending"], ended["can_resume"]) == ("killed", True)


@on_one_loop
async def test_the_bench_ends_with_the_server(tmp_path: Path) -> None:
    ui = make_ui(tmp_path)
    browser = Browser(ui)
    page = await browser.watch()
    await ui.parts.experiment.start(["run", "--out", str(tmp_path)], "run")
    process = ui.parts.experiment._process  # noqa: SLF001
    assert process is not None
    await page.event("begun")  # before, Python itself ends it, with another exit code
    await ui.close()
    await browser.close()
    assert process.returncode == 130
    assert ui.parts.experiment.state.ending == "interrupted"


@on_one_loop
async def test_a_page_that_does_not_read_gets_bounded_memory_and_must_connect_again() -> None:
    sent: asyncio.Queue[str] = asyncio.Queue()
    reads = asyncio.Event()

    async def write(text: str) -> None:
        await reads.wait()
        sent.put_nowait(text)

    watchers, watcher = Watchers(), Watcher(write)
    watchers.add(watcher)
    running = asyncio.create_task(watcher.run())
    watchers.tell("a")
    for number in range(10_000):
        watchers.tell(str(number), is_tick=True)
    watchers.tell("b")
    reads.set()
    # Of successive ticks, only the last.
    assert [await sent.get() for _ in range(3)] == ["a", "9999", "b"]
    reads.clear()
    for number in range(MOST_WAITING + 2):
        watchers.tell(str(number))
    reads.set()
    await running
    assert watcher.is_lost
    assert sent.qsize() <= MOST_WAITING


@on_one_loop
async def test_many_pages_can_watch(open_browser: Open) -> None:
    browser = open_browser("done")
    pages = [await browser.watch() for _ in range(40)]
    browser.ui.parts.watchers.tell('{"event": "last"}')
    assert [(await page.event("last"))["event"] for page in pages] == ["last"] * 40


@on_one_loop
async def test_a_socket_that_is_not_read_is_not_written_ahead(open_browser: Open) -> None:
    browser = open_browser("done")
    await browser.watch()
    watchers, text = browser.ui.parts.watchers, "x" * 1_000_000
    for _ in range(50):
        watchers.tell(text)
    await browser.get("/api/state")
    (watcher,) = watchers._watchers  # noqa: SLF001
    # The others are in the buffers of the sockets, which hold some megabytes.
    assert len(watcher._waiting) > 20  # noqa: SLF001


def test_lines_are_put_together_and_cut() -> None:
    lines = Lines(5)
    assert lines.feed(b"one\ntw") == [b"one"]
    assert lines.feed(b"o\n\nabcdefgh") == [b"two", b""]
    assert lines.feed(b"ijk\nx") == [b"abcde"]
    assert lines.rest() == [b"x"]
