"""`crawlbench ui` as a browser shows it: Chromium, driven by Playwright.

Nothing waits for a time: each step waits for what the page shows.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.hostile_results import make_results

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Locator, Page, WebSocketRoute

    Open = Callable[[str], Page]

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("bokeh", reason="bokeh is not installed")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on PATH")

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDTH = 400
_WAIT_MS = 30_000  # only against a hang

expect = sync_api.expect
expect.set_options(timeout=_WAIT_MS)


class Ui:
    """A running `crawlbench ui`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "bench", "ui", str(folder), "--no-browser"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        self.base = self.url.partition("/?")[0]

    def bench(self) -> psutil.Process:
        """Return the process that measures."""
        for child in psutil.Process(self.process.pid).children():
            with suppress(psutil.Error):
                if "--progress" in child.cmdline():
                    return child
        raise AssertionError("nothing is measured")

    def close(self) -> None:
        self.process.terminate()
        assert self.process.wait(_WAIT_MS / 1000) == 0
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def ui(tmp_path: Path) -> Iterator[Ui]:
    ui = Ui(tmp_path / "results")
    yield ui
    ui.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, ui: Ui) -> Iterator[BrowserContext]:
    """A browser that has been let in, and in whose pages nothing may go wrong."""
    with browser.new_context(viewport={"width": WIDTH, "height": 800}) as context:
        context.set_default_timeout(_WAIT_MS)
        complaints: list[str] = []
        context.on("weberror", lambda error: complaints.append(str(error.error)))
        context.on(  # violations of the Content-Security-Policy are errors of the console
            "console",
            lambda one: complaints.append(one.text) if one.type in ("error", "warning") else None,
        )
        context.new_page().goto(ui.url)
        yield context
        assert complaints == []


@pytest.fixture
def open_page(context: BrowserContext, ui: Ui) -> Open:
    def open_page(path: str) -> Page:
        page = context.new_page()
        page.goto(ui.base + path)
        return page

    return open_page


def test_an_experiment_is_started_watched_stopped_and_resumed(ui: Ui, open_page: Open) -> None:
    page = open_page("/")
    page.get_by_role("link", name="Start a quick experiment").click()
    expect(page.locator("#crawler-count")).not_to_have_text("")
    page.get_by_role("button", name="None", exact=True).click()
    page.get_by_role("checkbox", name="asyncio", exact=True).check()
    for name, text in ENDLESS.items():
        page.locator(f"[name={name}]").fill(text)
    fits(page, "#about:has-text('runs, about')")
    page.get_by_role("button", name="Start").click()

    expect(page).to_have_url(f"{ui.base}/running")
    expect(page.locator("#connection")).to_have_text("Live")
    expect(curve(page)).to_have_attribute("d", re.compile("M.*L"))
    expect(finished(page)).not_to_have_count(0)
    drawn(page)
    stop(page)

    again = open_page("/running")  # has what the other page has seen
    expect(again.locator("#line")).to_have_text(page.locator("#line").inner_text())
    assert table(again) == table(page)
    assert curve(again).get_attribute("d") == curve(page).get_attribute("d")
    again.close()

    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#in-all")).to_contain_text("With those made before")
    expect(finished(page)).not_to_have_count(0)
    ui.bench().kill()
    expect(page.locator("#ending-text")).to_have_text(
        "The experiment was killed. The process that measures died of SIGKILL. "
        "Its finished runs are kept."
    )
    expect(page.locator("#line")).to_have_text(re.compile(r"^\d+ of \d+ runs were made"))
    expect(page.get_by_role("button", name="Resume")).to_be_visible()
    page.get_by_role("link", name="Open the result").click()
    expect(page.locator("#unfinished")).to_contain_text("Resume makes the others.")


