"""The first numbers of a run that was just made: what its crawler recorded, unchecked. Pure."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from bench.analysis.quantiles import quantile, tail_quantile
from bench.analysis.window import Window
from bench.results.run_result import RunResult
from crawlers.contract import is_good


@dataclass(frozen=True, slots=True)
class FirstLook:
    """Numbers of a run by the crawler's own record.

    They are defined as in bench.analysis.summary, but neither the server's ledger nor the sizes of
    the responses are compared. So a crawler that cheats looks good here.
    """

    ok: int
    """Fetches without an error."""
    failed: int
    """Fetches with one, and jobs without a fetch."""
    requests_per_s: float
    p50_ns: int | None
    p99_ns: int | None
    """Times of good fetches: of the service, or in open loop since they were due. None if there
    are none, or too few for the quantile."""

    @classmethod
    def of(cls, result: RunResult) -> Self | None:
        """Return the numbers of a run, or None if it recorded nothing."""
        planned, outcome = result.planned, result.outcome
        if outcome is None:
            return None
        fetches = {
            name: np.frombuffer(column, dtype=np.int64) for name, column in outcome.fetches.items()
        }
        count = len(fetches["seq"])
        if not count:
            return None
        good = is_good(fetches["error"], fetches["status"], is_planned=result.ledger is not None)
        due_ns = None
        if planned.load.is_open and outcome.first_due_ns:
            after_ns = np.array(planned.due_after_ns(), dtype=np.int64)
            seq = np.clip(fetches["seq"], 0, len(after_ns) - 1)
            due_ns = outcome.first_due_ns + after_ns[seq]
        began_ns = fetches["start_ns"] if due_ns is None else due_ns
        begin_ns = int(began_ns.min()) if due_ns is None else outcome.first_due_ns
        window = Window.of(
            planned.load, fetches, due_ns, begin_ns, int(fetches["end_ns"].max(initial=begin_ns))
        )
        times_ns = np.sort((fetches["end_ns"] - began_ns)[good & window.is_counted])
        ok = int(good.sum())
        ends_early = planned.load.ends_by_time or planned.site or result.failure
        jobs = count if ends_early else planned.requests
        return cls(
            ok=ok,
            failed=max(jobs, count) - ok,
            requests_per_s=window.rate_per_s(fetches, good),
            p50_ns=quantile(times_ns, 0.5) if len(times_ns) else None,
            p99_ns=tail_quantile(times_ns, 0.99),
        )
