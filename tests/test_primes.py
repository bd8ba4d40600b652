"""`crawlbench primes`: what is computed, that each item is saved once, what overlap is."""

import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from argparse import ArgumentParser
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from bcrypt import checkpw
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.accounts import Accounts
from bench.analysis.validity import Level
from bench.cli import primes as command
from bench.errors import StoreError
from bench.plan.delays import Delay
from bench.primes import file_io
from bench.primes.analysis import PrimesAnalysis, analyse_primes
from bench.primes.experiment import (
    PrimesCell,
    PrimesExperiment,
    all_cells,
    expected_work_s,
    fitting,
    items_of,
    least_seconds,
    work_of,
)
from bench.primes.saved_run import hidden_share, look_at, merged
from bench.primes.savers import NO_IO, SAVERS, saver_of
from bench.primes.work import bcrypt, hashes, is_prime, password_of, primes
from bench.results.codec import decode_object, encode, to_class
from bench.results.columns import IntColumns
from bench.results.store import FILE_NAME, Store
from crawlers.contract import Job, Recorder
from crawlers.registry import find
from crawlers.spec import Spec
from crawlers.work import Found, Work, WorkLog
from plots.__main__ import draw_all
from plots.figures import primes_figures
from plots.figures.primes import primes_figure
from plots.figures.workload_bcrypt import bcrypt_figure
from tests.accounts import arrivals
from tests.accounts import load as loads
from tests.factories import MS, run_row
from tests.test_command_line import BENCH
from tests.test_figures import data, lines
from tests.test_interruptions import assert_all_end, family
from tests.this_process import bench, bench_without_figures

Compute = Callable[[Work], Iterator[Found]]
TINY = [
    *("--work", "primes,bcrypt", "--sizes", "20", "--bcrypt", "5:4"),
    *("--delay", "5", "-c", "3"),
]
SIBLINGS = ("batches-aiohttp", "async-uvloop", "async-sleep", "async-sleep-uvloop")
"""Savers that resemble another one."""
USUAL = [saver.name for saver in SAVERS if saver.name not in SIBLINGS]
SMALL = ["--work", "primes", "--sizes", "20", "--delay", "5", "-c", "3"]
OF_20 = [2, 3, 5, 7, 11, 13, 17, 19]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """The usual savers, once."""
    folder = tmp_path_factory.mktemp("primes")
    made = bench_without_figures("primes", *TINY, "--savers", ",".join(USUAL), "--out", str(folder))
    made.folder = folder / "latest-primes"  # type: ignore[attr-defined]
    return made


@pytest.fixture
def folder(done: "subprocess.CompletedProcess[str]", tmp_path: Path) -> Path:
    """A copy of its results, to be done with as one likes."""
    shutil.copy(done.folder / FILE_NAME, tmp_path)  # type: ignore[attr-defined]
    return tmp_path


@pytest.fixture
def analysis(folder: Path) -> Iterator[PrimesAnalysis]:
    with Store.open(folder / FILE_NAME) as store:
        yield analyse_primes(store)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        *((0, False), (1, False), (2, True), (3, True), (4, False)),
        *((prime**2, False) for prime in (2, 3, 5, 7, 11, 13, 127)),
        *((127, True), (7919, True), (7917, False)),
    ],
)
def test_primes_are_told_from_others(number: int, expected: bool) -> None:
    assert is_prime(number) is expected


@given(st.integers(3, 1000))
def test_trial_division_and_the_sieve_agree(size: int) -> None:
    found = list(primes(work_of("primes", size)))
    assert [one.item for one in found] == list(items_of(work_of("primes", size)))
    ends = [one.end_ns for one in found]
    assert ends == sorted(ends)
    assert all(one.start_ns <= one.end_ns for one in found)


@pytest.mark.parametrize("compute", [primes, hashes])
def test_processes_find_the_same_in_the_same_order(compute: Compute) -> None:
    alone, shared = (
        [one.item for one in compute(work_of(compute.__name__, 50, 2, processes))]
        for processes in (1, 2)
    )
    assert alone == shared


@pytest.mark.parametrize("processes", [1, 2])
def test_each_hash_of_bcrypt_is_that_of_the_password_from_the_seed(processes: int) -> None:
    found = list(bcrypt(work_of("bcrypt", 3, 4, processes, seed=7)))
    assert [one.item for one in found] == [0, 1, 2]
    passwords = [password_of(7, number) for number in range(3)]
    assert len({*passwords, password_of(8, 0)}) == 4
    for one, password in zip(found, passwords, strict=True):
        assert one.result is not None
        assert one.result.startswith("$2b$04$")
        assert checkpw(password, one.result.encode())
        assert not checkpw(b"another", one.result.encode())


