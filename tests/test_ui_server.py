"""The pages and the API, over real sockets, and all that they refuse."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from html import escape
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest
from tornado.httpclient import HTTPClientError

from bench.results.folder import exclusive_lock
from bench.results.store import FILE_NAME
from bench.ui.access import POLICY
from bench.ui.serving import Ui
from bench.ui.verbs import AT_A_TIME, Verbs
from tests.hostile_results import EVIL, created, make_results, sql
from tests.raw_client import until
from tests.ui_client import Browser, make_ui, on_one_loop

NAME = "2026-01-01T00-00-00Z"
PAGES = ("/", f"/results/{NAME}", "/compare", "/new", "/running", "/playground")
READ = ("/api/results", f"/api/results/{NAME}", "/api/choices", "/api/state", "/static/style.css")
CHANGED = ("/api/command", "/api/experiments", "/api/stop", "/api/resume", "/api/playground")


@pytest.fixture
async def ui(tmp_path: Path) -> AsyncIterator[Ui]:
    make_results(tmp_path / NAME)
    ui = make_ui(tmp_path)
    yield ui
    await ui.close()


@pytest.fixture
async def browser(ui: Ui) -> AsyncIterator[Browser]:
    browser = Browser(ui)
    yield browser
    await browser.close()


@on_one_loop
async def test_the_first_visit_gets_a_cookie_and_the_plain_address(browser: Browser) -> None:
    access = browser.ui.parts.access
    assert browser.ui.url == f"{browser.address}/?token={access.token}"
    path = f"/compare?a=1&token={access.token}&b=2"
    first = await browser.ask(path, without=["Cookie", "Origin", "Sec-Fetch-Site"])
    assert (first.code, first.headers["Location"]) == (302, "/compare?a=1&b=2")
    cookie = first.headers["Set-Cookie"]
    assert cookie == f"{access.cookie}={access.token}; HttpOnly; Path=/; SameSite=Strict"
    # After a redirect that a foreign page began, a browser would not send the cookie.
    clicked = await browser.ask(path, Sec_Fetch_Site="cross-site", without=["Origin"])
    assert clicked.code == 200
    assert b'content="0; url=/compare?a=1&amp;b=2"' in clicked.body


@on_one_loop
async def test_pages_are_sent_with_a_policy_that_allows_no_inline_script(browser: Browser) -> None:
    for path in PAGES:
        page = await browser.ask(path)
        assert (path, page.code) == (path, 200)
        assert page.headers["Content-Security-Policy"] == POLICY
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert b"<script>" not in page.body
    assert "unsafe" not in POLICY.replace("style-src 'self' 'unsafe-inline'", "")
    script = await browser.ask("/static/bokeh.js")  # the process that draws says where it is
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert b"A program in place of the one that draws" in script.body


@on_one_loop
async def test_nothing_is_sent_to_others(browser: Browser) -> None:
    cookie = browser.ui.parts.access.cookie
    for path in (*PAGES, *READ):
        for changed in (
            {"Cookie": ""},
            {"Cookie": f"{cookie}=wrong"},
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
        ):
            refused = await browser.ask(path, **changed)
            assert refused.code == 403
            assert refused.body.count(b"\n") <= 1
            assert refused.body.isascii()
    wrong = await browser.ask("/?token=wrong", Cookie="")
    assert (wrong.code, "Set-Cookie" in wrong.headers) == (403, False)


@on_one_loop
async def test_nothing_is_changed_by_others(browser: Browser, tmp_path: Path) -> None:
    asked = [(path, "POST") for path in CHANGED] + [(f"/api/results/{NAME}", "DELETE")]
    for path, method in asked:
        for changed, without in (
            ({"Cookie": ""}, ()),
            ({"Host": "evil.example"}, ()),
            ({"Origin": "http://evil.example"}, ()),
            ({"Sec_Fetch_Site": "same-site"}, ()),
            ({}, ["Origin"]),
        ):
            refused = await browser.ask(
                path, method, "{}" if method == "POST" else None, without, **changed
            )
            assert refused.code == 403
            assert list(json.loads(refused.body)) == ["error"]
    assert not browser.ui.parts.experiment.is_running
    assert (tmp_path / NAME / FILE_NAME).exists()


@on_one_loop
async def test_no_foreign_page_watches(browser: Browser) -> None:
    for changed in ({"Cookie": ""}, {"Host": "evil.example"}, {"Origin": "http://evil.example"}):
        with pytest.raises(HTTPClientError, match="403"):
            await browser.watch(**changed)
    del browser.headers["Origin"]
    with pytest.raises(HTTPClientError, match="403"):
        await browser.watch()


@on_one_loop
async def test_no_name_leads_elsewhere(browser: Browser, tmp_path: Path) -> None:
    make_results(tmp_path.parent / "etc")
    (tmp_path / "latest").symlink_to(NAME)
    traversals = ("..", "%2e%2e", "..%2fetc", "%2fetc", str(tmp_path / NAME).replace("/", "%2f"))
    for name in (*traversals, "a%00b", "latest", "x" * 3000, "%ff", "none"):
        for path in (
            *("/results/{}", "/results/{}/report.html", "/static/{}"),
            *("/api/results/{}", "/api/results/{}/figures", "/api/results/{}/report.txt"),
            *("/api/results/{}/runs.csv", f"/api/compare?b={NAME}&a={{}}"),
        ):
            refused = await browser.ask(path.format(name))
            assert refused.code in (400, 404), (path, name)
        assert (await browser.ask(f"/api/results/{name}", "DELETE")).code in (400, 404)
        assert (await browser.post("/api/resume", name=name))[0] == 404
    assert (tmp_path / NAME / FILE_NAME).exists()


@on_one_loop
async def test_an_error_is_a_page_where_a_page_was_asked_for(browser: Browser) -> None:
    for path, text in (("/nonsense", b"There is no such page"), ("/results/none", b"none")):
        page = await browser.ask(path)
        assert (page.code, page.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert text in page.body
        assert b'href="/">Results</a>' in page.body
        told = await browser.ask(f"/api{path}")
        assert (told.code, list(json.loads(told.body))) == (404, ["error"])
    shown = await browser.ask("/results/%3Cscript%3E")
    assert b"&lt;script&gt;" in shown.body
    assert b"<script>" not in shown.body


@on_one_loop
async def test_only_files_of_pages_are_static(browser: Browser) -> None:
    for name in (
        "base.html",
        "other.html",
        "application.py",
        "../application.py",
        "%2e%2e/access.py",
    ):
        assert (await browser.ask(f"/static/{name}")).code == 404


@on_one_loop
async def test_bodies_are_bounded_and_json(browser: Browser) -> None:
    huge = await browser.ask("/api/experiments", "POST", json.dumps({"delay": "9" * 70_000}))
    assert huge.code in (400, 413, 599)  # the connection is closed while the body is still sent
    for path in ("/api/experiments", "/api/resume", "/api/playground"):
        for body in ("", "{", "[]", '{"more": 1}', "\xff"):
            refused = await browser.ask(path, "POST", body)
            assert refused.code == 400
            assert json.loads(refused.body)["error"].isprintable()
    for fields in ({"crawlers": ["mine:crawl"]}, {"open_loop": True}, {"delay": "trace:x"}):
        assert (await browser.post("/api/experiments", **fields))[0] == 400
    assert not browser.ui.parts.experiment.is_running


@on_one_loop
async def test_a_form_shows_its_command(browser: Browser, tmp_path: Path) -> None:
    status, answer = await browser.post("/api/command", crawlers=["asyncio"], delay="$(x)")
    assert (status, answer["words"]) == (200, ["run", "--crawlers", "asyncio", "--delay", "$(x)"])
    shown = f"run --crawlers asyncio --delay '$(x)' --out {tmp_path}"
    assert answer["command"].endswith(shown)
    assert (answer["about"], answer["problem"]) == ("1 run, about 1 s", "")
    status, answer = await browser.post("/api/command", crawlers=["x"])
    assert (status, answer["problem"][:3]) == (200, "'x'")


@on_one_loop
async def test_choices_are_those_of_the_registry(browser: Browser) -> None:
    choices = await browser.get("/api/choices")
    crawlers = {one["name"]: one for one in choices["crawlers"]}
    assert crawlers["asyncio"]["is_default"]
    assert not crawlers["httpx"]["is_default"]
    assert choices["presets"]["quick"]["concurrency"] == "1,10,100"
    assert "asyncio" in choices["presets"]["standard"]["crawlers"]
    assert {
        "name": "capacity",
        "summary": "Serves 50 at a time: more in flight only wait in its queue.",
    } in choices["scenarios"]


@on_one_loop
async def test_tables_that_cannot_be_made_say_why(browser: Browser, tmp_path: Path) -> None:
    make_results(tmp_path / "wrong")
    tables = await browser.ask("/api/results/wrong/report.txt")
    assert (tables.code, json.loads(tables.body)["error"]) == (422, "these results cannot be drawn")


@on_one_loop
async def test_what_is_missing_is_said_of_any_name(browser: Browser, tmp_path: Path) -> None:
    for name in ("\u4e2d", "a<b"):  # no status line may have them
        make_results(tmp_path / name)
        page = await browser.ask(f"/results/{quote(name)}/report.html")
        assert page.code == 404
        assert f"no report.html in {escape(name)}: " in page.body.decode()


@on_one_loop
async def test_a_result_is_described_downloaded_and_deleted(
    browser: Browser, tmp_path: Path
) -> None:
    (tmp_path / NAME / "report.html").write_text("<script>evil()</script>")
    (listed,) = (await browser.get("/api/results"))["results"]
    result = await browser.get(f"/api/results/{NAME}")
    assert result | listed == result
    assert result["has_report"]
    assert "run --crawlers asyncio,serial --concurrency 2" in result["command"]
    assert result["environment"]["cpus"] == 2
    page = await browser.ask(f"/results/{NAME}/report.html")
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    tables = await browser.ask(f"/api/results/{NAME}/report.txt")
    assert tables.body.decode() == f"Tables of {tmp_path / NAME}\n"
    runs = await browser.ask(f"/api/results/{NAME}/runs.csv")
    assert runs.headers["Content-Disposition"] == 'attachment; filename="runs.csv"'
    assert runs.body.count(b"\n") == 3
    deleted = await browser.ask(f"/api/results/{NAME}", "DELETE")
    assert json.loads(deleted.body) == {"left": []}
    assert not (tmp_path / NAME).exists()


@on_one_loop
async def test_what_a_verb_refuses_is_an_error_of_one_line(
    browser: Browser, tmp_path: Path
) -> None:
    make_results(tmp_path / "kind", sql('UPDATE experiment SET asked = \'{"kind": "x"}\''))
    refused = await browser.ask("/api/results/kind/runs.csv")
    assert refused.code == 422
    assert "is of kind x" in json.loads(refused.body)["error"]
    assert "Content-Disposition" not in refused.headers


@on_one_loop
async def test_a_hostile_folder_is_listed(browser: Browser, tmp_path: Path) -> None:
    make_results(tmp_path / "<script>", created(EVIL))
    found = {one["name"]: one for one in (await browser.get("/api/results"))["results"]}
    assert found["<script>"]["created_utc"].isprintable()
    assert (await browser.ask("/results/%3Cscript%3E")).code == 200


@on_one_loop
async def test_results_that_are_measured_are_not_deleted(browser: Browser, tmp_path: Path) -> None:
    with exclusive_lock(tmp_path / NAME):
        refused = await browser.ask(f"/api/results/{NAME}", "DELETE")
    assert refused.code == 409
    assert "another crawlbench process is writing" in json.loads(refused.body)["error"]


@on_one_loop
async def test_nothing_is_started_while_a_terminal_measures_here(
    browser: Browser, tmp_path: Path
) -> None:
    with exclusive_lock(tmp_path / NAME):
        for path, fields in (
            ("/api/playground", {"crawler": "asyncio"}),
            ("/api/experiments", {"crawlers": ["asyncio"]}),
            ("/api/resume", {"name": NAME}),
        ):
            status, answer = await browser.post(path, **fields)
            assert (status, answer["error"].split()[0]) == (409, NAME)
        told = await browser.get("/api/measured")
        assert told == {"elsewhere": NAME, "is_measuring": True}
    assert await browser.get("/api/measured") == {"elsewhere": "", "is_measuring": False}


@on_one_loop
async def test_figures_come_as_lines(browser: Browser, tmp_path: Path) -> None:
    answer = await browser.ask(f"/api/results/{NAME}/figures")
    first, second = map(json.loads, answer.body.splitlines())
    assert (first["figure"]["name"], list(first)) == ("first", ["figure"])
    assert second["figure"]["question"]["folder"] == str(tmp_path / NAME)
    make_results(tmp_path / "2")
    answer = await browser.ask(f"/api/compare/figures?a={NAME}&b=2")
    first, _ = map(json.loads, answer.body.splitlines())
    assert first["figure"]["question"]["folders"] == [str(tmp_path / NAME), str(tmp_path / "2")]
    assert (await browser.ask("/api/live/figures")).code == 404


@on_one_loop
async def test_exports_end_with_the_browsers_that_asked_for_them(tmp_path: Path) -> None:
    make_results(tmp_path / NAME)
    rows = "import os\nprint(os.getpid(), flush=True)\nwhile True: os.write(1, b'x' * 9999)"
    ui = make_ui(tmp_path, verbs=Verbs([sys.executable, "-c", rows]))
    access = ui.parts.access
    port, cookie = access.port, f"{access.cookie}={access.token}"
    for _ in range(AT_A_TIME + 1):  # each has the place of the one before it
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"Host: 127.0.0.1:{port}\r\nCookie: {cookie}\r\n\r\n"
        writer.write(f"GET /api/results/{NAME}/runs.csv HTTP/1.1\r\n{head}".encode())
        await reader.readuntil(b"\r\n\r\n")
        await reader.readline()  # the length of the first chunk
        pid = int((await reader.readline()).split(b"\n")[0])
        assert os.getpriority(os.PRIO_PROCESS, pid) == 19
        writer.transport.abort()
        await until(lambda pid=pid: not psutil.pid_exists(pid))  # type: ignore[misc]
    await ui.close()
