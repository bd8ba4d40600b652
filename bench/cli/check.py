"""`crawlbench check`: checks crawlers, built in or the user's own, against the contract."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.cli.options import add_plot, checked_entrant
from bench.documents import document
from bench.errors import UsageError
from bench.exit_codes import EXIT_OK, EXIT_REQUESTS_FAILED
from bench.plan.entrants import Entrant
from bench.program import PROGRAM
from bench.report.tables import format_number, make_console
from crawlers.installed import installed_versions
from crawlers.registry import find
from crawlers.spiders.task import LOOP

if TYPE_CHECKING:
    from bench.contract.faults import AllPlayed, Played
    from bench.contract.rules import Finding

_WORDS = {True: ("ok     ", "green"), None: ("unknown", "yellow"), False: ("BROKEN ", "red")}


DESCRIPTION = """\
Runs crawlers through the whole contract, against servers of their own that
misbehave in every way, and prints rule by rule what holds. A broken MUST rule
makes numbers wrong, and the exit code is 1. A broken SHOULD rule makes what is
said of the crawler less precise."""

EXAMPLES = (
    ("check mine:crawl", "the function crawl of your own mine.py"),
    ("check --site ./mine.py:spider", "the function spider, which follows links"),
    ("check all --faults", "Markdown tables: what each crawler makes of each fault"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the crawlers and the form of the result."""
    parser.add_argument(
        "crawlers",
        nargs="+",
        type=checked_entrant,
        metavar="NAME",
        help=f"a crawler, as {PROGRAM} list names it, or all, or your own as ./mine.py:crawl",
    )
    parser.add_argument(
        "--site",
        action="store_true",
        help="NAME is a spider, of the verb site: check the contract of spiders on small sites",
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        help="play the faults only, and print what became of each as Markdown tables",
    )
    add_plot(parser, "play the faults only, and draw what became of each")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: Namespace) -> int:
    """Print a line for each rule, or the tables of faults, and return the exit code."""
    from bench.contract.checking import check_contract
    from bench.measure.readiness import chosen_entrants, installed

    if arguments.site:
        return _check_spiders(arguments)
    entrants = chosen_entrants(arguments.crawlers)
    for entrant in entrants:
        installed(entrant)
    if arguments.faults or arguments.plot is not None:
        return _check_faults(entrants, arguments)
    return _report(entrants, check_contract, "crawlers.md", as_json=arguments.json)


def _check_spiders(arguments: Namespace) -> int:
    """Check spiders instead of crawlers."""
    from bench.contract.site_rules import check_spider
    from bench.measure.spiders import chosen_spiders

    if arguments.faults or arguments.plot is not None:
        raise UsageError("--faults and --plot are for crawlers: leave them out with --site")
    chosen = chosen_spiders([str(one) for one in arguments.crawlers], (LOOP,))
    spiders = [entrant for entrant, _ in chosen]
    return _report(spiders, check_spider, "site.md", as_json=arguments.json)


def _report(
    entrants: Sequence[Entrant],
    check: "Callable[[Entrant], Iterator[Finding]]",
    manual: str,
    *,
    as_json: bool,
) -> int:
    """Print what is found of each entrant, and return the exit code."""
    found: dict[str, list[Finding]] = {}
    for entrant in entrants:
        found[entrant.label] = []
        if not as_json:
            make_console().print(entrant.label, markup=False, style="bold")
        for finding in check(entrant):
            found[entrant.label].append(finding)
            if not as_json:
                _print_finding(finding)
        if not as_json:
            print(f"  {_summed_up(found[entrant.label], manual)}")
    if as_json:
        report = {label: [_finding_json(one) for one in all_] for label, all_ in found.items()}
        print(json.dumps(report, indent=2))
    is_broken = any(one.is_broken for findings in found.values() for one in findings)
    return EXIT_REQUESTS_FAILED if is_broken else EXIT_OK


