"""The schema of results files: tables, columns and rows. docs/results.md describes it."""

from array import array
from dataclasses import dataclass

from bench.plan.delays import Delay
from bench.plan.entrants import MOST_PROCESSES
from bench.plan.experiment import Cell
from bench.plan.load import SEED_OF_BODIES, SEED_OF_SIZES, Load
from bench.plan.sizes import Size
from bench.results.conditions import Conditions
from crawlers.registry import RESEND_CONDITIONS
from crawlers.spec import Usage
from crawlers.spiders.task import SiteTask, SiteUsage
from crawlers.work import Work
from server.ledger import COLUMNS
from server.request_plan import MAX_DELAY_US
from server.service import Service

SCHEMA_VERSION = 9
"""Stored as `PRAGMA user_version`. bench/results/migrations.py says how to change the schema."""

MAX_REQUESTS = 10_000_000
MAX_CONCURRENCY = 2**31
SPARE_DESCRIPTORS = 100
"""Descriptors that a process needs in addition to those of its connections."""

MEMORY_COLUMNS = ("at_ns", "bytes")
"""Samples of the memory that a spider and its processes held, in bytes."""

ARRIVAL_COLUMNS = tuple(name for name, _ in COLUMNS)
"""The columns of the server's ledger, in the same order. Those of the table have another order."""

SCHEMA = """
CREATE TABLE experiment (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    created_utc TEXT NOT NULL,
    asked TEXT NOT NULL,
    runs INTEGER NOT NULL,
    environment TEXT NOT NULL
);
CREATE TABLE run (
    number INTEGER PRIMARY KEY,
    role TEXT NOT NULL,
    trial INTEGER NOT NULL,
    crawler TEXT NOT NULL,
    program TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    slots INTEGER NOT NULL,
    cores INTEGER NOT NULL,
    keep_alive INTEGER NOT NULL,
    resends INTEGER NOT NULL,
    delay_low_us INTEGER NOT NULL,
    delay_high_us INTEGER NOT NULL,
    delay_seed INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    name TEXT NOT NULL,
    started_utc TEXT NOT NULL,
    failure TEXT NOT NULL,
    unrecorded INTEGER,
    request_head BLOB,
    usage TEXT,
    versions TEXT NOT NULL,
    conditions TEXT NOT NULL,
    timeout_ns INTEGER NOT NULL,
    work TEXT NOT NULL,
    delay TEXT NOT NULL DEFAULT '',
    size TEXT NOT NULL DEFAULT '',
    body TEXT NOT NULL DEFAULT '',
    load TEXT NOT NULL DEFAULT '',
    service TEXT NOT NULL DEFAULT '',
    first_due_ns INTEGER NOT NULL DEFAULT 0,
    site TEXT NOT NULL DEFAULT '',
    site_usage TEXT NOT NULL DEFAULT '',
    processes INTEGER NOT NULL DEFAULT 1
);
CREATE TABLE crawler_process (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    machine TEXT NOT NULL,
    concurrency INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    usage TEXT NOT NULL,
    runtime TEXT NOT NULL,
    clock TEXT NOT NULL,
    PRIMARY KEY (run, ordinal)
) WITHOUT ROWID;
CREATE TABLE work (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    item INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    PRIMARY KEY (run, ordinal)
) WITHOUT ROWID;
CREATE TABLE fetch (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    start_ns INTEGER NOT NULL,
    end_ns INTEGER NOT NULL,
    status INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    error INTEGER NOT NULL REFERENCES error_word,
    PRIMARY KEY (run, seq, ordinal)
) WITHOUT ROWID;
CREATE TABLE arrival (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    connection INTEGER NOT NULL,
    arrived_ns INTEGER NOT NULL,
    replied_ns INTEGER NOT NULL,
    delay_us INTEGER NOT NULL,
    status INTEGER NOT NULL,
    outcome INTEGER NOT NULL,
    begin_ns INTEGER NOT NULL DEFAULT 0,
    due_ns INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, seq, ordinal)
) WITHOUT ROWID;
CREATE TABLE server_load (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    cpu_ns INTEGER NOT NULL,
    waited_ns INTEGER NOT NULL,
    late_ns INTEGER NOT NULL,
    process INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (run, ordinal)
) WITHOUT ROWID;
CREATE TABLE limit_change (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    most INTEGER NOT NULL,
    PRIMARY KEY (run, ordinal)
) WITHOUT ROWID;
CREATE TABLE job (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    resource INTEGER NOT NULL,
    added_ns INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    PRIMARY KEY (run, ordinal)
) WITHOUT ROWID;
CREATE TABLE memory (
    run INTEGER NOT NULL REFERENCES run,
    ordinal INTEGER NOT NULL,
    at_ns INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (run, ordinal)
) WITHOUT ROWID;
CREATE TABLE error_word (code INTEGER PRIMARY KEY, word TEXT NOT NULL);
CREATE VIEW ledger AS
    SELECT fetch.run, fetch.seq, fetch.start_ns, arrival.arrived_ns, arrival.delay_us,
           arrival.replied_ns, fetch.end_ns, fetch.status, error_word.word AS error,
           arrival.connection, arrival.outcome
    FROM fetch JOIN error_word ON error_word.code = fetch.error
         LEFT JOIN arrival ON arrival.run = fetch.run AND arrival.seq = fetch.seq
    UNION ALL
    SELECT arrival.run, arrival.seq, NULL, arrival.arrived_ns, arrival.delay_us,
           arrival.replied_ns, NULL, NULL, NULL, arrival.connection, arrival.outcome
    FROM arrival
    WHERE NOT EXISTS
        (SELECT 1 FROM fetch WHERE fetch.run = arrival.run AND fetch.seq = arrival.seq);
"""


