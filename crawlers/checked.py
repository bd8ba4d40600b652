"""Values of command lines, checked at the edge: each function is an argparse `type`."""

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


def checked_url(text: str) -> str:
    """An http or https URL with a host."""
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_good = False
    if not is_good or not text.isascii() or any(character.isspace() for character in text):
        raise ArgumentTypeError(f"{text!r} is not a URL like http://127.0.0.1:8080")
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
