"""What `crawl` keeps of a crawl, of one that was interrupted too, and what shows it again."""

import csv
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest

from bench.analysis.analyse import analyse
from bench.interrupts import interrupt_once
from bench.measure.kept_crawl import keep_crawl
from bench.plan.crawl import CrawlExperiment
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.results.folder import find_file
from bench.results.run_result import RunResult
from bench.results.store import FILE_NAME, Store
from plots.__main__ import draw_all
from server.control_client import stats
from server.process import ServerProcess
from tests.test_command_line import BENCH
from tests.this_process import bench

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals a process group")

WITHIN_S = 40.0


@contextmanager
def foreign_server(answers: int) -> Iterator[tuple[str, list[str]]]:
    """Answers so many requests, and then no more; its URL, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            asked.append(self.path)
            if len(asked) > answers:
                time.sleep(WITHIN_S)
            self.send_response(404 if self.path == "/missing" else 200)
            self.send_header("Content-Length", "1")
            self.end_headers()
            self.wfile.write(b".")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def started(*words: str, **options: object) -> "Iterator[subprocess.Popen[str]]":
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(  # type: ignore[call-overload]
        [*BENCH, *words], text=True, start_new_session=True, **(pipes | options)
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def end(process: "subprocess.Popen[str]") -> tuple[int, str, str]:
    stdout, stderr = process.communicate(timeout=WITHIN_S)
    return process.returncode, stdout, stderr


@pytest.mark.usefixtures("undrawn")
def test_a_crawl_is_kept_and_report_export_and_plots_show_it(tmp_path: Path) -> None:
    done = bench(
        *("crawl", "protocol", "-n", "20", "-c", "4", "--delay", "2", "--out", str(tmp_path))
    )
    assert done.returncode == 0, done
    folder = (tmp_path / "latest-crawl").resolve()
    assert (tmp_path / "latest").resolve() == folder
    details, _, last = done.stdout.rstrip("\n").rpartition("\n\n")
    assert last.startswith(f"results are in {folder}; ")
    assert "protocol, 20 requests, 4 at a time; delay 2 ms" in details

    report = bench("report", str(folder))
    assert (report.returncode, report.stdout) == (0, f"{details}\n")
    (row,) = csv.DictReader(bench("export", str(folder)).stdout.splitlines())
    assert (row["crawler"], row["summary.good"]) == ("protocol", "20")
    names = [path.name for path in draw_all(folder)]
    assert {"timeline-protocol.png", "in-flight-protocol.png", "report.html"} <= set(names)
    assert "throughput.png" not in names  # one point is no curve
    page = (folder / "report.html").read_text()
    assert "crawl protocol -c 4 -n 20 --delay 2 --seed 1 --timeout 10" in page

    other = tmp_path / "other.sqlite"
    other.write_bytes((folder / FILE_NAME).read_bytes())
    for words in (("--in", str(folder), "asyncio", "serial"), (str(folder), str(other))):
        compared = bench("compare", *words)
        assert (compared.returncode, compared.stderr.count("\n")) == (2, 1)
        assert f"{folder} has a single crawl, which cannot be compared" in compared.stderr
    resumed = bench("run", "--resume", str(folder))
    assert (resumed.returncode, resumed.stderr.count("\n")) == (3, 1)
    assert "it has a single crawl: make it again with the verb crawl" in resumed.stderr


def test_the_urls_of_a_list_are_kept_and_the_failed_ones_named_again(tmp_path: Path) -> None:
    with foreign_server(answers=100) as (url, _):
        urls = [f"{url}/{name}" for name in ("a", "missing", "b")]
        (tmp_path / "urls").write_text("\n".join(urls))
        words = ("--urls", str(tmp_path / "urls"), "--out", str(tmp_path / "out"))
        done = bench("crawl", "protocol", "-c", "1", *words, "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["failed_urls"] == [{"url": f"{url}/missing", "what": "status 404", "count": 1}]
    folder = Path(told["results"])
    assert folder == (tmp_path / "out" / "latest-crawl").resolve()
    assert f"status 404: {url}/missing" in done.stderr
    report = bench("report", str(folder))
    assert report.returncode == 1
    assert f"3 requests, 1 at a time; URLs from {tmp_path / 'urls'}" in report.stdout
    assert report.stderr == f"    status 404: {url}/missing\n"
    with Store.open(find_file(folder)) as store:
        asked = store.read_asked(CrawlExperiment)
        assert asked.urls == tuple(urls)
        (run,) = store.runs()
        assert (run.delay_low_us, run.delay_high_us) == (0, 0)  # nobody was asked for a delay


def test_plans_of_a_list_are_judged_from_the_file_as_at_once(tmp_path: Path) -> None:
    """Their sizes are not those of the model of the experiment."""
    with ServerProcess() as server:
        address = server.addresses.data_url
        urls = [f"{address}/add?name=x&seq={seq}&delay={seq}&size=7" for seq in range(5)]
        (tmp_path / "urls").write_text("\n".join(urls))
        words = ("--urls", str(tmp_path / "urls"), "--out", str(tmp_path / "out"))
        done = bench("crawl", "protocol", "-c", "1", *words)
    assert "5, 5 good" in done.stdout, done
    report = bench("report", str(tmp_path / "out" / "latest-crawl"))
    assert report.stdout == f"{done.stdout.rpartition(chr(10) * 2)[0]}\n"


def test_what_cannot_be_crawled_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRAWLBENCH_CONTROL_TOKEN", "not a token \u00e9")
    done = bench("crawl", "asyncio", "-n", "1", "--out", str(tmp_path / "out"))
    assert done.returncode == 3, done
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "crawler",
    [
        "asyncio",
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("threads", "gevent", "twisted")
        ),
    ],
)
def test_an_interrupted_crawl_of_a_foreign_server_is_kept_as_far_as_it_went(
    tmp_path: Path, crawler: str
) -> None:
    """The crawler waits for an answer that never comes: only its own record knows the others."""
    with foreign_server(answers=7) as (url, paths):
        words = ["crawl", crawler, "-n", "50", "-c", "1", "--url", f"{url}/page"]
        with started(*words, "--out", str(tmp_path)) as process:
            wait_until(lambda: len(paths) == 8)
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            code, stdout, stderr = end(process)
    assert code == 130
    assert f"{crawler} at 1, trial 1: interrupted after 7 of 50 requests" in stderr
    assert "Traceback" not in stderr
    assert "7, 7 good" in stdout
    assert "INVALID  interrupted after 7 of 50 requests" in stdout
    assert not psutil.wait_procs(children, timeout=WITHIN_S)[1]
    folder = (tmp_path / "latest-crawl").resolve()
    report = bench("report", str(folder))
    assert report.returncode == 1
    assert report.stdout == f"{stdout.rpartition(chr(10) * 2)[0]}\n"
    with Store.open(find_file(folder)) as store:
        (trial,) = (trial for cell in analyse(store).cells for trial in cell.trials)
    assert trial.summary is not None
    assert (trial.run.requests, trial.summary.good, trial.summary.errors) == (50, 7, {})


@pytest.mark.parametrize("again", [pytest.param(False, marks=pytest.mark.thorough), True])
def test_an_interrupted_crawler_that_says_nothing_is_counted_by_the_ledger_or_killed_at_once(
    tmp_path: Path, again: bool
) -> None:
    """It is stopped, as one that hangs where no other thread of it can run."""
    with ServerProcess() as server:
        control_url = server.addresses.control_url
        words = ("-n", "50", "-c", "3", "--delay", "60000", "--timeout", "90")
        url = ("--url", server.addresses.data_url)
        command = ("crawl", "protocol", *words, *url, "--out", str(tmp_path))
        with started(*command) as process:
            wait_until(lambda: stats(control_url)["requests"] == 3 + 1)  # and that for its greeting
            (worker,) = psutil.Process(process.pid).children()
            worker.suspend()
            process.send_signal(signal.SIGINT)
            assert process.stderr is not None
            assert "press Ctrl-C again" in process.stderr.readline()
            if again:
                process.send_signal(signal.SIGINT)
            code, stdout, stderr = end(process)
    assert (code, stdout) == (130, "")
    assert not psutil.wait_procs([worker], timeout=WITHIN_S)[1]
    if again:
        assert stderr == "crawlbench: interrupted\n"
        assert list(tmp_path.iterdir()) == []
        return
    assert "interrupted after 3 of 50 requests" in stderr
    report = bench("report", str(tmp_path / "latest-crawl"))
    assert "INVALID  interrupted after 3 of 50 requests" in report.stdout


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"trials": 2}, "it asks for 2 cells, and a crawl is one"),
        ({"urls": ("http://a/", "http://b/")}, "it asks for 3 requests, of 2 URLs"),
        ({"urls": ("http://a/add?seq=x",) * 3, "has_plans": True}, "seq is 'x'"),
    ],
)
def test_a_file_that_asks_for_no_crawl_that_can_be_is_refused(
    changes: dict[str, Any], why: str
) -> None:
    one = Entrant("asyncio", "asyncio")
    asked = CrawlExperiment((one,), (1,), (Delay.fixed(0),), 1, 1, 1, 10.0, requests=3)
    asked.check()
    with pytest.raises(ValueError, match=why):
        replace(asked, **changes).check()


@pytest.mark.parametrize("is_ours", [True, False])
def test_a_terminal_shows_how_far_the_crawl_is(tmp_path: Path, is_ours: bool) -> None:
    with foreign_server(answers=3) as (foreign, _):
        url = [] if is_ours else ["--url", foreign, "--timeout", "90"]
        size = ["-n", "20", "-c", "2", "--delay", "60000"] if is_ours else ["-n", "20", "-c", "1"]
        ours, theirs = pty.openpty()
        command = ("crawl", "protocol", *size, *url, "--out", str(tmp_path))
        with started(*command, stderr=theirs) as process:
            os.close(theirs)
            said = b""
            wanted = b"0 of 20 requests, 1 s" if is_ours else b"20 requests, 1 s; the limit is "
            while wanted not in said:
                assert select.select([ours], [], [], WITHIN_S)[0], said
                said += os.read(ours, 4096)
            process.send_signal(signal.SIGINT)
            os.set_blocking(ours, True)
            process.wait(WITHIN_S)
        os.close(ours)
    assert process.returncode == 130


def test_a_crawl_takes_one_crawler(tmp_path: Path) -> None:
    done = bench("crawl", "chapter", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "crawl runs one crawler, and chapter names " in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_long_list_of_urls_is_kept_whole(tmp_path: Path) -> None:
    """Over a megabyte of it."""
    with ServerProcess() as server:
        url = f"{server.addresses.data_url}/add?delay=0&size=1&name={'x' * 40}&seq="
        (tmp_path / "urls").write_text("".join(f"{url}{seq}\n" for seq in range(12_000)))
        assert (tmp_path / "urls").stat().st_size > 1_000_000
        done = bench("crawl", "protocol", "-c", "50", "--urls", "urls", cwd=tmp_path)
    assert done.returncode == 0, done
    assert "12000 matched" in done.stdout


def test_json_is_printed_of_a_crawl_that_recorded_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("async def crawl(*arguments): ...\n")
    done = bench("crawl", "./mine.py:crawl", "-n", "2", "-c", "1", "--json", cwd=tmp_path)
    assert done.returncode == 1, done
    assert json.loads(done.stdout)["verdict"] == "INVALID"


def test_an_interruption_while_results_are_written_does_not_lose_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Store.append

    def interrupted(store: Store, result: RunResult) -> None:
        append(store, result)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Store, "append", interrupted)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    interrupt_once()
    try:
        one = Entrant("protocol", "protocol")
        asked = CrawlExperiment((one,), (1,), (Delay.fixed(0),), 1, 1, 1, 10.0, requests=3)
        (planned,) = asked.order({"protocol": 1})
        kept = keep_crawl(asked, planned, None, tmp_path)
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM), before, strict=True):
            signal.signal(number, handler)
    assert kept.is_interrupted
    with Store.open(kept.folder / FILE_NAME) as store:
        assert len(store.runs()) == 1
