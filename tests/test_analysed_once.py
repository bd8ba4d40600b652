"""What a command has analysed and printed is handed over to the process that draws."""

import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from bench.kinds import KINDS, kind_of
from bench.results.store import Store
from plots import __main__ as plots

_DATA = Path(__file__).parent / "data"
STORED = [
    *sorted((_DATA / "schema-4").glob("*.sqlite")),
    _DATA / "schema-5" / "crawl.sqlite",
    *(_DATA / "schema-7" / f"{name}.sqlite" for name in ("advice", "scenarios")),
    _DATA / "schema-8" / "site.sqlite",
]
"""One of each kind."""


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_an_analysis_comes_through_a_pipe_as_it_was(path: Path) -> None:
    with Store.open(path) as store:
        analysis = kind_of(store).analyse(store)
    assert repr(pickle.loads(pickle.dumps(analysis))) == repr(analysis)  # noqa: S301
    assert {one.stem for one in STORED} == {kind.name for kind in KINDS}


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", [pytest.param("sweep", marks=pytest.mark.thorough), "primes"])
def test_what_was_analysed_is_drawn_and_not_analysed_again(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "results.sqlite"
    path.write_bytes(next(one for one in STORED if one.stem == name).read_bytes())
    with Store.open(path) as store:
        analysis = kind_of(store).analyse(store)

    def again(store: Store) -> object:
        raise AssertionError("analysed again")

    monkeypatch.setattr("bench.analysis.analyse.analyse", again)
    monkeypatch.setattr("bench.primes.analysis.analyse_primes", again)
    assert len(list(plots.draw_all(tmp_path, "png", analysis))) > 3
    with pytest.raises(AssertionError, match="analysed again"):
        list(plots.draw_all(tmp_path))


@pytest.mark.parametrize("told", [b"", b"\x80\x05"])
def test_a_bench_that_ends_while_it_hands_over_ends_the_process(
    told: bytes, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "plots", str(tmp_path), "--analysis-on-stdin"],
        input=told,
        capture_output=True,
        timeout=50,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
