"""What crawlbench check --faults prints and draws, end to end and by hand."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.contract.faults import PLAYED, Played
from plots import faults
from plots.figures.faults import faults_figure


def played(fault: str, **known: object) -> dict[str, object]:
    fields = {"crawler": "mine:crawl", "wanted": "", "declared": None, **known}
    return Played(fault=fault, **fields).to_json()  # type: ignore[arg-type]


TOLD = {
    "environment": {},
    "timeout_s": 0.5,
    "versions": {"mine:crawl": ["library 1.0"]},
    "played": [
        played("hang", wanted="timeout", word="timeout", noticed_s=0.5, arrivals=1),
        played("drip-body", wanted="timeout", declared="unbounded"),
        played("reset", wanted="reset", word="closed", noticed_s=0.001, arrivals=3),
        played("bad-length", wanted="malformed", word="", status=200, noticed_s=0.02),
        played("close", wanted="closed", failure="crashed with exit code 1"),
    ],
}


def test_a_figure_of_faults_says_what_was_heard_and_how_often_it_was_sent() -> None:
    figure = faults_figure(TOLD)
    above, below = figure.axes
    words = [text.get_text() for text in above.texts]
    assert words == ["timeout", "unbounded", "closed x3", "good", "crashed"]
    assert [text.get_text() for text in below.texts] == ["500", "-", "1.0", "20", "-", "-"]
    figure.savefig(io.BytesIO(), format="png")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"played": [1]}'])
def test_what_is_no_account_of_faults_is_refused_in_one_line(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))
    assert faults.main(["--plot", str(tmp_path / "faults.png")]) == 3
    assert capsys.readouterr().err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.thorough
def test_the_faults_are_played_printed_and_drawn(tmp_path: Path) -> None:
    drawn = tmp_path / "faults.svg"
    command = [sys.executable, "-P", "-m", "bench", "check", "protocol", "--faults", "--json"]
    done = subprocess.run(
        [*command, "--plot", str(drawn)], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0
    found = {one["fault"]: one for one in json.loads(done.stdout)["played"]}
    assert list(found) == list(PLAYED)
    assert {one["arrivals"] for one in found.values()} == {1}
    for fault in ("hang", "drip-body", "drip-headers"):
        # It gives up after the limit of time; the server notices then, and not after a minute.
        assert found[fault]["noticed_s"] > 0.4
        assert 0 <= found[fault]["worked_on_s"] < 30
    assert found["500"]["worked_on_s"] is None
    assert "drip-" in drawn.read_text()
