"""The last lines of a command are true, and short."""

from bench.analysis.analyse import Analysis
from bench.analysis.cells import CellSummary
from bench.analysis.validity import Level
from bench.report.finding import finding_of_sweep, verdict_counts
from tests.accounts import cell
from tests.factories import experiment

FAST = (100.0, 101.0, 102.0, 103.0, 104.0, 105.0)
SLOW = (90.0, 91.0, 92.0, 93.0, 94.0, 95.0)


def finding(*cells: CellSummary) -> list[str]:
    crawlers = tuple(dict.fromkeys(one.cell.crawler for one in cells))
    return finding_of_sweep(Analysis(experiment(crawlers or ("a",)), cells, ()))


def test_the_fastest_has_its_interval_and_the_next_one_its_comparison() -> None:
    fastest, counts = finding(cell("slow", 10, *SLOW), cell("fast", 10, *FAST))
    assert fastest == (
        "fast has the highest throughput: 102 requests/s at 10 (95 % interval 100-105); slow is "
        "next: 92.5 at 10; fast reaches 1.108 times the throughput of slow (95 % interval "
        "1.105-1.111)."
    )
    assert counts == "12 runs: 12 VALID."


def test_no_difference_seen_is_said_where_that_is_so() -> None:
    mixed = (105.0, 99.0, 104.0, 100.0, 103.0, 101.0)
    fastest, _ = finding(cell("a", 10, *FAST), cell("b", 10, *mixed))
    assert fastest.endswith("b is next: 102 at 10, no difference seen.")


def test_where_they_are_compared_elsewhere_the_line_says_at_which_concurrency() -> None:
    cells = [cell("a", 1, *SLOW), cell("a", 10, *FAST), cell("b", 1, *reversed(SLOW))]
    fastest, _ = finding(*cells)
    assert fastest.endswith("; b is next: 92.5 at 1, no difference seen at 1.")


def test_of_few_trials_nothing_is_claimed() -> None:
    fastest, counts = finding(cell("a", 10, 100.0), cell("b", 10, 50.0))
    assert fastest == (
        "a has the highest throughput: 100 requests/s at 10; b is next: 50.0 at 10, not tested "
        "for a difference (needs at least 6 trials)."
    )
    assert counts == "2 runs: 2 VALID."


def test_what_cannot_be_believed_is_never_the_fastest() -> None:
    wrong = cell("wrong", 10, 10_000.0, level=Level.INVALID)
    fastest, counts = finding(wrong, cell("right", 10, 100.0))
    assert fastest.startswith("right has the highest throughput: 100 requests/s")
    assert counts == "2 runs: 1 VALID, 1 INVALID."
    assert finding(wrong)[0] == "every crawler has INVALID runs, so none is the fastest."
    assert finding() == ["No run has results.", "0 runs."]


def test_doubt_is_said_of_the_fastest_itself() -> None:
    fastest, _ = finding(cell("a", 10, 100.0, level=Level.SUSPECT))
    assert fastest == "a has the highest throughput: 100 requests/s at 10, SUSPECT."


def test_verdicts_are_counted_from_the_best_to_the_worst() -> None:
    levels = [Level.INVALID, Level.VALID, Level.VALID, Level.UNCHECKED]
    assert verdict_counts(levels) == "4 runs: 2 VALID, 1 UNCHECKED, 1 INVALID."
    assert verdict_counts([Level.VALID]) == "1 run: 1 VALID."


def test_the_floor_crawler_is_no_answer_to_which_is_fastest() -> None:
    fastest, _ = finding(cell("protocol", 10, 100.0), cell("a", 10, 50.0))
    assert fastest == (
        "a has the highest throughput: 50.0 requests/s at 10. The floor crawler, protocol, "
        "reaches 100."
    )
    assert finding(cell("protocol", 10, 100.0))[0].startswith("protocol has the highest")
