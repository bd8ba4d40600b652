"""The URL grammar, for both ends: what one request asks of the server.

A plan is written into the query of `/add`:

    /add?name=RUN&seq=17&delay=100.5&size=2048

`name` is the run that the request belongs to, `seq` the number of the request in the run, `delay`
how many milliseconds the server waits before it answers, `size` the bytes of the response body, and
`fault` (one of FAULTS) how the server misbehaves instead. All are optional. Unknown keys are
ignored, so that the URLs of *High Performance Python* (`/add?name=asyncio&delay=100&abcdefghij`)
stay valid.

Standard library only: crawlers and the bench import this module too.
"""

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, unquote_plus

PATH = "/add"

NO_SEQ = -1
DEFAULT_DELAY_US = 1_024_000
MAX_DELAY_US = 60_000_000
MAX_SIZE_BYTES = 16 * 1024 * 1024
MAX_NAME_CHARS = 100
MAX_SEQ = 10**15 - 1

FAULTS = (
    "hang",
    "drip-body",
    "drip-headers",
    "reset",
    "reset-body",
    "close",
    "close-body",
    "bad-length",
    "bad-status",
    "bad-chunk",
    "500",
    "503",
    "429",
    "302",
    "late-body",
)
"""What can go wrong after the delay:

- hang: nothing is sent for a minute.
- drip-body, drip-headers: a byte of it comes every 50 ms, for a minute.
- reset, reset-body, close, close-body: the connection is reset or closed, before the response or
  in the middle of the body.
- bad-length, bad-status, bad-chunk: Content-Length or the status is not a number, or a chunk has
  no size.
- 500, 503, 429, 302: a response with this status; 503 and 429 have Retry-After, 302 has Location.
- late-body: no fault but a good response: the second half of its 10 bytes comes LATE_S late.
"""

FAILURES = FAULTS[:-1]
"""The faults that fail a request: all but late-body."""

LATE_S = 0.2

_DELAY_MS = re.compile(r"([0-9]{1,5})(?:\.([0-9]{1,3}))?")


class PlanError(ValueError):
    """A request that cannot be obeyed; the text is the reason, in one line of ASCII."""


class Plan(NamedTuple):
    """What one request asks of the server.

    `name` is "" for a request that belongs to no run; it is answered but not recorded. `seq` is
    NO_SEQ for a request that is recorded but has no number. `delay_us` is in microseconds, so that
    the three decimals of a millisecond are exact.
    """

    name: str = ""
    seq: int = NO_SEQ
    delay_us: int = DEFAULT_DELAY_US
    size_bytes: int = 1
    fault: str = ""


def to_target(plan: Plan) -> str:
    """Return the request target that asks for `plan`; `parse_query` reverses it.

    Raises PlanError if a value is out of range.
    """
    pairs = []
    if plan.name:
        pairs.append(f"name={_quoted_name(plan.name)}")
    if plan.seq != NO_SEQ:
        if not 0 <= plan.seq <= MAX_SEQ:
            raise PlanError(f"seq is {plan.seq}: it must be a whole number from 0 to {MAX_SEQ}")
        pairs.append(f"seq={plan.seq}")
    if not 0 <= plan.delay_us <= MAX_DELAY_US:
        raise PlanError(_bad_delay(f"{plan.delay_us / 1000}"))
    pairs.append(f"delay={_delay_text(plan.delay_us)}")
    if plan.size_bytes != 1:
        if not 0 <= plan.size_bytes <= MAX_SIZE_BYTES:
            raise PlanError(_bad_size(str(plan.size_bytes)))
        pairs.append(f"size={plan.size_bytes}")
    if plan.fault:
        _check_fault(plan.fault)
        pairs.append(f"fault={plan.fault}")
    return f"{PATH}?{'&'.join(pairs)}"


def parse_query(query: str) -> Plan:
    """Return the plan that the query of an `/add` target asks for.

    Raises PlanError if a known key is malformed, out of range or given twice.
    """
    name = seq = delay = size = fault = None
    for pair in query.split("&"):
        key, _, value = pair.partition("=")
        if "%" in pair or "+" in pair:
            key, value = _unquote(key), _unquote(value)
        if key == "name":
            if name is not None:
                raise PlanError("name is given twice")
            name = value
        elif key == "seq":
            if seq is not None:
                raise PlanError("seq is given twice")
            seq = value
        elif key == "delay":
            if delay is not None:
                raise PlanError("delay is given twice")
            delay = value
        elif key == "size":
            if size is not None:
                raise PlanError("size is given twice")
            size = value
        elif key == "fault":
            if fault is not None:
                raise PlanError("fault is given twice")
            _check_fault(value)
            fault = value
    if name is not None:
        _check_name(name)
    return Plan(
        name or "",
        NO_SEQ if seq is None else _parse_seq(seq),
        DEFAULT_DELAY_US if delay is None else parse_delay_us(delay),
        1 if size is None else _parse_size(size),
        fault or "",
    )


def parse_delay_us(text: str) -> int:
    """Return the microseconds in a delay written in milliseconds, such as `100` or `0.125`.

    Raises PlanError for anything but ASCII digits with up to three decimals, 0 to 60000.
    """
    match = _DELAY_MS.fullmatch(text)
    if match is None:
        raise PlanError(_bad_delay(text))
    whole, decimals = match.groups()
    delay_us = int(whole) * 1000
    if decimals is not None:
        delay_us += int(decimals.ljust(3, "0"))
    if delay_us > MAX_DELAY_US:
        raise PlanError(_bad_delay(text))
    return delay_us


def _parse_seq(text: str) -> int:
    if not (_is_digits(text) and len(text) <= 15):
        raise PlanError(f"seq is {quoted(text)}: it must be a whole number from 0 to {MAX_SEQ}")
    return int(text)


def _parse_size(text: str) -> int:
    if not (_is_digits(text) and len(text) <= 8 and int(text) <= MAX_SIZE_BYTES):
        raise PlanError(_bad_size(text))
    return int(text)


@lru_cache(maxsize=8)  # all URLs of a crawl have one name
def _quoted_name(name: str) -> str:
    _check_name(name)
    return quote(name, safe="")


def _check_name(name: str) -> None:
    if name in (".", ".."):
        raise PlanError(f"name is {quoted(name)}, which clients remove from URLs: choose another")
    if not 0 < len(name) <= MAX_NAME_CHARS or not name.isprintable():
        limit = f"1 to {MAX_NAME_CHARS} printable characters"
        raise PlanError(f"name is {quoted(name)}: it must be {limit}")


def _check_fault(fault: str) -> None:
    if fault not in FAULTS:
        raise PlanError(f"fault is {quoted(fault)}: it must be one of {', '.join(FAULTS)}")


def _unquote(text: str) -> str:
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise PlanError(f"{quoted(text)} is not UTF-8 after its %-escapes are decoded") from None


def _is_digits(text: str) -> bool:
    # isdigit() alone accepts Arabic and superscript digits.
    return text.isascii() and text.isdigit()


def _delay_text(delay_us: int) -> str:
    whole, decimals = divmod(delay_us, 1000)
    return f"{whole}.{decimals:03d}".rstrip("0") if decimals else str(whole)


def _bad_delay(text: str) -> str:
    return f"delay is {quoted(text)}: it must be in ms, 0 to 60000, with up to three decimals"


def _bad_size(text: str) -> str:
    return f"size is {quoted(text)}: it must be in bytes, 0 to {MAX_SIZE_BYTES}"


def quoted(text: str) -> str:
    """Return a value from the network as it may stand in a message: quoted, escaped, shortened."""
    return ascii(text if len(text) <= 40 else text[:37] + "...")
