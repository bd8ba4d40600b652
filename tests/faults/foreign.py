"""Servers that are not ours: they lie in their greeting, drip, or answer nonsense."""

import contextlib
import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.faults.place import Place, must
from tests.faults.table import fault

GROUP = "server"


@contextmanager
def _listening(answer: Callable[[socket.socket, bytes], None]) -> Iterator[int]:
    """A server that hands each connection, and the head of its first request, to a function."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve(client: socket.socket) -> None:
            with client:
                try:
                    client.settimeout(30)
                    answer(client, client.recv(65_536))
                except OSError:
                    pass

        def accept() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(client,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)


def _http(body: bytes, status: str = "200 OK") -> bytes:
    return (
        b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        % (status.encode(), len(body))
        + body
    )


def _plain(client: socket.socket, _: bytes) -> None:
    client.sendall(_http(b"."))


def _greets(port_of_control: Callable[[], str]) -> Callable[[socket.socket, bytes], None]:
    def answer(client: socket.socket, head: bytes) -> None:
        if head.startswith(b"GET / "):
            client.sendall(_http(f"crawlbench 0.1.0 control {port_of_control()}\n".encode()))
        else:
            client.sendall(_http(b"."))

    return answer


def _crawl(place: Place, port: int) -> "tuple[int, str, str]":
    done = place.call(
        "crawl", "serial", "-n", 5, "-c", 1, "--url", f"http://127.0.0.1:{port}", "--timeout", 5
    )
    must("Traceback" not in done.stderr, f"a traceback: {done.stderr[-300:]}")
    return done.code, done.stdout, done.last_line


@fault(
    GROUP,
    "a greeting that names a control address elsewhere",
    "that address is never asked",
    is_fast=True,
)
def _(place: Place) -> str:
    asked = threading.Event()

    # Elsewhere: another address of the loopback range stands for another host.
    with socket.create_server(("127.0.0.2", 0)) as listener:

        def wait() -> None:
            with contextlib.suppress(OSError):
                listener.accept()
                asked.set()

        threading.Thread(target=wait, daemon=True).start()
        port = listener.getsockname()[1]
        with _listening(_greets(lambda: f"http://127.0.0.2:{port}")) as data_port:
            before = time.monotonic()
            code, _, said = _crawl(place, data_port)
            span_s = time.monotonic() - before
    must(not asked.is_set(), "it was asked")
    must(span_s < 10, f"it took {span_s:.0f} s: was the other address tried?")
    return f"exit {code}: {said[:120]}"


def _lying(place: Place, control: Callable[[socket.socket, bytes], None]) -> str:
    with _listening(control) as control_port:
        greeting = _greets(lambda: f"http://127.0.0.1:{control_port}")
        with _listening(greeting) as data_port:
            code, _, said = _crawl(place, data_port)
    must(code in (0, 1, 3), f"exit code {code}")
    must(code == 0 or said, "no word of it")
    return f"exit {code}: {said[:120]}"


def _drip(client: socket.socket, head: bytes) -> None:
    del head
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    for _ in itertools.repeat(None, 600):
        client.sendall(b" ")
        time.sleep(0.1)


def _flood(client: socket.socket, head: bytes) -> None:
    del head
    client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    piece = b" " * 1_000_000
    for _ in itertools.repeat(None, 20_000):
        client.sendall(piece)


for _name, _answer, _is_fast in (
    ("a control port that answers `5`", lambda client, _: client.sendall(_http(b"5")), True),
    (
        "a control port that answers nested JSON",
        lambda client, _: client.sendall(_http(b"[" * 200_000)),
        False,
    ),
    (
        "a control port that answers NaN",
        lambda client, _: client.sendall(
            _http(b'{"requests": NaN, "connections": {"most": 1e999, "turned_away": NaN}}')
        ),
        False,
    ),
    (
        "a control port that answers no HTTP",
        lambda client, _: client.sendall(b"\x00" * 1000),
        False,
    ),
    ("a control port that closes at once", lambda client, _: None, False),
    ("a control port that answers 20 GB", _flood, False),
):
    fault(GROUP, _name, "one line, in bounded time and memory", is_fast=_is_fast)(
        lambda place, answer=_answer: _lying(place, answer)  # type: ignore[misc]
    )


@fault(GROUP, "a control port that drips a byte every 0.1 s", "one line, within its deadline")
def _(place: Place) -> str:
    return _lying(place, _drip)


def _ledger(layout: bytes) -> Callable[[socket.socket, bytes], None]:
    """A control port that is right in all but the ledger."""
    counters = b'{"requests": 5, "connections": {"accepted": 1, "most": 1000, "turned_away": 0}}'

    def answer(client: socket.socket, head: bytes) -> None:
        is_ledger = head.startswith(b"GET /runs/")
        client.sendall(_http(layout + b"\n" if is_ledger else counters))

    return answer


def _layout(rows: int, columns: list[tuple[str, str, int]]) -> bytes:
    header = {"name": "x", "rows": rows, "unrecorded": 0, "first_request_head": ""}
    return json.dumps({**header, "byteorder": "little", "columns": columns}).encode()


for _name, _bad in (
    ("of 10^12 rows", _layout(10**12, [("seq", "q", 10**12)])),
    ("of negative length", _layout(-1, [("seq", "q", -5)])),
    ("of unknown type codes", _layout(0, [("seq", "Z", 0)])),
    ("without columns", _layout(0, [])),
):
    fault(GROUP, f"a ledger {_name}", "one line, in bounded time and memory")(
        lambda place, layout=_bad: _lying(place, _ledger(layout))  # type: ignore[misc]
    )
