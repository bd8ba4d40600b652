"""What else happened on this machine while a run was made. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Conditions:
    """Of one run, from before its process started to after it ended; None: the system says not."""

    span_ns: int
    """Of the run: what is counted here happened in it."""
    clock_step_ns: int
    """By how much the wall clock went further than the monotonic clock."""
    listen_overflows: int | None
    listen_drops: int | None
    syn_retransmits: int | None
    """Of all TCP connections of this machine, as in /proc/net/netstat."""
    time_wait_before: int | None
    """Sockets in TIME_WAIT before the run."""
    stolen_ns: int | None
    """CPU time that this machine wanted and its host gave to others, over all CPUs."""
    turned_away: int | None
    """Connections that the server closed at once, for want of descriptors."""
    beside: int | None
    """Requests that the server got and that are not of the run. These two: None: not our server."""
    accepted: int | None
    """Connections that the server accepted; None also for runs older than schema 5."""
    resend_condition: str = ""
    """After what the crawler's library is declared to send a request again. "": nothing is
    declared, or the run is older than schema 5."""
