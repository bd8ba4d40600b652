"""The target of a crawl or a sweep: a private server, or any URL."""

import os
import secrets
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from socket import create_connection
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from bench.errors import MachineError, UsageError
from bench.measure.loopback import check_loopback
from bench.measure.pinning import Pinning, pin_each
from bench.measure.runner import Target, ledger_rows
from bench.plan.experiment import PlannedRun
from bench.program import say
from crawlers.checked import checked_url
from crawlers.trust import Trust
from server.announcement import parse_greeting
from server.control_client import ControlError, fetch_run, stats
from server.control_token import TOKEN_VARIABLE, token_of_environment
from server.process import ServerProcess
from server.request_plan import PATH, Plan, PlanError, parse_query
from server.site.spec import SiteSpec

_RECOGNISE_TIMEOUT_S = 5.0
_RECOGNISE_BYTES = 10_000
_MOST_URLS_BYTES = 100_000_000


@contextmanager
def private_server(
    pinning: Pinning, runs: Sequence[PlannedRun], processes: int = 1, bind: str = ""
) -> Iterator[Target]:
    """Start a delay server on free ports, with ledger space for the largest of the runs.

    It listens on the address `bind`, if that is given, and its control port then asks for a token.

    Raises server.process.ServerStartError and ControlError.
    """
    rows = max(ledger_rows(run) for run in runs)
    flags = ["--ledger-rows", str(rows)]
    sites = [SiteSpec.parse(run.site.site) for run in runs if run.site is not None]
    if sites:  # and one host that links of the site lead to, but that is not of the site
        flags += ["--site-hosts", str(max(site.hosts for site in sites) + 1)]
    if processes > 1:
        flags += ["--processes", str(processes)]
    if bind:
        flags += ["--bind", bind]
        if not token_of_environment():  # where the server and the clients of its control port look
            os.environ[TOKEN_VARIABLE] = secrets.token_urlsafe(24)
    with ServerProcess(*flags) as server:
        if bind:
            say(
                f"warning: while this runs, whoever reaches {bind} can send requests to the "
                "server; its control port asks for a token, which is sent unencrypted"
            )
        control_url = server.addresses.control_url
        counted = stats(control_url)["processes"] if processes > 1 else [{"pid": server.pid}]
        pin_each([one["pid"] for one in counted], pinning.server)
        yield Target(server.addresses.data_url, control_url, ledger_rows=rows, is_own=True)


