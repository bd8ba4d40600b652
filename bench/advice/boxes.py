"""Computes the numbers of one time box from the records of its run. Pure."""

from dataclasses import dataclass
from itertools import pairwise
from statistics import stdev
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.accounts import Accounts
from bench.analysis.bottleneck import Bottleneck, bottleneck
from bench.analysis.good import GoodRequests
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Verdict
from bench.results.schema import RunRow

if TYPE_CHECKING:
    from numpy.typing import NDArray

BATCHES = 10
"""Parts of a time box from whose spread the interval of the goodput follows."""


@dataclass(frozen=True, slots=True)
class Box:
    """One time box of one crawler at one concurrency. Rates are in requests/s, of good requests."""

    number: int
    """The number of its run."""
    trial: int
    concurrency: int
    rates: tuple[float, ...]
    """The corrected goodput of each of the BATCHES; `rates_of` says what is corrected."""
    raw_per_s: float
    """The goodput as it was counted."""
    counted_ns: int
    """How long the part is that counts."""
    times_ns: "NDArray[np.int64]"
    """The service times of good requests, sorted."""
    requests: int
    errors: int
    refused: int
    cpu_us_per_request: float
    cpu_share: float
    level: Level
    limit: Bottleneck


def box_of(run: RunRow, accounts: Accounts, summary: RunSummary, verdict: Verdict) -> Box:
    """Return the numbers of the run of a time box."""
    fetches = accounts.fetches
    requests = GoodRequests.of(run, accounts)
    start_ns, end_ns = fetches["start_ns"], fetches["end_ns"]
    begin_ns = int(start_ns.min())
    from_ns = begin_ns + round(run.load.warm_up_s * 1e9)
    to_ns = begin_ns + round(run.load.duration_s * 1e9)
    is_good = requests.is_good
    delay_us = None
    if accounts.is_planned and not run.delay.is_fixed:
        drawn = np.array(run.delays_us())
        delay_us = drawn[np.clip(fetches["seq"], 0, len(drawn) - 1)][is_good]
    counted = is_good & (start_ns >= from_ns)
    join = accounts.complete_join(run)
    served_ns = start_ns[is_good]
    if join is not None:  # a good request has arrived
        served_ns = np.clip(
            join.arrivals["begin_ns"][join.arrival_of[is_good]], None, end_ns[is_good]
        )
    elif is_good.any():
        # A part of the others' times may be a wait in the server's queue, which it does not show.
        served_ns = end_ns[is_good] - (end_ns - start_ns)[is_good].min()
    return Box(
        number=run.number,
        trial=run.trial,
        concurrency=run.concurrency,
        rates=rates_of(served_ns, end_ns[is_good], from_ns, to_ns, delay_us, run.delay.mean_us),
        raw_per_s=summary.requests_per_s,
        counted_ns=to_ns - from_ns,
        times_ns=np.sort((end_ns - start_ns)[counted]),
        requests=summary.requests,
        errors=sum(summary.errors.values()),
        refused=summary.refused or 0,
        cpu_us_per_request=summary.cpu_us_per_request,
        cpu_share=summary.cpu_share,
        level=verdict.level,
        limit=bottleneck(summary, _without_machine(verdict)),
    )


def _without_machine(verdict: Verdict) -> Verdict:
    """Return a verdict that says what limits below the noise of a busy machine."""
    return Verdict(tuple(one for one in verdict.reasons if one.check != "busy machine"))


def rates_of(
    served_ns: "NDArray[np.int64]",
    end_ns: "NDArray[np.int64]",
    from_ns: int,
    to_ns: int,
    delay_us: "NDArray[np.int64] | None",
    mean_us: float,
) -> tuple[float, ...]:
    """Return the goodput in requests/s of each of BATCHES equal parts of a span of time.

    A request is served from `served_ns` to `end_ns`, and counts in each part by the share of that
    time that falls into it, so that the waves of a fixed delay add no noise. The time in which it
    waits does not count, or a part in which many begin to wait would have their answers.

    With `delay_us`, the delays that were drawn for these requests, it can also count by its delay
    over the mean of the model, `mean_us`. That corrects for a sample that was shorter or longer
    than the model, which is most of the noise where slots or places limit: the ideal client then
    has the same rate in every sample. Where something else limits, such as a rate, it would add
    that noise. Both have the same mean, so that the one whose parts differ less is used.
    """
    edges_ns = np.linspace(from_ns, to_ns, BATCHES + 1)
    span_s = (to_ns - from_ns) / BATCHES / 1e9
    lasted_ns = np.maximum(end_ns - served_ns, 1)
    plain, corrected = [], []
    for left_ns, right_ns in pairwise(edges_ns):
        inside_ns = np.minimum(end_ns, right_ns) - np.maximum(served_ns, left_ns)
        share = np.clip(inside_ns, 0, None) / lasted_ns
        plain.append(float(share.sum()) / span_s)
        if delay_us is not None:
            corrected.append(float((share * delay_us).sum()) / mean_us / span_s)
    return tuple(corrected if corrected and stdev(corrected) < stdev(plain) else plain)
