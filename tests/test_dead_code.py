"""Code that nothing uses is found, and no exception from that outlives its reason."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["vulture"]


def vulture(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "vulture", *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
    )


def test_a_function_that_nothing_calls_is_found(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in SETTINGS["paths"]:
        (tmp_path / package / "room").mkdir(parents=True)
        text = f"def planted_in_{package}() -> None:\n    pass\n"
        (tmp_path / package / "room" / "planted.py").write_text(text)
    done = vulture(tmp_path)
    assert done.returncode == 3, done
    for package in ("server", "crawlers", "bench", "plots", "scripts"):
        assert f"{package}/room/planted.py:1: unused function 'planted_in_{package}'" in done.stdout


@pytest.mark.thorough
def test_each_exception_is_still_needed() -> None:
    done = vulture(ROOT, "--ignore-names", "none")
    found = set(re.findall(r"unused \w+ '(\w+)'", done.stdout))
    assert sorted(SETTINGS["ignore_names"]) == sorted(found)
