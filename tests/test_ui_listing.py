"""The list of results: quick, and unharmed by whatever is in the folder."""

import os
from pathlib import Path
from shutil import copytree

import pytest

from bench.errors import StoreError
from bench.results.folder import exclusive_lock, is_locked
from bench.results.store import FILE_NAME, Store
from bench.ui.listing import Listing, NoResultsError
from tests.hostile_results import EVIL, created, make_results, sql

NAMES = ["2026-01-01T00-00-00Z", "2026-01-02T00-00-00Z"]


def names_of(listing: Listing) -> list[str]:
    return [entry.name for entry in listing.entries()]


def test_an_entry_says_what_its_header_says(tmp_path: Path) -> None:
    make_results(tmp_path / NAMES[0])
    (entry,) = Listing(tmp_path).entries()
    assert entry.bytes == (tmp_path / NAMES[0] / FILE_NAME).stat().st_size
    assert (entry.name, entry.kind, entry.created_utc) == (
        *(NAMES[0], "sweep"),
        "2026-01-01T00:00:00+00:00",
    )
    assert entry.title == "delay 100 ms; 5 × C requests per run; 1 trial"
    assert entry.crawlers == ("asyncio", "serial")
    assert (entry.runs_done, entry.runs_planned) == (2, 2)
    assert (entry.can_resume, entry.why_not) == (False, "all of its runs have been made")
    assert (entry.is_measured, entry.problem) == (False, "")


def test_missing_runs_can_be_made(tmp_path: Path) -> None:
    make_results(tmp_path / NAMES[0], sql("DELETE FROM run WHERE number = 2"))
    (entry,) = Listing(tmp_path).entries()
    assert (entry.runs_done, entry.runs_planned, entry.can_resume) == (1, 2, True)


def test_the_list_follows_the_folder(tmp_path: Path) -> None:
    listing = Listing(tmp_path / "later")
    assert listing.entries() == []
    path = make_results(tmp_path / "later" / NAMES[0])
    assert names_of(listing) == [NAMES[0]]
    make_results(tmp_path / "other", sql("DELETE FROM run")).replace(path)
    assert [entry.runs_done for entry in listing.entries()] == [0]
    path.unlink()
    assert listing.entries() == []


def test_what_is_no_folder_of_results_is_left_out(tmp_path: Path) -> None:
    make_results(tmp_path / NAMES[0])
    (tmp_path / "latest").symlink_to(NAMES[0])
    (tmp_path / "file").write_text("no folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "circle").symlink_to("circle")
    copytree(tmp_path / NAMES[0], tmp_path / ".hidden")
    copytree(tmp_path / NAMES[0], tmp_path / "a\nb")
    copytree(tmp_path / NAMES[0], tmp_path / os.fsdecode(b"a\xff"))
    assert names_of(Listing(tmp_path)) == [NAMES[0]]
    assert Listing(tmp_path / "file").entries() == []


def test_what_cannot_be_read_is_listed_with_the_reason(tmp_path: Path) -> None:
    make_results(tmp_path / "good")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / FILE_NAME).write_text(EVIL)
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / FILE_NAME).touch()
    (tmp_path / "folder" / FILE_NAME).mkdir(parents=True)
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / FILE_NAME).symlink_to(tmp_path / "good" / FILE_NAME)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / FILE_NAME)
    make_results(tmp_path / "later", sql("PRAGMA user_version = 99"))
    make_results(tmp_path / "kind", sql('UPDATE experiment SET asked = \'{"kind": "x"}\''))
    make_results(tmp_path / "view", sql("DROP TABLE run", "CREATE VIEW run AS SELECT 1"))
    problems = {entry.name: entry.problem for entry in Listing(tmp_path).entries()}
    assert problems.pop("good") == ""
    assert len(problems) == 8
    assert all(one and one.isprintable() for one in problems.values())
    assert problems["link"] == problems["pipe"] == f"{FILE_NAME} is not a regular file"


