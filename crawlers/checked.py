"""Checks for values on the command line: each function is an argparse `type`."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from server.request_plan import Plan, PlanError, parse_delay_us, to_target

MAX_COUNT = 100_000_000
MAX_SECONDS = 86_400.0

Item = TypeVar("Item")


def checked_count(text: str, most: int = MAX_COUNT) -> int:
    """Return a number of requests, slots or processes, at least 1."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= most):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {most}")
    return int(text)


def checked_seed(text: str) -> int:
    """Return a seed, 0 or more."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def checked_list(
    checked: Callable[[str], Item], *, may_repeat: bool = False
) -> Callable[[str], tuple[Item, ...]]:
    """Return a check for values separated by commas; they must differ unless they may repeat."""

    def checked_values(text: str) -> tuple[Item, ...]:
        values = tuple(checked(part.strip()) for part in text.split(",") if part.strip())
        if not values:
            raise ArgumentTypeError("the list is empty")
        if not may_repeat and len(set(values)) < len(values):
            raise ArgumentTypeError(f"{text!r} has a value twice")
        return values

    return checked_values


def checked_delay_us(text: str) -> int:
    """Return a delay given in ms, in microseconds."""
    try:
        return parse_delay_us(text)
    except PlanError as error:
        raise ArgumentTypeError(str(error)) from None


def checked_name(text: str) -> str:
    """Return the name of a run."""
    try:
        to_target(Plan(text))
    except PlanError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def checked_seconds(text: str) -> float:
    """Return a time in seconds, above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:  # NaN is refused too
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0, up to a day")
    return seconds


def checked_rate(text: str) -> float:
    """Return a rate in requests per second."""
    try:
        per_s = float(text)
    except ValueError:
        per_s = 0.0
    if not 0.01 <= per_s <= 100_000:
        raise ArgumentTypeError(f"{text!r} is not a number from 0.01 to 100000 requests per second")
    return per_s


_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
"""One label of a host name."""


def checked_url(text: str) -> str:
    """Return an ASCII http or https URL with a host, which all libraries read the same way."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_host = ":" in host or all(_LABEL.fullmatch(label) for label in host.split("."))
    if parts.scheme not in ("http", "https") or not is_host:
        raise ArgumentTypeError(f"{text!r} is not a URL like http://127.0.0.1:8080")
    if parts.username is not None:
        raise ArgumentTypeError(
            f"{text!r} has a user name in it, which libraries treat differently: remove it"
        )
    if not all(" " < character <= "~" for character in text):
        raise ArgumentTypeError(
            f"{text!r} has characters that must be written as %20 and so on in a URL"
        )
    return text


def checked_cafile(text: str) -> str:
    """Return the absolute path of a PEM file of certificates."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except OSError as error:
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error
        raise ArgumentTypeError(f"{text!r} cannot be used: {reason}") from None
    return str(Path(text).absolute())


def add_trust_options(parser: ArgumentParser) -> None:
    """Add the options that crawlers.trust needs."""
    parser.add_argument(
        "--cafile",
        type=checked_cafile,
        metavar="PEM",
        help="for https: trust the authorities in this PEM file, and no others",
    )
    parser.add_argument("--insecure", action="store_true", help="for https: accept any certificate")
