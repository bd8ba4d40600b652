"""A short soak balances; one with a server that loses something does not."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parent.parent / "scripts"


def soak(change: str, *flags: str) -> "subprocess.CompletedProcess[str]":
    """A soak of a few requests, with a change made to its program."""
    program = f"import sys, soak\n{change}\nsys.exit(soak.main())"
    return subprocess.run(
        [sys.executable, "-c", program, *flags, "--timeout", "2"],
        capture_output=True,
        text=True,
        cwd=SCRIPTS,
        timeout=55,
    )


@pytest.mark.thorough
def test_a_short_soak_balances() -> None:
    done = soak("", "--requests", "4000", "--concurrency", "100")
    assert (done.returncode, "does not balance" in done.stdout) == (0, False), done.stdout
    assert "5,000 sent, with those of the warm-up; 5,000 arrived" in done.stdout


LIES = """
fetch, stats = soak.fetch_run, soak.stats

def without_first(url, name):
    record = fetch(url, name)
    if name == "warm-up":
        columns = {key: column[1:] for key, column in record.columns.items()}
        record = record._replace(columns=columns)
    return record

soak.fetch_run = without_first
soak.stats = lambda url: stats(url) | {"client_gone": -1}
soak.delete_run = lambda url, name: None
soak.MISBEHAVED = soak.ANSWERED
soak._SPARE_BYTES = soak._SPARE_BLOCKS = -10**12
"""


def test_what_does_not_balance_is_found() -> None:
    done = soak(LIES, "--requests", "400", "--concurrency", "20")
    assert done.returncode == 1
    for said in (
        "does not balance: warm-up: 99 arrivals, but not one of each request",
        "misbehaved, not answered",
        "client_gone is -1, but should be 0",
        "the ledger is not empty",
        "the server's memory has grown",
        "the server has more objects than before",
    ):
        assert said in done.stdout
