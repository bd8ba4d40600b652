"""Asks `crawlbench advise` about real services, nginx and gunicorn, and checks what it says.

    .venv/bin/python -P scripts/real_services.py [--services gunicorn-sync,nginx-limit-req]

It starts each service on a free port of 127.0.0.1, asks for advice, and then measures the goodput
at a few fixed concurrencies with `python -m crawlers`, which the advice does not use. The advice is
true if the recommended concurrency reaches the best of these, and a smaller one does not. What the
configuration of a service allows is computed from it, and shown next to what was measured.

With --no-advice, only the services are measured, around what their configurations allow. The
services end with this script, however it ends.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any, NamedTuple, NoReturn, Self

from bench.report.tables import Column, Table, format_number, make_console, print_table

PROGRAMS = {"nginx": "nginx", "gunicorn": "gunicorn", "setpriv": "util-linux"}
"""The programs that are needed, and the package of Debian that has each."""

DELAY_S = 0.05
RATE_LIMIT_PER_S = 200
BURST = 20
CONNECTION_LIMIT = 20
WORKERS = 4
_WIDE_THREADS = 64
"""Threads of the service behind the limits of nginx: far more than they let through."""

REACHED = 0.93
"""The share of the best goodput that the recommended concurrency must have: 95 %, with 2 % for the
noise of two runs of 3 s."""
FEWER = 0.8
"""A concurrency that is smaller by a fifth should not be enough ..."""
ENOUGH = 0.97
"""... which it is with this share of the best goodput: 95 %, and again 2 % for noise."""

_RUN_S = 3.0
_PILOT_WAVES = 20
_START_S = 10.0
_NO_RECOMMENDATION = 99
_LINE = re.compile(r"(\d+) requests, (\d+) errors.*?, ([\d.]+) s, ([\d.]+) requests/s")

_APP = f"""import time

def app(environ, start_response):
    time.sleep({DELAY_S})
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "3")])
    return [b"ok\\n"]
"""

_NGINX = """daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {zone}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder}/files;
        {rules}
    }}
}}
"""


class MissingProgramError(Exception):
    """A program that is not installed; the text says which, and how to install it."""


class ServiceFailedError(Exception):
    """A service that did not start, or a crawl that did not end; the text has what it said."""


class Measured(NamedTuple):
    """What the crawler reached at one concurrency."""

    requests: int
    errors: int
    seconds: float
    good_per_s: float

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return the numbers of a line of `python -m crawlers`. Raises ServiceFailedError."""
        found = _LINE.search(line)
        if not found:
            raise ServiceFailedError(f"python -m crawlers printed {line.strip()!r} and no numbers")
        requests, errors, seconds, per_s = found.groups()
        return cls(int(requests), int(errors), float(seconds), float(per_s))


class Advice(NamedTuple):
    """What `crawlbench advise --json` says."""

    concurrency: int | None
    """None if it recommends none."""
    low: int
    high: int
    limited_by: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the advice in a JSON text."""
        said: dict[str, Any] = json.loads(text)
        recommended = said["recommended"] or {}
        at = recommended.get("concurrency")
        low, high = recommended.get("low", 0), recommended.get("high", 0)
        return cls(at, low, high, said["limited_by"] or "-")


@dataclass(frozen=True, slots=True)
class Service:
    """A real service, and what follows from its configuration."""

    name: str
    start: Callable[["Host"], str]
    """Starts it, and returns its URL."""
    knee: int | None
    """How many requests it can work on at a time; None if only CPU limits it."""
    most_per_s: float | None
    """How many requests per second it can answer."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A service, the advice about it, and the goodput at fixed concurrencies."""

    service: Service
    advice: Advice | None
    goodput: Mapping[int, float]

    @property
    def best_at(self) -> int:
        """The concurrency with the best goodput."""
        return max(self.goodput, key=lambda at: self.goodput[at])

    def share(self, at: int | None) -> float | None:
        """Return a concurrency's share of the best goodput; None if it was not measured."""
        if at is None or at not in self.goodput:
            return None
        return self.goodput[at] / (self.goodput[self.best_at] or 1.0)

    @property
    def share_at_advice(self) -> float | None:
        """The share of the best goodput at the recommended concurrency."""
        return self.share(self.advice.concurrency if self.advice else None)

    @property
    def share_at_fewer(self) -> float | None:
        """The share at a concurrency that is smaller by a fifth; None if there is none."""
        at = self.advice.concurrency if self.advice else None
        return self.share(fewer(at) if at else None)

    @property
    def verdict(self) -> str:
        """Whether the advice is true, or in which way it is not."""
        if self.advice is None:
            return "-"
        at, below = self.share_at_advice, self.share_at_fewer
        if at is None:
            return "no advice"
        if at < REACHED:
            return "too few"
        return "too many" if below is not None and below >= ENOUGH else "true"


