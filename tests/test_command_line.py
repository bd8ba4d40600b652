"""The commands as their user types them: real processes, tiny sweeps."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bench.results.store import FILE_NAME
from server.process import ServerProcess
from tests.foreign_servers import python_server
from tests.this_process import bench

ROOT = Path(__file__).parent.parent
BENCH = [sys.executable, "-P", "-m", "bench"]
TINY = ["--concurrency", "1,3", "--delay", "1", "--waves", "2", "--trials", "1"]


def call(*command: str, **options: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # type: ignore[call-overload, no-any-return]
        command, capture_output=True, text=True, timeout=50, **options
    )


@pytest.mark.skipif(sys.platform == "win32", reason="the script is for bash")
def test_benchmark_sh_sweeps_and_leaves_table_plots_and_results(tmp_path: Path) -> None:
    command = [str(ROOT / "benchmark.sh"), *TINY, "--crawlers", "serial,asyncio"]
    done = call(*command, "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done
    for said in ("serial", "asyncio", "requests/s", "efficiency", "closed loop"):
        assert said in done.stdout
    latest = tmp_path / "out" / "latest"
    names = {path.name for path in latest.iterdir()}
    assert {FILE_NAME, "throughput.png", "timeline-serial.png", "timeline-asyncio.png"} <= names
    figures = len([name for name in names if name.endswith(".png")])
    # The last lines are what was found, and what to open.
    assert done.stdout.splitlines()[-4:] == [
        next(line for line in done.stdout.splitlines() if " has the highest throughput: " in line),
        next(line for line in done.stdout.splitlines() if line.startswith("5 runs: ")),
        f"{figures} figures in {latest.resolve()}",
        f"Open {latest.resolve()}/report.html",
    ]
    # The same table again.
    again = bench("report", str(latest))
    assert again.returncode == 0
    table = again.stdout.splitlines()[1:]
    assert table == done.stdout.splitlines()[1 : 1 + len(table)]
    with sqlite3.connect(latest / FILE_NAME) as connection:
        runs = connection.execute(
            "SELECT crawler, concurrency, requests FROM run WHERE role = 'cell'"
        ).fetchall()
        joined = connection.execute(
            "SELECT count(*), count(arrived_ns) FROM ledger JOIN run ON run.number = ledger.run "
            "WHERE role = 'cell'"
        ).fetchone()
    connection.close()
    assert sorted(runs) == [("asyncio", 1, 2), ("asyncio", 3, 6), ("serial", 1, 2)]
    assert joined == (10, 10)


def test_one_crawl_is_told_in_detail() -> None:
    done = bench("crawl", "asyncio", "-n", "20", "-c", "4", "--delay", "2")
    assert done.returncode == 0, done
    for said in (
        "20, 20 good",
        "efficiency",
        "of 4 asked for",
        "20 matched, 0 resent, 0 lost, 0 abandoned, 0 duplicate",
    ):
        assert said in done.stdout


def test_one_crawl_as_json() -> None:
    done = bench("crawl", "gevent", "-n", "20", "-c", "4", "--delay", "2", "--json")
    told = json.loads(done.stdout)
    assert (told["crawler"], told["good"], told["connections"]) == ("gevent", 20, 4)
    assert told["ledger"]["matched"] == 20


def test_a_server_of_ours_is_crawled_with_its_ledger_and_any_other_without() -> None:
    with ServerProcess() as server:
        ours = bench("crawl", "protocol", "-n", "5", "-c", "1", "--url", server.addresses.data_url)
        other = bench(
            *("crawl", "protocol", "-n", "5", "-c", "1"),
            *("--url", f"{server.addresses.control_url}/health"),
        )
    assert "5 matched" in ours.stdout
    assert (other.returncode, other.stderr.count("\n")) == (0, 1)
    assert "is not the address of a crawlbench server" in other.stderr
    assert "none: the server is not ours" in other.stdout
    assert "5, 5 good" in other.stdout
    assert "UNCHECKED" in other.stdout
    # Five requests at the default delay of one server are no waves of another's.
    assert "wave" not in other.stdout


def test_notes_are_notes_and_a_foreign_server_is_unchecked_in_json() -> None:
    """Three requests at a time, of four, are a last wave that is not full."""
    with ServerProcess() as server:
        address = ("--url", server.addresses.data_url, "--delay", "2")
        other = ("--url", f"{server.addresses.control_url}/health")
        for where, word, check in (
            (address, "note", "last wave"),
            (other, "UNCHECKED", "no ledger"),
        ):
            done = bench("crawl", "protocol", "-n", "4", "-c", "3", *where, "--json")
            assert done.returncode == 0, done
            told = json.loads(done.stdout)
            reasons = {(one["level"], one["check"]) for one in told["reasons"]}
            assert (word, check) in reasons
            assert "VALID" not in {level for level, _ in reasons}
            if word == "UNCHECKED":
                assert told["verdict"] in ("UNCHECKED", "SUSPECT")  # of a busy machine


def test_a_list_of_urls_is_fetched_once_each(tmp_path: Path) -> None:
    """From Python's own server: HTTP/1.0, a connection a request."""
    for name in "abc":
        (tmp_path / name).write_text(name * 10)
    with python_server(tmp_path) as url:
        urls = [f"{url}/{name}" for name in "abcd"]
        lines = "\n".join(["# three that are there, one that is not", "", *urls])
        done = bench("crawl", "protocol", "-c", "2", "--urls", "-", "--json", given=lines)
        told = json.loads(done.stdout)
        assert (told["requests"], told["good"], told["errors"]) == (4, 3, {"status 404": 1})
        assert f"status 404: {url}/d" in done.stderr
        (tmp_path / "marked").write_bytes(b"\xef\xbb\xbf" + f"{url}/a\r\n".encode())
        marked = bench("crawl", "protocol", "-c", "1", "--urls", str(tmp_path / "marked"))
        assert marked.returncode == 0
        (tmp_path / "bad").write_text(f"{url}/a\nftp://x\n")
        bad = bench("crawl", "protocol", "--urls", str(tmp_path / "bad"))
        assert (bad.returncode, bad.stderr.count("\n")) == (2, 1)
        assert "bad, line 2: 'ftp://x' is not a URL like" in bad.stderr


