"""The server's command line: it opens two ports and stops on SIGTERM or SIGINT."""

import signal
import sys

# Until the loop handles signals, Ctrl-C ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from server.parent import continue_when_parent_ends

if __name__ == "__main__" and "--stop-on-stdin-eof" in sys.argv:
    continue_when_parent_ends()  # at once: a stopped process does not notice that stdin ends

# ruff: noqa: E402 - the imports take most of the time in which Ctrl-C may come
import argparse
import asyncio
import contextlib
import errno
import gc
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable

from server import __version__
from server.control_token import TOKEN_VARIABLE, TokenError, token_of_environment
from server.service import Service, ServiceError
from server.service_options import add_service_options, service_of
from server.standard_streams import run_program

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3

_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SPARE_DESCRIPTORS = 64
"""Descriptors kept free for the control port, the listening sockets and the interpreter."""


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal stops the server; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        service = service_of(arguments)
    except ServiceError as error:
        parser.error(str(error))
    try:
        loop_factory = _loop_factory(arguments.loop)
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_serve(arguments, service))
    except _StartError as error:
        print(f"server: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    except ModuleNotFoundError as error:
        print(f"server: {error.name} is not installed: pip install {error.name}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    return EXIT_OK


class _StartError(Exception):
    """This machine does not let the server start; the text names the cause and the fix."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="A server that delays each response by what its URL asks for: "
        "GET /add?name=RUN&seq=17&delay=100 is answered after 100 ms, and recorded. "
        "Read the records on the control port: /health, /stats, /runs/RUN.",
        epilog="The server prints 'listening on URL control URL' once it listens. Ctrl-C or "
        "SIGTERM stops it. Exit codes: 0 stopped, 2 a mistake in the command line, 3 this machine "
        "does not allow it (a port is in use, uvloop is missing).",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=8080,
        help="data port (default: %(default)s; 0: any free port)",
    )
    parser.add_argument(
        "--control-port", type=_port, default=0, help="control port (default: 0, any free port)"
    )
    parser.add_argument(
        "--bind",
        type=_address,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="address to listen on (default: %(default)s). Unless it is a loopback address, every "
        "machine that can reach it can use the data port, and also the control port with the token "
        f"in {TOKEN_VARIABLE}. If that variable is empty, a token is made and printed",
    )
    parser.add_argument(
        "--loop",
        choices=("asyncio", "uvloop"),
        default="asyncio",
        help="event loop (default: %(default)s)",
    )
    parser.add_argument(
        "--ledger-rows",
        type=_rows,
        default=4_000_000,
        metavar="N",
        help="most requests to record, about 55 bytes each (default: %(default)s): this many for "
        "announced runs, and as many again for others. Further requests are answered and counted, "
        "but not recorded",
    )
    parser.add_argument(
        "--stop-on-stdin-eof",
        action="store_true",
        help="stop when stdin ends, for programs that start the server and may die",
    )
    parser.add_argument("--version", action="version", version=f"crawlbench {__version__}")
    add_service_options(
        parser,
        "What the server does with all requests of a run together, from the run's first request "
        "on. It applies to each run that was not announced on the control port, and to all "
        "requests without a run together. Each option may be left out.",
    )
    return parser


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text!r} is not a port: give a number from 0 to 65535")
    return int(text)


def _address(text: str) -> str:
    if not text.strip():
        reason = "the address is empty: for every address, give 0.0.0.0 or ::"
        raise argparse.ArgumentTypeError(reason)
    return text


def _rows(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rows: give 0 to 999999999")
    return int(text)


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop]:
    if name == "asyncio":
        from server.precise_selector import new_event_loop

        return new_event_loop
    try:
        import uvloop
    except ImportError:
        reason = "uvloop is not installed: pip install uvloop, or use --loop asyncio"
        raise _StartError(reason) from None
    return uvloop.new_event_loop


async def _serve(arguments: argparse.Namespace, service: Service) -> None:
    from server.announcement import Addresses, listening_line, url_of
    from server.control_port import ControlServer, control_application
    from server.data_port import DataPort
    from server.host_rule import HostRule
    from server.ledger import Ledger
    from server.loop_lag import LoopLag
    from server.precise_selector import least_wait_s
    from server.process_usage import raise_descriptor_limit

    max_connections = raise_descriptor_limit() - _SPARE_DESCRIPTORS
    if max_connections < 1:
        raise _StartError(
            f"this system allows {max_connections + _SPARE_DESCRIPTORS} open files, and the server "
            f"needs at least {_SPARE_DESCRIPTORS + 1}: raise the limit (ulimit -n)"
        )
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if arguments.stop_on_stdin_eof:
        _stop_on_stdin_eof(stop)

    try:
        token = token_of_environment()
    except TokenError as error:
        raise _StartError(str(error)) from None
    data_sockets = _listen(arguments.bind, "--port", arguments.port)
    control_sockets = _listen(arguments.bind, "--control-port", arguments.control_port)
    host, port = data_sockets[0].getsockname()[:2]
    control_port = control_sockets[0].getsockname()[1]

    host_rule = HostRule(arguments.bind)
    data_port = DataPort(
        Ledger(max_rows=arguments.ledger_rows, default_service=service),
        host_rule,
        control_port,
        max_connections,
        least_wait_s=least_wait_s(arguments.loop == "asyncio"),
    )
    lag = LoopLag()
    if not all(map(_is_loopback, (*data_sockets, *control_sockets))):
        is_new = not token
        token = token or secrets.token_urlsafe(16)
        _warn(arguments.bind, token if is_new else "")
    control = ControlServer(control_application(data_port, host_rule, lag, token))
    control.add_sockets(control_sockets)
    data_port.add_sockets(data_sockets)
    data_port.keep_ticking()
    control.keep_ticking()
    lag.keep_sampling()
    gc.freeze()  # objects made so far stay: the collector need not scan them

    addresses = Addresses(url_of(host, port), url_of(host, control_port))
    print(listening_line(addresses), flush=True)
    await stop.wait()


def _listen(bind: str, flag: str, port: int) -> list[socket.socket]:
    from tornado.netutil import bind_sockets

    from server.data_port import BACKLOG

    try:
        return bind_sockets(port, bind, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        is_port_taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        fix = f"{flag} 0 takes a free port" if is_port_taken else "choose another --bind"
        raise _StartError(f"cannot listen on {bind}:{port}: {reason.lower()}; {fix}") from None


def _is_loopback(listening: socket.socket) -> bool:
    # We ask the socket, since --bind has many spellings for "every address" and for others.
    return ipaddress.ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback


def _warn(bind: str, new_token: str) -> None:
    print(
        f"server: warning: {bind} is not a loopback address: other machines can use the data port, "
        f"and the control port with the token in {TOKEN_VARIABLE}",
        file=sys.stderr,
    )
    if new_token:
        print(f"server: made a token: {TOKEN_VARIABLE}={new_token}", file=sys.stderr)


def _stop_on_signals(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def stop_once() -> None:
        stop.set()
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    for number in _SIGNALS:
        try:
            loop.add_signal_handler(number, stop_once)
        except NotImplementedError:  # Windows
            signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _stop_on_stdin_eof(stop: asyncio.Event) -> None:
    import threading

    loop = asyncio.get_running_loop()

    def wait_for_eof() -> None:
        # Not sys.stdin: the interpreter cannot end while a thread holds its lock. A stdin that
        # cannot be read counts as ended.
        with contextlib.suppress(OSError):
            os.set_blocking(0, True)
            while os.read(0, 4096):
                pass
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(stop.set)

    # In a thread, because an event loop cannot watch every kind of stdin.
    threading.Thread(target=wait_for_eof, name="stdin", daemon=True).start()


if __name__ == "__main__":
    sys.exit(run_program("server", main))