def test_a_result_of_bcrypt_is_posted_as_json_and_a_prime_is_in_its_url() -> None:
    made = {
        kind: Spec("x", 1, 1.0, "http://h", True, "run", array("I", [0]), work=work_of(kind, 3, 4))
        for kind in ("bcrypt", "primes")
    }
    posted, got = (next(made[kind].jobs(WorkLog())) for kind in ("bcrypt", "primes"))
    assert posted.method == "POST"
    assert posted.body is not None
    saved = json.loads(posted.body)
    assert saved["item"] == 0
    assert checkpw(password_of(0, 0), saved["result"].encode())
    assert (got.method, got.headers) == ("GET", None)
    assert got.url.endswith("&item=2")


def test_the_time_of_bcrypt_doubles_with_each_step_of_its_cost() -> None:
    cheap, dear = (expected_work_s(work_of("bcrypt", 10, cost)) for cost in (10, 14))
    assert dear == pytest.approx(16 * cheap)
    assert expected_work_s(work_of("bcrypt", 10, 14, 2)) == pytest.approx(dear / 2)


def test_every_saver_saves_every_item_once(
    done: "subprocess.CompletedProcess[str]", analysis: PrimesAnalysis
) -> None:
    assert done.returncode == 0, done
    assert {cell.saver for cell in analysis.cells} == set(USUAL)
    assert_all_is_saved_once(analysis)
    for said in ("× serial", "overlap", "8 of 8", "Seconds to compute", "is fastest, "):
        assert said in done.stdout
    assert "file-io is fastest" not in done.stdout


@pytest.mark.thorough
def test_savers_that_resemble_others_save_every_item_once(tmp_path: Path) -> None:
    names = ",".join(SIBLINGS)
    done = bench_without_figures("primes", *TINY, "--savers", names, "--out", str(tmp_path))
    assert done.returncode == 0, done
    with Store.open(tmp_path / "latest-primes" / FILE_NAME) as store:
        analysis = analyse_primes(store)
        assert {cell.saver for cell in analysis.cells} == set(SIBLINGS)
        assert_all_is_saved_once(analysis)
        assert_declared_as_their_library(analysis)


def assert_all_is_saved_once(analysis: PrimesAnalysis) -> None:
    for cell in analysis.cells:
        (run,) = cell.runs
        assert run.verdict.level is not Level.INVALID, run.verdict
        assert (run.is_exact, run.failures) == (True, ()), cell
        expected = 0 if cell.saver == NO_IO else run.run.requests
        assert (run.found, run.saved) == (run.run.requests, expected)
        method = b"POST " if cell.work.kind == "bcrypt" else b"GET "
        assert (run.run.request_head or method).startswith(method)
        assert bool(run.run.request_head) == saver_of(cell.saver).has_service


def test_the_serial_saver_waits_for_each_and_overlaps_nothing(analysis: PrimesAnalysis) -> None:
    for savers in analysis.by_work().values():
        (serial,) = savers["serial"].runs
        assert serial.wall_s is not None
        assert serial.wall_s >= serial.run.requests * 0.005
        assert serial.overlap == 0.0
        (floor,) = savers[NO_IO].runs
        assert floor.overlap is None


def test_savers_of_this_package_are_declared_as_the_crawlers_of_their_library(
    analysis: PrimesAnalysis,
) -> None:
    assert_declared_as_their_library(analysis)


def assert_declared_as_their_library(analysis: PrimesAnalysis) -> None:
    for cell in analysis.cells:
        info = find(saver_of(cell.saver).declared_as or saver_of(cell.saver).crawler)
        (run,) = (saved.run for saved in cell.runs)
        assert set(run.versions) == {"python", *info.libraries}
        assert (run.keep_alive, run.resends) == (info.keep_alive, info.resends)


def test_figures_have_a_line_for_each_saver(folder: Path, analysis: PrimesAnalysis) -> None:
    names = set(USUAL)
    drawn = lines(primes_figure(analysis, ""))
    assert names <= set(drawn)
    assert list(data(drawn["serial"])[0]) == [20]
    workload = lines(bcrypt_figure(analysis, ""))
    assert names <= set(workload)
    assert list(data(workload[NO_IO])[0]) == [5]
    with pytest.raises(StoreError, match="--timeline-at is for crawls"):
        list(draw_all(folder, timeline_at=(100,)))
    with Store.open(folder / FILE_NAME) as store:
        stems = {drawn.stem for drawn in primes_figures(store, analysis)}
    of_savers = {f"overlap-{name}" for name in names}
    assert stems == {"primes", "workload-bcrypt", "async_callgraph", *of_savers}