def test_urls_that_are_one_run_of_a_server_of_ours_are_checked_with_its_ledger(
    tmp_path: Path,
) -> None:
    """Their delays and sizes are those planned, and the ideal makespan is theirs."""
    with ServerProcess() as server:
        base = f"{server.addresses.data_url}/add?name=listed"
        asked = [f"{base}&seq={seq}&delay={10 + seq}&size={1 + seq}" for seq in range(6)]
        (tmp_path / "urls").write_text("\n".join(asked))
        plain = ("--urls", str(tmp_path / "urls"), "--json")
        done = bench("crawl", "protocol", "-c", "1", *plain)
        told = json.loads(done.stdout)
        assert (done.returncode, done.stderr) == (0, "")
        assert (told["good"], told["errors"], told["ledger"]["matched"]) == (6, {}, 6)
        assert told["ideal_ns"] == sum(range(10, 16)) * 1_000_000
        assert told["verdict"] in ("VALID", "SUSPECT")  # of a busy machine
        # The ledger of the first has been taken: the same list again is another run.
        twice = bench("crawl", "tests.broken_crawlers:fetch_twice", "-c", "1", *plain)
        assert twice.returncode == 1
        assert json.loads(twice.stdout)["ledger"]["duplicate"] == 6


def test_urls_of_ours_in_another_shape_are_fetched_without_the_ledger(tmp_path: Path) -> None:
    with ServerProcess() as server:
        (tmp_path / "urls").write_text(f"{server.addresses.data_url}/add?delay=1&name=a\n")
        done = bench("crawl", "protocol", "-c", "1", "--urls", str(tmp_path / "urls"))
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert "these URLs lead to a crawlbench server, but its ledger is not used: http" in done.stderr
    assert "should have seq=0" in done.stderr
    assert "UNCHECKED" in done.stdout


