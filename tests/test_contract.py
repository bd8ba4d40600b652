"""The contract of crawlers: every rule for every crawler of ours, and a wrong one found out."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

import bench.contract_check
from bench.contract_check import FAULT_WORDS, Finding, check_contract
from bench.entrants import Entrant
from crawlers.contract import ERROR_WORDS
from crawlers.registry import REGISTRY, UNBOUNDED
from server.request_plan import FAULTS


@pytest.fixture(scope="module")
def findings() -> Iterator[dict[str, "Future[list[Finding]]"]]:
    """Of every crawler: they wait for most of the time, so that some are looked at together."""

    def check(name: str) -> list[Finding]:
        return list(check_contract(Entrant(name, name), {"PYTHONWARNINGS": "error"}))

    with ThreadPoolExecutor(4) as executor:
        yield {info.name: executor.submit(check, info.name) for info in REGISTRY}


@pytest.mark.timeout(300)  # for the first to wait for all
@pytest.mark.parametrize("name", [info.name for info in REGISTRY])
def test_a_crawler_of_ours_keeps_every_rule(
    findings: dict[str, "Future[list[Finding]]"], name: str
) -> None:
    found = findings[name].result()
    assert [finding for finding in found if not finding.is_kept] == []
    assert len(found) == 14 + len(FAULTS)


@pytest.fixture(scope="module")
def of_the_wrong_one() -> dict[str, Finding]:
    """What is found of a crawler that does everything wrong."""
    name = "tests.wrong_crawler:everything_wrong"
    return {finding.rule: finding for finding in check_contract(Entrant("wrong", name))}


@pytest.mark.parametrize(
    ("rule", "evidence"),
    [
        ("each job is fetched once and recorded once", "70 jobs, sent: 140"),
        ("never more than C at a time", "70 at a time by its own clocks, 7 were asked for"),
        ("the times are true", "ended before its answer"),
        ("all C slots are used", "36 in flight at the server, 12 were asked for"),
        ("the whole body is read", "[0, 0] bytes of 5000000 each"),
        ("no connection is a failure recorded", "recorded as {}"),
        ("after a failure the crawl goes on", "recorded: "),
        ("what failed is not sent again", "sent again: "),
        ("fault hang", "never recorded"),
        ("a server that goes in mid-run", "recorded: "),
    ],
)
def test_a_crawler_that_does_everything_wrong_fails_line_by_line(
    of_the_wrong_one: dict[str, Finding], rule: str, evidence: str
) -> None:
    (finding,) = [one for name, one in of_the_wrong_one.items() if name.startswith(rule)]
    assert not finding.is_kept
    assert evidence in finding.evidence


def test_a_crawler_that_crashes_breaks_what_it_was_run_for() -> None:
    found = list(check_contract(Entrant("crash", "tests.broken_crawlers:crash")))
    assert found
    assert not any(finding.is_kept for finding in found)
    assert "RuntimeError: this crawler crashes" in found[0].evidence
    assert found[1].rule == "the other rules"


def test_a_crawler_that_records_nothing_is_told_what_it_may_be() -> None:
    first, _ = check_contract(Entrant("async", "tests.broken_crawlers:nobody_awaits"))
    assert not first.is_kept
    assert "nothing was recorded: is it a plain function, not async?" in first.evidence


def test_a_fault_that_stops_a_crawler_is_found_among_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench.contract_check, "FAULTS", ("hang", "500", "close"))
    found = {
        finding.rule: finding
        for finding in check_contract(Entrant("fragile", "tests.broken_crawlers:dies_of_500"))
    }
    assert not found["after a failure the crawl goes on"].is_kept
    faults = {fault: found[f"fault {fault}"] for fault in ("hang", "500", "close")}
    assert [fault for fault, finding in faults.items() if not finding.is_kept] == ["500"]
    assert "exit code 9" in faults["500"].evidence


def test_a_crawler_that_never_ends_is_not_looked_at_any_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench.contract_check, "_PLAIN_TIMEOUT_S", 0.1)
    monkeypatch.setattr(bench.contract_check, "_GRACE_S", 1.0)
    *_, last = check_contract(Entrant("hang", "tests.broken_crawlers:hang"))
    assert (last.rule, last.is_kept) == ("the other rules", False)


def test_what_a_crawler_says_instead_is_declared_of_faults_that_there_are() -> None:
    assert set(FAULT_WORDS) <= set(FAULTS)
    assert set(FAULT_WORDS.values()) <= set(ERROR_WORDS)
    for info in REGISTRY:
        for fault, word in info.said_instead:
            assert fault in FAULT_WORDS
            assert word in (*ERROR_WORDS, UNBOUNDED)


def test_the_check_is_printed_line_by_line_and_its_exit_code_counts() -> None:
    command = [sys.executable, "-P", "-m", "bench", "check", "tests.broken_crawlers:crash"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50)
    assert done.returncode == 1
    assert "BROKEN  A plain run comes to an end" in done.stdout
    assert "rules broken" in done.stdout
