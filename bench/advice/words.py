"""Says the advice in sentences. Pure."""

from collections.abc import Sequence

from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice
from bench.advice.limits import MOST, OBJECTIVE, SERVER, Limit
from bench.advice.points import Point
from bench.wording import format_rate

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
    "cap": "The crawler's own limit is the limit: it does not make more at a time.",
}
"""What to say of a limit, by its word."""


def answer(advice: AdviceAnalysis) -> str:
    """Return the answer in a few sentences."""
    chosen = advice.chosen
    if chosen is None:
        return " ".join(_none(one) for one in advice.crawlers) or "No run has results."
    found, point = chosen.recommendation, chosen.recommended
    assert found is not None
    assert point is not None
    use = f"Use {chosen.crawler} with {found.concurrency:,} at a time"
    rate = f"{format_rate(point.good_per_s)} requests/s{_quantile(point)}"
    sentences = [
        f"{use}{_region(found.low, found.high)}: {rate}.",
        limit_sentence(chosen.limit, chosen, is_ours=advice.experiment.knows_delays),
        *_others(advice, chosen),
    ]
    return " ".join(filter(None, sentences))


def certainty(one: CrawlerAdvice) -> str:
    """Return how sure the recommended concurrency is; "" without one."""
    found, point = one.recommendation, one.recommended
    if found is None or point is None:
        return ""
    runs = "1 run" if point.boxes == 1 else f"{point.boxes} runs"
    text = f"{one.crawler} with {found.concurrency:,} at a time: {runs}"
    if point.interval is not None:
        low, high = format_rate(point.interval.low), format_rate(point.interval.high)
        text += f", {low} to {high} requests/s (95 % interval)"
    if one.searched == found.concurrency:
        return f"{text}; the fresh runs confirm the search."
    if one.searched is None:
        return f"{text}; the search alone found none."
    return f"{text}; the search alone found {one.searched:,}, and the fresh runs moved it."


def limit_sentence(limit: Limit, advice: CrawlerAdvice, *, is_ours: bool) -> str:
    """Return what limits beyond the recommendation, in a sentence or two."""
    if limit.word == OBJECTIVE:
        point = advice.at(limit.concurrency)
        return (
            f"The objective is the limit ({limit.evidence}): {limit.concurrency:,} at a time "
            f"would have {format_rate(point.good_per_s)} requests/s{_quantile(point)}."
        )
    if limit.word == MOST:
        return f"More may be faster: {limit.evidence}."
    if limit.word == SERVER and not is_ours:
        return (
            "The server is the limit: with more at a time it answers later, and not more. It is "
            "not a crawlbench server, so that what limits it there is not known."
        )
    if limit.word == SERVER:
        return "The delay server itself is the limit, and not the service that it plays."
    known = _LIMITS.get(limit.word)
    where = f" At {limit.concurrency:,} at a time, {limit.evidence}."
    return known or f"The limit is: {limit.word}.{where}"


def _region(low: int, high: int) -> str:
    return f" ({low:,} to {high:,} are as good)" if low < high else ""


def _quantile(point: Point) -> str:
    return f", p99 {point.p99_ns / 1e6:,.4g} ms" if point.p99_ns is not None else ""


def _none(one: CrawlerAdvice) -> str:
    if one.limit.word != OBJECTIVE:
        return f"{one.crawler} has no answer: {one.limit.evidence}."
    point = one.at(one.limit.concurrency)
    return (
        f"{one.crawler} keeps the objectives ({one.limit.evidence}) at no concurrency: with "
        f"{point.concurrency:,} at a time it has {format_rate(point.good_per_s)} requests/s"
        f"{_quantile(point)}, {100 * point.error_share:.2g} % errors and "
        f"{100 * point.refused_share:.2g} % refused."
    )


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
            sentences.append(_none(one))
        else:
            sentences.append(
                f"{one.crawler} has {format_rate(point.good_per_s)} requests/s at best, with "
                f"{point.concurrency:,} at a time."
            )
    return sentences


def _cost(one: CrawlerAdvice, chosen: CrawlerAdvice) -> str:
    """Return `threads takes 2.1 times the CPU`; "" if it takes hardly more."""
    here, there = one.recommended, chosen.recommended
    if here is None or there is None or not there.cpu_us_per_request:
        return ""
    times = here.cpu_us_per_request / there.cpu_us_per_request
    return f"{one.crawler} takes {times:.2g} times the CPU" if times > _SAME_CPU else ""


def _names(crawlers: Sequence[CrawlerAdvice]) -> str:
    names = [one.crawler for one in crawlers]
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))
