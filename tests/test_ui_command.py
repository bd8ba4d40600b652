"""`crawlbench ui` as a process: what it prints, how it ends, and what ends with it."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import psutil
import pytest

COMMAND = [sys.executable, "-P", "-m", "bench", "ui", "--no-browser"]
FORM = b'{"crawlers": ["asyncio"], "concurrency": "1", "trials": "1", "duration": "600"}'

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    processes: list[subprocess.Popen[str]] = []

    def started(*words: str) -> "subprocess.Popen[str]":
        pipe = subprocess.PIPE
        command = [*COMMAND, *words, str(tmp_path / "results")]
        processes.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True))
        return processes[-1]

    yield started
    for process in processes:
        process.kill()
        process.communicate()


def test_it_ends_with_ctrl_c_and_takes_its_processes_along(start: Start) -> None:
    ui = start()
    assert ui.stdout is not None
    assert ui.stderr is not None
    url = ui.stdout.readline().strip()
    found = re.fullmatch(r"(http://127\.0\.0\.1:(\d+))/\?token=([\w-]{32})", url)
    assert found is not None
    address, port, token = found.groups()
    headers = {"Cookie": f"crawlbench-{port}={token}", "Origin": address}
    with urlopen(Request(f"{address}/api/experiments", FORM, headers)) as answer:  # noqa: S310
        assert answer.status == 202
    begun = None
    while begun is None:
        with urlopen(Request(f"{address}/api/state", headers=headers)) as answer:  # noqa: S310
            begun = json.load(answer)["state"]["begun"]
    children = psutil.Process(ui.pid).children(recursive=True)
    assert children
    ui.send_signal(signal.SIGINT)
    assert ui.wait() == 0
    said = ui.stderr.read()
    assert said == "crawlbench: stopping the experiment; its finished runs are kept\n"
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []


def test_a_port_that_is_taken_ends_it_with_one_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ui = start("--port", str(port))
        out, said = ui.communicate()
    assert (ui.returncode, out) == (3, "")
    assert said == (
        f"crawlbench: cannot listen on port {port}: another program uses it; choose another "
        "--port, or leave it out\n"
    )


def test_without_bokeh_one_line_says_how_to_install_it(tmp_path: Path) -> None:
    hidden = "import sys; sys.modules['bokeh'] = None; sys.argv[0] = 'crawlbench'\n"
    program = f"{hidden}from bench.__main__ import main; sys.exit(main(['ui', '--no-browser']))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert re.fullmatch(r"crawlbench: ui needs bokeh: .*pip install.* bokeh\n", done.stderr)