def test_results_are_compared_downloaded_and_deleted(ui: Ui, open_page: Open) -> None:
    first, second = "first", "second"
    for name in (first, second):
        make_results(ui.folder / name)
    page = open_page("/")
    expect(page.locator("#rows tr")).to_have_count(2)
    fits(page, "#rows")
    page.get_by_role("searchbox").fill("threads")
    expect(page.locator("#none")).to_be_visible()
    page.get_by_role("searchbox").fill(f"ASYNCIO {second}")
    expect(page.locator("#rows tr:visible")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    for name in (second, first):
        page.get_by_role("checkbox", name=f"{name},").check()
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page).to_have_url(f"{ui.base}/compare?a={first}&b={second}")
    expect(page.locator("#text")).to_contain_text("asyncio, C=2")
    drawn(page)

    page.goto(f"{ui.base}/results/{second}")
    expect(page.locator("#tables-text")).to_contain_text("asyncio")
    expect(page.locator("#command")).to_contain_text("run --crawlers asyncio")
    with page.expect_download() as download:
        page.get_by_role("link", name="Runs as CSV").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 1 + 2
    assert lines[0].startswith("number,")
    drawn(page)

    page.get_by_role("button", name="Delete").click()
    page.keyboard.press("Escape")  # means no
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator("#rows tr")).to_have_count(1)
    assert [one.name for one in ui.folder.iterdir() if one.is_dir()] == [first]


@pytest.mark.thorough
def test_the_form_is_filled_with_keys_only(ui: Ui, open_page: Open) -> None:
    page = open_page("/new")
    fill_form_by_keyboard(page)
    expect(page).to_have_url(f"{ui.base}/running")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()


@pytest.mark.thorough
def test_pages_that_were_closed_or_slept_see_the_same(ui: Ui, open_page: Open) -> None:
    page = open_page("/")
    form = {"crawlers": ["asyncio"], **ENDLESS}
    page.request.post(f"{ui.base}/api/experiments", data=form, headers={"Origin": ui.base})
    page.goto(f"{ui.base}/running")
    asleep = open_page("/running")
    expect(finished(asleep)).not_to_have_count(0)
    protocol = asleep.context.new_cdp_session(asleep)
    protocol.send("Page.setWebLifecycleState", {"state": "frozen"})

    # A second experiment is refused while this one runs.
    other = open_page("/new")
    expect(other.locator("#going")).to_contain_text("Measuring now")
    expect(other.get_by_role("button", name="Start")).to_be_disabled()
    other.close()

    page.close()  # nobody looks
    page = open_page("/running")
    expect(finished(page)).not_to_have_count(0)
    stop(page)

    # A page that slept catches up, and sees what the other sees.
    protocol.send("Page.setWebLifecycleState", {"state": "active"})
    expect(asleep.locator("#ending")).to_contain_text("was stopped. Its finished runs are kept.")
    assert table(asleep) == table(page)


@pytest.mark.thorough
def test_the_report_page_and_the_playground_work(ui: Ui, open_page: Open) -> None:
    folder = make_results(ui.folder / "one").parent
    subprocess.run([sys.executable, "-P", "-m", "bench", "plots", folder], check=True)
    page = open_page("/results/one")
    with page.expect_popup() as popup:
        page.get_by_role("link", name="Report page").click()
    expect(popup.value.locator("h1")).to_contain_text("crawlbench")

    page.goto(f"{ui.base}/playground")
    drawn(page)
    expect(page.locator("#command")).to_contain_text("crawl asyncio")
    assert "50 % wait in the queue" in explained(page, in_flight=20)
    assert explained(page, in_flight=10) == (
        "Hardly anything but the delay limits it: 90 of at most 100 requests per second, "
        "since requests that end after the time is over do not count."
    )
    assert explained(page, in_flight=10, requests_per_s=80).startswith("It reaches 80 %")
    assert explained(page, in_flight=0, requests_per_s=0).startswith("No request was done")


