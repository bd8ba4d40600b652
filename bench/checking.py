"""`crawlbench check`: the contract, rule by rule, for crawlers of ours or of anybody."""

from argparse import Namespace
from collections.abc import Sequence

from bench.contract_check import Finding, check_contract
from bench.entrants import Entrant
from bench.exit_codes import EXIT_OK, EXIT_REQUESTS_FAILED
from bench.readiness import chosen_entrants, installed
from bench.tables import make_console
from server.request_plan import FAULTS


def check(arguments: Namespace) -> int:
    """`crawlbench check NAME ...`: a line a rule; or the table of faults."""
    entrants = chosen_entrants(arguments.crawlers)
    for entrant in entrants:
        installed(entrant)
    if arguments.faults:
        return _print_faults(entrants)
    is_kept = True
    console = make_console()
    for entrant in entrants:
        console.print(f"{entrant.label}", markup=False, style="bold")
        broken = 0
        for finding in check_contract(entrant):
            word, style = ("ok    ", "green") if finding.is_kept else ("BROKEN", "red")
            console.print(
                f"  [{style}]{word}[/]  {finding.rule}: ", end="", soft_wrap=True, markup=True
            )
            console.print(finding.evidence, soft_wrap=True, markup=False)
            broken += not finding.is_kept
        is_kept = is_kept and not broken
        said = f"{broken} rules broken; crawlers/contract.py has the contract in words"
        console.print(f"  {said if broken else 'all rules kept'}", markup=False)
    return EXIT_OK if is_kept else EXIT_REQUESTS_FAILED


def _print_faults(entrants: Sequence[Entrant]) -> int:
    """Crawler x fault: the word of each; * where it is declared that the library cannot tell."""
    print(f"| crawler | {' | '.join(FAULTS)} |")
    print("|---|" + "---|" * len(FAULTS))
    is_kept = True
    for entrant in entrants:
        found = {finding.rule: finding for finding in check_contract(entrant)}
        words = [_word(found.get(f"fault {fault}")) for fault in FAULTS]
        is_kept = is_kept and all(finding.is_kept for finding in found.values())
        print(f"| {entrant.label} | {' | '.join(words)} |", flush=True)
    return EXIT_OK if is_kept else EXIT_REQUESTS_FAILED


def _word(finding: Finding | None) -> str:
    if finding is None:
        return "-"
    word = finding.evidence.partition(" after ")[0].partition(":")[0].removeprefix("status ")
    if not finding.is_kept:
        return f"BROKEN: {finding.evidence}"
    return word + ("*" if finding.evidence.endswith("declared") else "")
