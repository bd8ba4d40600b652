"""Results of others: shown or refused in one line, whatever they hold, and nothing is obeyed."""

import contextlib
import csv
import io
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TextIO, cast
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from bench.__main__ import main
from bench.analysis.analyse import analyse
from bench.documents import DOCUMENTS
from bench.errors import StoreError
from bench.printable import PrintableStream, printable
from bench.report.export import export_runs
from bench.report.sweep import print_report
from bench.report.tables import make_console
from bench.results.store import FILE_NAME, Store
from plots.__main__ import main as draw
from plots.files import atomic_write
from plots.page import READ_ON
from tests.conftest import UNDRAWN
from tests.hostile_results import (
    EVIL,
    MUTATIONS,
    Change,
    Mutation,
    edit,
    make_results,
    name_first,
    put,
    setting,
    sql,
)
from tests.test_page import Seen

READING = (
    ("report",),
    ("report", "--all", "--split"),
    ("export",),
    ("export", "--format", "json"),
    ("export", "--what", "requests"),
)


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator["Bench"]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, 1)}
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, getattr(sys, name))  # main protects them
    yield Bench(capsys)
    for number, handler in before.items():
        signal.signal(number, handler)


class Bench:
    """The command line, in this process: a hundred files would be a hundred processes."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        return main(list(words)), *self.said()

    def said(self) -> tuple[str, str]:
        out, err = self._capsys.readouterr()
        for line in (*out.split("\n"), *err.split("\n")):
            assert line.isprintable(), line
        return out, err


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_results(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("mutation", MUTATIONS, ids=[one.name for one in MUTATIONS])
def test_what_a_stranger_sends_is_shown_or_refused_in_one_line(
    mutation: Mutation, good: Path, tmp_path: Path, bench: Bench
) -> None:
    path = tmp_path / FILE_NAME
    shutil.copy(good, path)
    connection = sqlite3.connect(path)
    mutation.change(connection)
    connection.commit()
    connection.close()
    before = path.read_bytes()
    for verb, *options in READING if mutation.is_shown else READING[:1]:
        code, out, err = bench(verb, str(tmp_path), *options)
        if mutation.is_shown:
            assert (code in (0, 1), err) == (True, ""), err
            assert not any(line.startswith("VALID: forged") for line in out.split("\n"))
        else:
            assert (code, err.count("\n")) == (3, 1), (code, out, err)
            assert err.startswith("crawlbench: cannot read ")
    code, _, err = bench("compare", "asyncio", "serial", "--in", str(tmp_path))
    assert code in ((0, 2) if mutation.is_shown else (3,))
    assert err.count("\n") <= 1
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]


def test_a_folder_of_any_name_is_named_in_printable_words(tmp_path: Path, bench: Bench) -> None:
    folder = make_results(tmp_path / "a\x1b[2J\x9b\u202e\u2028b").parent
    shown = r"a\x1b[2J\x9b\u202e\u2028b"
    code, out, _ = bench("report", str(folder))
    assert (code, shown in out) == (0, True)
    code, _, err = bench("compare", str(folder), str(folder))
    assert (code, shown in err) == (2, True)


@pytest.mark.filterwarnings("ignore:constrained_layout not applied")  # so long a name has no room
def test_what_a_stranger_sends_is_drawn_and_is_no_markup(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In figures, and in the page with its own, whose images hold no text."""
    save = Figure.savefig

    def save_text(figure: Figure, file: IO[bytes], *, format: str) -> None:  # noqa: A002
        if format == "png":
            file.write(UNDRAWN)
        else:
            save(figure, file, format=format)

    monkeypatch.setattr(Figure, "savefig", save_text)
    environment = dict.fromkeys(("cpu", "system", "commit", EVIL), EVIL)
    path = make_results(
        tmp_path / "in" / "it",
        name_first(EVIL),
        sql("DELETE FROM run WHERE number = 2"),
        edit("experiment.environment", lambda was: was | environment),
        edit("run.versions", lambda _: {EVIL: EVIL}),
        put("experiment.created_utc", EVIL),
    )
    assert draw(["--format", "svg", str(path.parent)]) == 0
    said, complaints = bench.said()
    assert complaints == ""
    written = {Path(line) for line in said.splitlines()}
    assert {one.parent for one in written} == {path.parent}
    assert {*path.parent.iterdir()} == {path, *written}
    assert {one.suffix for one in written} == {".svg", ".html"}
    assert {*tmp_path.rglob("*")} == {*path.parent.iterdir(), path.parent, path.parent.parent}
    seen = Seen()
    text = (path.parent / "report.html").read_text()
    seen.feed(text)
    assert seen.tags.count("script") == 1 + 3 + 4  # of tables; of figures; four of those
    assert not {"red", "b"} & set(seen.tags)
    assert "data:image/png;base64," in text  # it is whole whatever the format of the files
    beside = {
        FILE_NAME,
        *(one.name for one in written),
        *(os.path.relpath(DOCUMENTS / one, path.parent) for one in READ_ON),
    }
    for address in seen.addresses:
        assert address.startswith(("#", "data:")) or address in beside
    assert all(line.isprintable() for line in text.split("\n"))
    for one in written:
        if one.suffix == ".svg":
            image = ElementTree.fromstring(one.read_text())  # noqa: S314 - made here
            assert not [tag for tag in image.iter() if "script" in tag.tag]


