"""The server as a process: how it starts, what it says, how it goes."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from server.announcement import parse_greeting, parse_listening_line
from server.control_client import ControlError, fetch_run, health
from server.control_token import TOKEN_VARIABLE
from server.process import ServerProcess, ServerStartError

SERVER = [sys.executable, "-P", "-m", "server"]


def get(url: str, target: str) -> bytes:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=20)
    with contextlib.closing(connection):
        connection.request("GET", target)
        return connection.getresponse().read()


@contextlib.contextmanager
def server_by_hand(*flags: str) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """A server without our helper, and the first line that it prints."""
    with subprocess.Popen(
        [*SERVER, "--port", "0", *flags],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline()
        finally:
            process.kill()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_it_prints_both_addresses_and_serves_on_them(loop: str) -> None:
    with ServerProcess("--loop", loop) as server:
        data_url, control_url = server.addresses
        assert get(data_url, "/add?name=t&delay=1&size=3") == b"..."
        assert fetch_run(control_url, "t").rows == 1
        assert health(control_url)["pid"] == server.pid
        greeting = parse_greeting(get(data_url, "/").decode())
        assert greeting is not None
        assert greeting[1] == control_url


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly_with_requests_in_flight(number: signal.Signals) -> None:
    with server_by_hand() as (process, line):
        addresses = parse_listening_line(line)
        assert addresses is not None
        parts = urlsplit(addresses.data_url)
        with socket.create_connection((parts.hostname, parts.port)) as client:
            client.sendall(b"GET /add?name=t&delay=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            while True:
                with contextlib.suppress(RuntimeError):
                    if fetch_run(addresses.control_url, "t").rows:
                        break
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=20)
        assert (process.returncode, stdout, stderr) == (0, "", "")


def test_it_stops_when_the_program_that_started_it_dies() -> None:
    with server_by_hand("--stop-on-stdin-eof") as (process, line):
        assert parse_listening_line(line)
        assert process.stdin is not None
        process.stdin.write("anything but the end\n")
        process.stdin.close()
        assert process.wait(timeout=20) == 0


def test_a_stdin_that_cannot_be_read_has_ended(tmp_path: Path) -> None:
    with (
        (tmp_path / "file").open("w") as write_only,
        subprocess.Popen(
            [*SERVER, "--port", "0", "--stop-on-stdin-eof"],
            stdin=write_only,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        _, stderr = process.communicate(timeout=20)
    assert (process.returncode, stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="limits of processes are of Unix")
def test_too_few_descriptors_are_said_at_the_start() -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", 'ulimit -n 40; exec "$@"', "bash", *SERVER, "--port", "0"],
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == 3
    assert "allows 40 open files" in done.stderr
    assert done.stderr.count("\n") == 1


def test_its_helper_leaves_no_process_behind_when_killed() -> None:
    program = (
        "import time; from server.process import ServerProcess; server = ServerProcess();"
        "server.start(); print(server.pid, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-P", "-c", program], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        starter.kill()
    deadline = time.monotonic() + 20
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc").is_dir()
    return state != "Z"


def test_stopping_twice_is_stopping_once() -> None:
    server = ServerProcess()
    server.start()
    server.stop()
    server.stop()
    assert not _is_running(server.pid)


def test_a_command_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(ServerStartError, match="cannot start no-such-command"):
        ServerProcess(command_prefix=["no-such-command"]).start()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_an_output_that_cannot_be_written_is_one_clear_line() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [*SERVER, "--port", "0"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=20
        )
    assert done.returncode == 3
    assert done.stderr == "server: cannot write to standard output: No space left on device\n"


def test_a_port_in_use_is_named_with_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*SERVER, "--port", str(port)], capture_output=True, text=True, timeout=20
        )
        with pytest.raises(ServerStartError, match=f"127.0.0.1:{port}: address already in use"):
            ServerProcess("--port", str(port)).start()
    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert f"127.0.0.1:{port}: address already in use" in done.stderr
    assert "--port 0" in done.stderr


@pytest.mark.parametrize(
    ("flags", "code", "said"),
    [
        (["--port", "70000"], 2, "'70000' is not a port: give a number from 0 to 65535"),
        (["--port", "-1"], 2, "--port"),
        (["--port", "٣"], 2, "not a port"),
        (["--loop", "trio"], 2, "asyncio"),
        (["--ledger-rows", "-5"], 2, "--ledger-rows"),
        (["--bind", ""], 2, "argument --bind: the address is empty: for every address, give"),
        (["--bind", " "], 2, "argument --bind: the address is empty: for every address, give"),
        (["--bind", "203.0.113.1"], 3, "cannot assign requested address; choose another --bind"),
        (["--bind", "no such host"], 3, "cannot listen on no such host:"),
    ],
)
def test_a_wrong_flag_is_one_clear_line(flags: list[str], code: int, said: str) -> None:
    done = subprocess.run([*SERVER, *flags], capture_output=True, text=True, timeout=20)
    assert done.returncode == code
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("bind", ["0.0.0.0", "0", "::"])
def test_beyond_loopback_the_control_port_asks_for_a_token(
    bind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bind == "::" and not socket.has_dualstack_ipv6():
        pytest.skip("this system has no IPv6")
    with server_by_hand("--bind", bind) as (process, line):
        addresses = parse_listening_line(line)
        assert addresses is not None
        assert process.stderr is not None
        said = process.stderr.readline()
        assert said.startswith(
            f"server: warning: {bind} is not a loopback address: other machines can use"
        )
        token = process.stderr.readline().rpartition(f"{TOKEN_VARIABLE}=")[2].strip()
        host = "[::1]" if bind == "::" else "127.0.0.1"
        control_url = f"http://{host}:{urlsplit(addresses.control_url).port}"
        data_url = f"http://{host}:{urlsplit(addresses.data_url).port}"
        with pytest.raises(ControlError, match=f"401, .* set {TOKEN_VARIABLE}"):
            health(control_url)
        monkeypatch.setenv(TOKEN_VARIABLE, token)
        assert health(control_url)["pid"] == process.pid
        monkeypatch.setenv(TOKEN_VARIABLE, "not a token")
        with pytest.raises(
            ControlError, match=f"{TOKEN_VARIABLE} is not a token: use 8 to 200 letters"
        ):
            health(control_url)
        assert token.encode() not in get(data_url, "/")
        assert len(token) >= 20


def test_a_token_of_the_environment_is_asked_for_and_not_printed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "long-enough")
    with ServerProcess() as server:
        assert health(server.addresses.control_url)["pid"] == server.pid
        monkeypatch.delenv(TOKEN_VARIABLE)
        with pytest.raises(ControlError, match="401"):
            health(server.addresses.control_url)
    monkeypatch.setenv(TOKEN_VARIABLE, "short")
    with pytest.raises(
        ServerStartError, match=f"{TOKEN_VARIABLE} is not a token: use 8 to 200 letters"
    ):
        ServerProcess().start()


def test_a_server_py_in_the_current_folder_does_not_take_its_place(tmp_path: Path) -> None:
    (tmp_path / "server.py").write_text("raise SystemExit('the wrong server')")
    done = subprocess.run(
        [*SERVER, "--version"], capture_output=True, text=True, cwd=tmp_path, timeout=20
    )
    assert done.stdout.startswith("crawlbench ")
