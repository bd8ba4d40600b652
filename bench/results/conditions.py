"""What else happened on the machine during a run. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conditions:
    """Conditions of one run, from before its process starts until after it ends.

    None means that a number is not known.
    """

    span_ns: int
    """Duration of the run, in which everything below was counted."""
    clock_step_ns: int
    """How far the wall clock advanced beyond the monotonic clock."""
    listen_overflows: int | None
    listen_drops: int | None
    syn_retransmits: int | None
    """Retransmitted SYNs of all TCP connections of this machine, from /proc/net/netstat."""
    time_wait_before: int | None
    """Number of sockets in TIME_WAIT before the run."""
    stolen_ns: int | None
    """CPU time, over all CPUs, that the host gave to others while this machine was ready to run."""
    turned_away: int | None
    """Number of connections that the server closed at once because it had no free descriptor."""
    beside: int | None
    """Number of requests at the server from outside the run. `turned_away` and `beside` are None if
    the server is not a crawlbench server."""
    accepted: int | None
    """Number of connections that the server accepted. None also for runs older than schema 5."""
    resend_condition: str = ""
    """Declared event after which the crawler's library resends a request. "" if none is declared,
    or if the run is older than schema 5."""
    takes_all: bool = False
    """Whether the crawler is declared to take all jobs at once."""
    queues: bool = False
    """Whether the crawler's clocks are declared to run while its requests wait for a connection.
    Both are False if nothing is declared, or if the run is older than schema 6."""
    adapts: bool = False
    """Whether the crawler is declared to choose itself how many are in flight. False if nothing is
    declared, or if the run is older than schema 7."""
    server_processes: int = 1
    """How many processes served, all on one port. 1 also for runs older than schema 9."""
