"""Joins both ends' records of a site by what was fetched, and not by seq. Pure.

The server knows the resource of a request, and the spider its job. Here each arrival is given the
job that it belongs to, so that everything that judges a crawl by its requests judges a spider, too.
"""

from collections import deque
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Self

import numpy as np

from bench.analysis.accounts import Accounts
from bench.results.columns import IntColumns
from bench.results.schema import RunRow
from bench.sites.truth import Truth
from server.request_plan import Plan
from server.site.resources import NO_RESOURCE

if TYPE_CHECKING:
    from numpy.typing import NDArray

NO_JOB = -1
_GOOD = 200
_NEVER = 2**62


@dataclass(frozen=True, slots=True)
class SiteAccounts:
    """The records of a spider's run, and what each of them was for."""

    run: RunRow
    """With a request for each job."""
    accounts: Accounts
    """Those of a crawl in which each request is planned to be as the site is: the arrivals have the
    seq of their jobs, and a status that is true is 200. Arrivals without a job are left out."""
    resource_of_job: "NDArray[np.int64]"
    arrivals: IntColumns
    """All, as the server recorded them: their seq is the resource."""
    job_of_arrival: "NDArray[np.int64]"
    """NO_JOB for what the spider did not record."""

    @classmethod
    def of(cls, run: RunRow, accounts: Accounts, jobs: IntColumns, truth: Truth) -> Self:
        """Join the records of a run, which has a ledger."""
        assert accounts.arrivals is not None, "a site has a ledger"
        fetches, arrivals = accounts.fetches, accounts.arrivals
        resource, seq, count = jobs["resource"], fetches["seq"], len(jobs["resource"])
        is_ours = (seq >= 0) & (seq < count)
        start_ns, end_ns = jobs["added_ns"].copy(), np.full(count, _NEVER, dtype=np.int64)
        size_bytes = np.zeros(count, dtype=np.int64)
        for column, name in (
            (start_ns, "start_ns"),
            (end_ns, "end_ns"),
            (size_bytes, "size_bytes"),
        ):
            column[seq[is_ours]] = fetches[name][is_ours]
        job = jobs_of_arrivals(resource, start_ns, end_ns, arrivals["seq"], arrivals["arrived_ns"])
        fetched = np.full(len(seq), NO_RESOURCE, dtype=np.int64)
        fetched[is_ours] = resource[seq[is_ours]]
        has_job = job >= 0
        kept = {name: column[has_job] for name, column in arrivals.items()}
        kept["status"] = _as_planned(kept["status"], truth.statuses_of(kept["seq"]))
        kept["seq"] = job[has_job]
        has_size = truth.is_page(resource) & (truth.statuses_of(resource) == _GOOD)
        size_bytes[has_size] = truth.size_bytes[resource[has_size]]
        pairs = zip(truth.delays_us_of(resource).tolist(), size_bytes.tolist(), strict=True)
        status = _as_planned(fetches["status"], truth.statuses_of(fetched))
        return cls(
            run=replace(run, requests=max(1, count)),
            accounts=replace(
                accounts,
                fetches=fetches | {"status": status},
                arrivals=kept,
                plans=tuple(Plan(delay_us=delay, size_bytes=size) for delay, size in pairs),
            ),
            resource_of_job=resource,
            arrivals=arrivals,
            job_of_arrival=job,
        )


def _as_planned(status: "NDArray[np.int64]", expected: "NDArray[np.int64]") -> "NDArray[np.int64]":
    """Exchange the expected status with 200, so that it is good, and a false 200 is not."""
    found: NDArray[np.int64] = np.where(status == _GOOD, expected, status)
    found[status == expected] = _GOOD
    return found


def jobs_of_arrivals(
    resource_of_job: "NDArray[np.int64]",
    start_ns: "NDArray[np.int64]",
    end_ns: "NDArray[np.int64]",
    resource_of_arrival: "NDArray[np.int64]",
    arrived_ns: "NDArray[np.int64]",
) -> "NDArray[np.int64]":
    """Return the job of each arrival, or NO_JOB.

    Usually a resource has one job and one arrival. Of several, the time decides: see `_by_time`.
    """
    found = np.full(len(arrived_ns), NO_JOB, dtype=np.int64)
    order = np.argsort(resource_of_job, kind="stable")
    resources, first, count = np.unique(
        resource_of_job[order], return_index=True, return_counts=True
    )
    if not len(resources):
        return found
    place = np.minimum(np.searchsorted(resources, resource_of_arrival), len(resources) - 1)
    is_known = resources[place] == resource_of_arrival
    arrivals = np.bincount(place[is_known], minlength=len(resources))
    is_single = is_known & (count[place] == 1) & (arrivals[place] == 1)
    found[is_single] = order[first[place[is_single]]]
    rows = np.flatnonzero(is_known & ~is_single)
    rows = rows[np.lexsort((arrived_ns[rows], place[rows]))]
    for group in np.split(rows, np.flatnonzero(np.diff(place[rows])) + 1) if len(rows) else ():
        at = place[group[0]]
        jobs = order[first[at] : first[at] + count[at]]
        jobs = jobs[np.argsort(start_ns[jobs], kind="stable")]
        spans = zip(start_ns[jobs].tolist(), end_ns[jobs].tolist(), jobs.tolist(), strict=True)
        found[group] = _by_time(deque(spans), arrived_ns[group].tolist())
    return found


def _by_time(jobs: deque[tuple[int, int, int]], arrived_ns: list[int]) -> list[int]:
    """Return the job of each arrival of one resource; both are in the order of time.

    An arrival belongs to the job under way without an arrival that ends first, which matches as
    many as can be; else it is one that was sent again, by the job with an arrival that ends last;
    else, as the server may learn late of what a client gave up, it is of the last job that had
    ended without an arrival. Many jobs at a time are for one resource if the site has none of them.
    """
    given_up: list[int] = []
    found = []
    under_way: list[tuple[int, int]] = []
    until_ns, taken = -1, NO_JOB
    for at_ns in arrived_ns:
        while jobs and jobs[0][0] <= at_ns:
            _, end_ns, job = jobs.popleft()
            heappush(under_way, (end_ns, job))
        while under_way and under_way[0][0] < at_ns:
            given_up.append(heappop(under_way)[1])
        if under_way:
            end_ns, job = heappop(under_way)
            until_ns, taken = max((until_ns, taken), (end_ns, job))
            found.append(job)
        elif at_ns <= until_ns:
            found.append(taken)
        else:
            found.append(given_up.pop() if given_up else NO_JOB)
    return found
