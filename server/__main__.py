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
import functools
import gc
import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from server import __version__
from server.control_token import TOKEN_VARIABLE, TokenError, token_of_environment
from server.ledger import MOST_PROCESSES
from server.service import Service, ServiceError
from server.service_options import add_service_options, service_of
from server.site.spec import DIFFICULTIES, SiteError, SiteSpec
from server.site.targets import SITE_PATH
from server.standard_streams import run_program

if TYPE_CHECKING:
    from server.announcement import Addresses
    from server.control_port import ControlledServer
    from server.members import Member
    from server.single_process import SingleProcess

EXIT_OK = 0
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3

_FIRST_ADDRESS = "127.0.0.1"
_MOST_ADDRESSES = 254
_PORT_TRIES = 20
_ONLY_LINUX = "--site-hosts needs Linux, where all of 127.0.0.0/8 is this machine"
_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_SPARE_DESCRIPTORS = 64
"""Descriptors kept free for the control port, the listening sockets and the interpreter."""
_LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def main(argv: list[str] | None = None) -> int:
    """Serve until a signal stops the server; return the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        service = service_of(arguments)
        site = _site_of(arguments)
        _check_processes(arguments.processes, service)
    except ServiceError as error:
        parser.error(str(error))
    except SiteError as error:
        parser.error(f"--{error}")
    try:
        loop_factory = _loop_factory(arguments.loop)
        asked = _open_ports(arguments, service, site)
        if arguments.processes == 1:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(_serve(asked))
        else:
            members = _fork_members(asked, loop_factory)
            with asyncio.Runner() as runner:
                runner.run(_serve_by(members, asked))
    except _ServerError as error:
        print(f"server: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    except ModuleNotFoundError as error:
        print(f"server: {error.name} is not installed: pip install {error.name}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    return EXIT_OK


class _ServerError(Exception):
    """This machine does not let the server run; the text names the cause and the fix."""


class _PortTakenError(_ServerError):
    """Another process listens on the port."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m server",
        description="A server that delays each response by what its URL asks for: "
        "GET /add?name=RUN&seq=17&delay=100 is answered after 100 ms, and recorded. "
        "Read the records on the control port: /health, /stats, /runs/RUN.",
        epilog="The server prints 'listening on URL control URL' once it listens. Ctrl-C or "
        "SIGTERM stops it. Exit codes: 0 stopped, 2 a mistake in the command line, 3 this machine "
        "does not allow it (a port is in use, uvloop is missing, one of several processes ended).",
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
        default=_FIRST_ADDRESS,
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
        "--processes",
        type=_processes,
        default=1,
        metavar="S",
        help="answer with S processes, among which the kernel spreads the connections; Linux only "
        "(default: %(default)s). The control port merges what they record. Of the options of the "
        "service, only --fault-share works with several",
    )
    parser.add_argument(
        "--ledger-rows",
        type=_rows,
        default=4_000_000,
        metavar="N",
        help="most requests to record, about 55 bytes each (default: %(default)s): this many for "
        "announced runs, and as many again for others, in each process. Further requests are "
        "answered and counted, but not recorded",
    )
    parser.add_argument(
        "--site",
        metavar="SPEC",
        help="serve a generated web site, whose URL is printed on stderr. SPEC is KEY=VALUE pairs, "
        "as in 'pages=5000;hosts=3;with=all'. The keys are seed, pages, links, size (bytes), delay "
        "(ms), hosts, crawl-delay (s), with (difficulties, or all), and each difficulty with its "
        f"share in percent: {', '.join(DIFFICULTIES)}",
    )
    parser.add_argument(
        "--site-hosts",
        type=_hosts,
        metavar="N",
        help="listen on the data port of N addresses, 127.0.0.1 to 127.0.0.N, for sites with "
        "several hosts; Linux only (default: as many as the site of --site needs, or 1)",
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


def _processes(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MOST_PROCESSES):
        reason = f"{text!r} is not a number of processes: give 1 to {MOST_PROCESSES}"
        raise argparse.ArgumentTypeError(reason)
    return int(text)


def _hosts(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_ADDRESSES):
        reason = f"{text!r} is not a number of hosts: give 1 to {_MOST_ADDRESSES}"
        raise argparse.ArgumentTypeError(reason)
    return int(text)


def _site_of(arguments: argparse.Namespace) -> SiteSpec | None:
    """Return the site of --site, and set how many addresses to listen on. Raises SiteError."""
    site = SiteSpec.parse(arguments.site) if arguments.site is not None else None
    if arguments.site_hosts is None:
        arguments.site_hosts = site.addresses if site is not None else 1
    if site is not None and site.addresses > arguments.site_hosts:
        raise SiteError(f"site-hosts {arguments.site_hosts}: the site needs {site.addresses}")
    if arguments.site_hosts > 1 and arguments.bind != _FIRST_ADDRESS:
        raise SiteError(f"site-hosts {arguments.site_hosts}: several hosts need --bind 127.0.0.1")
    return site


def _check_processes(processes: int, service: Service) -> None:
    """Raise ServiceError if several processes cannot have this service, or this system them."""
    if processes == 1:
        return
    if sys.platform != "linux":
        raise ServiceError(
            f"processes {processes}: it needs Linux, which spreads the connections to one port "
            "among processes; use --processes 1"
        )
    if shared := service.shared_flags():
        from server.members import shared_state_refused

        raise ServiceError(f"--{shared_state_refused(shared, processes)}")


def _loop_factory(name: str) -> _LoopFactory:
    if name == "asyncio":
        from server.precise_selector import new_event_loop

        return new_event_loop
    try:
        import uvloop
    except ImportError:
        reason = "uvloop is not installed: pip install uvloop, or use --loop asyncio"
        raise _ServerError(reason) from None
    return uvloop.new_event_loop


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the command line asks for, and the ports that were opened for it."""

    arguments: argparse.Namespace
    service: Service
    site: SiteSpec | None
    token: str
    max_connections: int
    data_sockets: list[socket.socket]
    control_sockets: list[socket.socket]
    addresses: "Addresses"
    control_port: int

    def announce(self) -> None:
        """Say where the server listens."""
        from server.announcement import listening_line

        print(listening_line(self.addresses), flush=True)
        if self.site is not None:
            url = f"{self.addresses.data_url}{SITE_PATH}{self.site.key}/"
            print(f"server: the site {self.site.text} is at {url}", file=sys.stderr)


def _open_ports(arguments: argparse.Namespace, service: Service, site: SiteSpec | None) -> _Asked:
    from server.announcement import Addresses, url_of
    from server.process_usage import raise_descriptor_limit

    spare = _SPARE_DESCRIPTORS + arguments.site_hosts - 1
    max_connections = raise_descriptor_limit() - spare
    if max_connections < 1:
        raise _ServerError(
            f"this system allows {max_connections + spare} open files, and the server needs at "
            f"least {spare + 1}: raise the limit (ulimit -n)"
        )
    try:
        token = token_of_environment()
    except TokenError as error:
        raise _ServerError(str(error)) from None
    data_sockets = _listen_on_hosts(arguments.bind, arguments.port, arguments.site_hosts)
    control_sockets = _listen(arguments.bind, "--control-port", arguments.control_port)
    if not all(map(_is_loopback, (*data_sockets, *control_sockets))):
        is_new = not token
        token = token or secrets.token_urlsafe(16)
        _warn(arguments.bind, token if is_new else "")
    host, port = data_sockets[0].getsockname()[:2]
    control_port = control_sockets[0].getsockname()[1]
    return _Asked(
        arguments,
        service,
        site,
        token,
        max_connections,
        data_sockets,
        control_sockets,
        Addresses(url_of(host, port), url_of(host, control_port)),
        control_port,
    )


async def _serve(asked: _Asked) -> None:
    """Answer in this process until a signal stops it."""
    stop = _stop_event(asked.arguments)
    server = _open_data_port(asked, asked.data_sockets)
    _open_control_port(server, asked.control_sockets, asked.arguments.bind, asked.token)
    gc.freeze()  # objects made so far stay: the collector need not scan them
    asked.announce()
    await stop.wait()


async def _serve_by(members: "Sequence[Member]", asked: _Asked) -> None:
    """Have the members answer until a signal stops this process. Raises _ServerError."""
    from tornado.web import HTTPError

    from server.members import Members, call_when_one_ends, end_members

    stop = _stop_event(asked.arguments)
    loop = asyncio.get_running_loop()
    ended = ""

    def end(how: str) -> None:
        nonlocal ended
        ended = how
        stop.set()

    def end_soon(how: str) -> None:
        with contextlib.suppress(RuntimeError):  # the loop may be closed by now
            loop.call_soon_threadsafe(end, how)

    call_when_one_ends(end_soon)
    server = Members(members)
    try:
        try:
            await server.wait_until_ready()
        except HTTPError:
            raise _ServerError("one of its processes did not start") from None
        _open_control_port(server, asked.control_sockets, asked.arguments.bind, asked.token)
        asked.announce()
        await stop.wait()
    finally:
        end_members(members)
    if ended:
        raise _ServerError(f"{ended}: the server has ended, because its ledgers are incomplete")


def _fork_members(asked: _Asked, loop_factory: _LoopFactory) -> "list[Member]":
    """Start the members, each with its own sockets on the data port, and close ours."""
    from server.data_port import BACKLOG
    from server.members import fork_member, listen_together

    token = secrets.token_urlsafe(16)
    os.environ[TOKEN_VARIABLE] = token  # for server.control_client, by which we ask the members
    members = []
    for _ in range(asked.arguments.processes):
        try:
            sockets = listen_together(asked.data_sockets, BACKLOG)
        except OSError as error:
            reason = f"cannot listen with several processes: {str(error.strerror).lower()}"
            raise _ServerError(reason) from None
        members.append(fork_member(functools.partial(_be_member, asked, sockets, loop_factory)))
        _close(sockets)
    _close(asked.data_sockets)
    return members


def _close(sockets: Sequence[socket.socket]) -> None:
    for one in sockets:
        one.close()


def _be_member(
    asked: _Asked,
    sockets: list[socket.socket],
    loop_factory: _LoopFactory,
    control_socket: socket.socket,
) -> None:
    """Answer on these sockets until this process is ended."""
    from server.members import MEMBER_HOST

    _close((*asked.data_sockets, *asked.control_sockets))  # else connections wait on them

    async def serve() -> None:
        server = _open_data_port(asked, sockets)
        _open_control_port(server, [control_socket], MEMBER_HOST, os.environ[TOKEN_VARIABLE])
        gc.freeze()
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(serve())


def _open_data_port(asked: _Asked, sockets: list[socket.socket]) -> "SingleProcess":
    """Answer the traffic on these sockets in this process from now on."""
    from server.data_port import DataPort
    from server.host_rule import HostRule
    from server.ledger import Ledger
    from server.loop_lag import LoopLag
    from server.precise_selector import least_wait_s
    from server.single_process import SingleProcess
    from server.sites import Sites

    arguments = asked.arguments
    port = sockets[0].getsockname()[1]
    data_port = DataPort(
        Ledger(max_rows=arguments.ledger_rows, default_service=asked.service),
        HostRule(arguments.bind),
        asked.control_port,
        asked.max_connections,
        least_wait_s=least_wait_s(arguments.loop == "asyncio"),
        sites=Sites(port, arguments.site_hosts, asked.site),
    )
    lag = LoopLag()
    data_port.add_sockets(sockets)
    data_port.keep_ticking()
    lag.keep_sampling()
    return SingleProcess(data_port, lag)


def _open_control_port(
    server: "ControlledServer", sockets: list[socket.socket], bind: str, token: str
) -> None:
    from server.control_port import ControlServer, control_application
    from server.host_rule import HostRule

    control = ControlServer(control_application(server, HostRule(bind), token))
    control.add_sockets(sockets)
    control.keep_ticking()


def _listen_on_hosts(bind: str, port: int, hosts: int) -> list[socket.socket]:
    """Return sockets on one port of `hosts` addresses that follow each other."""
    for tries_left in reversed(range(_PORT_TRIES)):
        sockets = _listen(bind, "--port", port)
        chosen = sockets[0].getsockname()[1]
        try:
            for number in range(2, hosts + 1):
                sockets += _listen(f"127.0.0.{number}", "--port", chosen, _ONLY_LINUX)
        except _ServerError as error:
            for one in sockets:
                one.close()
            # A port that is free on one address may be taken on another: try the next free one.
            if port or not tries_left or not isinstance(error, _PortTakenError):
                raise
        else:
            break
    return sockets


def _listen(
    bind: str, flag: str, port: int, advice: str = "choose another --bind"
) -> list[socket.socket]:
    from tornado.netutil import bind_sockets

    from server.data_port import BACKLOG

    try:
        return bind_sockets(port, bind, backlog=BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        cannot = f"cannot listen on {bind}:{port}: {reason.lower()}"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise _PortTakenError(f"{cannot}; {flag} 0 takes a free port") from None
        raise _ServerError(f"{cannot}; {advice}") from None


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


def _stop_event(arguments: argparse.Namespace) -> asyncio.Event:
    """Return an event that is set when the server is to stop."""
    stop = asyncio.Event()
    _stop_on_signals(stop)
    if arguments.stop_on_stdin_eof:
        _stop_on_stdin_eof(stop)
    return stop


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
