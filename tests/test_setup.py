"""What the entry scripts do on a machine that lacks something: one line, exit 3."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TOOLS = ("bash", "cat", "dirname", "grep", "head", "mv", "rm", "sed", "flock")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the scripts are for bash")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The scripts in a folder of their own, with a space in its name."""
    copy = tmp_path / "a check out"
    shutil.copytree(ROOT / "scripts", copy / "scripts")
    for name in ("benchmark.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, copy)
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS:
        found = shutil.which(name)
        if found:
            (tools / name).symlink_to(found)
    return copy


def put_program(checkout: Path, name: str, script: str) -> None:
    program = checkout.parent / "bin" / name
    program.write_text(f"#!/usr/bin/env bash\n{script}\n")
    program.chmod(0o755)


def start(checkout: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": str(checkout.parent / "bin"), "HOME": str(checkout.parent)}
    return subprocess.run(
        [str(checkout / "benchmark.sh"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
    )


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 3, done
    assert done.stdout == ""
    said, *setting_up = reversed(done.stderr.splitlines())
    assert all(line.startswith("crawlbench: setting up") for line in setting_up)
    return said


def test_a_python_that_is_too_old_is_named(checkout: Path) -> None:
    put_program(checkout, "python3", '[ "$1" = --version ] && echo Python 3.9.2')
    assert last_line(start(checkout)) == (
        "crawlbench: needs Python >= 3.11, and found Python 3.9.2: "
        "install one, or name it in CRAWLBENCH_PYTHON"
    )


def test_no_python_at_all_is_said(checkout: Path) -> None:
    assert "needs Python >= 3.11" in last_line(start(checkout))


def test_a_missing_venv_module_is_said_with_what_to_install(checkout: Path) -> None:
    put_program(checkout, "python3", 'if [ "$1" = -c ]; then exit 0; fi; exit 1')
    said = last_line(start(checkout))
    assert "no venv module" in said
    assert "python3-venv" in said


PIP_THAT_FAILS = """
if [ "$1" = -c ]; then exit 0; fi
mkdir -p "$4/bin"
printf '#!/bin/sh\\necho "%s" >&2\\nexit 1\\n' "{said}" >"$4/bin/python"
chmod +x "$4/bin/python"
"""


@pytest.mark.parametrize(
    ("pip_says", "said"),
    [
        ("WARNING: Retrying after connection broken by NewConnectionError", "no network"),
        ("ERROR: No matching distribution found", "No matching distribution found"),
    ],
)
def test_packages_that_cannot_be_installed_are_one_line(
    checkout: Path, pip_says: str, said: str
) -> None:
    for name in ("mkdir", "chmod", "sh"):
        (checkout.parent / "bin" / name).symlink_to(str(shutil.which(name)))
    put_program(checkout, "python3", PIP_THAT_FAILS.format(said=pip_says))
    assert said in last_line(start(checkout))
    # A set-up that failed is not taken for one that is done.
    assert said in last_line(start(checkout))


def test_a_second_start_installs_nothing(checkout: Path) -> None:
    interpreter = checkout / ".venv" / "bin" / "python"
    interpreter.parent.mkdir(parents=True)
    interpreter.write_text('#!/usr/bin/env bash\necho "$@"\n')
    interpreter.chmod(0o755)
    project = (checkout / "pyproject.toml").read_text().partition("[tool.")[0]
    constraints_text = (checkout / "constraints.txt").read_text()
    stamp = checkout / ".venv" / "crawlbench-stamp"
    stamp.write_text(f"{checkout} \n{project}{constraints_text}")
    for arguments, handed_on in [
        ([], "run"),
        (["--quick"], "run --quick"),
        (["list", "--json"], "list --json"),
        (["--help"], "--help"),
    ]:
        done = start(checkout, *arguments)
        assert done.stdout == f"-P -m bench {handed_on}\n", done
        assert done.stderr == ""
    # Another version of a package is another environment ...
    with (checkout / "constraints.txt").open("a") as constraints:
        constraints.write("another==1\n")
    put_program(checkout, "python3", 'if [ "$1" = -c ]; then exit 0; fi; exit 1')
    assert "no venv module" in last_line(start(checkout))
    # ... and where it cannot be made, the one before is still there.
    (checkout / "constraints.txt").write_text(constraints_text)
    assert start(checkout).stdout == "-P -m bench run\n"


def test_an_interpreter_can_be_named(checkout: Path) -> None:
    done = subprocess.run(
        [str(checkout / "benchmark.sh")],
        env={"PATH": str(checkout.parent / "bin"), "CRAWLBENCH_PYTHON": "/no/such/python"},
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert "CRAWLBENCH_PYTHON=/no/such/python is no Python >= 3.11" in last_line(done)
