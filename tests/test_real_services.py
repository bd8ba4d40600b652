"""scripts/real_services.py says whether an advice is true, and its services end with it."""

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from bench.report.tables import lay_out

PATH = Path(__file__).parent.parent / "scripts" / "real_services.py"
SCRIPT = runpy.run_path(str(PATH))
GUNICORN = next(one for one in SCRIPT["SERVICES"] if one.name == "gunicorn-sync")
needs_programs = pytest.mark.skipif(
    not all(shutil.which(one, path="/usr/bin:/usr/sbin") for one in SCRIPT["PROGRAMS"]),
    reason="needs nginx, gunicorn and setpriv",
)


def finding(advised: int | None, goodput: dict[int, float]) -> Any:
    advice = SCRIPT["Advice"](advised, advised or 0, advised or 0, "server")
    return SCRIPT["Finding"](GUNICORN, advice, goodput)


@pytest.mark.parametrize(
    ("advised", "verdict"),
    [(2, "too few"), (4, "true"), (5, "true"), (8, "too many"), (None, "no advice")],
)
def test_an_advice_is_compared_with_what_was_measured(advised: int | None, verdict: str) -> None:
    goodput = {1: 19.0, 2: 38.0, 3: 57.0, 4: 75.0, 5: 78.0, 6: 79.0, 8: 80.0}
    assert set(SCRIPT["to_measure"](advised, GUNICORN.knee)) <= {*goodput, 10, 16, 20, 32}
    assert finding(advised, goodput).verdict == verdict


def test_one_at_a_time_cannot_be_too_many() -> None:
    assert SCRIPT["fewer"](1) is None
    assert finding(1, {1: 80.0, 2: 80.0}).verdict == "true"


def test_what_the_programs_print_is_read() -> None:
    line = "300 requests, 12 errors (refused 12), 3.500 s, 82.3 requests/s\n"
    assert SCRIPT["Measured"].parse(line) == (300, 12, 3.5, 82.3)
    with pytest.raises(SCRIPT["ServiceFailedError"], match="no numbers"):
        SCRIPT["Measured"].parse("crawlers: no such crawler")
    recommended = {"concurrency": 4, "low": 4, "high": 5}
    text = json.dumps({"recommended": recommended, "limited_by": "server"})
    assert SCRIPT["Advice"].parse(text) == (4, 4, 5, "server")
    assert SCRIPT["Advice"].parse('{"recommended": null, "limited_by": null}').concurrency is None


def test_the_table_fits_80_columns() -> None:
    advice = SCRIPT["Advice"](1024, 1000, 1100, "client CPU")
    row = SCRIPT["Finding"](GUNICORN, advice, {1024: 12345.6, 819: 11000.0})
    lines = ["".join(span.text for span in line) for line in lay_out(SCRIPT["table_of"]([row]), 80)]
    assert max(map(len, lines)) <= 80
    assert "1024 (1000-1100)" in "\n".join(lines)
    assert "Left out" not in "\n".join(lines)


def test_a_missing_program_is_named_with_its_package() -> None:
    SCRIPT["PROGRAMS"]["no-such-program"] = "its-package"
    try:
        with pytest.raises(SCRIPT["MissingProgramError"], match="apt-get install its-package"):
            SCRIPT["path_of"]("no-such-program")
    finally:
        del SCRIPT["PROGRAMS"]["no-such-program"]


@needs_programs
@pytest.mark.thorough
@pytest.mark.parametrize("service", SCRIPT["SERVICES"], ids=lambda one: one.name)
def test_each_service_answers_and_ends(service: Any) -> None:
    with SCRIPT["started"](service) as (host, url):
        assert urllib.request.urlopen(url, timeout=10).status == 200  # noqa: S310
    assert not host.folder.exists()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(url, timeout=10)  # noqa: S310


@needs_programs
@pytest.mark.thorough
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_services_end_with_the_script(how: signal.Signals, tmp_path: Path) -> None:
    command = [sys.executable, "-P", str(PATH), "--no-advice", "--services", "nginx-limit-req"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    # The services inherit stdin, so that this pipe ends with the last of them.
    read, write = os.pipe()
    with subprocess.Popen(
        command, stdin=write, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    ) as script:
        os.close(write)
        assert script.stderr is not None
        assert b"nginx-limit-req: 8 at a time" in script.stderr.readline()
        script.send_signal(how)
        with os.fdopen(read, "rb") as services:
            assert not services.read()
        assert script.wait() == {signal.SIGINT: 130, signal.SIGTERM: 143}.get(how, -how)
    if how is not signal.SIGKILL:
        assert not list(tmp_path.glob("real-services-*"))