def test_a_delay_is_for_the_address_of_a_server_alone() -> None:
    with ServerProcess() as server:
        url = f"{server.addresses.data_url}/add"
        done = bench("crawl", "protocol", "--url", url, "--delay", "5")
        by_hand = call(
            *(sys.executable, "-P", "-m", "crawlers", "protocol", "--url", url, "--delay", "5")
        )
    assert (done.returncode, by_hand.returncode) == (2, 2)
    assert "--delay" in done.stderr.splitlines()[-1]
    assert "--delay" in by_hand.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("crawler", "said"),
    [
        ("invent", "20 requests at a time, and 4 were asked for"),
        pytest.param("skip_half", "missing 10", marks=pytest.mark.thorough),
        pytest.param("record_twice", "repeated 20", marks=pytest.mark.thorough),
    ],
)
def test_a_crawler_that_lies_is_found_out(crawler: str, said: str) -> None:
    done = bench("crawl", f"tests.broken_crawlers:{crawler}", "-n", "20", "-c", "4", "--delay", "0")
    assert done.returncode == 1, done
    assert said in done.stdout


@pytest.mark.thorough
def test_a_sweep_with_a_crawler_that_lies_exits_with_1(tmp_path: Path) -> None:
    crawler = "tests.broken_crawlers:fetch_twice"
    done = bench("run", *TINY, "--crawlers", crawler, "--out", str(tmp_path))
    assert done.returncode == 1
    assert "which the crawler does not declare" in done.stdout


def test_a_crawler_that_cannot_be_imported_is_said_before_anything_is_made(
    tmp_path: Path,
) -> None:
    for name in ("no.such.module:crawl", "tests.broken_crawlers:no_such_function"):
        done = bench("run", "--crawlers", name, cwd=tmp_path)
        assert done.returncode == 3
        assert f"crawler '{name}' cannot be imported" in done.stderr
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_all_cells_are_reported_on_demand(tmp_path: Path) -> None:
    bench("run", *TINY, "--crawlers", "asyncio", "--out", str(tmp_path))
    rows = [
        len(
            [
                line
                for line in bench("report", *more).stdout.partition("Capacity")[0].splitlines()
                if line.startswith("  asyncio ")
            ]
        )
        for more in ([str(tmp_path / "latest")], [str(tmp_path / "latest"), "--all"])
    ]
    assert rows == [2, 4]  # in two tables each
    assert bench("plots", str(tmp_path / "latest")).returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="the shell is bash")
@pytest.mark.thorough
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-"])
def test_closed_standard_streams_do_not_matter(tmp_path: Path, closed: str) -> None:
    arguments = [*BENCH, "run", *TINY, "--crawlers", "asyncio", "--out", str(tmp_path)]
    done = call("/bin/bash", "-c", f'"$@" {closed}', "bash", *arguments)
    assert done.returncode == 0, done
    assert (tmp_path / "latest" / "throughput.png").is_file()


def test_a_crawler_by_hand_prints_one_line() -> None:
    with ServerProcess() as server:
        url = server.addresses.data_url
        by_hand = [sys.executable, "-P", "-m", "crawlers"]
        planned = call(*by_hand, "protocol", "--url", url, "-n", "20", "-c", "5", "--delay", "1")
        failing = call(*by_hand, "protocol", "--url", f"{url}/nowhere", "-n", "3", "-c", "1")
    assert planned.returncode == 0
    assert planned.stdout.startswith("20 requests, 0 errors, 0.")
    assert planned.stdout.endswith(" requests/s\n")
    assert failing.returncode == 1
    assert failing.stdout.startswith("3 requests, 3 errors (status 404 3), ")


def test_a_rate_by_hand_is_when_each_request_is_due() -> None:
    """The span of the requests would not tell: the first may be late, and none of the others."""
    with ServerProcess() as server:
        done = call(
            *(sys.executable, "-P", "-m", "crawlers", "tests.broken_crawlers:says_when_due"),
            *("--url", server.addresses.data_url, "-n", "4", "--delay", "0", "--rate", "20"),
        )
    due, line = done.stdout.splitlines()
    assert due == "due after [0, 50, 100, 150] ms, started early: 0"
    assert line.startswith("4 requests, 0 errors, ")


@pytest.mark.parametrize(
    ("crawler", "rate", "said"),
    [
        ("asyncio-queue", "5", "asyncio-queue cannot start requests when they are due"),
        ("asyncio", "0", "argument --rate: '0' is not a number from 0.01 to 100000 requests"),
        ("asyncio", "nan", "argument --rate: 'nan' is not a number from 0.01"),
    ],
)
def test_a_rate_that_cannot_be_kept_by_hand_is_refused(crawler: str, rate: str, said: str) -> None:
    by_hand = [sys.executable, "-P", "-m", "crawlers", crawler, "--url", "http://127.0.0.1:9"]
    done = call(*by_hand, "--rate", rate)
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]


