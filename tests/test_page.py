"""report.html: whole in itself, true to the results, safe from what it shows."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

import pytest
from matplotlib.image import imread

from bench.analysis.analyse import analyse
from bench.analysis.comparison import compare_neighbours
from bench.analysis.validity import Level
from bench.documents import DOCUMENTS
from bench.primes.analysis import analyse_primes
from bench.primes.report import work_table
from bench.program import PROGRAM, program_name
from bench.results.store import FILE_NAME, Store
from plots import page
from plots.__main__ import draw_all
from plots.page import Picture
from plots.sweep_page import sweep_page
from tests.factories import conditions, experiment, planned, result, usage

ABOUT = {
    "crawlbench": "0",
    "commit": None,
    "cpu": "x",
    "cpus": 2,
    "system": "y",
    "pinning": "none",
    "libraries": {"tornado": "6"},
}
PRIMES = Path(__file__).parent / "data" / "schema-4" / "primes.sqlite"
HOSTILE = "evil<script>alert(1)</script>:crawl"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    asked = experiment(("asyncio", HOSTILE, "protocol"), trials=1)
    with Store.create(tmp_path / FILE_NAME, asked, 7, ABOUT, "2026-01-01T00:00:00+00:00") as store:
        number = 0
        for crawler in ("asyncio", HOSTILE, "protocol"):
            for concurrency in (1, 10):
                number += 1
                store.append(result(planned(crawler, concurrency, number), overhead_ms=5))
        yield store


class Seen(HTMLParser):
    """What a browser would make of it: tags, where they point, rows of the first table."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.ids: set[str] = set()
        self.alts: list[str] = []
        self.rows: list[list[str]] = []
        self._is_in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.add(value or "")
            if name == "alt":
                self.alts.append(value or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
            self._is_in_cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._is_in_cell = False

    def handle_data(self, data: str) -> None:
        if self._is_in_cell:
            self.rows[-1][-1] += data.strip()


def see(text: str) -> Seen:
    seen = Seen()
    seen.feed(text)
    return seen


def table_of(seen: Seen, first: str) -> list[dict[str, str]]:
    """The rows of the table whose heading begins with this column."""
    at = next(i for i, row in enumerate(seen.rows) if row[:2] == first.split(","))
    heading = seen.rows[at]
    rows = []
    for row in seen.rows[at + 1 :]:
        if len(row) != len(heading):
            break
        rows.append(dict(zip(heading, row, strict=True)))
    return rows


def test_a_row_for_each_cell_with_its_numbers(store: Store) -> None:
    seen = see(sweep_page(store, analyse(store), []))
    rows = {(row["crawler"], row["C"]): row for row in table_of(seen, "crawler,verdict")}
    assert set(rows) == {
        (name, at) for name in ("asyncio", HOSTILE, "protocol") for at in ("1", "10")
    }
    row = rows["asyncio", "10"]
    assert not {"delay", "95 %"} & set(row)  # there is one delay, and one trial
    # Ten waves of 105 ms.
    assert (row["requests/s"], row["efficiency"], row["p50 ms"]) == ("95.2", "0.952", "105.0")
    assert (row["× floor CPU"], row["verdict"]) == ("1.0", "VALID")
    # Of each 105 ms 100 at the server, and none after the last.
    assert (row["mean in flight"], row["peak in flight"]) == ("9.6", "10")


@pytest.fixture
def eight_trials(tmp_path: Path) -> Iterator[Store]:
    """protocol is always 10 % faster than asyncio; threads as fast as asyncio, give or take."""
    names = ("asyncio", "threads", "protocol")
    asked = experiment(names, trials=8, concurrencies=(10,))
    (tmp_path / "eight").mkdir()
    path = tmp_path / "eight" / FILE_NAME
    with Store.create(path, asked, 24, ABOUT, "2026-01-01T00:00:00+00:00") as store:
        number = 0
        for trial in range(1, 9):
            for name in names:
                number += 1
                overhead_ms = {"asyncio": 11, "threads": 11 - (-1) ** trial, "protocol": 0}[name]
                run = planned(name, 10, number, trial)
                store.append(result(run, overhead_ms=overhead_ms + trial / 100))
        yield store


def test_intervals_and_comparisons_are_those_of_the_report(eight_trials: Store) -> None:
    analysis = analyse(eight_trials)
    seen = see(sweep_page(eight_trials, analysis, []))
    cells = {row["crawler"]: row for row in table_of(seen, "crawler,verdict")}
    interval = analysis.cells[0].interval
    assert interval is not None
    assert cells["asyncio"]["95 %"] == f"{interval.low:.1f}-{interval.high:.1f}"
    assert "min-max" not in cells["asyncio"]
    compared = table_of(seen, "crawler,against")
    by_bench = compare_neighbours(analysis.cells)
    assert len(compared) == len(by_bench) == 2
    for row, one in zip(compared, by_bench, strict=True):
        assert (row["crawler"], row["against"], row["C"]) == (one.candidate, one.baseline, "10")
        interval, p = one.result.interval, one.result.p
        assert interval is not None
        assert p is not None
        assert row["ratio"] == f"{one.result.ratio:.3f}"
        assert row["95 %"] == f"{interval.low:.3f}-{interval.high:.3f}"
        assert (row["p"], row["trials"]) == (f"{p:.3f}", "8")
    assert [row["result"] for row in compared] == ["better", "no difference seen"]
    assert compared[0]["crawler"] == "protocol"


def test_few_trials_are_no_ranking(store: Store) -> None:
    text = sweep_page(store, analyse(store), [])
    assert "1 trial cannot tell a difference between crawlers from noise" in text
    assert "--trials 6" in text
    assert "no difference seen" not in text


def test_one_crawler_is_compared_with_nobody(tmp_path: Path) -> None:
    asked = experiment(("asyncio",))
    path = tmp_path / FILE_NAME
    with Store.create(path, asked, 1, ABOUT, "2026-01-01T00:00:00+00:00") as store:
        store.append(result(planned()))
        assert 'id="comparison"' not in sweep_page(store, analyse(store), [])


def test_a_crawler_of_which_nothing_came_is_shown_with_the_best(store: Store) -> None:
    failed = planned("serial", 1, 7)
    store.append(result(failed, failure="crashed with exit code 1"))
    text = sweep_page(store, analyse(store), [])
    (row,) = [part for part in text.split("<tr") if 'data-key="serial"' in part]
    assert not row.startswith(' class="extra"')
    assert "INVALID" in row
    assert text.count('<tr class="extra">') == 3  # of three crawlers, C=1


def test_a_name_cannot_bring_markup_along(store: Store) -> None:
    text = sweep_page(store, analyse(store), [])
    assert "<script>alert" not in text
    assert see(text).tags.count("script") == 1


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """All figures and the page, drawn once for all tests that only look at them."""
    folder = tmp_path_factory.mktemp("drawn")
    names = ("asyncio", HOSTILE)
    path = folder / FILE_NAME
    with Store.create(path, experiment(names), 4, ABOUT, "2026-01-01T00:00:00+00:00") as store:
        for number, name in enumerate(names * 2):
            store.append(result(planned(name, 1 + 9 * (number // 2), number)))
    return list(draw_all(folder))


def test_nothing_is_loaded_from_anywhere(drawn: list[Path]) -> None:
    text = drawn[-1].read_text()
    assert drawn[-1].name == "report.html"
    seen = see(text)
    images = [address for address in seen.addresses if address.startswith("data:image/png;base64,")]
    assert len(images) == seen.tags.count("img") == len(drawn) - 1
    # The scripts have addresses in comments and names; tests/test_interactive.py runs them.
    without = re.sub(r"base64,[^\"]*|<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"url\(|@import|https?://", without)


def test_every_link_leads_to_something(drawn: list[Path]) -> None:
    """To a section, a file next to the page, or a manual of this checkout."""
    folder = drawn[-1].parent
    seen = see(drawn[-1].read_text())
    links = {one for one in seen.addresses if not one.startswith("data:")}
    for link in links:
        assert link[1:] in seen.ids if link[0] == "#" else (folder / unquote(link)).is_file()
    assert {"#contents", FILE_NAME, *(path.name for path in drawn[:-1])} <= links
    assert {Path(link).name for link in links if link.endswith(".md")} == set(page.READ_ON)


def test_the_page_of_an_installed_tool_links_to_the_documents_that_came_with_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = store.path.parent / "lib" / "bench" / "manual" / "docs"
    shutil.copytree(DOCUMENTS, installed, ignore=shutil.ignore_patterns("images"))
    monkeypatch.setattr(page, "DOCUMENTS", installed)
    links = [one for one in see(sweep_page(store, analyse(store), [])).addresses if ".md" in one]
    assert {(store.path.parent / unquote(one)).resolve() for one in links} == {
        (installed / name).resolve() for name in page.READ_ON
    }


def test_all_documents_are_on_the_page() -> None:
    assert {path.name for path in DOCUMENTS.glob("*.md")} == set(page.READ_ON)


def test_a_page_without_documents_has_no_links_to_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "DOCUMENTS", store.path.parent / "no such folder")
    text = sweep_page(store, analyse(store), [])
    assert not [one for one in see(text).addresses if one.endswith(".md")]
    assert "manuals" not in text


def test_figures_of_a_single_run_are_one_line_for_each_crawler(drawn: list[Path]) -> None:
    text = drawn[-1].read_text()
    (line,) = [part for part in text.split("<details") if "<h3>asyncio</h3>" in part]
    assert 'id="timeline-asyncio"' in line
    assert 'id="in-flight-asyncio"' in line
    assert text.count('<details class="run">') == 2
    assert text.count("Requests in flight at the server over time") == 1  # how to read it


def test_each_image_says_what_it_shows(drawn: list[Path]) -> None:
    seen = see(drawn[-1].read_text())
    assert len(seen.alts) == len(set(seen.alts)) == seen.tags.count("img")
    assert "Concurrency achieved of asyncio: 9.6 requests in flight" in "\n".join(seen.alts)


def test_headings_are_in_order_and_tables_have_captions(drawn: list[Path]) -> None:
    seen = see(drawn[-1].read_text())
    levels = [int(tag[1]) for tag in seen.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert seen.tags.count("caption") == seen.tags.count("table")


@pytest.mark.usefixtures("undrawn")
def test_the_page_of_primes_has_the_rows_of_the_report(tmp_path: Path) -> None:
    shutil.copy(PRIMES, tmp_path / FILE_NAME)
    *images, file = draw_all(tmp_path)
    seen = see(file.read_text())
    assert file.name == "report.html"
    assert len(seen.alts) == len(set(seen.alts)) == len(images) == 5
    with Store.open(tmp_path / FILE_NAME) as store:
        analysis = analyse_primes(store)
    (key,) = analysis.shown_works()
    rows = work_table(key, analysis.by_work()[key]).cells()
    assert [list(row.values()) for row in table_of(seen, "saver,time s")] == rows
    assert [row[0] for row in rows] == ["no-io", "serial", "batches", "threads"]
    counts = {row["verdict"]: row["runs"] for row in table_of(seen, "verdict,runs")}
    assert counts == {"VALID": "4", "UNCHECKED": "0", "SUSPECT": "4", "INVALID": "0"}
    for link in seen.addresses:
        if not link.startswith("data:"):
            assert link[1:] in seen.ids if link[0] == "#" else (tmp_path / unquote(link)).is_file()
    assert f"{PROGRAM} export" not in file.read_text()  # it refuses primes


def test_an_image_has_its_size_so_that_the_page_does_not_jump(drawn: list[Path]) -> None:
    said = re.findall(r'<img[^>]* width="(\d+)" height="(\d+)"', drawn[-1].read_text())
    shapes = [imread(path).shape for path in drawn[:-1]]
    assert sorted(said) == sorted((str(width), str(height)) for height, width, _ in shapes)


def test_text_can_be_read_on_its_ground_in_both_modes() -> None:
    """4.5 to 1 at least: WCAG 2.2, level AA, success criterion 1.4.3."""
    template = (Path(page.__file__).parent / "templates" / "report.html").read_text()
    light, dark = (
        dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", template, re.DOTALL)
    )
    verdicts = [level.name.lower() for level in Level]
    pairs = [(ink, on) for ink in ("ink", "quiet", "link") for on in ("paper", "ground")]
    for colours in (light, dark):
        for ink, ground in [*pairs, *((f"{name}-ink", name) for name in verdicts)]:
            bright, dim = sorted((luminance(colours[one]) for one in (ink, ground)), reverse=True)
            assert (bright + 0.05) / (dim + 0.05) >= 4.5, (ink, ground, colours)


def luminance(colour: str) -> float:
    """Relative, as WCAG 2.2 defines it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [one / 12.92 if one <= 0.04045 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return sum(part * share for part, share in zip(linear, (0.2126, 0.7152, 0.0722), strict=True))


def test_what_is_missing_doubted_or_resumed_is_said(store: Store) -> None:
    store.note_resumption("2026-01-02T00:00:00+00:00", ["kernel differs: 1 and 2"])
    text = sweep_page(store, analyse(store), [])
    assert "1 of the 7 planned runs was not done" in text
    assert "kernel differs: 1 and 2" in text
    assert "All 6 runs are VALID" in text
    failed = result(planned("asyncio", 10, 7, trial=2), failure="crashed with exit code 1")
    store.append(failed)
    text = sweep_page(store, analyse(store), [])
    assert "crashed with exit code 1" in text
    assert "1 of 7 runs are not VALID" in text
    counts = {row["verdict"]: row["runs"] for row in table_of(see(text), "verdict,runs")}
    assert counts == {"VALID": "6", "UNCHECKED": "0", "SUSPECT": "0", "INVALID": "1"}


def test_a_trial_with_several_reasons_is_counted_once(store: Store) -> None:
    doubted = result(planned("asyncio", 10, 7, trial=2))
    assert doubted.outcome is not None
    waited = replace(usage(), waited_ns=usage().wall_ns // 2)
    store.append(
        replace(
            doubted,
            outcome=replace(doubted.outcome, usage=waited),
            conditions=conditions(stolen_ns=10**9),
        )
    )
    seen = see(sweep_page(store, analyse(store), []))
    (row,) = [row for row in seen.rows if "busy machine" in row[-1]]
    assert row[:2] == ["asyncio at C=10", "SUSPECT"]
    assert "(1 of 2 trials)" in row[-1]
    assert "waited for its CPU" in row[-1]
    assert "the host of this machine took" in row[-1]


def test_each_picture_has_words_beside_it(store: Store) -> None:
    picture = Picture("one", "one.png", "A heading", "", b"png", "Look at it.", "It shows 5 < 6.")
    text = sweep_page(store, analyse(store), [picture])
    assert '<figure id="one">' in text
    assert "data:image/png;base64,cG5n" in text
    assert "It shows 5 &lt; 6." in text
    assert "Look at it." in text


def test_the_command_asks_for_the_same_again(store: Store) -> None:
    text = sweep_page(store, analyse(store), [])
    assert "./benchmark.sh run --crawlers" in text
    assert f"./benchmark.sh export {store.path.parent} &gt; runs.csv" in text
    assert "--concurrency 1,10 --delay 100 --trials 1 --waves 10 --seed 1 --timeout 10" in text


@pytest.mark.parametrize(
    ("called", "has_script", "name"),
    [
        ("/x/plots/__main__.py", True, "./benchmark.sh"),
        ("/x/plots/__main__.py", False, "crawlbench"),  # of a wheel
        ("/x/.venv/bin/crawlbench", True, "crawlbench"),
        ("/x/.venv/bin/crawlbench", False, "crawlbench"),
    ],
)
def test_commands_are_those_that_there_are(
    called: str, has_script: bool, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if has_script:
        (tmp_path / "benchmark.sh").touch()
    monkeypatch.chdir(tmp_path)
    assert program_name(called, tmp_path) == name


def test_a_command_can_be_typed_in_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "benchmark.sh").touch()
    assert program_name("/x/plots/__main__.py", tmp_path) == str(tmp_path / "benchmark.sh")
