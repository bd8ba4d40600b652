"""Prints the advice as tables and sentences, and returns it as JSON."""

import math
from typing import TYPE_CHECKING, Any

from bench.advice.analysis import AdviceAnalysis, CrawlerAdvice
from bench.advice.points import Point
from bench.advice.recommendation import ENOUGH, Recommendation
from bench.advice.scalability import ScalabilityLaw
from bench.advice.words import answer, certainty
from bench.analysis.inference import Interval
from bench.analysis.validity import Level
from bench.plan.experiment import CEILING
from bench.report.finding import verdict_counts
from bench.report.tables import (
    LEVEL_COLOURS,
    Column,
    Table,
    format_number,
    print_table,
    print_text,
)
from bench.wording import format_percent

if TYPE_CHECKING:
    from rich.console import Console

    from bench.results.store import Store


def print_advice(
    store: "Store", advice: AdviceAnalysis, console: "Console", *, show_all: bool = False
) -> None:
    """Print a row for each crawler, what was measured, and last the answer. Raises StoreError."""
    print_text(advice.experiment.format_plan(), console)
    print_text("", console)
    print_table(answers_table(advice), console)
    for one in advice.crawlers if show_all or len(advice.crawlers) == 1 else ():
        print_text("", console)
        print_table(points_table(one), console)
    print_text("", console)
    for text in (*map(certainty, advice.crawlers), *reasons(advice)):
        if text:
            print_text(text, console)
    print_text(verdict_counts(trial.verdict.level for trial in advice.trials), console)
    print_text(answer(advice), console)


def reasons(advice: AdviceAnalysis) -> list[str]:
    """Return why runs are SUSPECT or INVALID: each kind of reason once, with an example."""
    found: dict[str, list[str]] = {}
    for trial in advice.trials:
        verdict = trial.verdict
        worst = [reason for reason in verdict.reasons if reason.level is verdict.level]
        if verdict.level >= Level.SUSPECT and worst:
            at = f"{trial.run.crawler} at {trial.run.concurrency:,}"
            at = "the server's ceiling" if trial.run.role == CEILING else at
            found.setdefault(verdict.level.name, []).append(f"{at}: {worst[0].text}")
    total = len(advice.trials)
    return [
        f"{len(texts)} of {total} runs {'is' if len(texts) == 1 else 'are'} {name}, for example "
        f"{texts[0]}."
        for name, texts in found.items()
    ]


def answers_table(advice: AdviceAnalysis) -> Table[CrawlerAdvice]:
    """Return the table of the answers, with a row for each crawler."""
    of = Column[CrawlerAdvice]

    def from_point(form: str, attribute: str, unit: float = 1) -> Any:
        def value(one: CrawlerAdvice) -> str:
            point = one.recommended
            return "-" if point is None else format_number(getattr(point, attribute), form, unit)

        return value

    return Table(
        "How many at a time",
        (
            of("crawler", lambda one: one.crawler),
            of(
                "use",
                lambda one: f"{one.recommendation.concurrency:,}" if one.recommendation else "none",
            ),
            of("as good", lambda one: _region(one.recommendation), priority=1),
            of("throughput", from_point(",.1f", "good_per_s"), "requests/s"),
            of(
                "95 % interval", lambda one: _of_interval(one.recommended), "requests/s", priority=3
            ),
            of("p50", from_point(",.1f", "p50_ns", 1e6), "ms", priority=5),
            of("p99", from_point(",.1f", "p99_ns", 1e6), "ms"),
            of("CPU", from_point(",.0f", "cpu_us_per_request"), "µs/req", priority=2),
            of("limited by", lambda one: one.limit.word, is_text=True),
        ),
        advice.crawlers,
    )


def _region(found: Recommendation | None) -> str:
    if found is None:
        return "-"
    return f"{found.low:,}" if found.low == found.high else f"{found.low:,}-{found.high:,}"


def _of_interval(point: Point | None) -> str:
    interval = point.interval if point is not None else None
    return "-" if interval is None else f"{interval.low:,.1f}-{interval.high:,.1f}"