def test_a_draft_that_leads_elsewhere_is_not_written_to(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("mine")
    (tmp_path / f".a.png-{os.getpid()}").symlink_to(mine)
    with atomic_write(tmp_path / "a.png") as stream:
        stream.write(b"image")
    assert (mine.read_text(), (tmp_path / "a.png").read_bytes()) == ("mine", b"image")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (name_first("x", crawler="bench.evil:crawl"), "x=bench.evil:crawl"),
        (name_first("x", crawler="bench.primes.batches:evil"), "x=bench.primes.batches:evil"),
        (name_first("x", crawler="asyncio:crawl"), "x=asyncio:crawl"),
        (name_first("asyncio", python="/x/python"), "asyncio=asyncio@/x/python"),
        (
            name_first("x\x1b[1A\x1b[2K", python="p\x1b[2K"),
            r"x\x1b[1A\x1b[2K=asyncio@p\x1b[2K",
        ),
        (edit("experiment.asked", lambda was: was | {"floor": "evil:crawl"}), "evil:crawl"),
    ],
)
def test_programs_that_a_file_names_are_not_run_unless_that_is_allowed(
    change: Change, named: str, tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_results(tmp_path, change, sql("DELETE FROM run"))

    def never(*_: object, **__: object) -> None:
        raise AssertionError("a program was started")

    monkeypatch.setattr("subprocess.Popen.__init__", never)
    code, out, err = bench("run", "--resume", str(tmp_path))
    assert (code, out) == (3, "")
    assert err == (
        f"crawlbench: the results in {tmp_path} name programs that are not part of crawlbench: "
        f"{named}; if you trust them, add --allow-foreign to run them\n"
    )
    monkeypatch.setattr("bench.measure.session.installed", never)
    with pytest.raises(AssertionError):
        bench("run", "--resume", str(tmp_path), "--allow-foreign")
    assert f"running a program that the results name: {named}\n" in bench.said()[1]
    assert path.is_file()


def test_to_allow_programs_is_for_resuming(bench: Bench) -> None:
    code, _, err = bench("run", "--allow-foreign")
    assert (code, err.count("\n"), "only works with --resume" in err) == (2, 1, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (sql("CREATE TRIGGER run AFTER INSERT ON run BEGIN SELECT 1; END"), "trigger 'run'"),
        (sql("CREATE INDEX slow ON fetch (abs(seq))"), "index 'slow'"),
        (sql("CREATE TABLE mine (a)"), "table 'mine'"),
        (edit("experiment.asked", lambda was: was | {"trials": 10**18}), "asks for"),
    ],
)
def test_what_could_run_along_with_a_resumed_experiment_is_refused(
    change: Change, said: str, tmp_path: Path, bench: Bench
) -> None:
    make_results(tmp_path, change)
    code, _, err = bench("run", "--resume", str(tmp_path))
    assert (code, err.count("\n"), said in err) == (3, 1, True), err


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_what_is_no_file_of_sqlite_beside_the_results_is_refused(
    suffix: str, tmp_path: Path, bench: Bench
) -> None:
    path = make_results(tmp_path)
    beside = Path(f"{path}{suffix}")
    os.mkfifo(beside)
    code, _, err = bench("report", str(tmp_path))
    assert (code, f"{beside.name} next to it is not a regular file" in err) == (3, True)
    beside.unlink()
    beside.symlink_to("/dev/zero")
    assert bench("report", str(tmp_path))[0] == 3
    if suffix == "-journal":
        beside.unlink()
        beside.write_bytes(b"x")
        code, _, err = bench("run", "--resume", str(tmp_path))
        assert (code, "must be rolled back first" in err) == (3, True)


