"""Signals that ask for an end, and readers that go away."""

import signal
import socket
import subprocess
import sys

from tests.faults.place import ROOT, Place, must
from tests.faults.table import fault

GROUP = "signal"
_KEPT = "exit 130; one line says how many runs are kept and how to resume; nothing is left"


def _stop_sweep(place: Place, *numbers: signal.Signals) -> str:
    process = place.sweep()
    place.wait_for("runs are kept", lambda: place.kept() >= 1)
    place.pause(0.0, 1.0)
    for number in numbers:
        process.send_signal(number)
    done = place.end(process)
    said = done.must_say(130, "interrupted", "--resume")
    must(f" {place.kept()} of " in done.stderr, f"{place.kept()} runs are kept: {said}")
    place.must_keep(1)
    return said


@fault(GROUP, "SIGINT (Ctrl-C) in mid-sweep", _KEPT)
def _(place: Place) -> str:
    return _stop_sweep(place, signal.SIGINT)


@fault(GROUP, "SIGTERM in mid-sweep", _KEPT)
def _(place: Place) -> str:
    return _stop_sweep(place, signal.SIGTERM)


@fault(GROUP, "SIGHUP (the terminal is closed) in mid-sweep", _KEPT)
def _(place: Place) -> str:
    return _stop_sweep(place, signal.SIGHUP)


@fault(GROUP, "SIGINT three times in a row", _KEPT)
def _(place: Place) -> str:
    return _stop_sweep(place, signal.SIGINT, signal.SIGINT, signal.SIGINT)


@fault(GROUP, "SIGINT at a random instant of the start", "no traceback; nothing is left")
def _(place: Place) -> str:
    process = place.sweep()
    at_s = place.pause(0.0, 0.6)
    process.send_signal(signal.SIGINT)
    done = place.end(process)
    must(done.code in (130, -signal.SIGINT), f"exit code {done.code}: {done.last_line}")
    must("Traceback" not in done.stderr, "a traceback")
    return f"after {at_s:.2f} s: exit {done.code}"


@fault(GROUP, "SIGINT while it draws", "exit 130, no traceback; the runs are kept")
def _(place: Place) -> str:
    process = place.start(
        *("run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "1", "-n", 6),
        *("--trials", 1, "--out", place.out),
    )
    place.wait_for("it draws", lambda: place.child("plots"))
    place.pause(0.0, 1.0)
    process.send_signal(signal.SIGINT)
    said = place.end(process).must_say(130)
    place.must_keep(3)
    return said


@fault(GROUP, "SIGINT in `crawl`", "exit 130, no traceback; nothing is left")
def _(place: Place) -> str:
    process = place.start("crawl", "asyncio", "-n", 5000, "-c", 5, "--delay", "20")
    place.wait_for("the crawler runs", lambda: place.child("crawlers"))
    place.pause(0.0, 1.0)
    process.send_signal(signal.SIGINT)
    return place.end(process).must_say(130)


@fault(GROUP, "SIGTERM at a server that runs by hand", "exit 0 at once, though a client waits")
def _(place: Place) -> str:
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "server", "--port", "0"],
        cwd=ROOT,
        env=place.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline().decode()
    must("listening on" in line, f"it said {line!r}")
    port = int(line.split()[2].rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(b"GET /add?delay=50000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        process.send_signal(signal.SIGTERM)
        return place.end(process).must_say(0)


@fault(GROUP, "a reader of the tables that goes away (| head -1)", "exit 0, silent", is_fast=True)
def _(place: Place) -> str:
    script = '"$@" | head -n 1; exit "${PIPESTATUS[0]}"'
    done = place.run(["bash", "-c", script, "bash", *place.command("list")])
    must(done.code == 0, f"exit code {done.code}")
    must(not done.stderr, f"it says {done.stderr!r}")
    return f"exit {done.code}, silent"
