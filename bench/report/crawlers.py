"""Prints the registries of crawlers and spiders as tables, with the installed versions."""

from typing import TYPE_CHECKING

from bench.report.tables import Column, Table, print_table
from crawlers.installed import install_command, installed_versions
from crawlers.loops import installed_loops
from crawlers.registry import ANY, REGISTRY, CrawlerInfo, find
from crawlers.spiders.registry import SPIDERS, SpiderInfo

if TYPE_CHECKING:
    from rich.console import Console


def print_crawlers(console: "Console") -> None:
    """Print every crawler with its declarations."""
    of = Column[CrawlerInfo]
    columns = (
        of("crawler", lambda info: info.name),
        of(
            "C up to",
            lambda info: "any" if info.max_concurrency == ANY else str(info.max_concurrency),
            priority=1,
        ),
        of("style", lambda info: info.style, is_text=True),
        of("library", _library, is_text=True, may_stack=True),
        of("keep-alive", lambda info: "yes" if info.keep_alive else "no", is_text=True, priority=2),
        of("may resend", lambda info: info.resends_in_words, is_text=True, priority=3),
        of("timeout bounds", lambda info: info.timeout, is_text=True, priority=4),
        of(
            "takes jobs",
            lambda info: "all at once" if info.takes_all else "as slots are free",
            is_text=True,
            priority=5,
        ),
        of(
            "times hold",
            lambda info: "queueing and request" if info.queues else "request",
            is_text=True,
            priority=6,
        ),
        of(
            "open loop",
            lambda info: "yes" if info.open_loop else "no",
            is_text=True,
            priority=7,
        ),
        of("cores", _cores, is_text=True, priority=8),
        of(
            "+LOOP",
            lambda info: "yes" if info.takes_loop else "no",
            is_text=True,
            priority=9,
            about=f"+LOOP: whether it runs on any event loop; here {', '.join(installed_loops())}.",
        ),
    )
    print_table(Table("", columns, REGISTRY), console)


def print_spiders(console: "Console") -> None:
    """Print every spider with its declarations."""
    of = Column[SpiderInfo]
    columns = (
        of("spider", lambda info: info.name),
        of("style", lambda info: info.style, is_text=True),
        of("library", lambda info: _library(_row_of(info)), is_text=True, may_stack=True),
        of("parses in", lambda info: ", ".join(info.parses), is_text=True, priority=1),
        of(
            "limits per host",
            lambda info: "yes" if info.keeps_host_limits else "no",
            is_text=True,
            priority=2,
        ),
        of("leaves out", lambda info: ", ".join(info.omits) or "-", is_text=True, priority=3),
        of("retries", lambda info: str(info.retries), priority=4),
    )
    print_table(Table("Spiders, for the verb site", columns, SPIDERS), console)


def _row_of(info: SpiderInfo) -> CrawlerInfo:
    return find(info.program, info.declared_as)


def _cores(info: CrawlerInfo) -> str:
    """Return how many cores a crawler can use, with the GIL and without."""
    most, without = info.cores_on(has_gil=True), info.cores_on(has_gil=False)
    words = [("any" if cores == ANY else str(cores)) for cores in (most, without)]
    return words[0] if most == without else f"{words[0]}, {words[1]} without a GIL"


def _library(info: CrawlerInfo) -> str:
    return ", ".join(installed_versions(info)) or f"not installed: {install_command(info)}"
