"""What a figure shows of this run, in a sentence made of its numbers. Pure."""

from collections.abc import Callable, Mapping, Sequence

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary, KneeKind, Trial, best_cells, knee
from bench.analysis.validity import Level
from bench.plan.experiment import Experiment
from bench.plan.floor import cost_unit
from plots.cost import times_floor
from plots.time_vs_concurrency import SCALED_TO

_PARTS = {"to_server": "on the way to the server", "late": "in the server", "back": "back"}


def of_throughput(analysis: Analysis) -> str:
    """Who is fastest, how near the ceiling, and where the knees are."""
    best = sorted(best_cells(analysis.cells).values(), key=_rate, reverse=True)
    if not best:
        return "Nothing was measured."
    first = best[0]
    text = f"Most: {_rate_at(first)}"
    share = first.median_of("efficiency")
    if share is not None:
        text += f", {share:.0%} of the ceiling"
    if len(best) > 1:
        text += f". Least: {_rate_at(best[-1])}"
    by_crawler = analysis.by_crawler()
    knees = {name: knee(cells) for name, cells in by_crawler.items()}
    within = [f"{name} at {at}" for name, at in knees.items() if at.exact is not None]
    if within:
        text += f". 95 % of its best is reached by {', '.join(within)}"
    rising = [name for name, at in knees.items() if at.kind is KneeKind.NOT_REACHED]
    if rising:
        most = max(cell.cell.concurrency for cell in analysis.cells)
        text += f". At {most}, the highest measured, still rising: {', '.join(rising)}"
    return text + "."


def of_efficiency(analysis: Analysis) -> str:
    """From whom to whom it goes at the highest concurrency."""
    most = max(cell.cell.concurrency for cell in analysis.cells)
    shares = {
        cell.cell.crawler: share
        for cell in analysis.cells
        if cell.cell.concurrency == most and (share := cell.median_of("efficiency")) is not None
    }
    return _from_to(shares, lambda value: f"{value:.1%}", f"At {most} efficiency goes") or (
        "Not one run at the highest concurrency has an efficiency."
    )


def of_time(analysis: Analysis) -> str:
    """What concurrency saves, for each series."""
    asked = analysis.experiment
    n = asked.requests or SCALED_TO
    texts = []
    for series, best in best_cells(analysis.cells).items():
        cells = [
            cell
            for cell in analysis.cells
            if (cell.cell.crawler, cell.cell.delay) == series and cell.measured
        ]
        name = analysis.series_shown(best.cell)
        first = cells[0]
        text = f"{name}: {_seconds(first, asked):.3g} s at {first.cell.concurrency}"
        if best is not first:
            text += f", {_seconds(best, asked):.3g} s at {best.cell.concurrency}"
        at = knee(cells).exact
        if at is not None and at != best.cell.concurrency:
            text += f" (95 % of that rate from {at} on)"
        texts.append(text)
    return f"Time for {n:,} requests. {'; '.join(texts)}."


def of_service_time(analysis: Analysis, at: int) -> str:
    """From whom to whom the median goes at one concurrency."""
    medians = {
        cell.cell.crawler: p50 / 1e6
        for cell in analysis.cells
        if cell.cell.concurrency == at and (p50 := cell.median_of("p50_ns")) is not None
    }
    (delay,) = analysis.experiment.delays
    start = f"With a delay of {delay}, the median service time at {at} goes"
    return _from_to(medians, lambda value: f"{value:.1f} ms", start) or "No request was good."


def of_split(analysis: Analysis) -> str:
    """The largest part that is not the delay, at the highest concurrency."""
    parts = []
    for cell in analysis.cells:
        trial = cell.median_trial()
        split = trial.summary.split if trial is not None and trial.summary is not None else None
        if split is not None:
            parts += [
                (getattr(split, part).p50_ns / 1e6, cell.cell, words)
                for part, words in _PARTS.items()
            ]
    if not parts:
        return "No run has a ledger."
    most, by, words = max(parts, key=lambda part: part[0])
    return (
        f"The most that is added: {most:.1f} ms (median) {words}, by {by.crawler} at "
        f"{by.concurrency}."
    )


def of_cost(cells: Mapping[str, CellSummary], analysis: Analysis) -> str:
    """Multiples of the floor crawler, the least and the most."""
    floor = cost_unit(cells)
    if floor is None:
        return "No floor crawler was measured with them: the numbers stand by themselves."
    texts = []
    for words, attribute in (
        ("The CPU of a request is", "cpu_us_per_request"),
        ("its memory", "peak_memory_bytes"),
    ):
        values = {
            name: multiple
            for name, cell in cells.items()
            if name != floor and (multiple := times_floor(cell, analysis, attribute)) is not None
        }
        told = _from_to(values, lambda value: f"{value:.1f}", words)
        if told:
            texts.append(told.removesuffix("."))
    if not texts:
        return f"Only {floor} was measured."
    return f"{', '.join(texts)}: times that of {floor}."


def of_trial(trial: Trial) -> str:
    """How long one run took, and what is wrong with it."""
    summary = trial.summary
    assert summary is not None
    text = f"{summary.requests:,} requests in {summary.makespan_ns / 1e9:.2f} s"
    if summary.efficiency is not None:
        text += f", of which {summary.ideal_ns / 1e9:.2f} s are the delays alone"
    if summary.errors:
        wrong = ", ".join(f"{word} {count}" for word, count in summary.errors.items())
        text += f"; wrong: {wrong}"
    if trial.verdict.level is not Level.VALID:
        text += f"; {trial.verdict.level.name}"
    return text + "."


def of_in_flight(trial: Trial) -> str:
    """Achieved beside asked."""
    summary = trial.summary
    assert summary is not None
    assert summary.in_flight is not None
    flying = summary.in_flight
    return (
        f"On average {flying.mean:.1f} in flight, {flying.peak} at most, of "
        f"{trial.run.concurrency} asked for."
    )


def _rate(cell: CellSummary) -> float:
    return cell.requests_per_s[0]


def _rate_at(cell: CellSummary) -> str:
    rate = _rate(cell)
    shown = f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}"
    return f"{cell.cell.crawler}, {shown} requests/s at {cell.cell.concurrency}"


def _seconds(cell: CellSummary, asked: Experiment) -> float:
    return (asked.requests or SCALED_TO) / max(_rate(cell), 1e-9)


def _from_to(values: Mapping[str, float], shown: Callable[[float], str], start: str) -> str:
    """`START from 1.0 (a) to 2.0 (b).`; "" of nothing."""
    ranked: Sequence[str] = sorted(values, key=lambda name: values[name])
    if not ranked:
        return ""
    least, most = ranked[0], ranked[-1]
    if least == most:
        return f"{start} to {shown(values[most])} ({most})."
    return f"{start} from {shown(values[least])} ({least}) to {shown(values[most])} ({most})."
