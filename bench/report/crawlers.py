"""The registry as a table, with what is installed."""

from typing import TYPE_CHECKING

from bench.report.tables import make_table
from crawlers.installed import install_command, installed_versions
from crawlers.registry import ANY, REGISTRY

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
            info.resends_in_words,
            info.timeout,
        )
    console.print(table)
