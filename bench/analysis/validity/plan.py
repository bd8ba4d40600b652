"""Notes on what was asked: whether its waves are full, and many. Pure."""

from collections.abc import Iterator

from bench.analysis.shares import slots_of
from bench.analysis.validity.verdict import Check, Evidence, Reason, note
from bench.wording import format_count

WAVES = 10


def _waves(evidence: Evidence) -> Iterator[Reason]:
    """The requests of a run with an ideal makespan make full waves, and enough of them."""
    run, summary = evidence.run, evidence.summary
    if not summary.ideal_ns or run.load.is_open or run.load.ends_by_time or run.conditions.adapts:
        return
    shares = [
        (len(range(one, run.requests, run.processes)), slots_of(run, one))
        for one in range(run.processes)
    ]
    waves = min(requests // slots for requests, slots in shares)
    if run.slots > 1 and any(requests % slots for requests, slots in shares):
        what = f"{run.requests} requests are no multiple of {run.slots}: the last wave is not full"
        if run.processes > 1:
            what = (
                f"{run.requests} requests and {run.slots} slots in {run.processes} processes do "
                "not give each whole waves: the last are not full"
            )
        yield note("last wave", f"{what}, as the ideal makespan takes into account")
    elif waves < WAVES:
        yield note(
            "few waves",
            f"{format_count(waves, 'full wave')}: opening the connections weighs more than in "
            f"{WAVES} or more",
        )


CHECKS: tuple[Check, ...] = (_waves,)