@dataclass(frozen=True, slots=True)
class RunRow:
    """A run as it is stored, without its requests.

    `usage` is None if the crawler failed. Only a crawl that was interrupted and reported what it
    had fetched has both a `failure` and a `usage`.
    """

    number: int
    role: str
    """Role of the run: CELL or CEILING of bench.plan.experiment."""
    trial: int
    crawler: str
    """Label of the entrant."""
    program: str
    """The crawler's name in the registry, or the user's `module:function`; with +LOOP if it ran on
    an event loop that was asked for, and with @PYTHON if it ran on another interpreter."""
    concurrency: int
    slots: int
    """The concurrency, or the maximum of the crawler's processes together if that is less."""
    cores: int
    """Number of CPUs that the crawler can use and was given, in all its processes."""
    keep_alive: bool
    """Whether the crawler is declared to reuse connections."""
    resends: int
    """Declared maximum of resends per request by the crawler's library, under the condition
    `conditions.resend_condition`. If that is "", the run is older, and 1 means any number."""
    delay_low_us: int
    delay_high_us: int
    """The shortest and the longest delay of the model; the p99.9 of a model without an end."""
    delay_seed: int
    """The seed of all that is drawn for this run."""
    requests: int
    name: str
    started_utc: str
    failure: str
    unrecorded: int | None
    """Number of requests that the server counted but could not record. None without a ledger."""
    request_head: bytes | None
    usage: Usage | None
    versions: dict[str, str]
    conditions: Conditions
    timeout_ns: int
    """Time limit of a fetch."""
    work: Work | None
    """The work that was done for each request, if any."""
    delay: Delay
    size: Size
    body: Size | None
    """The size of a body that each request sent by POST; None for GET."""
    load: Load
    service: Service
    first_due_ns: int
    """When the first request was due, on the clock of the fetches; 0 in closed loop."""
    site: SiteTask | None = None
    """The site that a spider crawled; None of a run that was of no site."""
    site_usage: SiteUsage | None = None
    """What the spider reported of itself; None without one, or if it failed."""
    processes: int = 1
    """How many processes shared the run: each has every so many-th request."""

    @property
    def cell(self) -> Cell:
        """The cell that the run is a trial of."""
        return Cell(self.crawler, self.concurrency, self.delay, self.size, self.load.rate)

    def check(self) -> None:
        """Raise ValueError if the values, which have the right types, cannot describe a run."""
        bounds = (
            ("concurrency", 1, MAX_CONCURRENCY),
            ("slots", 1, MAX_CONCURRENCY),
            ("cores", 1, MAX_CONCURRENCY),
            ("processes", 1, MOST_PROCESSES),
            ("resends", 0, MAX_CONCURRENCY),
            ("requests", 1, MAX_REQUESTS),
            ("delay_low_us", 0, self.delay_high_us),
            ("delay_high_us", 0, MAX_DELAY_US),
        )
        for name, least, most in bounds:
            value = getattr(self, name)
            if not least <= value <= most:
                raise ValueError(f"run {self.number} has {name} {value!r}")
        if not 1 <= self.conditions.server_processes <= MOST_PROCESSES:
            raise ValueError(
                f"run {self.number} has server_processes {self.conditions.server_processes!r}"
            )
        if self.conditions.resend_condition not in ("", *RESEND_CONDITIONS):
            raise ValueError(
                f"run {self.number} has resends if {self.conditions.resend_condition!r}"
            )
        parts = ("usage", "work", "delay", "size", "body", "load", "service", "site", "site_usage")
        for name, part in ((name, getattr(self, name)) for name in parts):
            try:
                if part is not None:
                    part.check()
            except ValueError as error:
                raise ValueError(f"run {self.number}.{name}: {error}") from error

    def delays_us(self) -> "array[int]":
        """Return the delay of each request, in the order of seq."""
        return self.delay.drawn(self.delay_seed, self.requests)

    def sizes_bytes(self) -> "array[int]":
        """Return the size of each response, in the order of seq."""
        return self.size.drawn(self.delay_seed ^ SEED_OF_SIZES, self.requests)

    def body_bytes(self, requests: int) -> "array[int]":
        """Return the sizes of the first bodies that were sent by POST; empty for GET."""
        if self.body is None:
            return array("I")
        return self.body.drawn(self.delay_seed ^ SEED_OF_BODIES, requests)

    def due_after_ns(self) -> "array[int]":
        """Return when each request was due after the first; empty in closed loop."""
        return self.load.due_after_ns(self.delay_seed, self.requests)