def test_the_crawlers_are_listed() -> None:
    done = bench("list")
    assert done.returncode == 0
    for name in ("serial", "gevent", "asyncio", "asyncio-uvloop"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ["run", "--crawlers", "nobody"],
            2,
            "no crawler 'nobody'; the crawlers are serial, gevent",
        ),
        (["crawl", "nobody"], 2, "no crawler 'nobody'"),
        (["run", "--concurrency", "1,1"], 2, "twice"),
        (["run", "--crawlers", ","], 2, "the list is empty"),
        (["run", "--concurrency", "0"], 2, "'0' is not a whole number from 1"),
        (["run", "--concurrency", "10,-1"], 2, "'-1' is not a whole number from 1"),
        (["run", "--concurrency", "NaN"], 2, "'NaN' is not a whole number"),
        (["run", "--concurrency", "9" * 5000], 2, "is not a whole number"),
        (["run", "--concurrency", "٣"], 2, "is not a whole number"),
        (["run", "--delay", "NaN"], 2, "'NaN' is not a delay: give ms, 0 to"),
        (["run", "--delay", "60001"], 2, "0 to 60000"),
        (["run", "--waves", "0"], 2, "'0' is not a whole number from 1"),
        (["run", "--trials", "-3"], 2, "--trials"),
        (["run", "--timeout", "nan"], 2, "'nan' is not a number of seconds"),
        (["run", "--timeout", "0"], 2, "'0' is not a number of seconds"),
        (["run", "--seed", "x"], 2, "'x' is not a whole number"),
        (["run", "--waves", "1000000"], 3, "ask for fewer with -n or --waves"),
        (["run", "--trials", "100000000"], 3, "ask for fewer --trials"),
        (["run", "--concurrency", "5000000", "--waves", "1"], 3, "open files"),
        (["run", "--out", "/dev/null/x"], 3, "name another with --out"),
        (["crawl", "asyncio", "-n", "0"], 2, "'0' is not a whole number from 1"),
        (["crawl", "asyncio", "-c", "1e3"], 2, "'1e3' is not a whole number"),
        (["crawl", "asyncio", "--url", "localhost:80"], 2, "is not a URL like"),
        (["crawl", "asyncio", "--url", "http://[::1"], 2, "is not a URL like"),
        (["report", "/no/such/folder"], 3, "there is no results.sqlite in /no/such/folder"),
        (["frobnicate"], 2, "there is no verb 'frobnicate'"),
        (["crawl", "asyncio", "--urls", "/no/such/file"], 2, "No such file"),
        (["crawl", "asyncio", "--urls", "/dev/null"], 2, "/dev/null has no URL"),
        (["crawl", "asyncio", "--cafile", "/no/such/file"], 2, "No such file"),
        (["crawl", "asyncio", "--cafile", "/dev/null"], 2, "it has no certificate in PEM"),
        (["crawl", "asyncio", "--url", "http://a b/"], 2, "is not a URL like"),
        (["crawl", "asyncio", "--url", "http://x/\u00e9"], 2, "must be written as %20"),
        (["crawl", "asyncio", "--url", "http://me:pw@x/"], 2, "has a user name in it"),
        (["crawl", "asyncio", "--url", "http://a..b/"], 2, "is not a URL like"),
        (["check", "mine"], 2, "name your own as ./mine.py:crawl or package.module:function"),
        (["check", "nobody"], 2, "no crawler 'nobody'"),
        (["audit", "--crawlers", "nobody"], 2, "no crawler 'nobody'"),
        (["--quik"], 2, "there is no option '--quik'; did you mean '--quick'?"),
    ],
)
def test_a_mistake_is_one_clear_line(
    tmp_path: Path, arguments: list[str], code: int, said: str
) -> None:
    done = bench(*arguments, cwd=tmp_path)
    assert done.returncode == code, done
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_no_results_yet_is_one_clear_line(tmp_path: Path) -> None:
    done = bench("report", cwd=tmp_path)
    assert done.returncode == 3
    assert "run an experiment first" in done.stderr