def test_what_the_ledger_or_the_work_lacks_is_found(folder: Path) -> None:
    with sqlite3.connect(folder / FILE_NAME) as connection:
        lost, wrong = (
            connection.execute("SELECT number FROM run WHERE crawler = ?", (name,)).fetchone()[0]
            for name in ("async", "batches")
        )
        connection.execute(
            "DELETE FROM arrival WHERE run = ?1 AND ordinal = "
            "(SELECT max(ordinal) FROM arrival WHERE run = ?1)",
            (lost,),
        )
        connection.execute("UPDATE work SET item = 4 WHERE run = ? AND ordinal = 0", (wrong,))
    connection.close()
    with Store.open(folder / FILE_NAME) as store:
        runs = {run.run.number: run for cell in analyse_primes(store).cells for run in cell.runs}
    bad = {number for number, run in runs.items() if run.verdict.level is Level.INVALID}
    assert bad == {lost, wrong}
    assert not runs[lost].is_whole
    assert not runs[lost].is_exact
    assert runs[wrong].verdict.finds("work")
    assert bench("report", str(folder)).returncode == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("end_ns = start_ns - 1", "found before its computing began"),
        ("end_ns = end_ns + 1000000000", "two items were computed at once"),
        ("start_ns = start_ns + 500000000, end_ns = end_ns + 500000000", "saved before it was"),
        ("start_ns = start_ns - 60000000000 WHERE ordinal = 0", "longer than the run"),
    ],
)
def test_work_that_cannot_be_true_is_found(folder: Path, change: str, said: str) -> None:
    where = "AND" if "WHERE" in change else "WHERE"
    of_serial = "run IN (SELECT number FROM run WHERE crawler = 'serial')"
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute(f"UPDATE work SET {change} {where} {of_serial}")  # noqa: S608 - ours
    connection.close()
    with Store.open(folder / FILE_NAME) as store:
        for cell in analyse_primes(store).cells:
            texts = [reason.text for run in cell.runs for reason in run.verdict.reasons]
            assert any(said in text for text in texts) == (cell.saver == "serial")


def test_delays_of_a_range_are_those_of_the_seed_and_the_trial() -> None:
    cells = (PrimesCell("async", work_of("primes", 20)),)
    drawn = [
        run.delays_us()
        for seed in (1, 2)
        for run in PrimesExperiment(cells, 3, Delay.between(1000, 9000), 2, seed, 10.0).order({})
    ]
    assert all(one != other for n, one in enumerate(drawn) for other in drawn[:n])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            'UPDATE experiment SET asked = replace(asked, \'"trials": 1\', \'"trials": "x"\')',
            "asked.trials: Expected `int`, got `str`",
        ),
        ("UPDATE experiment SET asked = replace(asked, '.work:', '.evil:')", "work by '"),
        ("UPDATE experiment SET asked = replace(asked, 'serial', 'cereal')", "no saver 'cereal'"),
        ("UPDATE experiment SET asked = replace(asked, '\"primes\"', '\"x\"')", "its kind is 'x'"),
        ("UPDATE run SET work = replace(work, '20', '-20')", "of -20"),
        (
            "UPDATE experiment SET asked = replace(asked, '\"cost\": 5', '\"cost\": 99')",
            "cost of 99",
        ),
        ("UPDATE run SET work = ''", "is not in the plan"),
        ("UPDATE run SET crawler = 'x'", "is not in the plan"),
    ],
)
def test_results_that_cannot_be_are_refused(folder: Path, change: str, said: str) -> None:
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute(change)
    connection.close()
    with Store.open(folder / FILE_NAME) as store, pytest.raises(StoreError, match=re.escape(said)):
        analyse_primes(store)


def test_results_of_primes_are_for_their_own_tables(folder: Path) -> None:
    report = bench("report", str(folder), "--all")
    assert (report.returncode, report.stdout.count("items to save")) == (0, 2)
    exported = bench("export", str(folder))
    assert (exported.returncode, exported.stderr.count("\n")) == (3, 1)
    assert "is of kind primes" in exported.stderr


