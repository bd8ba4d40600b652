"""The content of the page of a sweep or a calibration: cells, comparisons and verdicts."""

from collections.abc import Iterator, Sequence
from statistics import median

from bench.analysis.analyse import Analysis
from bench.analysis.bottleneck import bottleneck
from bench.analysis.cells import KNEE_SHARE, UNSTABLE_SHARE, CellSummary, Series, best_cells, knee
from bench.analysis.comparison import Neighbours, compare_neighbours
from bench.analysis.inference import ERROR_RATE, LEAST_TRIALS
from bench.analysis.quantiles import BEYOND, least_requests
from bench.program import PROGRAM
from bench.report.open_loop import refused_share
from bench.report.tables import format_errors
from bench.results.environment import format_versions
from bench.results.store import Store
from plots.floor import times_floor
from plots.page import (
    CSV_EXPORTS,
    NO_PART,
    Column,
    Content,
    InteractivePart,
    Picture,
    Row,
    Table,
    Value,
    badge,
    doubts,
    format_names,
    number,
    render,
    word,
)

_INTERVAL = Column(
    "95 %",
    "95 % confidence interval of the median of requests/s, for this cell alone (not adjusted for "
    f"the number of cells). Unstable: half its width is over {100 * UNSTABLE_SHARE:.0f} % of the "
    "median.",
)
_RANGE = Column(
    "min-max",
    "Lowest and highest requests/s of the trials. A confidence interval needs at least "
    f"{LEAST_TRIALS} trials.",
)
_QUEUED = Column(
    "queued ms",
    "Mean wait for a connection inside the client, of crawlers that start their clocks before they "
    "hold a slot. Their p50 and p99 hold it.",
)
_OF_LEDGER = (
    Column("mean in flight", "Requests in flight at the server, on average over the run."),
    Column("peak in flight", "The most requests that were in flight at the server at once."),
    Column("efficiency", "The makespan of a client without overhead divided by the measured one."),
)
_DELAY = Column("delay", "What the URL asks the server to wait before it responds.")
_CONCURRENCY = Column(
    "C", "Concurrency asked for: how many requests the crawler may have in flight."
)
_KNEE = Column(
    "knee at C",
    f"The smallest C measured that reaches {100 * KNEE_SHARE:.0f} % of the crawler's best "
    "throughput.",
)
_OF_CLOSED_LOOP = (_CONCURRENCY, _KNEE)
_RATE = Column("rate", "Rate asked for: how many requests are due per second.")
_RESPONSE_TIMES = {
    "response_p50_ns": Column(
        "response p50 ms", "Median response time: from the instant at which a request was due."
    ),
    "response_p99_ns": Column(
        "response p99 ms",
        f"99th percentile of response time, of at least {least_requests(0.99):,} requests.",
    ),
    "response_p999_ns": Column(
        "response p99.9 ms",
        f"99.9th percentile of response time, of at least {least_requests(0.999):,} requests.",
    ),
    "send_lag_p99_ns": Column(
        "lag p99 ms", "99th percentile of the time from when a request was due to its start."
    ),
}
_OF_OPEN_LOOP = (_RATE, *_RESPONSE_TIMES.values())
_REFUSED = Column("refused", "Share of requests that the service refused as planned.")
COLUMNS = (
    Column("crawler", is_text=True),
    Column(
        "verdict",
        "INVALID if one trial of the cell is; otherwise the worst verdict that at least half of "
        "the trials have.",
        is_text=True,
    ),
    _DELAY,
    _CONCURRENCY,
    _RATE,
    Column("requests/s", "Throughput of good requests."),
    _INTERVAL,
    _RANGE,
    *_OF_LEDGER,
    *_RESPONSE_TIMES.values(),
    Column(
        "p50 ms",
        "Median service time: from the moment a slot takes a request to the last byte of its "
        "response.",
    ),
    Column("p99 ms", f"99th percentile of service time, of at least {100 * BEYOND:,} requests."),
    _QUEUED,
    Column(
        "CPU µs/req",
        "CPU time of all the crawler's processes together per request, their start included.",
    ),
    Column("× floor CPU", "That, divided by the floor crawler's at the same delay and C."),
    Column("peak MB", "Peak memory of the crawler's processes, added up."),
    _REFUSED,
    Column("errors", "Failed requests of all trials, by kind.", is_text=True),
    Column("limited by", "What limited the throughput of the median trial.", is_text=True),
    _KNEE,
)
"""All columns. The interval or the range is shown, the delay if there are several, and either those
of a closed loop or those of an open one."""