@pytest.mark.parametrize("first_due_ns", [0, -1, 2**61])
def test_a_run_in_open_loop_without_a_first_due_instant_has_failed(
    tmp_path: Path, bench: Bench, first_due_ns: int
) -> None:
    # Every check of an open loop needs it, so that nothing could be found without it.
    is_open = put("run.load", '{"rate": {"text": "10"}}')
    make_results(tmp_path, is_open, put("run.first_due_ns", first_due_ns))
    code, out, _ = bench("report", str(tmp_path))
    assert (code, f"impossible record: first_due_ns {first_due_ns}" in out) == (1, True)


def test_text_that_a_spreadsheet_would_compute_is_quoted(tmp_path: Path, bench: Bench) -> None:
    texts = ("=1+1", "+1", "-1", "@x", "\t=1", "x=1", "")
    for text in texts:
        folder = tmp_path / str(texts.index(text))
        make_results(folder, put("run.failure", text), put("run.delay_seed", -5))
        _, out, _ = bench("export", str(folder))
        row = next(csv.DictReader(io.StringIO(out)))
        shown = printable(text)
        assert row["failure"] == (f"'{shown}" if shown[:1] in tuple("=+-@") else shown)
        assert float(row["summary.slot_time.idle"]) < 1e-9
    make_results(tmp_path / "requests", name_first("=1"), put("fetch.status", -5))
    _, out, _ = bench("export", str(tmp_path / "requests"), "--what", "requests")
    row = next(csv.DictReader(io.StringIO(out)))
    assert (row["crawler"], row["status"]) == ("'=1", "-5")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
NAMES = {
    "experiment.asked": ("entrants", "concurrencies", "delays", "trials", "timeout_s", "kind"),
    "experiment.environment": ("libraries", "resumed", "commit", "cpu", "pinning"),
    "run.conditions": ("span_ns", "stolen_ns", "beside"),
    "run.usage": ("cpu_ns", "wall_ns", "descriptors"),
    "run.versions": ("python", "x"),
}
changes = st.sampled_from(sorted(NAMES)).flatmap(
    lambda column: st.tuples(
        st.just(column), st.sampled_from(NAMES[column]) | st.text(max_size=5), json_values
    )
)


@settings(max_examples=30, deadline=None)
@given(st.lists(changes, min_size=1, max_size=2))
def test_json_of_any_kind_is_read_or_refused(
    good: Path, tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str, object]]
) -> None:
    path = tmp_path_factory.mktemp("json") / FILE_NAME
    shutil.copy(good, path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    for column, name, value in made:
        edit(column, setting(name, value))(connection)
    connection.commit()
    connection.close()
    stream = io.StringIO()
    with contextlib.suppress(StoreError), Store.open(path) as store:
        store.environment()
        export_runs(store, "csv", stream)
        print_report(store, analyse(store), make_console(), show_all=True, show_split=False)
    assert stream.getvalue().replace("\n", "").isprintable()


@given(st.text())
def test_printable_text_stays_and_nothing_else_is_left(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert printable(shown) == shown
    assert (shown == text) == text.isprintable()


def test_a_stream_keeps_the_ends_of_lines_alone() -> None:
    inner = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    stream = PrintableStream(inner)
    print("a\tb\n\x1b[2J\x9b\u202e\r\u2028\udcff é", file=cast(TextIO, stream), flush=True)
    assert isinstance(inner.buffer, io.BytesIO)
    shown = rb"\x1b[2J\x9b\u202e\r\u2028\udcff \xe9"
    assert inner.buffer.getvalue() == b"a\tb\n" + shown + b"\n"
