"""Prints the tables of `site`: what each spider reached, what it missed, and what it cost."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.validity import Level
from bench.documents import document
from bench.program import PROGRAM
from bench.report.finding import verdict_counts
from bench.report.tables import (
    LEVEL_COLOURS,
    Column,
    Table,
    format_number,
    print_table,
    print_text,
)
from bench.results.environment import format_machine, format_versions
from bench.results.store import Store
from bench.sites.analysis import SiteAnalysis, SiteCell, SiteTrial
from bench.sites.summary import HostSummary, SiteSummary
from bench.sites.truth import PLAIN
from bench.wording import format_percent

if TYPE_CHECKING:
    from rich.console import Console

_ALIKE = 0.95
"""Two spiders are called alike if one trial has the slower one at this share of the faster one."""
_SHOWN = 3
"""How many runs are shown for each check that found something."""


def print_site(store: Store, analysis: SiteAnalysis, console: "Console", *, show_all: bool) -> None:
    """Print the tables, why runs are not VALID, and the finding. With `show_all`, every host."""
    for line in (
        f"{store.path.parent}: {analysis.experiment.format_plan()}; {store.created_utc()}",
        f"{format_machine(store.environment())}; {format_versions(analysis.runs)}",
    ):
        print_text(line, console)
    print_text("", console)
    for table in site_tables(analysis, show_all=show_all):
        print_table(table, console)
    _print_reasons(analysis, console, show_all=show_all)
    missing = store.runs_asked() - len(analysis.runs)
    if missing:
        print_text(f"{missing} of the runs asked for were not done", console)
    levels = (trial.verdict.level for cell in analysis.cells for trial in cell.trials)
    print_text(verdict_counts(levels), console, indent=2)
    print_text(finding_of_site(analysis), console, indent=2)


def site_tables(analysis: SiteAnalysis, *, show_all: bool) -> Iterator[Table[Any]]:
    """Yield the tables that say something about this experiment."""
    yield crawl_table(analysis)
    if analysis.experiment.spec.difficulties:
        yield difficulty_table(analysis)
    if analysis.experiment.spec.hosts > 1 or show_all:
        yield every_host_table(analysis) if show_all else hosts_table(analysis)
    yield cost_table(analysis)


def _spider(analysis: SiteAnalysis, cell: SiteCell) -> str:
    is_one = len(analysis.experiment.sizes) == 1
    return cell.spider if is_one else f"{cell.spider}, {cell.size.text}"


def _count(cell: SiteCell, attribute: str) -> str:
    return format_number(cell.median_of(attribute), ",.0f")


def _share(value: float | None) -> str:
    """Return a share in percent, never rounded up to 100."""
    if value is None:
        return "-"
    if value == 1:
        return "100"
    text = f"{100 * value:.1f}"
    return "99.9" if text == "100.0" and value < 1 else text


def crawl_table(analysis: SiteAnalysis) -> Table[SiteCell]:
    """Return the table of what each spider reached, and what it should not have fetched."""
    of = Column[SiteCell]
    columns = (
        of("spider", lambda cell: _spider(analysis, cell)),
        of("C", lambda cell: str(cell.concurrency)),
        of("pages/s", lambda cell: _count(cell, "pages_per_s")),
        of(
            "ideal",
            lambda cell: format_number(cell.ideal_pages_per_s or None, ",.0f"),
            "pages/s",
            priority=3,
            about="ideal: the ideal client on the same links, with the same limits.",
        ),
        of(
            "eff.",
            _efficiency,
            "%",
            priority=1,
            about="eff.: efficiency, pages/s over those of the ideal client.",
        ),
        of("coverage", lambda cell: _share(cell.median_of("coverage")), "%"),
        of(
            "twice",
            lambda cell: _count(cell, "fetched_twice"),
            about="twice: requests for what had been asked for before.",
        ),
        of("disallowed", lambda cell: _count(cell, "disallowed"), priority=1),
        of(
            "in",
            lambda cell: _count(cell, "in_trap"),
            "trap",
            priority=1,
            about=_about_trap(analysis),
        ),
        *_limit_columns(analysis),
        of(
            "verdict",
            lambda cell: cell.level.name,
            is_text=True,
            style=lambda cell: LEVEL_COLOURS[cell.level.name],
        ),
    )
    trials = analysis.experiment.trials
    caption = f"Medians of {trials} trials." if trials > 1 else ""
    return Table("Crawls of the whole site", columns, analysis.cells, caption)


def _efficiency(cell: SiteCell) -> str:
    return "-" if cell.level is Level.INVALID else _share(cell.efficiency)


def _limit_columns(analysis: SiteAnalysis) -> Iterator[Column[SiteCell]]:
    """Yield the column that says whether the limits of each host were kept, if there are any."""
    asked = analysis.experiment
    if asked.per_host or asked.host_delay_s or asked.spec.crawl_delay_s:
        yield Column("host", _limits_kept, "limits", is_text=True, priority=1)


def _limits_kept(cell: SiteCell) -> str:
    is_broken = any(trial.verdict.finds("host limit") for trial in cell.trials)
    return "broken" if is_broken else "kept" if cell.measured else "-"


def _about_trap(analysis: SiteAnalysis) -> str:
    limits = {run.site.max_depth for run in analysis.runs if run.site is not None}
    has_one = dict(analysis.experiment.spec.difficulties).get("calendar")
    allowed = f"; the depth limit allows {max(limits)}" if limits and has_one else ""
    return f"in trap: months of the endless calendar{allowed}."


@dataclass(frozen=True, slots=True)
class _Missed:
    """What a spider missed at worst, of all its runs."""

    name: str
    summaries: tuple[SiteSummary, ...]

    def of(self, difficulty: str) -> str:
        found = [one.missed[difficulty] for one in self.summaries if difficulty in one.missed]
        if not found:
            return "-"
        missed, total = max(found)
        return f"{missed:,}/{total:,}" if missed else "0"

    def most(self, attribute: str) -> str:
        return f"{max(getattr(one, attribute) for one in self.summaries):,}"


def difficulty_table(analysis: SiteAnalysis) -> Table[_Missed]:
    """Return the table of the pages that each spider missed, by what makes them difficult."""
    by_spider: dict[str, list[SiteSummary]] = {}
    for cell in analysis.cells:
        by_spider.setdefault(cell.spider, []).extend(cell.measured)
    rows = [_Missed(name, tuple(found)) for name, found in by_spider.items() if found]
    names = dict.fromkeys(name for row in rows for one in row.summaries for name in one.missed)
    of = Column[_Missed]
    has = {name for name, _ in analysis.experiment.spec.difficulties}
    columns = [of("spider", lambda row: row.name)]
    columns += [_missed_column(name) for name in names]
    columns += [
        _wrong_column(title, attribute)
        for title, attribute, name in (
            ("nofollow", "nofollow", "nofollow"),
            ("off-site", "off_site", "off_site"),
        )
        if name in has
    ]
    caption = (
        "Pages that were missed in the worst run; 2/9: two of nine. -: left out by design, as "
        "declared. Difficulties without a column have no pages to miss."
    )
    return Table("What each spider missed, by difficulty", columns, rows, caption)


def _missed_column(name: str) -> Column[_Missed]:
    return Column(name or "plain", lambda row: row.of(name), priority=0 if name == PLAIN else 1)


def _wrong_column(title: str, attribute: str) -> Column[_Missed]:
    return Column(
        title,
        lambda row: row.most(attribute),
        "fetched",
        priority=2,
        about=f"{title}: what was fetched and should not have been.",
    )


def hosts_table(analysis: SiteAnalysis) -> Table[SiteCell]:
    """Return the table of what the hosts saw of each spider, in its median trial."""

    def hosts(cell: SiteCell) -> tuple[HostSummary, ...]:
        middle = cell.middle
        assert middle is not None, "it has results"
        assert middle.summary is not None, "it has results"
        return middle.summary.hosts

    def least_gap(cell: SiteCell) -> str:
        gaps = [host.median_gap_ns for host in hosts(cell) if host.median_gap_ns is not None]
        return format_number(min(gaps, default=None), ",.1f", 1e6)

    of = Column[SiteCell]
    columns = (
        of("spider", lambda cell: _spider(analysis, cell)),
        of("C", lambda cell: str(cell.concurrency)),
        of("hosts", lambda cell: str(len(hosts(cell)))),
        of("fewest", lambda cell: f"{min(one.requests for one in hosts(cell)):,}", "requests"),
        of("most", lambda cell: f"{max(one.requests for one in hosts(cell)):,}", "requests"),
        of("most", lambda cell: f"{max(one.most_at_once for one in hosts(cell)):,}", "at once"),
        of("gap", least_gap, "ms", about="gap: the shortest median time between two requests."),
    )
    rows = [cell for cell in analysis.cells if cell.measured]
    return Table("What the hosts saw", columns, rows, _limits(analysis))


def every_host_table(analysis: SiteAnalysis) -> Table[tuple[SiteCell, HostSummary]]:
    """Return the table of what every host saw of each spider, in its median trial."""
    of = Column[tuple[SiteCell, HostSummary]]
    columns = (
        of("spider", lambda row: _spider(analysis, row[0])),
        of("C", lambda row: str(row[0].concurrency)),
        of("host", lambda row: row[1].host, is_text=True),
        of("requests", lambda row: f"{row[1].requests:,}"),
        of("most", lambda row: f"{row[1].most_at_once:,}", "at once"),
        of("least gap", lambda row: format_number(row[1].least_gap_ns, ",.1f", 1e6), "ms"),
        of("median gap", lambda row: format_number(row[1].median_gap_ns, ",.1f", 1e6), "ms"),
    )
    rows = [
        (cell, host)
        for cell in analysis.cells
        if (middle := cell.middle) is not None and middle.summary is not None
        for host in middle.summary.hosts
    ]
    return Table("What every host saw", columns, rows, _limits(analysis))


def _limits(analysis: SiteAnalysis) -> str:
    asked = analysis.experiment
    gap_s = max(asked.host_delay_s, asked.spec.crawl_delay_s)
    limits = [f"at most {asked.per_host} at a time"] if asked.per_host else []
    limits += [f"{1000 * gap_s:g} ms between requests"] if gap_s else []
    return f"Limits of each host: {', '.join(limits)}." if limits else ""


def cost_table(analysis: SiteAnalysis) -> Table[SiteCell]:
    """Return the table of where the CPU time goes, and of memory."""

    def per_page(cpu_ns: Callable[[SiteSummary], int]) -> Callable[[SiteCell], str]:
        def value(cell: SiteCell) -> str:
            summary = cell.middle.summary if cell.middle is not None else None
            if summary is None or not summary.pages or not (spent_ns := cpu_ns(summary)):
                return "-"
            return f"{spent_ns / summary.pages / 1e3:,.0f}"

        return value

    of = Column[SiteCell]
    columns = (
        of("spider", lambda cell: _spider(analysis, cell)),
        of("C", lambda cell: str(cell.concurrency)),
        of("parses in", lambda cell: cell.parse, is_text=True, priority=1),
        of("fetching", per_page(lambda one: one.fetch_cpu_ns), "µs/page"),
        of("parsing", per_page(lambda one: one.parse_cpu_ns), "µs/page"),
        of("frontier", per_page(lambda one: one.frontier_cpu_ns), "µs/page"),
        of(
            "memory",
            lambda cell: format_number(cell.median_of("peak_memory_bytes"), ",.0f", 1e6),
            "MB",
        ),
        of("left over", lambda cell: _count(cell, "pending"), "URLs", priority=2),
    )
    caption = (
        "CPU time; that of a spider with -, which does not tell its parts apart, is all under "
        "fetching. memory: the peak."
    )
    return Table("Where the CPU time goes", columns, analysis.cells, caption)


def finding_of_site(analysis: SiteAnalysis) -> str:
    """Say which spider is the fastest of those that crawl the site as they should, for each size of
    pages. What is VALID comes first, however fast others are."""
    where = f"see site-throughput.png, and {document('site.md')}."
    found = [
        (size, text)
        for size in analysis.experiment.sizes
        if (text := _fastest(analysis, [one for one in analysis.cells if one.size == size]))
    ]
    if not any(cell.measured for cell in analysis.cells):
        return "No run has results."
    if not found:
        return f"No spider crawled the site as it should: {where}"
    if len(analysis.experiment.sizes) == 1:
        return f"Fastest that crawls the site as it should: {found[0][1]}: {where}"
    each = "; ".join(f"with pages of {size}, {text}" for size, text in found)
    return f"Fastest that crawl the site as they should: {each}: {where}"


def _fastest(analysis: SiteAnalysis, cells: list[SiteCell]) -> str:
    """Return `asyncio at 50, 631 pages/s, 40 % of the ideal client's; threads is next (400)`."""
    known = [cell for cell in cells if cell.level < Level.INVALID and cell.measured]
    if not known:
        return ""
    least = min(cell.level for cell in known)
    best_of: dict[str, SiteCell] = {}
    for cell in (cell for cell in known if cell.level == least):
        best_of[cell.spider] = max(best_of.get(cell.spider, cell), cell, key=_speed)
    best, *others = sorted(best_of.values(), key=_speed, reverse=True)
    doubt = f" ({least.name})" if least > Level.UNCHECKED else ""
    text = f"{best.spider} at {best.concurrency}, {_speed(best):,.0f} pages/s{doubt}"
    if best.efficiency is not None:
        text += f", {format_percent(best.efficiency)} of the ideal client's"
    if others:
        rival = others[0]
        is_alike = analysis.experiment.trials == 1 and _speed(rival) > _ALIKE * _speed(best)
        how = "is as fast, as far as one trial can tell" if is_alike else "is next"
        text += f"; {rival.spider} {how} ({_speed(rival):,.0f})"
    doubted = max((cell for cell in known if cell.level > least), key=_speed, default=best)
    if _speed(doubted) > _speed(best):
        text += f"; {doubted.spider} had {_speed(doubted):,.0f}, and is {doubted.level.name}"
    return text


def _speed(cell: SiteCell) -> float:
    return cell.median_of("pages_per_s") or 0.0


def _print_reasons(analysis: SiteAnalysis, console: "Console", *, show_all: bool) -> None:
    """Print what the checks found, the worst first: what is INVALID, and of the rest a few runs for
    each check, or all."""
    found: dict[tuple[Level, str], list[str]] = {}
    for cell in analysis.cells:
        for trial in cell.trials:
            for reason in trial.verdict.reasons:
                found.setdefault((reason.level, reason.check), []).append(
                    f"{reason.word}: {_name_of(analysis, cell, trial)}: {reason.text}"
                )
    for (level, check), lines in sorted(found.items(), key=lambda one: -one[0][0]):
        style = LEVEL_COLOURS[level.name] if level else None
        shown = lines if show_all or level is Level.INVALID else lines[:_SHOWN]
        for line in shown:
            print_text(line, console, style=style)
        if len(lines) > len(shown):
            more = f"and {len(lines) - len(shown)} more of {check}: {PROGRAM} report --all"
            print_text(more, console, style=style)
    if found:
        print_text("", console)


def _name_of(analysis: SiteAnalysis, cell: SiteCell, trial: SiteTrial) -> str:
    name = f"{_spider(analysis, cell)} at {cell.concurrency}"
    return f"{name}, trial {trial.run.trial}" if analysis.experiment.trials > 1 else name


def site_as_json(store: Store, analysis: SiteAnalysis) -> list[dict[str, Any]]:
    """Return what `site --json` prints: an object for each run, in the order of the tables."""
    return [_run_as_json(store, cell, trial) for cell in analysis.cells for trial in cell.trials]


def _run_as_json(store: Store, cell: SiteCell, trial: SiteTrial) -> dict[str, Any]:
    run, summary = trial.run, trial.summary
    about: dict[str, Any] = {
        "results": str(store.path.parent),
        "run": run.number,
        "trial": run.trial,
        "spider": cell.spider,
        "concurrency": cell.concurrency,
        "size": cell.size.text,
        "parse": cell.parse,
        "site": run.site.site if run.site is not None else "",
        "verdict": trial.verdict.level.name,
        "reasons": [
            {"level": one.level.name, "check": one.check, "text": one.text}
            for one in trial.verdict.reasons
        ],
        "ideal_pages_per_s": cell.ideal_pages_per_s,
    }
    if summary is None:
        return about | dict.fromkeys(_NUMBERS)
    return about | {
        **{name: getattr(summary, name) for name in _NUMBERS if name not in ("missed", "hosts")},
        "missed": {
            name or "plain": {"missed": missed, "of": total}
            for name, (missed, total) in summary.missed.items()
        },
        "hosts": [{name: getattr(host, name) for name in _OF_HOST} for host in summary.hosts],
    }


_NUMBERS = (
    "pages_per_s",
    "pages",
    "should",
    "coverage",
    "makespan_ns",
    "ideal_ns",
    "efficiency",
    "fetched_twice",
    "retried",
    "disallowed",
    "nofollow",
    "off_site",
    "in_trap",
    "missed",
    "hosts",
    "fetch_cpu_ns",
    "parse_cpu_ns",
    "frontier_cpu_ns",
    "peak_memory_bytes",
    "pending",
    "errors",
)
_OF_HOST = ("host", "requests", "most_at_once", "least_gap_ns", "median_gap_ns")
