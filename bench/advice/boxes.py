"""Computes the numbers of one time box from the records of its run. Pure."""

from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import stdev
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.accounts import Accounts
from bench.analysis.bottleneck import REFUSED_SHARE, Bottleneck, bottleneck
from bench.analysis.good import GoodRequests
from bench.analysis.summary import RunSummary
from bench.analysis.validity import Level, Verdict
from bench.results.schema import RunRow
from bench.wording import format_percent
from server.service import TOO_MANY_REQUESTS, UNAVAILABLE

if TYPE_CHECKING:
    from numpy.typing import NDArray

REFUSALS = "refusals"
"""The word for a limit that a server of others shows by refusing."""
_CLEARLY_LESS = 0.5
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
    """The requests that began after the warm-up, of which `errors` failed and `refused` were
    refused by the service."""
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
    is_good, is_counted = requests.is_good, start_ns >= from_ns
    counted = max(1, int(is_counted.sum()))
    refusals = requests.is_refused
    if not accounts.is_planned:
        is_refusal = np.isin(fetches["status"], (TOO_MANY_REQUESTS, UNAVAILABLE))
        refusals = is_refusal & (fetches["error"] == 0)
    refused = int((refusals & is_counted).sum())
    delay_us = None
    if accounts.is_planned and not run.delay.is_fixed:
        drawn = np.array(run.delays_us())
        delay_us = drawn[np.clip(fetches["seq"], 0, len(drawn) - 1)][is_good]
    served_ns = _served_ns(run, accounts, is_good)
    return Box(
        number=run.number,
        trial=run.trial,
        concurrency=run.concurrency,
        rates=rates_of(served_ns, end_ns[is_good], from_ns, to_ns, delay_us, run.delay.mean_us),
        raw_per_s=summary.requests_per_s,
        counted_ns=to_ns - from_ns,
        times_ns=np.sort((end_ns - start_ns)[is_good & is_counted]),
        requests=counted,
        errors=counted - refused - int((is_good & is_counted).sum()),
        refused=refused,
        cpu_us_per_request=summary.cpu_us_per_request,
        cpu_share=summary.cpu_share,
        level=verdict.level,
        limit=_limit(summary, verdict, refused / counted),
    )


def _limit(summary: RunSummary, verdict: Verdict, refused_share: float) -> Bottleneck:
    """Return what limits, below the noise of a busy machine."""
    if refused_share <= REFUSED_SHARE:
        # Those that came while a bucket filled for the first time do not say what limits.
        summary = replace(summary, refused=0)
    elif not summary.refused:  # by a server of others, whose answers are all that is known
        return Bottleneck(
            REFUSALS, f"the server refused {format_percent(refused_share)} with 429 or 503"
        )
    reasons = tuple(one for one in verdict.reasons if one.check != "busy machine")
    return bottleneck(summary, Verdict(reasons))


def _served_ns(
    run: RunRow, accounts: Accounts, is_good: "NDArray[np.bool_]"
) -> "NDArray[np.int64]":
    """Return when the service began with each good request, as well as it is known."""
    fetches = accounts.fetches
    start_ns, end_ns = fetches["start_ns"][is_good], fetches["end_ns"][is_good]
    join = accounts.complete_join(run)
    if join is not None:  # a good request has arrived
        begin_ns: NDArray[np.int64] = join.arrivals["begin_ns"][join.arrival_of[is_good]]
        return np.minimum(begin_ns, end_ns)
    # A part of a request's time may be a wait in the server's queue, which does not show.
    shortest_ns = (end_ns - start_ns).min() if len(end_ns) else 0
    return end_ns - shortest_ns


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
    that noise. Both have the same mean, so that the plain one is used if its parts differ
    clearly less.
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
    is_plain = not corrected or stdev(plain) < _CLEARLY_LESS * stdev(corrected)
    return tuple(plain if is_plain else corrected)
