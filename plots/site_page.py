"""The content of the page of `crawlbench site`: what each spider reached, and at what cost."""

from collections.abc import Sequence

from bench.results.environment import format_versions
from bench.results.store import Store
from bench.sites.analysis import SiteAnalysis, SiteCell
from bench.sites.report import finding_of_site, site_tables
from plots.page import (
    NO_PART,
    Content,
    InteractivePart,
    Picture,
    doubts,
    format_names,
    page_table,
    render,
)

_NOTE = (
    "Each spider begins at the home page and follows the links that it finds. The site is "
    "generated from its seed, so that all its pages are known, and the server's ledger says which "
    "of them were fetched, how often and when."
)


def site_page(
    store: Store,
    analysis: SiteAnalysis,
    pictures: Sequence[Picture],
    interactive: InteractivePart = NO_PART,
) -> str:
    """Return the page as HTML. Raises StoreError."""
    asked = analysis.experiment
    tables = tuple(site_tables(analysis, show_all=True))
    several = len(asked.sizes) > 1
    content = Content(
        title=f"a whole site, {format_names(asked.crawlers, 'spiders')}",
        answer=finding_of_site(analysis),
        plan=asked.format_plan(),
        note=_NOTE,
        summary=tuple(
            page_table(f"table-{number}", table) for number, table in enumerate(tables, 1)
        ),
        remarks=tuple(filter(None, (table.notes() for table in tables[1:]))),
        verdicts=[trial.verdict for cell in analysis.cells for trial in cell.trials],
        doubts=doubts(
            (_name(cell, several=several), [trial.verdict for trial in cell.trials])
            for cell in analysis.cells
        ),
        single_runs="",
        libraries=format_versions(analysis.runs),
        command=asked.command(),
    )
    return render(store, content, pictures, interactive)


def _name(cell: SiteCell, *, several: bool) -> str:
    name = f"{cell.spider} at {cell.concurrency:,}"
    return f"{name}, pages of {cell.size}" if several else name
