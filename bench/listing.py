"""The registry as a table, with what is installed."""

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from bench.tables import make_table
from crawlers.registry import ANY, REGISTRY, CrawlerInfo

if TYPE_CHECKING:
    from rich.console import Console


def print_crawlers(console: "Console") -> None:
    """Every crawler, and what is declared of it."""
    table = make_table(
        "", ("crawler", "C up to"), ("style", "library", "keep-alive", "resends", "timeout bounds")
    )
    from rich.markup import escape

    for info in REGISTRY:
        table.add_row(
            info.name,
            "any" if info.max_concurrency == ANY else str(info.max_concurrency),
            info.style,
            escape(
                ", ".join(installed_versions(info)) or f"not installed: {install_command(info)}"
            ),
            "yes" if info.keep_alive else "no",
            info.resends_shown,
            info.timeout,
        )
    console.print(table)


def installed_versions(info: CrawlerInfo) -> list[str]:
    """`library version` of a crawler's libraries; empty if one is missing."""
    try:
        return [f"{library} {version(library)}" for library in info.libraries] or [info.style]
    except PackageNotFoundError:
        return []


def install_command(info: CrawlerInfo) -> str:
    """What installs a crawler's libraries."""
    return f"pip install '.[{info.extra}]'" if info.extra else "pip install ."