def recognise(url: str) -> Target:
    """Return a URL as a target, with a ledger if its `GET /` shows that it is a delay server.

    Raises ControlError if the response names a control port on another host, which is not
    contacted.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path not in ("", "/") or parts.query:
        return Target(url, "")
    deadline = monotonic() + _RECOGNISE_TIMEOUT_S
    answer = b""
    try:
        with create_connection((parts.hostname or "", parts.port or 80), _RECOGNISE_TIMEOUT_S) as s:
            peer = str(s.getpeername()[0])
            s.sendall(f"GET / HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode("latin-1"))
            while (left_s := deadline - monotonic()) > 0 and len(answer) < _RECOGNISE_BYTES:
                s.settimeout(left_s)
                piece = s.recv(4096)
                if not piece:
                    break
                answer += piece
    except (OSError, ValueError):
        return Target(url, "")
    greeting = parse_greeting(answer.partition(b"\r\n\r\n")[2].decode("latin-1"))
    if greeting is None:
        return Target(url, "")
    control_url = greeting[1]
    if _host_of(control_url) not in (parts.hostname, peer):
        raise ControlError(
            f"the server at {url} says that its control port is at {control_url!r}, which is "
            "another host and is not contacted: use the address that the server itself reports"
        )
    return Target(url, control_url)


def sweep_target(url: str, urls: Sequence[str], trust: Trust, *, may_load_any_host: bool) -> Target:
    """Return the server that a sweep fetches a URL or a list of URLs from.

    A list is fetched in every run and thus more than once, so that no ledger can be used. Raises
    UsageError for a host that may not be loaded, MachineError if no server listens there, and
    ControlError.
    """
    for one in (url, *urls) if url else urls:  # those of a results file may be anything
        try:
            checked_url(one)
        except ArgumentTypeError as error:
            raise UsageError(str(error)) from None
    first = url or urls[0]
    if not may_load_any_host:
        check_loopback(urls or (url,))
    _check_listens(first)
    if not urls:
        return replace(recognise(url), trust=trust)
    found, why_no_ledger = recognise_urls(urls)
    if found.is_ours or why_no_ledger:
        say(
            "these URLs lead to a crawlbench server, but its ledger is not used, because each run "
            "fetches them again: --url with the address of the server uses it"
        )
    return Target(first, "", tuple(urls), trust)


def _check_listens(url: str) -> None:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        create_connection((parts.hostname or "", port), _RECOGNISE_TIMEOUT_S).close()
    except OSError as error:
        reason = error.strerror or error
        raise MachineError(
            f"no server listens at {url} ({reason}): start it, and measure again"
        ) from None


def check_options(target: Target, for_our_server: Sequence[str]) -> None:
    """Check the options that only a crawlbench server understands, and say if it is another server.

    Raises UsageError if one of them was given for another server.
    """
    if target.is_ours:
        return
    what = f"{target.url} is not the address of a crawlbench server"
    if for_our_server:
        options = ", ".join(for_our_server)
        raise UsageError(
            f"{what}, so {options} cannot be used: give the address of one, without a path, or "
            f"leave {options} out"
        )
    say(f"{what}: it is fetched as it is, without a ledger")


def _host_of(control_url: str) -> str | None:
    """Return the host of a URL; None if it has no host or no port."""
    try:
        parts = urlsplit(control_url)
        return parts.hostname if parts.port else None
    except ValueError:
        return None


def recognise_urls(urls: Sequence[str]) -> tuple[Target, str]:
    """Return a list of URLs as a target, with a ledger if it is one run of one delay server.

    That is so if all URLs are of its /add, have one name that the server does not know yet, and are
    numbered by seq from 0 in their order. Otherwise each is fetched all the same, and the second
    value says why the ledger of a server of ours cannot be used; it is "" if there is no such
    server.
    """
    without = Target(urls[0], "", tuple(urls))
    plain = next((parts for parts in map(urlsplit, urls) if _is_add(parts)), None)
    if plain is None:
        return without, ""
    server = recognise(f"http://{plain.netloc}")
    if not server.is_ours:
        return without, ""
    try:
        plans = _plans_of_one_run(urls, plain.netloc)
        _check_unknown(server.control_url, plans[0].name)
    except (_NotOneRunError, PlanError, ControlError) as error:
        return without, str(error)
    return replace(without, control_url=server.control_url, plans=plans), ""


class _NotOneRunError(ValueError):
    """URLs of a delay server that are not one run in its ledger; the text says why."""


def _is_add(parts: SplitResult) -> bool:
    return parts.scheme == "http" and parts.path == PATH


def _plans_of_one_run(urls: Sequence[str], address: str) -> tuple[Plan, ...]:
    """Return what each URL asks for. Raises _NotOneRunError, PlanError."""
    plans: list[Plan] = []
    for seq, url in enumerate(urls):
        parts = urlsplit(url)
        if not _is_add(parts) or parts.netloc != address:
            raise _NotOneRunError(f"{url} is not of http://{address}{PATH}, as others are")
        plan = parse_query(parts.query)
        plans.append(plan)
        if not plan.name:
            raise _NotOneRunError(f"{url} has no name=, by which the server records it")
        if plan.name != plans[0].name:
            raise _NotOneRunError(f"{url} has another name than the first of them")
        if plan.seq != seq:
            raise _NotOneRunError(
                f"{url} should have seq={seq}: they are numbered from 0, in the order of the list"
            )
    return tuple(plans)


def _check_unknown(control_url: str, name: str) -> None:
    """Raise _NotOneRunError if the server has requests of that name; may raise ControlError."""
    try:
        fetch_run(control_url, name)
    except ControlError as error:
        if error.status == 404:
            return
        raise
    raise _NotOneRunError(f"the server already has requests of the name {name!r}: choose another")


class UrlsError(UsageError):
    """A list of URLs that cannot be used; the text names the line."""


def read_urls(path: str) -> tuple[str, ...]:
    """Return the URLs in a file, one per line; `-` is stdin. Empty lines and # lines are skipped.

    Raises UrlsError.
    """
    name = "stdin" if path == "-" else path
    try:
        if path == "-":
            data = sys.stdin.buffer.read(_MOST_URLS_BYTES + 1)
        else:
            with Path(path).open("rb") as file:
                data = file.read(_MOST_URLS_BYTES + 1)
    except OSError as error:
        raise UrlsError(f"cannot read the URLs of {name}: {error.strerror}") from None
    if len(data) > _MOST_URLS_BYTES:
        raise UrlsError(f"{name} is too long: give up to {_MOST_URLS_BYTES:,} bytes of URLs")
    text = data.decode("utf-8-sig", errors="replace")
    urls = []
    for number, line in enumerate(text.splitlines(), 1):
        url = line.strip()
        if not url or url.startswith("#"):
            continue
        try:
            urls.append(checked_url(url))
        except ArgumentTypeError as error:
            raise UrlsError(f"{name}, line {number}: {error}") from None
    if not urls:
        raise UrlsError(f"{name} has no URL")
    return tuple(urls)
