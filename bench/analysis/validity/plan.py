"""Notes on what was asked: whether its waves are full, and many. Pure."""

from collections.abc import Iterator

from bench.analysis.validity.verdict import Check, Evidence, Reason, note

WAVES = 10


def _waves(evidence: Evidence) -> Iterator[Reason]:
    """The requests of a run with an ideal makespan make full waves, and enough of them."""
    run, summary = evidence.run, evidence.summary
    if not summary.ideal_ns or run.load.is_open or run.load.ends_by_time or run.conditions.adapts:
        return
    if run.slots > 1 and run.requests % run.slots:
        yield note(
            "last wave",
            f"{run.requests} requests are no multiple of {run.slots}: the last wave is not full, "
            "as the ideal makespan takes into account",
        )
    elif run.requests < WAVES * run.slots:
        yield note(
            "few waves",
            f"{run.requests // run.slots} full waves: opening the connections weighs more than in "
            f"{WAVES} or more",
        )


CHECKS: tuple[Check, ...] = (_waves,)
