"""Folders of results and the links to the newest, whoever else is at work beside them."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bench.errors import StoreError
from bench.kinds import kind_of
from bench.measure.session import Ending, measure, resume
from bench.results.folder import find_file, link_latest, new_folder
from bench.results.store import FILE_NAME
from tests.factories import experiment
from tests.hostile_results import make_results
from tests.this_process import bench

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_a_folder_is_named_after_the_time(tmp_path: Path) -> None:
    first = new_folder(tmp_path / "results", NOW)
    second = new_folder(tmp_path / "results", NOW)
    assert (first.name, second.name) == ("2026-01-02T03-04-05Z", "2026-01-02T03-04-05Z-2")
    with pytest.raises(StoreError, match=r"there is no results\.sqlite in"):
        find_file(first)
    (first / FILE_NAME).touch()
    assert find_file(first) == find_file(first / FILE_NAME) == first / FILE_NAME


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot make a folder in .*; name another with --out"):
        new_folder(tmp_path / "file")


def test_the_newest_is_linked_whichever_is_first_to_keep_a_run(tmp_path: Path) -> None:
    folders = [new_folder(tmp_path, NOW) for _ in range(10)]
    assert set(tmp_path.iterdir()) == set(folders)  # none has a run yet
    links = {name: tmp_path / name for name in ("latest", "latest-sweep", "latest-primes")}
    link_latest(folders[1], "sweep")
    link_latest(folders[9], "primes")
    link_latest(folders[2], "sweep")
    assert links["latest"].resolve() == links["latest-primes"].resolve() == folders[9]
    assert links["latest-sweep"].resolve() == folders[2]
    assert set(tmp_path.iterdir()) == {*folders, *links.values()}


@pytest.mark.parametrize("is_link", [False, True])
def test_what_has_the_name_of_a_link_and_is_not_ours_stays(
    tmp_path: Path, is_link: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    latest, mine = tmp_path / "latest", tmp_path / "mine"
    mine.write_text("mine")
    if is_link:
        latest.symlink_to(mine)
    else:
        latest.write_text("mine")
    folder = new_folder(tmp_path, NOW)
    link_latest(folder, "sweep")
    assert (latest.read_text(), latest.is_symlink()) == ("mine", is_link)
    assert capsys.readouterr().err == (
        f"crawlbench: {latest} was not created by crawlbench and is left as it is\n"
    )
    assert (tmp_path / "latest-sweep").resolve() == folder
    names = {one.name for one in tmp_path.iterdir()}
    assert names == {folder.name, "latest", "latest-sweep", "mine"}


def test_what_killed_processes_left_of_links_is_removed(tmp_path: Path) -> None:
    folder = new_folder(tmp_path, NOW)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    drafts = {
        f".latest-{ended.pid}": folder.name,  # of a process that was killed
        f".latest-{os.getpid()}": folder.name,  # of one that had our number
        f".latest-{os.getppid()}": folder.name,  # of one at work
        f".latest-0{ended.pid}": "elsewhere",  # of somebody else
        ".latest-x": folder.name,
    }
    for name, target in drafts.items():
        (tmp_path / name).symlink_to(target)
    link_latest(folder, "sweep")
    names = {one.name for one in tmp_path.iterdir()}
    assert names == {folder.name, "latest", "latest-sweep", *list(drafts)[2:]}


def test_a_link_is_followed_once(tmp_path: Path) -> None:
    first, second = (new_folder(tmp_path, NOW) for _ in range(2))
    (first / FILE_NAME).touch()
    (second / FILE_NAME).touch()
    link_latest(first, "sweep")
    (tmp_path / "mine").symlink_to("latest")
    found = find_file(tmp_path / "mine")
    link_latest(second, "sweep")
    assert found == first / FILE_NAME
    assert find_file(tmp_path / "latest" / FILE_NAME) == second / FILE_NAME
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(StoreError, match=r"there is no results\.sqlite in"):
        find_file(tmp_path / "circle")


def test_an_experiment_without_a_run_is_not_the_latest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = new_folder(tmp_path, NOW)
    link_latest(before, "sweep")
    asked = experiment(("protocol",), concurrencies=(1,), waves=1)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("bench.measure.session.sweep", interrupted)
        interrupted_one = measure(asked, tmp_path)
    assert interrupted_one.ending is Ending.INTERRUPTED
    assert "0 of 1 runs are kept" in capsys.readouterr().err
    assert (tmp_path / "latest").resolve() == before
    stillborn = max(tmp_path.glob("2*Z"))
    assert stillborn != before
    assert interrupted_one.folder == stillborn
    assert resume(stillborn, kind_of, allow_foreign=False) == (stillborn, Ending.DONE)
    assert (tmp_path / "latest").resolve() == stillborn


def test_report_shows_the_newest(tmp_path: Path) -> None:
    for kind in ("sweep", "calibration"):
        folder = new_folder(tmp_path / "results", NOW)
        make_results(folder)
        link_latest(folder, kind)
    report = bench("report", cwd=tmp_path)
    assert report.stdout.startswith(f"results/{folder.name}: delay 100 ms"), report
