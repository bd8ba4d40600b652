"""What is installed with crawlbench: pycurl is, wherever it has wheels."""

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement
from packaging.tags import Tag

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.mark.parametrize(
    ("platforms", "has_wheels"),
    [
        (("manylinux_2_28_x86_64", "linux_x86_64", "any"), True),
        (("musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "linux_x86_64", "any"), False),
        (("macosx_11_0_arm64", "any"), True),
    ],
)
def test_pycurl_is_a_dependency_but_on_musl(
    monkeypatch: pytest.MonkeyPatch, platforms: tuple[str, ...], has_wheels: bool
) -> None:
    tags = [Tag("py3", "none", platform) for platform in platforms]
    monkeypatch.setattr("packaging.tags.sys_tags", lambda: iter(tags))
    built = ProjectMetadata(str(ROOT), PluginManager()).core.dependencies
    names = {Requirement(one).name for one in built}
    assert ("pycurl" in names) == has_wheels
    listed = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["dependencies"]
    assert names - {"pycurl"} == {Requirement(one).name for one in listed}


def test_the_extra_curl_is_the_way_on_musl_and_no_other_extra_needs_it() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert [Requirement(one).name for one in extras["curl"]] == ["pycurl"]
    others = {name: needed for name, needed in extras.items() if name != "curl"}
    assert "curl" not in {
        extra for needed in others.values() for one in needed for extra in Requirement(one).extras
    }


def stamp_of(folder: Path) -> str:
    script = (ROOT / "scripts" / "env.sh").read_text()
    start = script.index("wanted_stamp() {")
    function = script[start : script.index("\n}", start) + 2]
    bash = shutil.which("bash")
    assert bash is not None
    done = subprocess.run(
        [bash, "-c", f"root=$1 own_packages_first=\n{function}\nwanted_stamp all", "", folder],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize(
    ("file", "was", "now", "is_new"),
    [
        ("pyproject.toml", '"tornado>=6.5.5"', '"tornado>=6.6"', True),
        ("pyproject.toml", '"pycurl>=7.45.6"', '"pycurl>=7.46"', True),
        ("pyproject.toml", '["hatchling>=1.26,<2"]', '["hatchling>=1.27,<2"]', True),
        ("hatch_build.py", '"musllinux"', '"linux"', True),
        ("constraints.txt", "tornado==", "tornado==9.", True),
        ("pyproject.toml", "strict = true", "strict = false", False),
        ("pyproject.toml", "line-length = 100", "line-length = 90", False),
    ],
)
def test_an_environment_is_recreated_if_what_is_installed_changes(
    tmp_path: Path, file: str, was: str, now: str, is_new: bool
) -> None:
    for name in ("pyproject.toml", "hatch_build.py", "constraints.txt"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    before = stamp_of(tmp_path)
    text = (tmp_path / file).read_text()
    assert was in text
    (tmp_path / file).write_text(text.replace(was, now))
    assert (stamp_of(tmp_path) != before) == is_new