def test_a_save_by_another_method_than_asked_for_is_found(folder: Path) -> None:
    with sqlite3.connect(folder / FILE_NAME) as connection:
        connection.execute(
            "UPDATE run SET request_head = CAST('GET' || substr(request_head, 5) AS BLOB) "
            "WHERE crawler = 'async'"
        )
    connection.close()
    with Store.open(folder / FILE_NAME) as store:
        for cell in analyse_primes(store).cells:
            (run,) = cell.runs
            texts = [reason.text for reason in run.verdict.reasons]
            is_changed = cell.saver == "async" and cell.work.kind == "bcrypt"
            assert ("it asks with 'GET', and not with POST" in texts) == is_changed


def test_what_is_missing_is_done_by_resume(folder: Path) -> None:
    with sqlite3.connect(folder / FILE_NAME) as connection:
        before = connection.execute("SELECT number, started_utc FROM run").fetchall()
        gone = len(before)
        for delete in (
            "DELETE FROM fetch WHERE run = ?",
            "DELETE FROM arrival WHERE run = ?",
            "DELETE FROM work WHERE run = ?",
            "DELETE FROM server_load WHERE run = ?",
            "DELETE FROM crawler_process WHERE run = ?",
            "DELETE FROM run WHERE number = ?",
        ):
            connection.execute(delete, (gone,))
    connection.close()
    resumed = bench_without_figures("run", "--resume", str(folder))
    assert resumed.returncode == 0, resumed
    assert "1 run, about" in resumed.stderr
    with sqlite3.connect(folder / FILE_NAME) as connection:
        after = connection.execute("SELECT number, started_utc FROM run").fetchall()
    connection.close()
    assert after[:-1] == before[:-1]
    assert after[-1][0] == gone


