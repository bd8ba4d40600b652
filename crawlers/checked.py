"""Values of command lines, checked at the edge: each function is an argparse `type`."""

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


def checked_count(text: str) -> int:
    """A number of requests or slots, at least 1."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:12]) <= MAX_COUNT):
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MAX_COUNT}")
    return int(text)


def checked_seed(text: str) -> int:
    """A seed, 0 or more."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise ArgumentTypeError(f"{text!r} is not a whole number, 0 or more")
    return int(text)


def checked_list(
    checked: Callable[[str], Item], *, may_repeat: bool = False
) -> Callable[[str], tuple[Item, ...]]:
    """Values separated by commas, each checked, none twice unless they may repeat."""

    def checked_values(text: str) -> tuple[Item, ...]:
        values = tuple(checked(part.strip()) for part in text.split(",") if part.strip())
        if not values:
            raise ArgumentTypeError("the list is empty")
        if not may_repeat and len(set(values)) < len(values):
            raise ArgumentTypeError(f"{text!r} has a value twice")
        return values

    return checked_values


def checked_delay_us(text: str) -> int:
    """A delay given in ms; in microseconds."""
    try:
        return parse_delay_us(text)
    except PlanError as error:
        raise ArgumentTypeError(str(error)) from None


def checked_name(text: str) -> str:
    """The name of a run."""
    try:
        to_target(Plan(text))
    except PlanError as error:
        raise ArgumentTypeError(str(error)) from None
    return text


def checked_seconds(text: str) -> float:
    """A span in seconds, above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MAX_SECONDS:  # NaN is refused too
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0, up to a day")
    return seconds


_LABEL = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
"""Of the name of a host."""


def checked_url(text: str) -> str:
    """An http or https URL with a host, in ASCII, that all libraries take for the same."""
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        parts, host = urlsplit(""), ""
    is_host = ":" in host or all(_LABEL.fullmatch(label) for label in host.split("."))
    if parts.scheme not in ("http", "https") or not is_host:
        raise ArgumentTypeError(f"{text!r} is not a URL like http://127.0.0.1:8080")
    if parts.username is not None:
        raise ArgumentTypeError(f"{text!r} has a user in it, which libraries treat differently")
    if not all(" " < character <= "~" for character in text):
        raise ArgumentTypeError(
            f"{text!r} has characters that must be written as %20 and so on in a URL"
        )
    return text


def checked_cafile(text: str) -> str:
    """A PEM file of certificates; its absolute path."""
    import ssl

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=text)
    except OSError as error:
        reason = "it has no certificate in PEM" if isinstance(error, ssl.SSLError) else error
        raise ArgumentTypeError(f"{text!r} cannot be used: {reason}") from None
    return str(Path(text).absolute())


def add_trust_options(parser: ArgumentParser) -> None:
    """What crawlers.trust needs to be told."""
    parser.add_argument(
        "--cafile",
        type=checked_cafile,
        metavar="PEM",
        help="of https servers: trust the authorities in this file, and no others",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="of https servers: accept any certificate"
    )