_CLOSED_LOOP = (
    "Closed loop: a slot sends its next request only when its last one has ended, so a slow "
    "crawler sends fewer."
)
_OPEN_LOOP = (
    "Open loop: each request is sent when it is due, whatever happened to those before it. The "
    "response time counts from that instant, the service time from the start."
)

_COMPARED = (
    Column("crawler", is_text=True),
    Column("against", is_text=True),
    Column("result", is_text=True),
    _DELAY,
    Column("C", "Concurrency asked for."),
    Column("ratio", "Throughput of the first crawler divided by that of the second."),
    Column("95 %", "95 % confidence interval of the ratio, for this line alone."),
    Column(
        "p",
        "Sign-flip test of signed ranks, adjusted for all lines: if no crawlers differed at all, "
        f"the risk of any false alarm in this table would be {100 * ERROR_RATE:.0f} %.",
    ),
    Column(
        "trials",
        "Pairs of runs, without those that are INVALID. In a trial all crawlers have the same "
        "delays, within minutes.",
    ),
)


def sweep_page(
    store: Store,
    analysis: Analysis,
    pictures: Sequence[Picture],
    interactive: InteractivePart = NO_PART,
) -> str:
    """Return the page as HTML. Raises StoreError."""
    asked = analysis.experiment
    trials = [*analysis.ceilings, *(trial for cell in analysis.cells for trial in cell.trials)]
    comparison, text = _comparison(analysis)
    content = Content(
        title=format_names(asked.crawlers, "crawlers"),
        plan=f"{asked.format_plan()}; seed {asked.seed}",
        note=_OPEN_LOOP if asked.is_open else _CLOSED_LOOP,
        summary=(_cells(analysis),),
        remarks=tuple(_ceilings(analysis)),
        comparison=comparison,
        comparison_text=text,
        verdicts=[trial.verdict for trial in trials],
        doubts=doubts(
            [
                ("the server's ceiling", [trial.verdict for trial in analysis.ceilings]),
                *(
                    (
                        f"{analysis.format_series(cell.cell)} at {cell.cell.format_level()}",
                        [trial.verdict for trial in cell.trials],
                    )
                    for cell in analysis.cells
                ),
            ]
        ),
        single_runs="For each crawler, the trial with the median throughput of one cell"
        + (": that of the highest rate it kept up with." if asked.is_open else "."),
        libraries=format_versions(analysis.runs),
        command=asked.command(),
        exports=CSV_EXPORTS,
    )
    return render(store, content, pictures, interactive)


def _cells(analysis: Analysis) -> Table:
    """Return the table of all cells. All but the best cell of each crawler are extra rows."""
    has_intervals = any(cell.interval for cell in analysis.cells)
    has_ranges = any(len(cell.rates) > 1 for cell in analysis.cells)
    left_out = {_RANGE} if has_intervals or not has_ranges else set()
    left_out |= set() if has_intervals else {_INTERVAL}
    left_out |= set() if len(analysis.experiment.requests_asked) > 1 else {_DELAY}
    left_out |= set() if any(cell.queues for cell in analysis.cells) else {_QUEUED}
    # Of a server that is not ours, there is neither a ledger nor a planned delay.
    left_out |= set() if analysis.experiment.knows_delays else set(_OF_LEDGER)
    is_open = analysis.experiment.is_open
    left_out |= set(_OF_CLOSED_LOOP if is_open else _OF_OPEN_LOOP)
    left_out |= set() if any(cell.median_of("refused") for cell in analysis.cells) else {_REFUSED}
    shown = [i for i, column in enumerate(COLUMNS) if column not in left_out]
    # In open loop, the cell with the most requests per second is merely that with the highest rate.
    best = {} if is_open else best_cells(analysis.cells)
    for cell in analysis.cells:  # a crawler without results is shown with its first cell
        best.setdefault(Series.of(cell.cell), cell)
    chosen = {id(cell) for cell in (analysis.cells if is_open else best.values())}
    rows = []
    for cell in analysis.cells:
        values = _values(cell, analysis)
        rows.append(Row(tuple(values[i] for i in shown), is_extra=id(cell) not in chosen))
    caption = "One line per cell, medians over its trials"
    return Table("cells", caption, tuple(COLUMNS[i] for i in shown), tuple(rows))


