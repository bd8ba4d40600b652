"""`crawlbench site` as its users call it: what it says of right and wrong spiders."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.this_process import bench_without_figures
from tests.wrong_spiders import DROPPED

SITE = ["--pages", "150", "--links", "12", "--delay", "0", "--concurrency", "1", "--with", "all"]
WRONG = ("drops_some", "keeps_fragments", "ignores_robots", "falls_into_the_trap", "forgets_some")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What is said of each spider, by its name."""
    names = ",".join(f"tests.wrong_spiders:{name}" for name in ("right", *WRONG))
    out = tmp_path_factory.mktemp("site")
    done = bench_without_figures("site", "--spiders", names, *SITE, "--json", "--out", str(out))
    assert done.returncode == 1, done
    return {run["spider"].partition(":")[2]: run for run in json.loads(done.stdout)}


def test_a_right_spider_is_not_invalid(told: dict[str, dict[str, Any]]) -> None:
    right = told["right"]
    assert right["verdict"] in ("VALID", "SUSPECT")  # of a busy machine
    assert (right["coverage"], right["fetched_twice"], right["disallowed"]) == (1.0, 0, 0)
    assert right["pages_per_s"] > 0


def test_each_wrong_spider_is_found_out(told: dict[str, dict[str, Any]]) -> None:
    assert {name: told[name]["verdict"] for name in WRONG} == {
        **dict.fromkeys(WRONG, "INVALID"),
        "keeps_fragments": "SUSPECT",
    }
    assert 1 - 5 / DROPPED < told["drops_some"]["coverage"] < 1
    assert told["keeps_fragments"]["fetched_twice"] > 10
    assert told["ignores_robots"]["disallowed"] == 4
    assert told["falls_into_the_trap"]["in_trap"] > told["right"]["in_trap"]


def test_a_spider_that_crashes_is_named_with_what_it_said(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def spider(frontier, *rest):\n    raise KeyError('oh')\n")
    done = bench_without_figures(
        *("site", "--spiders", f"{tmp_path}/mine.py:spider", "--pages", "10", "--links", "2"),
        *("--concurrency", "1", "--json", "--out", str(tmp_path / "out")),
    )
    assert done.returncode == 1
    assert "crashed with exit code 1" in done.stderr
    assert "KeyError: 'oh'" in done.stderr
    (run,) = json.loads(done.stdout)
    assert (run["verdict"], run["pages_per_s"]) == ("INVALID", None)
