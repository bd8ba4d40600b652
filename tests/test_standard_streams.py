"""Programs whose stdout or stderr cannot be written: their exit code, and one line at the most."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full"
)
NOBODY = "http://127.0.0.1:9/"


def run(*command: str, full: str, unbuffered: str = "") -> tuple[int, str]:
    """The exit code, and what was said on the stream that is not `full`."""
    with open("/dev/full", "w") as device:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-P", "-m", *command],
            stdout=device if full == "stdout" else subprocess.PIPE,
            stderr=device if full == "stderr" else subprocess.PIPE,
            text=True,
            timeout=50,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    return done.returncode, done.stderr if full == "stdout" else done.stdout


@pytest.mark.parametrize(
    ("command", "unbuffered"),
    [
        (["bench", "list"], ""),
        (["bench", "list"], "1"),
        (["bench", "--help"], ""),
        (["plots", "--help"], ""),
        (["server", "--version"], ""),
        (["crawlers", "serial", "--url", NOBODY, "-n", "1", "-c", "1"], ""),
    ],
)
def test_a_full_stdout_is_one_line_and_exit_code_3(command: list[str], unbuffered: str) -> None:
    code, said = run(*command, full="stdout", unbuffered=unbuffered)
    name = "crawlbench" if command[0] == "bench" else command[0]
    assert said == f"{name}: cannot write to standard output: No space left on device\n"
    assert code == 3


@pytest.mark.parametrize(
    ("command", "unbuffered", "code"),
    [
        (["bench", "report", "/no/such/folder"], "", 3),
        (["bench", "crawl", "no-such-crawler"], "1", 2),
        (["plots", "/no/such/folder"], "", 3),
        (["server", "--bind", "203.0.113.1"], "", 3),
        (["crawlers", "no-such-crawler", "--url", NOBODY], "", 2),
    ],
)
def test_a_full_stderr_changes_no_exit_code(command: list[str], unbuffered: str, code: int) -> None:
    assert run(*command, full="stderr", unbuffered=unbuffered) == (code, "")


def test_a_full_stderr_costs_no_result(tmp_path: Path) -> None:
    # A crawl of more than can be had: what is said of that goes to stderr, before the result.
    command = ["bench", "crawl", "serial", "-n", "2", "-c", "2", "--delay", "0"]
    command += ["--out", str(tmp_path)]
    code, said = run(*command, full="stderr")
    assert code == 0
    assert "2 matched" in said