def test_modules_in_the_current_folder_do_not_take_the_place_of_ours(tmp_path: Path) -> None:
    for name in ("server", "crawlers", "bench", "plots"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    done = bench("crawl", "protocol", "-n", "2", "-c", "1", "--delay", "0", cwd=tmp_path)
    assert "2 matched" in done.stdout, done
    by_hand = call(sys.executable, "-P", "-m", "crawlers", "--help", cwd=tmp_path)
    assert "Crawl by hand" in by_hand.stdout


@pytest.mark.parametrize("package", ["crawlers", "bench", "plots"])
def test_a_server_py_in_the_current_folder_is_not_ours_even_without_p(
    tmp_path: Path, package: str
) -> None:
    (tmp_path / "server.py").write_text("raise SystemExit('the wrong one')")
    done = call(sys.executable, "-m", package, "--help", cwd=tmp_path)
    assert done.returncode == 0, done
    assert "usage: " in done.stdout


@pytest.mark.thorough
def test_a_crawler_that_crashes_fails_its_runs_and_no_others(tmp_path: Path) -> None:
    crawlers = "tests.broken_crawlers:crash,asyncio"
    done = bench("run", *TINY, "--crawlers", crawlers, "--out", str(tmp_path))
    assert done.returncode == 1
    assert "trial 1: crashed with exit code 1" in done.stderr
    assert "and 1 more like it" in done.stderr
    assert "INVALID" in done.stdout
    assert "    RuntimeError: this crawler crashes" in done.stderr
    assert "asyncio" in done.stdout
    assert (tmp_path / "latest" / "timeline-asyncio.png").is_file()


def unread(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """With a stdout that nobody reads any more, as after `| head -1`."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        return subprocess.run(
            [*BENCH, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=50
        )
    finally:
        os.close(writing)


@pytest.mark.parametrize(
    "arguments", [["list"], ["--help"], ["run", "--help"], ["--print-completion", "bash"]]
)
def test_output_that_nobody_reads_any_more_is_not_complained_of(arguments: list[str]) -> None:
    done = unread(*arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.thorough
def test_exit_codes_stay_and_figures_are_drawn_where_nobody_reads_the_output(
    tmp_path: Path,
) -> None:
    bench("run", *TINY, "--crawlers", "serial,asyncio", "--out", str(tmp_path))
    folder = tmp_path / "latest"
    for page in ("report.html", "throughput.png"):
        (folder / page).unlink()
    for arguments, code in (
        (["report", str(folder)], 0),
        (["export", str(folder)], 0),
        (["export", str(folder), "--what", "requests", "--format", "json"], 0),
        (["plots", str(folder)], 0),
        (["compare", "serial", "asyncio", "--in", str(folder), "--fail-on-regression", "1%"], 2),
    ):
        done = unread(*arguments)
        assert done.returncode == code, (arguments, done)
        assert done.stderr.count("\n") == (code != 0)
    assert (folder / "report.html").is_file()
    assert (folder / "throughput.png").is_file()
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute("UPDATE fetch SET seq = 500 WHERE seq = 1")
    connection.close()
    assert unread("report", str(folder)).returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_output_to_a_full_disk_is_one_clear_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*BENCH, "list"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20
        )
    assert done.returncode == 3
    assert done.stderr == ("crawlbench: cannot write to standard output: No space left on device\n")


def test_a_crawler_that_is_no_python_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no_python.py").write_text("def crawl(:\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(0)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for name, said in (
        ("no_python", "SyntaxError: invalid syntax (no_python.py, line 1)"),
        ("leaves", "no answer"),
    ):
        done = bench("check", f"{name}:crawl")
        assert (done.returncode, done.stderr.count("\n")) == (3, 1)
        assert f"crawler '{name}:crawl' cannot be" in done.stderr
        assert said in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="needs a folder that cannot be written to")
def test_an_error_of_the_system_is_said_in_one_line() -> None:
    done = bench("site", "--pages", "30", "--spiders", "serial", "--out", "/proc/none")
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == (
        "crawlbench: [Errno 2] No such file or directory: '/proc/none'"
    )
    assert "Traceback" not in done.stderr