def points_table(advice: CrawlerAdvice) -> Table[Point]:
    """Return the table of what was measured of one crawler."""
    of = Column[Point]
    found = advice.recommendation
    failing = any(point.failed_share for point in advice.points)

    def mark(point: Point) -> str:
        if found is None:
            return ""
        if point.concurrency == found.concurrency:
            return "use"
        return "as good" if found.low <= point.concurrency <= found.high else ""

    return Table(
        f"{advice.crawler}: what was measured",
        (
            of("at a time", lambda one: f"{one.concurrency:,}"),
            of("answer", mark, is_text=True),
            of("throughput", lambda one: f"{one.good_per_s:,.1f}", "requests/s"),
            of("95 % interval", _of_interval, "requests/s", priority=4),
            of("p50", lambda one: format_number(one.p50_ns, ",.1f", 1e6), "ms", priority=5),
            of("p99", lambda one: format_number(one.p99_ns, ",.1f", 1e6), "ms"),
            *(
                (
                    of("refused", lambda one: format_percent(one.refused_share, 1)),
                    of("errors", lambda one: format_percent(one.error_share, 1)),
                )
                if failing
                else ()
            ),
            of("runs", lambda one: str(one.boxes), priority=3),
            of("limited by", lambda one: one.limit.word, is_text=True, priority=2),
            of(
                "verdict",
                lambda one: one.level.name,
                is_text=True,
                style=lambda one: LEVEL_COLOURS[one.level.name],
                priority=1,
            ),
        ),
        advice.points,
    )


def advice_as_json(store: "Store", advice: AdviceAnalysis) -> dict[str, Any]:
    """Return the advice as plain values. Times are in ms, shares from 0 to 1."""
    chosen = advice.chosen
    return {
        "answer": answer(advice),
        "recommended": _recommended(chosen) if chosen is not None else None,
        "limited_by": chosen.limit.word if chosen is not None else None,
        "crawlers": [_crawler(one) for one in advice.crawlers],
        "verdicts": {
            level.name: sum(trial.verdict.level is level for trial in advice.trials)
            for level in Level
        },
        "plan": advice.experiment.format_plan(),
        "results": str(store.path.parent),
    }


def _crawler(one: CrawlerAdvice) -> dict[str, Any]:
    return {
        "crawler": one.crawler,
        "recommended": _recommended(one),
        "recommended_by_search": one.searched,
        "limited_by": one.limit.word,
        "limit_seen_at": one.limit.concurrency,
        "evidence": one.limit.evidence,
        "points": [_point(point) for point in one.points],
        "scalability_law": _law(one.law) if one.law is not None else None,
    }


def _law(law: ScalabilityLaw) -> dict[str, Any]:
    has_peak = law.peak < math.inf
    return {
        "delay_ms": law.delay_s * 1e3,
        "sigma": law.sigma,
        "kappa": law.kappa,
        "peak": law.peak if has_peak else None,
        "at_95_percent_of_peak": law.at_share_of_peak(ENOUGH) if has_peak else None,
    }


def _recommended(one: CrawlerAdvice) -> dict[str, Any] | None:
    found, point = one.recommendation, one.recommended
    if found is None or point is None:
        return None
    return {
        "crawler": one.crawler,
        "concurrency": found.concurrency,
        "low": found.low,
        "high": found.high,
        "requests_per_s": point.good_per_s,
        "best_per_s": found.best_per_s,
        "p99_ms": _ms(point.p99_ns),
    }


def _point(point: Point) -> dict[str, Any]:
    return {
        "concurrency": point.concurrency,
        "runs": point.boxes,
        "requests_per_s": point.good_per_s,
        "interval": _ends(point.interval),
        "uncorrected_per_s": point.raw_per_s,
        "p50_ms": _ms(point.p50_ns),
        "p99_ms": _ms(point.p99_ns),
        "p99_interval_ms": _interval_ms(point.p99_interval),
        "error_share": point.error_share,
        "refused_share": point.refused_share,
        "cpu_us_per_request": point.cpu_us_per_request,
        "is_kept": point.is_kept,
        "limited_by": point.limit.word,
        "verdict": point.level.name,
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def _interval_ms(interval: Interval | None) -> list[float | None] | None:
    """Return both ends; None for an end beyond what was measured."""
    if interval is None:
        return None
    return [end / 1e6 if end < math.inf else None for end in (interval.low, interval.high)]


def _ms(value_ns: float | None) -> float | None:
    return None if value_ns is None else value_ns / 1e6