def _print_finding(finding: "Finding") -> None:
    from bench.contract.rules import MUST

    word, style = _WORDS[finding.is_kept]
    if finding.is_kept is False and finding.level is not MUST:
        word, style = "missed ", "yellow"
    console = make_console()
    console.print(f"  [{style}]{word}[/]  {finding.level.value:6}  ", end="", soft_wrap=True)
    console.print(f"{finding.rule}: {finding.evidence}", soft_wrap=True, markup=False)


def _summed_up(findings: "Sequence[Finding]", manual: str) -> str:
    """Return a summary, as in `2 MUST rules broken, 5 SHOULD missed`."""
    broken = sum(one.is_broken for one in findings)
    missed = sum(one.is_kept is False for one in findings) - broken
    unknown = sum(one.is_kept is None for one in findings)
    if not broken and not missed and not unknown:
        return "all rules kept"
    said = f"{broken or 'no'} MUST rule{'' if broken == 1 else 's'} broken, {missed} SHOULD missed"
    said += f", {unknown} unknown" if unknown else ""
    return f"{said}; {document(manual)} explains MUST and SHOULD"


def _finding_json(finding: "Finding") -> dict[str, Any]:
    return {
        **asdict(finding),
        "level": finding.level.value,
        "played": finding.played.to_json() if finding.played is not None else None,
    }


def _check_faults(entrants: Sequence[Entrant], arguments: Namespace) -> int:
    """Play all faults to all crawlers, and write the results as Markdown, JSON or a figure."""
    from bench.contract.checking import check_faults
    from bench.contract.fault_rules import rule_of_failing
    from bench.contract.faults import FAULT_TIMEOUT_S
    from bench.measure.machine import describe_environment

    found: dict[str, AllPlayed] = {}
    for entrant in entrants:
        found[entrant.label] = check_faults(entrant)
    report = {
        "environment": describe_environment("not pinned"),
        "timeout_s": FAULT_TIMEOUT_S,
        "versions": {
            entrant.label: installed_versions(find(entrant.crawler)) for entrant in entrants
        },
        "played": [one.to_json() for all_ in found.values() for one in all_.faults],
    }
    if arguments.json:
        print(json.dumps(report, indent=2))
    elif arguments.faults:
        _print_tables({label: all_.faults for label, all_ in found.items()})
    if arguments.plot is not None:
        from bench.cli.show import draw_one

        if code := draw_one("plots.faults", report, arguments.plot):
            return code
    every = [one for all_ in found.values() for one in all_.faults]
    is_broken = any(rule_of_failing(one).finding().is_broken for one in every)
    return EXIT_OK if not is_broken else EXIT_REQUESTS_FAILED


def _print_tables(found: "dict[str, tuple[Played, ...]]") -> None:
    """Print three Markdown tables with one row per crawler and one column per fault."""
    from bench.contract.faults import FAULT_TIMEOUT_S, PLAYED

    tables: tuple[tuple[str, Callable[[Played], str]], ...] = (
        ("What each crawler says (*: as declared; x2: the server got the request twice)", _word),
        (f"ms until it noticed (time limit: {FAULT_TIMEOUT_S * 1000:.0f})", _noticed_ms),
        ("ms that the server kept working after the crawler had given up", _worked_on_ms),
    )
    for title, cell in tables:
        print(f"{title}:\n\n| crawler | {' | '.join(PLAYED)} |")
        print("|---|" + ("---|" if cell is _word else "--:|") * len(PLAYED))
        for label, faults in found.items():
            print(f"| {label} | {' | '.join(cell(one) for one in faults)} |")
        print()


def _word(played: "Played") -> str:
    again = f" x{played.arrivals}" if (played.arrivals or 0) > 1 else ""
    if played.is_as_declared:
        return f"{played.heard}*{again}"
    return (played.heard if played.is_exact else f"**{played.heard}**") + again


def _noticed_ms(played: "Played") -> str:
    return format_number(played.noticed_s, ".1f", 1e-3)


def _worked_on_ms(played: "Played") -> str:
    return format_number(played.worked_on_s, ".1f", 1e-3)
