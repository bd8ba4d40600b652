"""report.html: whole in itself, true to the results, safe from what it shows."""

import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from bench.analysis.analyse import analyse
from bench.results.store import FILE_NAME, Store
from plots.__main__ import draw_all
from plots.page import COLUMNS, Picture, page
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
        self.rows: list[list[str]] = []
        self._is_in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name in ("src", "href"):
                self.addresses.append(value or "")
            if name == "id":
                self.ids.add(value or "")
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


def test_a_row_for_each_cell_with_its_numbers(store: Store) -> None:
    seen = see(page(store, analyse(store), []))
    shown = [name for name in COLUMNS if name != "delay"]  # there is one only
    assert seen.rows[0] == shown
    rows = {(row[0], row[2]): dict(zip(shown, row, strict=True)) for row in seen.rows[1:7]}
    assert set(rows) == {
        (name, at) for name in ("asyncio", HOSTILE, "protocol") for at in ("1", "10")
    }
    row = rows["asyncio", "10"]
    # Ten waves of 105 ms.
    assert (row["requests/s"], row["efficiency"], row["p50 ms"]) == ("95.2", "0.952", "105.0")
    assert (row["x floor"], row["verdict"]) == ("1.0", "VALID")


def test_a_name_cannot_bring_markup_along(store: Store) -> None:
    text = page(store, analyse(store), [])
    assert "<script>alert" not in text
    assert see(text).tags.count("script") == 1


def test_nothing_is_loaded_from_anywhere(store: Store) -> None:
    drawn = list(draw_all(store.path.parent))
    text = drawn[-1].read_text()
    assert drawn[-1].name == "report.html"
    seen = see(text)
    assert seen.tags.count("img") == len(drawn) - 1
    for address in seen.addresses:
        assert address.startswith("data:image/png;base64,") or address[1:] in seen.ids
    assert not re.search(r"url\(|@import|https?://", re.sub(r"base64,[^\"]*", "", text))


def test_what_is_missing_doubted_or_resumed_is_said(store: Store) -> None:
    store.note_resumption("2026-01-02T00:00:00+00:00", ["kernel differs: 1 and 2"])
    text = page(store, analyse(store), [])
    assert "1 of the runs asked for were not done" in text
    assert "kernel differs: 1 and 2" in text
    assert "Every run is VALID" in text
    failed = result(planned("asyncio", 10, 7, trial=2), failure="crashed with exit code 1")
    store.append(failed)
    text = page(store, analyse(store), [])
    assert "crashed with exit code 1" in text
    assert "Every run is VALID" not in text
    assert '<li class="INVALID">1 INVALID</li>' in text


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
    seen = see(page(store, analyse(store), []))
    (row,) = [row for row in seen.rows if "busy machine" in row]
    assert row[:2] == ["asyncio at 10", "1 of 2"]
    assert "waited for its CPU" in row[-1]
    assert "the host of this machine took" in row[-1]


def test_each_picture_has_words_beside_it(store: Store) -> None:
    picture = Picture("one", "A heading", b"png", "Look at it.", "It shows 5 < 6.")
    text = page(store, analyse(store), [picture])
    assert '<figure id="one">' in text
    assert "data:image/png;base64,cG5n" in text
    assert "It shows 5 &lt; 6." in text
    assert "Look at it." in text


def test_the_command_asks_for_the_same_again(store: Store) -> None:
    text = page(store, analyse(store), [])
    assert "./benchmark.sh run --crawlers" in text
    assert "--concurrency 1,10 --delay 100 --trials 1 --waves 10 --seed 1 --timeout 10" in text
