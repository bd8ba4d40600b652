"""What a spider is asked to crawl, and what it reports besides fetches. Standard library only."""

from array import array
from dataclasses import dataclass

from server.packed_columns import HUGE, Columns
from server.site.spec import SiteSpec

LOOP, THREADS, PROCESSES = "loop", "threads", "processes"
PARSES = (LOOP, THREADS, PROCESSES)
"""Where pages are parsed: where they were fetched, in a pool of threads, or of processes."""

DONE, BUDGET_SPENT = "done", "budget spent"
ENDINGS = (DONE, BUDGET_SPENT)
"""How a spider ended: nothing was pending, or it had fetched as much as it may."""

JOB_COLUMNS = ("resource", "added_ns", "depth")
"""Columns with a row for each job, in the order of seq.

- resource: the number of what its URL names, as in server.site.resources; -1 for nothing.
- added_ns: when the spider found it first, on the clock of the fetches.
- depth: how many links it is from the start.
"""

MOST_DEPTH = 1_000_000
MOST_PARSERS = 1_000


@dataclass(frozen=True, slots=True)
class SiteTask:
    """A site to crawl, and the limits that a spider must keep."""

    site: str
    """The text of server.site.spec.SiteSpec."""
    max_depth: int
    """No page further than this from the start, by links, is fetched."""
    max_fetches: int
    """After so many fetches a spider ends, whatever is pending."""
    per_host: int = 0
    """The most fetches of one host at a time; 0 for no limit of its own."""
    host_delay_s: float = 0.0
    """The least time between the starts of two fetches of one host. What robots.txt asks for is
    kept as well."""
    parse: str = LOOP
    """One of PARSES."""
    parsers: int = 1
    """How many threads or processes parse."""

    def check(self) -> None:
        """Raise ValueError for values that cannot have been asked for."""
        SiteSpec.parse(self.site)
        if self.parse not in PARSES:
            raise ValueError(f"a site parsed by {self.parse!r}")
        bounds = (
            ("max_depth", 0, MOST_DEPTH),
            ("max_fetches", 1, HUGE),
            ("per_host", 0, HUGE),
            ("parsers", 1, MOST_PARSERS),
        )
        for name, least, most in bounds:
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= most:
                raise ValueError(f"a site with a {name} of {value!r}")
        if not 0 <= self.host_delay_s < 1e6:
            raise ValueError(f"a site with a host_delay_s of {self.host_delay_s!r}")


@dataclass(frozen=True, slots=True)
class SiteUsage:
    """What a spider reports of itself beyond its fetches and jobs."""

    parse_cpu_ns: int
    """CPU time of finding links in bodies; 0, like the next, for a spider that does not tell."""
    frontier_cpu_ns: int
    """CPU time of making links canonical and of keeping the frontier."""
    pending: int
    """How many URLs it had found and not fetched when it ended."""
    ended: str
    """One of ENDINGS."""
    unended: int = 0
    """How many jobs were handed out, and not ended by `frontier.done`."""

    def check(self) -> None:
        """Raise ValueError for values that no spider can have."""
        for name in ("parse_cpu_ns", "frontier_cpu_ns", "pending", "unended"):
            value = getattr(self, name)
            if type(value) is not int or not 0 <= value < HUGE:
                raise ValueError(f"a spider with a {name} of {value!r}")
        if self.ended not in ENDINGS:
            raise ValueError(f"a spider that ended by {self.ended!r}")


@dataclass(frozen=True, slots=True)
class SiteRecords:
    """What a spider leaves besides its fetches."""

    jobs: Columns
    """The JOB_COLUMNS."""
    usage: SiteUsage


def no_jobs() -> Columns:
    """Return empty JOB_COLUMNS, of a crawl that is of no site."""
    return {name: array("q") for name in JOB_COLUMNS}