@pytest.mark.thorough
def test_a_lost_connection_is_shown_and_made_again(ui: Ui, open_page: Open) -> None:
    page = open_page("/new")
    connections: list[WebSocketRoute] = []
    may_connect = True

    def route(connection: WebSocketRoute) -> None:
        if may_connect:
            connections.append(connection)
            connection.connect_to_server()
        else:
            connection.close()

    page.route_web_socket("**/api/live", route)
    page.goto(f"{ui.base}/running")
    expect(page.locator("#idle, #ending").locator("visible=true")).to_have_count(1)
    may_connect = False
    connections[0].close()
    expect(page.locator("#connection")).to_contain_text("No connection")
    may_connect = True
    expect(page.locator("#connection")).to_have_text("")
    assert len(connections) == 2


ENDLESS = {"concurrency": "1,5", "delay": "10", "trials": "99", "requests": "20"}
"""The fields of an experiment of short runs that no test waits for the end of."""


def stop(page: Page) -> None:
    """Stop the experiment, and wait for its end."""
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#ending")).to_contain_text("was stopped. Its finished runs are kept.")


def curve(page: Page) -> Locator:
    """The curve of the last minute's throughput."""
    return page.locator("#tiles .line").first


def explained(page: Page, in_flight: float, requests_per_s: float = 90) -> str:
    """What the playground says of a crawl with these numbers at concurrency 20, capacity 10."""
    asked = {
        "crawler": "asyncio",
        "concurrency": 20,
        "capacity": 10,
        "delay_ms": 100,
        "tail": "none",
    }
    answer = {"requests_per_s": requests_per_s, "p50_ms": 110, "in_flight": in_flight}
    answer |= {"ideal_per_s": 100, "limit_per_s": 100}
    script = "async both => (await import('/static/playground.js')).explain(...both, null)"
    return str(page.evaluate(script, [asked, answer]))


def drawn(page: Page) -> None:
    """Assert that a page draws its first figure, which it does when it is near what is seen."""
    page.locator("#figures-list .cb-plot").first.scroll_into_view_if_needed()
    fits(page, "#figures-list canvas")


def fits(page: Page, selector: str) -> None:
    """Assert that a page, once it shows this, need not be scrolled sideways."""
    expect(page.locator(selector).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == WIDTH


def fill_form_by_keyboard(page: Page) -> None:
    """Fill the form and start it, with keys only."""
    expect(page.locator("#crawler-count")).not_to_have_text("")
    page.get_by_role("button", name="None", exact=True).press("Enter")
    expect(page.locator("#about")).to_have_text("Choose at least one crawler.")
    for name in ("asyncio", "threads"):
        page.get_by_role("checkbox", name=name, exact=True).press("Space")
    fields = {"concurrency": "1,5", "delay": "x", "trials": "9", "waves": ""}
    page.locator("[name=concurrency]").focus()
    for name, text in fields.items():
        expect(page.locator(f"[name={name}]")).to_be_focused()
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    page.keyboard.type("20")
    expect(page.locator("[name=requests]")).to_have_value("20")
    expect(page.locator(".field", has=page.locator("[name=delay]"))).to_contain_text(
        "'x' is not a delay"
    )
    expect(page.get_by_role("button", name="Start")).to_be_disabled()
    page.locator("[name=delay]").press("ControlOrMeta+a")
    page.keyboard.type("10")
    expect(page.locator("#command")).to_contain_text(
        "run --crawlers asyncio,threads --concurrency 1,5 --delay 10 --trials 9 --requests 20"
    )
    expect(page.locator("#about")).to_have_text(re.compile("runs, about"))
    expect(page.get_by_role("button", name="Start")).to_be_enabled()
    page.keyboard.press("Enter")


def finished(page: Page) -> Locator:
    """The trials in the table of finished cells."""
    return page.locator("#cells .trials")


def table(page: Page) -> list[str]:
    return page.locator("#cells tbody tr").all_inner_texts()