def _values(cell: CellSummary, analysis: Analysis) -> tuple[Value, ...]:
    """Return a value for each of COLUMNS."""
    at = cell.cell
    start = (
        word(at.crawler),
        badge(cell.level),
        Value(str(at.request), at.delay.mean_us),
        Value(str(at.concurrency), at.concurrency),
        Value(at.format_level(), at.level),
    )
    trial = cell.median_trial()
    if trial is None or trial.summary is None:
        return (*start, *(number(None, "") for _ in COLUMNS[len(start) :]))
    rate, least, most = cell.requests_per_s
    form = ",.0f" if rate >= 100 else ".1f"
    in_flight = [one.in_flight for one in cell.measured if one.in_flight is not None]
    interval = cell.interval
    return (
        *start,
        number(rate, form),
        Value(
            f"{interval.low:{form}}-{interval.high:{form}}"
            + (" unstable" if cell.is_unstable else ""),
            interval.low,
        )
        if interval
        else number(None, ""),
        Value(f"{least:{form}}-{most:{form}}", least) if len(cell.rates) > 1 else number(None, ""),
        number(median(one.mean for one in in_flight) if in_flight else None, ".1f"),
        number(median(one.peak for one in in_flight) if in_flight else None, ",.0f"),
        number(cell.median_of("efficiency"), ".3f"),
        *(number(cell.median_of(name), ".1f", 1e6) for name in _RESPONSE_TIMES),
        number(cell.median_of("p50_ns"), ".1f", 1e6),
        number(cell.median_of("p99_ns"), ".1f", 1e6),
        number(cell.median_of("queued_mean_ns"), ".1f", 1e6),
        number(cell.median_of("cpu_us_per_request"), ",.0f"),
        number(times_floor(cell, analysis, "cpu_us_per_request"), ".1f"),
        number(cell.median_of("peak_memory_bytes"), ".0f", 1e6),
        Value(refused_share(cell), cell.median_of("refused")),
        word(format_errors(cell.errors)),
        word(bottleneck(trial.summary, trial.verdict).word),
        _knee(cell, analysis),
    )


def _knee(cell: CellSummary, analysis: Analysis) -> Value:
    series = Series.of(cell.cell)
    at = knee([one for one in analysis.cells if Series.of(one.cell) == series])
    return Value(str(at), -1.0 if at.concurrency is None else float(at.concurrency))


def _ceilings(analysis: Analysis) -> Iterator[str]:
    """Yield a sentence with the ceiling of the server, if it was measured."""
    measured = [trial for trial in analysis.ceilings if trial.summary is not None]
    rates = [f"{trial.summary.requests_per_s:,.0f}" for trial in measured if trial.summary]
    if rates:
        run = measured[0].run
        when = "before and after the sweep" if len(rates) > 1 else "before the sweep"
        yield (
            f"Ceiling of the server: {' and '.join(rates)} requests/s, measured {when} with "
            f"{run.crawler} at C={run.concurrency} without delay."
        )


def _comparison(analysis: Analysis) -> tuple[Table | None, str]:
    """Return the comparisons that `crawlbench report` prints, with a text that explains them."""
    asked = analysis.experiment
    if asked.is_open:  # all have the same rates, so that there is no slower one
        return None, ""
    if len({cell.cell.crawler for cell in analysis.cells if cell.measured}) < 2:
        return None, ""
    if asked.trials < LEAST_TRIALS:
        trials = "1 trial" if asked.trials == 1 else f"{asked.trials} trials"
        return None, (
            f"{trials} cannot tell a difference between crawlers from noise: the numbers above are "
            f"no ranking. At least {LEAST_TRIALS} trials are needed (--trials {LEAST_TRIALS})."
        )
    columns = [one for one in _COMPARED if one is not _DELAY or len(asked.requests_asked) > 1]
    shown = [_COMPARED.index(column) for column in columns]
    rows = [_compared(one) for one in compare_neighbours(analysis.cells)]
    table = Table(
        "compared",
        "Throughput of each crawler against the next slower one",
        tuple(columns),
        tuple(Row(tuple(row[i] for i in shown)) for row in rows),
    )
    return table, (
        "Each crawler is compared with the next slower one, at the highest C at which both were "
        "measured. Where no difference is seen, the order of the two says nothing. "
        f"For other cells, and for other numbers than throughput, use {PROGRAM} compare A B."
    )


def _compared(one: Neighbours) -> tuple[Value, ...]:
    """Return a value for each of _COMPARED."""
    found = one.result
    interval = found.interval
    return (
        word(one.candidate),
        word(one.baseline),
        word(found.verdict),
        Value(str(one.cell.request), one.cell.delay.mean_us),
        Value(one.cell.format_level().removeprefix("C="), one.cell.level),
        number(found.ratio, ".3f"),
        Value(f"{interval.low:.3f}-{interval.high:.3f}", interval.low)
        if interval
        else number(None, ""),
        number(found.p, ".3f"),
        Value(str(found.trials), found.trials),
    )