@pytest.mark.thorough
def test_an_item_that_is_refused_is_named_and_all_others_are_saved(tmp_path: Path) -> None:
    savers = ["serial", "batches", "async", "threads"]
    asked = ["primes", *SMALL, "--savers", ",".join(savers), "--fail", "7", "--out", str(tmp_path)]
    done = bench(*asked)
    assert done.returncode == 1, done
    for saver in savers:
        where = f"FAILED: {saver}, primes among 20 numbers, trial 1"
        assert f"{where}: 1 of 8 items were not saved: 7 (status 500)" in done.stdout
    with Store.open(tmp_path / "latest-primes" / FILE_NAME) as store:
        saved = [run.saved for cell in analyse_primes(store).cells for run in cell.runs]
    assert saved == [7] * len(savers)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_service_that_dies_leaves_items_that_are_named(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(*BENCH, "primes", *SMALL, "--delay", "500", "--savers", "serial"),
            *("--out", str(tmp_path)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 30
    while not (saving := [child for child in family(process) if is_saving(child)]):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    children = family(process)
    (service,) = [child for child in children if "server" in child.cmdline()]
    assert saving
    service.send_signal(signal.SIGKILL)
    _, stderr = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "the server is gone" in stderr
    assert "serial, primes among 20 numbers, trial 1: " in stderr
    assert "19 (connect)" in stderr
    assert "Traceback" not in stderr
    assert_all_end(children)


def is_saving(process: psutil.Process) -> bool:
    try:
        is_crawler = "crawlers" in process.cmdline()
        return is_crawler and bool(process.net_connections("tcp"))
    except psutil.Error:
        return False


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--fail", "4", "--work", "primes"), "no work asked for has an item 4"),
        (("--max-seconds", "0.01"), "--max-seconds 0.01 is too short"),
        (("--savers", "asynchronous"), "'asynchronous' is not one of no-io, file-io, serial"),
        (("--work", "sums"), "'sums' is not one of primes, hashes, bcrypt"),
        (("--sizes", "2"), "'2' is not from 3 to 10000000"),
        (("--costs", "0"), "'0' is not a whole number from 1"),
        (("--bcrypt", "3"), "'3' is not a cost from 4 to 31"),
        (("--bcrypt", "8:0"), "'0' is not a whole number from 1"),
        (("--edition", "4"), "'4' is no edition of the book"),
    ],
)
def test_what_cannot_be_asked_for_is_one_clear_line(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = bench("primes", *arguments, "--out", str(tmp_path))
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


def test_savers_that_are_not_installed_are_left_out_and_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = {"grequests", "uvloop"}
    monkeypatch.setattr(
        command, "installed_versions", lambda info: [] if missing & set(info.libraries) else ["1"]
    )
    assert command.installed_savers() == (
        *("no-io", "file-io", "serial", "batches-aiohttp", "async", "async-sleep"),
        *("threads", "processes"),
    )
    said = capsys.readouterr().err.splitlines()
    assert [line.partition(" is left out")[0] for line in said] == [
        "crawlbench: batches",
        "crawlbench: async-uvloop",
        "crawlbench: async-sleep-uvloop",
    ]


def test_what_takes_longest_is_left_out() -> None:
    cells = list(all_cells([work_of("primes", 8)], ["serial", "async", "processes"], cores=3))
    assert [cell.work.processes for cell in cells] == [1, 1, 3]
    serial, coroutines, processes = cells
    seconds = dict(zip(cells, (5.0, 1.0, 2.0), strict=True))
    kept = [fitting(cells, seconds.__getitem__, most_s) for most_s in (0.5, 1, 3, 9.9, 10)]
    # All but the serial saver do the same works.
    assert kept[:2] == [(), ()]
    # Half of the time is for that one, and what it leaves is for the others.
    assert kept[2:4] == [(coroutines, processes)] * 2
    assert kept[4] == (serial, coroutines, processes)
    assert least_seconds(cells, seconds.__getitem__) == 10


def test_the_serial_saver_is_not_measured_alone() -> None:
    cells = list(all_cells([work_of("primes", 8)], ["serial", "async"], cores=1))
    for async_s, least_s in ((8.0, 12), (9.0, 13)):
        seconds = dict(zip(cells, (4.0, async_s), strict=True))
        assert least_seconds(cells, seconds.__getitem__) == least_s
        kept = [fitting(cells, seconds.__getitem__, at_s) for at_s in (async_s, least_s)]
        assert kept == [(cells[1],), tuple(cells)]


def test_the_serial_saver_does_what_the_others_do() -> None:
    works = [work_of("bcrypt", 600, 8), work_of("bcrypt", 400, 10)]
    cells = list(all_cells(works, ["serial", "async"], cores=1))
    # The second work has fewer items, which takes the serial saver less time and others more.
    seconds = dict(zip(cells, (70.0, 10.0, 60.0, 120.0), strict=True))
    assert fitting(cells, seconds.__getitem__, 150) == tuple(cells[:2])
    alone = [cell for cell in cells if cell.saver == "serial"]
    assert fitting(alone, seconds.__getitem__, 150) == (cells[2],)


def asked_for(*arguments: str) -> PrimesExperiment:
    parser = ArgumentParser()
    command.add_options(parser)
    return command._experiment(parser.parse_args(arguments))  # noqa: SLF001 - without measuring


def sizes_of(asked: PrimesExperiment) -> dict[tuple[str, int], int]:
    return {(cell.work.kind, cell.work.cost): cell.work.size for cell in asked.cells}


@pytest.mark.parametrize(
    ("edition", "works", "delay_ms"),
    [
        ("1", {("primes", 0): 16_384}, 50),
        (
            "2",
            {("bcrypt", cost): n for cost, n in {8: 600, 10: 400, 11: 400, 12: 400}.items()},
            100,
        ),
        (
            "3",
            {("bcrypt", cost): n for cost, n in {10: 600, 11: 600, 12: 600, 14: 400}.items()},
            100,
        ),
    ],
)
def test_an_edition_has_the_parameters_that_it_publishes(
    edition: str, works: dict[tuple[str, int], int], delay_ms: int
) -> None:
    asked = asked_for("--edition", edition)
    assert sizes_of(asked) == works
    assert (asked.concurrency, asked.delay) == (100, Delay.fixed(delay_ms * 1000))
    savers = {cell.saver for cell in asked.cells}
    batches = {"1": "batches"}.get(edition, "batches-aiohttp")
    assert {"no-io", "serial", batches} <= savers
    assert ("file-io" in savers, "async-sleep" in savers) == (edition != "1",) * 2


def test_the_first_edition_doubles_how_many_numbers_are_searched() -> None:
    sizes = [cell.work.size for cell in asked_for("--edition", "1").cells]
    assert sorted(set(sizes)) == [128, 256, 512, 1024, 2048, 4096, 8192, 16_384]


def test_other_options_change_an_edition() -> None:
    asked = asked_for(
        *("--edition", "3", "--hashes", "2", "--savers", "async", "--delay", "7", "-c", "3")
    )
    assert sizes_of(asked) == {("bcrypt", cost): 2 for cost in (10, 11, 12, 14)}
    assert {cell.saver for cell in asked.cells} == {"async"}
    assert (asked.concurrency, asked.delay) == (3, Delay.fixed(7000))
    asked = asked_for("--edition", "2", "--bcrypt", "4:3,5", "--work", "bcrypt,primes")
    assert sizes_of(asked)["bcrypt", 4] == 3
    assert sizes_of(asked)["bcrypt", 5] == 200
    assert any(cell.work.kind == "primes" for cell in asked.cells)


def test_what_an_edition_leaves_out_is_said_and_how_long_all_of_it_takes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    within = command._within(asked_for("--edition", "3"), 300.0)  # noqa: SLF001 - without measuring
    assert all(cell.work.cost < 14 for cell in within.cells)
    said = capsys.readouterr().err
    assert "left out because of --max-seconds 300" in said
    assert "    async: 600 bcrypt hashes of cost " in said
    assert "400 bcrypt hashes of cost 14" in said
    (most,) = re.findall(r"--max-seconds (\d+) measures all of it", said)
    whole = command._within(asked_for("--edition", "3"), float(most))  # noqa: SLF001
    assert len(whole.cells) == 4 * 7
    assert capsys.readouterr().err == ""


def test_a_file_that_lacks_a_line_or_has_it_twice_is_found() -> None:
    record = Recorder()
    jobs = [Job(seq, f"http://h/add?item={item}") for seq, item in enumerate((2, 3, 3, 5))]
    file_io.crawl(iter(jobs), 1, 1.0, record)
    assert list(record.columns()["status"]) == [200, 0, 0, 200]
    run = run_row(4, concurrency=1, crawler="file-io", work=work_of("bcrypt", 4, 4), delay_us=0)
    fetched = {name: np.array(column) for name, column in record.columns().items()}
    saved = look_at(run, Accounts(fetched, None, loads()), spans((0, 1), (1, 2), (2, 3), (3, 4)))
    assert (saved.saved, saved.is_exact, saved.is_whole) == (2, False, False)
    assert saved.verdict.finds("file")
    assert [failure.item for failure in saved.failures] == [1, 2]


def test_what_was_asked_survives_its_way_through_json() -> None:
    cells = (PrimesCell("serial", work_of("hashes", 4, 10)),)
    asked = PrimesExperiment(cells, 3, Delay.fixed(5000), 2, 1, 10.0, (2,))
    assert to_class(decode_object(encode(asked), "asked"), PrimesExperiment, "asked") == asked
    numbers = [run.number for run in asked.order({})]
    assert numbers == [1, 2]


def spans(*rows: tuple[int, int]) -> IntColumns:
    """Of work, in ms."""
    table = np.array(rows, dtype=np.int64).reshape(-1, 2) * MS
    return {"item": np.arange(len(rows)), "start_ns": table[:, 0], "end_ns": table[:, 1]}


@pytest.mark.parametrize(
    ("work", "waits", "share"),
    [
        ([(0, 10), (60, 70)], [(10, 60), (70, 120)], 0.0),
        ([(0, 10), (10, 60)], [(10, 60)], 1.0),
        ([(0, 10), (10, 35)], [(10, 60)], 0.5),
        ([(0, 10), (20, 30)], [(5, 25), (5, 25)], 0.5),
        # Two processes compute at once: the time is hidden, not hidden twice.
        ([(0, 10), (0, 10), (5, 15)], [(0, 20)], 0.75),
        ([(0, 10)], [], None),
        ([], [(0, 10)], None),
    ],
)
def test_overlap_is_the_share_of_waiting_in_which_there_is_work(
    work: list[tuple[int, int]], waits: list[tuple[int, int]], share: float | None
) -> None:
    came = arrivals(*((seq, 1, *wait, 50_000, 200, 1) for seq, wait in enumerate(waits)))
    found = hidden_share(spans(*work), came)
    assert found == pytest.approx(share)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), min_size=1))
def test_spans_are_merged_to_what_they_cover(pieces: list[tuple[int, int]]) -> None:
    starts = np.array([start for start, _ in pieces])
    ends = np.array([start + span for start, span in pieces])
    first, last = merged(starts, ends)
    before, after = (
        {at for span in zip(*both, strict=True) for at in range(*span)}
        for both in ((starts, ends), (first, last))
    )
    assert before == after
    assert (first[1:] > last[:-1]).all()


def test_an_option_without_its_work_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    asked_for("--work", "primes", "--sizes", "8", "--bcrypt", "4")
    assert "--bcrypt changes nothing here: it is for --work bcrypt" in capsys.readouterr().err


def test_an_edition_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        asked_for("--edition", "X")
    assert "'X' is no edition of the book: give 1, 2 or 3" in capsys.readouterr().err