class Host:
    """A temporary folder, and the processes that serve from it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    def nginx(self, rules: str, zone: str = "") -> str:
        """Start nginx with one worker; return its URL."""
        port = free_port()
        files = self.folder / "files"
        files.mkdir()
        (files / "small.txt").write_text("x" * 500)
        config = self.folder / "nginx.conf"
        # Its workers would otherwise be another user's, who cannot read the folder.
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(
            _NGINX.format(folder=self.folder, user=user, zone=zone, port=port, rules=rules)
        )
        log = str(self.folder / "nginx.log")
        self._start(port, "nginx", "-p", str(self.folder), "-c", str(config), "-e", log)
        return f"http://127.0.0.1:{port}/small.txt"

    def gunicorn(self, *options: str) -> str:
        """Start gunicorn with an application that sleeps for DELAY_S; return its URL."""
        port = free_port()
        (self.folder / "app.py").write_text(_APP)
        bind = ("--bind", f"127.0.0.1:{port}", "--chdir", str(self.folder))
        self._start(port, "gunicorn", *bind, "--log-level", "error", *options, "app:app")
        return f"http://127.0.0.1:{port}/"

    def _start(self, port: int, program: str, *arguments: str) -> None:
        log = self.folder / f"{program}.out"
        # If this script is killed, the kernel ends the service, which ends its own workers.
        command = ["setpriv", "--pdeathsig", "TERM", path_of(program), *arguments]
        with log.open("wb") as output:
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.folder)
        self._stack.callback(end, process)
        until = time.monotonic() + _START_S
        while not is_listening(port):
            if process.poll() is not None or time.monotonic() > until:
                raise ServiceFailedError(f"{program} did not start: {log.read_text().strip()}")
            time.sleep(0.02)


def nginx_static(host: Host) -> str:
    """Serve a small file."""
    return host.nginx("")


def nginx_limit_req(host: Host) -> str:
    """Let a rate of requests through to a wide service, and refuse others with 429."""
    return host.nginx(
        f"location / {{ limit_req zone=all burst={BURST} nodelay; limit_req_status 429;"
        f" proxy_pass {wide_service(host)}; }}",
        f"limit_req_zone $server_port zone=all:1m rate={RATE_LIMIT_PER_S}r/s;",
    )


def nginx_limit_conn(host: Host) -> str:
    """Let some requests at a time through to a wide service, and refuse others with 503."""
    return host.nginx(
        f"location / {{ limit_conn all {CONNECTION_LIMIT}; proxy_pass {wide_service(host)}; }}",
        "limit_conn_zone $server_port zone=all:1m;",
    )


def wide_service(host: Host) -> str:
    """Start a service that never limits those in front of it; return its URL."""
    return host.gunicorn("--worker-class", "gthread", "--threads", str(_WIDE_THREADS))


def gunicorn_sync(host: Host) -> str:
    """Work on one request in each of several processes; others wait in the listen queue.

    Workers with threads (gthread) are left out. Each accepts connections without regard to the
    others, so that chance decides how many threads are used: four runs of 32 at a time with 4 x 4
    threads had 96 to 291 requests/s, and no advice about that can be called true.
    """
    return host.gunicorn("--workers", str(WORKERS))


SERVICES = (
    Service("nginx-static", nginx_static, None, None),
    Service(
        "nginx-limit-req", nginx_limit_req, round(RATE_LIMIT_PER_S * DELAY_S), RATE_LIMIT_PER_S
    ),
    Service("nginx-limit-conn", nginx_limit_conn, CONNECTION_LIMIT, CONNECTION_LIMIT / DELAY_S),
    Service("gunicorn-sync", gunicorn_sync, WORKERS, WORKERS / DELAY_S),
)
_UNKNOWN_KNEE = 4
"""Where measuring begins without advice for a service that only CPU limits."""


def fewer(at: int) -> int | None:
    """Return a concurrency that is smaller by a fifth, at least by 1; None if there is none."""
    return min(at - 1, round(FEWER * at)) or None


def to_measure(advised: int | None, knee: int | None) -> list[int]:
    """Return the fixed concurrencies at which an advice is checked."""
    of_advice = {advised, fewer(advised), 2 * advised, 4 * advised} if advised else set()
    of_knee = {knee, fewer(knee), 2 * knee} if knee else set()
    return sorted(at for at in of_advice | of_knee if at)


def measure(crawler: str, url: str, concurrency: int) -> Measured:
    """Return what a crawler reaches in about _RUN_S. Raises ServiceFailedError."""
    pilot = crawl(crawler, url, concurrency, _PILOT_WAVES * concurrency)
    # Refusals count, because a crawler uses up its requests with them.
    requests = round(pilot.requests / pilot.seconds * _RUN_S)
    return crawl(crawler, url, concurrency, max(requests, _PILOT_WAVES * concurrency))


def crawl(crawler: str, url: str, concurrency: int, requests: int) -> Measured:
    """Return what `python -m crawlers` prints. Raises ServiceFailedError."""
    command = [sys.executable, "-P", "-m", "crawlers", crawler, "--url", url]
    command += ["-c", str(concurrency), "-n", str(requests)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return Measured.parse(ended.stdout or ended.stderr)


def advise(crawler: str, url: str, folder: Path) -> Advice:
    """Return what `crawlbench advise` says. Raises ServiceFailedError."""
    command = [sys.executable, "-P", "-m", "bench", "advise", crawler, "--url", url, "--json"]
    command += ["--out", str(folder / "results")]
    ended = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode not in (0, _NO_RECOMMENDATION):
        raise ServiceFailedError(f"advise ended with exit code {ended.returncode}")
    return Advice.parse(ended.stdout)


def find_out(service: Service, crawler: str, *, with_advice: bool) -> Finding:
    """Start a service, ask for advice, and measure whether it is true."""
    with started(service) as (host, url):
        advice = advise(crawler, url, host.folder) if with_advice else None
        goodput = {}
        begin_at = advice.concurrency if advice else service.knee or _UNKNOWN_KNEE
        for at in to_measure(begin_at, service.knee):
            found = measure(crawler, url, at)
            print(
                f"{service.name}: {at} at a time: {found.good_per_s:.1f} requests/s, "
                f"{found.errors} of {found.requests} not good",
                file=sys.stderr,
            )
            goodput[at] = found.good_per_s
    return Finding(service, advice, goodput)


@contextmanager
def started(service: Service) -> Iterator[tuple[Host, str]]:
    """Start a service in a folder of its own, and end it at the end of the block."""
    with TemporaryDirectory(prefix="real-services-") as folder, ExitStack() as stack:
        host = Host(Path(folder), stack)
        yield host, service.start(host)


def free_port() -> int:
    """Return a port of the loopback interface that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Return whether a connection to a port is accepted."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and wait for it."""
    process.terminate()
    try:
        process.wait(_START_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def path_of(program: str) -> str:
    """Return where a program is. Raises MissingProgramError."""
    # nginx is in /usr/sbin, which is on the PATH of root only.
    found = shutil.which(program, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")
    if not found:
        raise MissingProgramError(
            f"{program} is not installed: on Debian, apt-get install {PROGRAMS[program]}"
        )
    return found


def table_of(findings: Sequence[Finding]) -> Table[Finding]:
    """Return the table of all findings, at most 80 columns wide."""
    of = Column[Finding]
    return Table(
        "Advice about real services",
        (
            of("service", lambda row: row.service.name),
            of("knee", lambda row: format_number(row.service.knee, "d")),
            of("most", lambda row: format_number(row.service.most_per_s, ".0f"), "/s"),
            of("best", lambda row: format_number(row.goodput[row.best_at], ".0f"), "/s"),
            of("advice", lambda row: _format_advice(row.advice)),
            of("at it", lambda row: format_number(row.share_at_advice, ".2f")),
            of("fewer", lambda row: format_number(row.share_at_fewer, ".2f")),
            of("it is", lambda row: row.verdict, is_text=True),
            of(
                "limited by",
                lambda row: row.advice.limited_by if row.advice else "-",
                is_text=True,
                may_stack=True,
            ),
        ),
        findings,
        "knee, most: what the configuration allows, in flight and per second. best: the best "
        "goodput at any fixed concurrency that was measured. advice: the recommended concurrency, "
        "and the region that is as good. at it, fewer: the share of the best goodput at the "
        f"recommended concurrency and at one that is smaller by a fifth. true: at least {REACHED} "
        f"at it, and less than {ENOUGH} with fewer.",
    )


def _format_advice(advice: Advice | None) -> str:
    if advice is None or advice.concurrency is None:
        return "-"
    return f"{advice.concurrency} ({advice.low}-{advice.high})"


def _stop(signum: int, frame: FrameType | None) -> NoReturn:
    """End as after an error, so that services end and folders are deleted."""
    raise SystemExit(128 + signum)


def main() -> int:
    """Find out about all services; return 1 if an advice is not true, and 3 if one cannot run."""
    parser = argparse.ArgumentParser(
        prog="scripts/real_services.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    names = [service.name for service in SERVICES]
    parser.add_argument(
        "--services",
        type=lambda text: text.split(","),
        default=names,
        metavar="A,B",
        help=f"which services: {', '.join(names)} (default: all)",
    )
    parser.add_argument("--crawler", default="asyncio", help="default: %(default)s")
    parser.add_argument("--no-advice", action="store_true", help="measure the services only")
    arguments = parser.parse_args()
    for name in arguments.services:
        if name not in names:
            parser.error(f"there is no service {name!r}: choose from {', '.join(names)}")
    signal.signal(signal.SIGTERM, _stop)
    try:
        for program in PROGRAMS:
            path_of(program)
        findings = [
            find_out(service, arguments.crawler, with_advice=not arguments.no_advice)
            for service in SERVICES
            if service.name in arguments.services
        ]
    except (MissingProgramError, ServiceFailedError) as error:
        print(f"real_services: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        return 130
    print_table(table_of(findings), make_console())
    return int(any(finding.verdict not in ("true", "-") for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