def test_evil_text_is_printable(tmp_path: Path) -> None:
    make_results(tmp_path / "evil", created(EVIL))
    (entry,) = Listing(tmp_path).entries()
    assert entry.created_utc.isprintable()


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "/", "../x", "latest", "a/b", "a\0b", "x" * 5000, f"{NAMES[0]}/", "\ud800"],
)
def test_only_a_name_of_the_list_is_a_path(tmp_path: Path, name: str) -> None:
    make_results(tmp_path / NAMES[0])
    make_results(tmp_path.parent / f"{tmp_path.name}-x")
    (tmp_path / "latest").symlink_to(NAMES[0])
    listing = Listing(tmp_path)
    assert listing.path(NAMES[0]) == tmp_path / NAMES[0]
    for ask in (listing.entry, listing.path, listing.details, listing.delete):
        with pytest.raises(NoResultsError) as refused:
            ask(name)
        assert str(refused.value).isprintable()
    assert names_of(listing) == [NAMES[0]]


def test_each_of_two_hundred_headers_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_results(tmp_path / "0")
    for number in range(1, 200):
        (tmp_path / str(number)).mkdir()
        os.link(path, tmp_path / str(number) / FILE_NAME)
    opened: list[Path] = []
    really = Store.open

    def counted(one: Path) -> Store:
        opened.append(one)
        return really(one)

    monkeypatch.setattr(Store, "open", counted)
    listing = Listing(tmp_path)
    for _ in range(2):
        assert len(listing.entries()) == 200
    assert len(opened) == len(set(opened)) == 200
    path.touch()
    assert listing.entry("7").runs_done == 2
    assert len(opened) == 201


def test_all_that_crawlbench_made_is_deleted(tmp_path: Path) -> None:
    folder = make_results(tmp_path / NAMES[0]).parent
    for name in ("throughput.png", "my-own.png", f"{FILE_NAME}.schema-8", f"{FILE_NAME}-journal"):
        (folder / name).touch()
    links = '<a href="throughput.png">x</a> <a href="../keep.png">y</a> <a href="linked.png">z</a>'
    (folder / "report.html").write_text(links)
    (tmp_path / "keep.png").touch()
    (folder / "linked.png").symlink_to(tmp_path / "keep.png")
    listing = Listing(tmp_path)
    assert listing.delete(NAMES[0]) == ["my-own.png"]
    assert [file.name for file in folder.iterdir()] == ["my-own.png"]
    assert (tmp_path / "keep.png").exists()
    assert listing.entries() == []


def test_an_emptied_folder_goes_and_latest_leads_to_the_newest_of_the_others(
    tmp_path: Path,
) -> None:
    for name in NAMES:
        make_results(tmp_path / name)
    for link in ("latest", "latest-sweep"):
        (tmp_path / link).symlink_to(NAMES[1])
    listing = Listing(tmp_path)
    assert listing.delete(NAMES[1]) == []
    assert {file.name for file in tmp_path.iterdir()} == {NAMES[0], "latest", "latest-sweep"}
    assert (tmp_path / "latest").readlink() == Path(NAMES[0])
    assert listing.delete(NAMES[0]) == []
    assert not any(tmp_path.iterdir())


def test_results_that_are_measured_are_kept(tmp_path: Path) -> None:
    folder = make_results(tmp_path / NAMES[0], sql("DELETE FROM run")).parent
    listing = Listing(tmp_path)
    with exclusive_lock(folder):
        assert is_locked(folder)
        (entry,) = listing.entries()
        assert (entry.is_measured, entry.can_resume) == (True, False)
        assert entry.why_not == "it is being measured"
        with pytest.raises(StoreError, match="another crawlbench process is writing"):
            listing.delete(NAMES[0])
    assert not is_locked(folder)
    assert listing.entry(NAMES[0]).can_resume


def test_a_glance_at_a_lock_stops_no_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    glance = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(glance, fcntl.LOCK_SH)
    monkeypatch.setattr("bench.results.folder.time.sleep", lambda _: os.close(glance))
    with exclusive_lock(tmp_path):
        assert is_locked(tmp_path)
