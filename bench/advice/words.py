"""Says the advice in sentences. Pure."""

from collections.abc import Sequence

from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice
from bench.advice.limits import CAP, MOST, OBJECTIVE, SERVER, UNFINISHED, Limit
from bench.advice.points import Point
from bench.advice.recommendation import SAME_FAILED
from bench.analysis.validity import Level
from bench.wording import format_percent, format_rate

_SAME_CPU = 1.1
_LIMITS = {
    "capacity": "The service's capacity is the limit: more only waits.",
    "rate limit": "The service's rate limit is the limit: more is refused.",
    "refusals": "The server refuses more (429 or 503).",
    "full queue": "The service's queue is the limit: when it is full, more is refused.",
    "service": "The service slows down under load: more makes it slower.",
    "client CPU": "The client's CPU is the limit: one core cannot handle more.",
    "bursts": "The client's CPU is the limit when many answers arrive at once.",
    "round trip": "The way between client and server is the limit: requests queue there.",
    "machine": "This machine was busy with something else, which is the limit.",
    "idle slots": "The crawler itself is the limit: it pauses although it has work.",
    "its own limit": "The crawler's own limit is the limit.",
    "connections": "Opening connections is the limit.",
    "failures": "Beyond it, requests fail.",
    CAP: "The crawler is the limit: it does not make more at a time.",
}
"""What to say of a limit, by its word."""


def answer(advice: AdviceAnalysis) -> str:
    """Return the answer in a few sentences."""
    chosen = advice.chosen
    if chosen is None:
        return " ".join((*(_none(one, advice) for one in advice.crawlers), *_without_runs(advice)))
    found, point = chosen.recommendation, chosen.recommended
    assert found is not None
    assert point is not None
    use = f"Use {chosen.crawler} with {found.concurrency:,} at a time"
    rate = f"{format_rate(point.good_per_s)} requests/s{_quantile(point)}"
    sentences = [
        f"{use}{_region(found.low, found.high)}: {rate}.",
        _refusals(point),
        limit_sentence(chosen.limit, is_ours=advice.experiment.knows_delays),
        *_others(advice, chosen),
        *_without_runs(advice),
        _doubt(advice),
    ]
    return " ".join(filter(None, sentences))


def _refusals(point: Point) -> str:
    if point.refused_share <= SAME_FAILED:
        return ""
    share = format_percent(point.refused_share)
    return f"There, {share} of the requests are refused; --slo 'refused<=1%' avoids that."


def _without_runs(advice: AdviceAnalysis) -> list[str]:
    """Say of each crawler of which no run can be used why that is so."""
    measured = {one.crawler for one in advice.crawlers}
    sentences = []
    for label in advice.experiment.crawlers:
        if label in measured:
            continue
        verdicts = (one.verdict for one in advice.trials if one.run.crawler == label)
        why = next((one.text for verdict in verdicts for one in verdict.reasons[:1]), "no run")
        sentences.append(f"{label} has no answer, because it has no run that can be used: {why}.")
    return sentences


def _doubt(advice: AdviceAnalysis) -> str:
    """Say so if most runs were disturbed."""
    levels = [trial.verdict.level for trial in advice.trials]
    doubtful = sum(level >= Level.SUSPECT for level in levels)
    if doubtful <= len(levels) / 2:
        return ""
    return f"But {doubtful} of {len(levels)} runs are SUSPECT or INVALID: see why, and ask again."


def certainty(one: CrawlerAdvice) -> str:
    """Return how sure the recommended concurrency is; "" without one."""
    found, point = one.recommendation, one.recommended
    if found is None or point is None:
        return ""
    runs = "1 run" if point.boxes == 1 else f"{point.boxes} runs"
    text = f"{one.crawler} with {found.concurrency:,} at a time: {runs}"
    if point.interval is not None:
        ends = f"{point.interval.low:,.1f} to {point.interval.high:,.1f}"
        text += f", {ends} requests/s (95 % interval)"
    if one.searched == found.concurrency:
        return f"{text}; the fresh runs confirm the search."
    if one.searched is None:
        return f"{text}; the search alone found none."
    return f"{text}; without the fresh runs, it would have been {one.searched:,}."


def limit_sentence(limit: Limit, *, is_ours: bool) -> str:
    """Return what limits beyond the recommendation, in a sentence or two."""
    if limit.word == OBJECTIVE:
        return f"An objective is the limit: at {limit.concurrency:,} at a time, {limit.evidence}."
    if limit.word == MOST:
        return f"More may be faster: {limit.evidence}."
    if limit.word == SERVER and not is_ours:
        return (
            "The server is the limit: more requests at a time only make it answer later. What "
            "limits it is not known, because it is not a crawlbench server."
        )
    if limit.word == SERVER:
        return "The delay server itself is the limit, and not the service that it plays."
    where = f" At {limit.concurrency:,} at a time, {limit.evidence}."
    return _LIMITS.get(limit.word) or f"The limit is: {limit.word}.{where}"


def _region(low: int, high: int) -> str:
    return f" ({low:,} to {high:,} are as good)" if low < high else ""


def _quantile(point: Point) -> str:
    return f", p99 {point.p99_ns / 1e6:,.4g} ms" if point.p99_ns is not None else ""


def _none(one: CrawlerAdvice, advice: AdviceAnalysis) -> str:
    if one.limit.word == UNFINISHED:
        return (
            f"{one.crawler} has no answer, because {one.limit.evidence}: ask again with "
            f"{advice.experiment.command()}"
        )
    if one.limit.word != OBJECTIVE:
        return f"{one.crawler} has no answer: {one.limit.evidence}."
    at = f"at {one.limit.concurrency:,} at a time, {one.limit.evidence}"
    return f"No concurrency of {one.crawler} meets the objectives: {at}."


def _others(advice: AdviceAnalysis, chosen: CrawlerAdvice) -> list[str]:
    """Say of each other crawler whether it reaches the same goodput, and what it costs."""
    others = [one for one in advice.crawlers if one is not chosen]
    if not others:
        return []
    reaching = [one for one in advice.reaching() if one is not chosen]
    short = [one for one in others if one not in reaching]
    sentences = []
    costs = [text for one in reaching if (text := _cost(one, chosen))]
    if len(reaching) == len(others):
        begin = "Every crawler here reaches it"
    elif reaching:
        begin = f"{_names(reaching)} {'reaches' if len(reaching) == 1 else 'reach'} it, too"
    else:
        begin = ""
    if begin:
        sentences.append(f"{begin}; {', '.join(costs)}." if costs else f"{begin}.")
    for one in short:
        point = one.recommended
        if point is None:
            sentences.append(_none(one, advice))
        else:
            sentences.append(
                f"{one.crawler} has {format_rate(point.good_per_s)} requests/s at best, with "
                f"{point.concurrency:,} at a time."
            )
    return sentences


def _cost(one: CrawlerAdvice, chosen: CrawlerAdvice) -> str:
    """Return `threads takes 2.1 times the CPU (17 % of a core)`; "" if it takes hardly more."""
    here, there = one.recommended, chosen.recommended
    if here is None or there is None or not there.cpu_us_per_request:
        return ""
    times = here.cpu_us_per_request / there.cpu_us_per_request
    if times <= _SAME_CPU:
        return ""
    share = format_percent(here.cpu_us_per_request * here.good_per_s / 1e6)
    return f"{one.crawler} takes {times:.2g} times the CPU ({share} of a core)"


def _names(crawlers: Sequence[CrawlerAdvice]) -> str:
    names = [one.crawler for one in crawlers]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
