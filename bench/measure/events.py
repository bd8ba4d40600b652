"""What happens while an experiment is measured, as events for views and for other programs. Pure.

An event is an object of JSON with its name as `event`. docs/watching.md describes them.
"""

import msgspec


class Live(msgspec.Struct, frozen=True):
    """What happened at the server in the last second, by its own clock."""

    requests_per_s: float
    """Requests that ended in the last second, whatever their outcome."""
    in_flight: int
    errors: int
    """Requests since the start of the run that the server answered with an error or did not
    answer, by its own counting."""
    p50_ms: float | None
    p99_ms: float | None
    """Times from arrival to reply, of requests that ended in the last second; None if none did."""


class Begun(msgspec.Struct, frozen=True, tag_field="event", tag="begun"):
    """An experiment begins, or goes on after it was interrupted."""

    folder: str
    """Absolute path of the folder of its results."""
    kind: str
    command: str
    """The command that repeats it; "" if it is not known."""
    crawlers: list[str]
    levels: list[float]
    """The concurrencies, or in open loop the rates in requests per second, in ascending order."""
    is_open: bool
    delays: list[str]
    runs: int | None
    """How many runs will be made; None if this depends on what they show."""
    why_no_live: str = ""
    """Why there are no numbers of the server while a run goes on; "" if there are."""


class _OfRun(msgspec.Struct, frozen=True):
    number: int
    crawler: str
    role: str
    trial: int
    concurrency: int
    level: float
    """The concurrency, or the rate in open loop."""
    level_text: str
    delay: str
    requests: int
    """The most that it makes."""


class RunStarted(_OfRun, frozen=True, tag_field="event", tag="run_started"):
    """A run begins."""


class Tick(msgspec.Struct, frozen=True, tag_field="event", tag="tick"):
    """How far the experiment is. It comes four times a second."""

    elapsed_s: float
    left_s: float | None
    """About how long it still takes; None if nobody knows."""
    runs_done: int
    runs_total: str
    """How many runs there will be, as in `75` or `about 17`."""
    line: str
    """How far it is, in one line of at most 79 characters."""
    run_done: int | None
    """Requests of this run that have ended; None if the server does not say it."""
    run_requests: int
    live: Live | None = None


class RunDone(_OfRun, frozen=True, tag_field="event", tag="run_done"):
    """A run was made and kept.

    The numbers are those of the crawler's own record. Nothing has been checked yet.
    """

    ok: int
    failed: int
    requests_per_s: float | None
    p50_ms: float | None
    p99_ms: float | None
    """Times of good fetches: of the service, or in open loop since they were due. None if there
    are none, or too few for the quantile."""
    failure: str
    """Why there are no numbers, or only some, in one line; "" for a run to its end."""


class Ended(msgspec.Struct, frozen=True, tag_field="event", tag="ended"):
    """The experiment has ended."""

    ending: str
    """`done`, `runs failed`, `interrupted` or `failed`."""
    folder: str


Event = Begun | RunStarted | Tick | RunDone | Ended


def parse_event(line: bytes | str) -> Event:
    """Return the event that a line of JSON describes. Raises ValueError."""
    event: Event = _DECODER.decode(line)
    return event


def format_event(event: Event) -> bytes:
    """Return an event as one line of JSON, with its end of line."""
    return _ENCODER.encode(event) + b"\n"


_DECODER = msgspec.json.Decoder(Event)
_ENCODER = msgspec.json.Encoder()
