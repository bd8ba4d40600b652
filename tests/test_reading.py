"""compare, calibrate and export, as their user types them."""

import csv
import io
import json
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

import plots.compare
from bench.plan.delays import Delay
from bench.report.export import REQUEST_COLUMNS
from bench.results.store import FILE_NAME, Store
from tests.factories import experiment, planned, result
from tests.this_process import bench, called

ENVIRONMENT = {"crawlbench": "0", "commit": None, "cpu": "x", "cpus": 2, "system": "y"}


Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes results of made-up runs: `a`, and `b` with `more_ms` on top of each wave."""

    def made(
        name: str, trials: int = 8, more_ms: float = 5, python: str = "3.11", **changes: object
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        asked = experiment(("a", "b"), trials=trials, concurrencies=(10,), **changes)
        with Store.create(
            folder / FILE_NAME, asked, 2 * trials, ENVIRONMENT | {"python": python}, "2026"
        ) as store:
            for trial in range(1, trials + 1):
                for crawler, overhead_ms in (("a", 5.0), ("b", 5.0 + more_ms)):
                    number = 2 * trial - (crawler == "a")
                    run = planned("asyncio", 10, number, trial)
                    run = replace(run, cell=replace(run.cell, crawler=crawler))
                    store.append(result(run, overhead_ms + trial / 10))
        return folder

    return made


def test_two_crawlers_of_one_experiment(make: Make) -> None:
    folder = make("one")
    done = bench("compare", "a", "b", "--in", str(folder))
    assert done.returncode == 0, done
    row = next(line for line in done.stdout.splitlines() if "C=10" in line)
    assert row.split()[-1] == "worse"
    assert "0.955" in row
    back = bench("compare", "b", "a", "--in", str(folder)).stdout
    assert next(line for line in back.splitlines() if "C=10" in line).split()[-1] == "better"


def test_a_comparison_as_json_and_as_markdown(make: Make) -> None:
    folder = make("one")
    told = json.loads(bench("compare", "a", "b", "--in", str(folder), "--json").stdout)
    (cell,) = told["cells"]
    assert (told["baseline"], told["candidate"], told["metric"]) == ("a", "b", "throughput")
    assert (cell["concurrency"], cell["trials"], cell["verdict"]) == (10, 8, "worse")
    interval = cell["interval"]
    assert interval["low"] <= cell["ratio"] <= interval["high"] < 1
    assert interval["coverage"] >= 0.95
    text = bench("compare", "a", "b", "--in", str(folder), "--markdown").stdout
    assert "| C=10 |" in text
    assert "| worse |" in text


@pytest.mark.parametrize(
    ("share", "metric", "code"),
    [("4%", "throughput", 99), ("5%", "throughput", 0), ("4", "p50", 99), ("0%", "cpu", 0)],
)
def test_a_regression_beyond_a_threshold_is_an_exit_code(
    make: Make, share: str, metric: str, code: int
) -> None:
    folder = make("one")
    arguments = ("--fail-on-regression", share, "--metric", metric)
    done = bench("compare", "a", "b", "--in", str(folder), *arguments)
    assert done.returncode == code, done
    assert bench("compare", "b", "a", "--in", str(folder), *arguments).returncode == 0


def test_a_gate_that_cannot_tell_does_not_let_through(make: Make) -> None:
    folder = make("one", trials=5)
    plain = bench("compare", "a", "b", "--in", str(folder))
    assert (plain.returncode, "too few trials" in plain.stdout) == (0, True)
    done = bench("compare", "a", "b", "--in", str(folder), "--fail-on-regression", "5%")
    assert done.returncode == 2
    assert "cannot decide: too few trials" in done.stderr


def test_a_gate_does_not_pass_what_is_missing_or_invalid(make: Make) -> None:
    one, other = make("one"), make("other")
    gate = ("--fail-on-regression", "50%")
    with sqlite3.connect(other / FILE_NAME) as connection:
        connection.execute("DELETE FROM run WHERE crawler = 'b'")
    connection.close()
    done = bench("compare", str(one), str(other), *gate)
    assert (done.returncode, "b, C=10 is not in" in done.stderr) == (2, True)
    with sqlite3.connect(one / FILE_NAME) as connection:
        connection.execute("UPDATE fetch SET seq = 500 WHERE run = 2 AND seq = 5")
    connection.close()
    done = bench("compare", "a", "b", "--in", str(one), *gate)
    assert done.returncode == 2
    assert "1 of 8 runs of b, C=10 are INVALID" in done.stderr
    done = bench("compare", "b", "a", "--in", str(one), *gate)
    assert done.returncode == 0


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE run SET slots = 0",
        "UPDATE run SET requests = 99999999999",
        "UPDATE run SET delay_low_us = -5",
        "UPDATE run SET usage = '\"x\"' WHERE number = 1",
        "UPDATE experiment SET environment = '[1]'",
    ],
)
def test_a_file_that_was_edited_is_one_clear_line(make: Make, damage: str) -> None:
    folder = make("one", trials=1)
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute(damage)
    connection.close()
    done = bench("report", str(folder))
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done
    assert "cannot read" in done.stderr


def test_two_folders_and_what_differs_between_them(make: Make) -> None:
    one, other = make("one"), make("other", more_ms=0, python="3.12")
    done = bench("compare", str(one), str(other))
    assert done.returncode == 0, done
    rows = {line.split(",")[0].strip(): line for line in done.stdout.splitlines() if "C=10" in line}
    assert "no difference seen" in rows["a"]
    assert "better" in rows["b"]
    assert "warning: python differs: 3.11 and 3.12" in done.stdout


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 2}, "seed 1 and 2"),
        ({"delays": (Delay.fixed(50_000),)}, "delays 100 ms and 50 ms"),
        ({"waves": 20}, "waves 10 and 20"),
    ],
)
def test_what_was_asked_differently_is_not_compared(
    make: Make, changes: dict[str, object], said: str
) -> None:
    one, other = make("one"), make("other", **changes)
    done = bench("compare", str(one), str(other))
    assert done.returncode == 2
    assert f"differ in what was asked: {said}" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a", "c"), "'c' is no folder of results, and no crawler of"),
        (("a", "a"), "'a' with itself: ./benchmark.sh run --crawlers a,a"),
    ],
)
def test_what_cannot_be_compared_is_one_clear_line(
    make: Make, names: tuple[str, str], said: str
) -> None:
    done = bench("compare", *names, "--in", str(make("one")))
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_runs_are_exported_with_their_verdicts(make: Make) -> None:
    folder = make("one", trials=2)
    rows = list(csv.DictReader(io.StringIO(bench("export", str(folder)).stdout)))
    assert [row["number"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["verdict"] for row in rows} == {"VALID"}
    assert float(rows[0]["summary.requests_per_s"]) == pytest.approx(10 / 0.1051)
    assert rows[0]["summary.ledger.matched"] == "100"
    told = json.loads(bench("export", str(folder), "--format", "json").stdout)
    assert told[0]["summary"]["ledger"]["matched"] == 100
    assert told[3]["crawler"] == "b"


def test_requests_are_exported_as_both_ends_saw_them(make: Make) -> None:
    folder = make("one", trials=1)
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute("UPDATE arrival SET seq = 103 WHERE run = 1 AND seq = 3")
        connection.execute("UPDATE fetch SET seq = 105 WHERE run = 1 AND seq = 5")
    connection.close()
    text = bench("export", str(folder), "--what", "requests").stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == REQUEST_COLUMNS
    assert len(rows) == 202
    of_first = {int(row["seq"]): row for row in rows if row["run"] == "1"}
    assert len(of_first) == 102
    assert (of_first[3]["arrived_ns"], of_first[3]["status"]) == ("", "200")
    assert (of_first[5]["start_ns"], of_first[5]["connection"]) == ("", "6")
    arrived, started = int(of_first[0]["arrived_ns"]), int(of_first[0]["start_ns"])
    assert arrived - started == 1_020_000
    told = json.loads(bench("export", str(folder), "--what", "requests", "--format", "json").stdout)
    assert len(told) == 202
    assert told[3]["arrived_ns"] is None


@pytest.mark.thorough
def test_known_delays_are_asked_for_and_what_is_added_is_told(tmp_path: Path) -> None:
    done = bench(
        *("calibrate", "--crawlers", "asyncio,protocol", "-n", "30", "--delay", "1-5"),
        *("--out", str(tmp_path)),
    )
    assert done.returncode == 0, done
    for label in ("asyncio", "protocol"):
        row = next(line for line in done.stdout.splitlines() if line.startswith(f"  {label} "))
        at, added_ms = (float(cell) for cell in row.split()[1:3])
        assert at == 10
        assert added_ms > 0
    assert (tmp_path / "latest-calibration").exists()
    assert (tmp_path / "latest").samefile(tmp_path / "latest-calibration")


@pytest.mark.thorough
def test_one_crawler_twice_and_another_interpreter_in_one_experiment(tmp_path: Path) -> None:
    crawlers = f"asyncio,asyncio,other=asyncio@{sys.executable}"
    done = bench(
        *("run", "--crawlers", crawlers, "--concurrency", "2", "--delay", "1", "--waves", "2"),
        *("--trials", "1", "--out", str(tmp_path)),
    )
    assert done.returncode == 0, done
    told = json.loads(bench("export", str(tmp_path / "latest"), "--format", "json").stdout)
    programs = {run["crawler"]: run["program"] for run in told if run["role"] == "cell"}
    assert programs == {
        "asyncio": "asyncio",
        "asyncio#2": "asyncio",
        "other": f"asyncio@{sys.executable}",
    }
    assert len({tuple(run["versions"]) for run in told if run["role"] == "cell"}) == 1
    assert (tmp_path / "latest" / "timeline-asyncio_2.png").is_file()


def test_an_interpreter_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    done = bench("run", "--crawlers", "old=asyncio@/no/such/python", cwd=tmp_path)
    assert done.returncode == 3
    assert "old: /no/such/python is not a program" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="a script for sh")
def test_a_program_that_is_no_python_is_not_taken_for_one(tmp_path: Path) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    done = bench("crawl", f"asyncio@{program}", "-n", "1", "-c", "1")
    assert done.returncode == 3
    assert f"no answer (by {program})" in done.stderr


def test_a_report_can_be_split(make: Make) -> None:
    done = bench("report", str(make("one", trials=1)), "--split")
    assert done.returncode == 0
    assert "Where the time of a request goes" in done.stdout


def draw_compared(told: str, file: Path) -> "CompletedProcess[str]":
    return called(plots.compare.main, "--plot", str(file), given=told)


def test_a_comparison_is_drawn_from_what_was_compared_and_not_compared_again(
    make: Make, tmp_path: Path
) -> None:
    folder = make("one")
    at_once = tmp_path / "at-once.svg"
    done = bench("compare", "a", "b", "--in", str(folder), "--json", "--plot", str(at_once))
    assert (done.returncode, done.stderr) == (0, f"{at_once}\n")
    told = json.loads(done.stdout)
    shutil.rmtree(folder)
    drawn = draw_compared(json.dumps(told), tmp_path / "later.svg")
    assert (drawn.returncode, drawn.stderr) == (0, "")
    later = (tmp_path / "later.svg").read_text()
    plan = "delay 100 ms; 100 requests per run; 8 trials"
    for text in ("b / a (higher is better)", "worse", plan):
        assert text in later
        assert text in at_once.read_text()


def test_runs_that_are_not_valid_are_in_the_small_print(make: Make, tmp_path: Path) -> None:
    folder = make("one")
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute("UPDATE fetch SET seq = 500 WHERE run = 2 AND seq = 5")
    connection.close()
    told = bench("compare", "a", "b", "--in", str(folder), "--json").stdout
    draw_compared(told, tmp_path / "x.svg")
    assert "; 1 of 16 runs are INVALID, and left out" in (tmp_path / "x.svg").read_text()


@pytest.mark.parametrize("told", ["", "x", "{}", "[1]", '{"cells": [{"cell": 1}]}'])
def test_a_comparison_that_is_none_is_one_clear_line(told: str, tmp_path: Path) -> None:
    done = draw_compared(told, tmp_path / "x.png")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "stdin is not what crawlbench compare --json prints" in done.stderr
    assert list(tmp_path.iterdir()) == []
