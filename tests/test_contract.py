"""The contract of crawlers: every rule for every crawler of ours, and a wrong one found out."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from textwrap import dedent

import pytest

import bench.contract.faults
import bench.contract.plain_rules
import bench.contract.runs
import bench.contract.slot_rules
from bench.contract.body_rules import body_rules
from bench.contract.checking import check_contract
from bench.contract.fault_rules import fault_rules
from bench.contract.faults import FAULT_WORDS, PLAYED, Played
from bench.contract.open_loop_rules import open_loop_rules
from bench.contract.plain_rules import plain_rules
from bench.contract.rules import MUST, SHOULD, Finding
from bench.contract.runs import ContractRunner
from bench.contract.slot_rules import slot_rules
from bench.plan.entrants import Entrant
from bench.report.audit import AuditRow, audit_table
from crawlers.contract import ERROR_WORDS
from crawlers.registry import PATTERNS, REGISTRY, RESEND_CONDITIONS, UNBOUNDED, find, group
from server.process import ServerProcess
from server.request_plan import FAULTS
from tests.accounts import cell
from tests.this_process import bench as bench_called

OWN_CLIENTS = [
    # The cheapest shows that every rule can be kept. tests/test_foreign_servers.py has the others.
    pytest.param(info.name, marks=[] if info.name == "protocol" else [pytest.mark.thorough])
    for info in REGISTRY
    if not info.is_pattern
]
SLOTS = "all C slots are used"
LIMIT = "never more in flight than the limit that it recorded"
TAKEN = "a job is taken when a slot is free, or all at once if declared"
CLOCK = "a clock starts when a slot is held, or before it if declared"
EARLY = "in open loop, no job is started before it is due"
ORDER = "in open loop, jobs are started in their order"
DROPPED = "in open loop, late jobs are not dropped"
SENT = "a body is sent once, whole, by POST"
LARGE, LATE = "the whole body is read", "a fetch ends with the last byte of its body"


@pytest.fixture(scope="module")
def findings(
    request: pytest.FixtureRequest,
) -> Iterator[dict[str, "Future[list[Finding]]"]]:
    """Of every crawler that a test is run for: they wait for most of the time, so that some are
    looked at together."""

    strict = {"PYTHONWARNINGS": "error"}

    def check(name: str) -> list[Finding]:
        info = find(name)
        if not info.is_pattern:
            return list(check_contract(Entrant(name, name), strict))
        groups = [plain_rules, slot_rules, open_loop_rules]
        groups += [fault_rules] if info.queues else []  # its time limit is one of its own
        with ServerProcess() as server:
            runner = ContractRunner(Entrant(name, name), info, server, strict)
            return [rule.finding() for rules in groups for rule in rules(runner)]

    with ThreadPoolExecutor(4) as executor:
        tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
        names = [
            str(test.callspec.params["name"]) for test in tests if "findings" in test.fixturenames
        ]
        yield {name: executor.submit(check, name) for name in names}


@pytest.mark.timeout(300)  # for the first to wait for all
@pytest.mark.parametrize("name", OWN_CLIENTS)
def test_a_crawler_of_ours_keeps_every_rule(
    findings: dict[str, "Future[list[Finding]]"], name: str
) -> None:
    found = findings[name].result()
    assert [finding for finding in found if not finding.is_kept] == []
    rules = 24 - 3 + 1 if find(name).adapts else 24  # no open loop, and its limit
    assert len(found) == rules + 2 * len(PLAYED)


@pytest.mark.thorough
@pytest.mark.parametrize("name", [info.name for info in group(PATTERNS)])
def test_a_pattern_keeps_the_rules_about_jobs_and_slots(
    findings: dict[str, "Future[list[Finding]]"], name: str
) -> None:
    """The functions that fetch, and so all other rules, are those of crawlers checked above."""
    found = findings[name].result()
    assert [finding for finding in found if not finding.is_kept] == []
    assert {TAKEN, CLOCK} <= {finding.rule for finding in found}


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
        ("a good response is no error", "bodies of 1 byte, recorded as 1 (0)"),
        ("the times are true", "ended before its response"),
        ("all C slots are used", "36 in flight at the server, 12 were asked for"),
        ("the whole body is read", "[0, 0] bytes of 16777216 each"),
        ("a fetch ends with the last byte", "[0, 0] bytes of 10 each"),
        ("a refused connection is a recorded failure", "recorded as {}"),
        ("the crawl goes on after a failure", "recorded: "),
        (
            "failed requests are sent again",
            "29 sent more than once, which the crawler does not declare",
        ),
        (
            "many requests that fail at once",
            "60 sent more than once, which the crawler does not declare",
        ),
        ("fault hang is a recorded failure", "never recorded"),
        ("fault reset-body is a recorded failure", "recorded as a good response"),
        ("a server that stops during a run", "recorded: "),
    ],
)
def test_a_crawler_that_does_everything_wrong_fails_line_by_line(
    of_the_wrong_one: dict[str, Finding], rule: str, evidence: str
) -> None:
    (finding,) = [one for name, one in of_the_wrong_one.items() if name.startswith(rule)]
    assert finding.is_broken
    assert evidence in finding.evidence


CHEATS = {
    "by_content_length": {LARGE, LATE},
    "one_byte": {LARGE, LATE},
    "as_planned": {LARGE, LATE},
    "first_piece": {LARGE, LATE},
    "off_the_clock": {LATE},
}


@pytest.mark.parametrize(
    "cheat",
    [
        *("by_content_length", "off_the_clock"),
        *(
            pytest.param(name, marks=pytest.mark.thorough)
            for name in ("one_byte", "as_planned", "first_piece")
        ),
    ],
)
def test_a_body_that_is_not_read_or_not_on_the_clock_is_found_out(cheat: str) -> None:
    with ServerProcess() as server:
        name = f"tests.unread_bodies:{cheat}"
        runner = ContractRunner(Entrant(cheat, name), find(name), server, {})
        broken = {
            rule.title
            for rules in (plain_rules, body_rules)
            for rule in rules(runner)
            if rule.finding().is_broken
        }
    # Of answers of one byte it cannot be told: that is why there are rules about others.
    assert broken == CHEATS[cheat]


@pytest.mark.parametrize(
    ("crawler", "broken"),
    [
        (
            "tests.broken_crawlers:takes_all_first",
            {
                "": (TAKEN, "36 of 36 jobs taken and not done, with 12 slots, and at most 2 may"),
                "takes_all": None,
            },
        ),
        pytest.param(
            "tests.broken_crawlers:starts_clocks_early",
            {"": (CLOCK, "its clock runs while the request waits inside it"), "queues": None},
            marks=pytest.mark.thorough,
        ),
        (
            "protocol",
            {
                "": None,
                "takes_all": (TAKEN, "with 12 slots, and takes_all is declared"),
                "queues": (CLOCK, "queues is declared, and nothing waits"),
            },
        ),
    ],
)
def test_jobs_are_taken_and_clocks_started_as_declared(
    crawler: str, broken: dict[str, tuple[str, str] | None]
) -> None:
    with ServerProcess() as server:
        runner = ContractRunner(Entrant("x", crawler), find(crawler), server, {})
        rules = list(slot_rules(runner))
        for declared, wanted in broken.items():
            takes_all, queues = declared == "takes_all", declared == "queues"
            runner.info = replace(runner.info, takes_all=takes_all, queues=queues)
            found = [one for rule in rules if (one := rule.finding()).is_broken]
            assert [one.rule for one in found] == ([wanted[0]] if wanted else [])
            assert wanted is None or wanted[1] in found[0].evidence


OWN_LIMITS = {
    "exceeds_its_limit": (LIMIT, "of 36 requests started beyond its limit"),
    "leaves_its_limit_unused": (SLOTS, "12 were asked for, and its limit reached 9"),
    "records_no_limit": (LIMIT, "it declares adapts, and recorded no limit"),
}


def test_a_crawler_that_breaks_its_own_limit_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.contract.slot_rules, "_WAVES_TO_ADAPT", 3)
    monkeypatch.setattr(bench.contract.slot_rules, "_DELAY_MS", 100)

    def broken(crawler: str) -> list[Finding]:
        name = f"tests.broken_crawlers:{crawler}"
        info = replace(find("protocol"), name=name, adapts=True)
        runner = ContractRunner(Entrant(crawler, name), info, server, {})
        return [one for rule in slot_rules(runner) if (one := rule.finding()).is_broken]

    with ServerProcess() as server, ThreadPoolExecutor(len(OWN_LIMITS)) as executor:
        for (rule, evidence), found in zip(
            OWN_LIMITS.values(), executor.map(broken, OWN_LIMITS), strict=True
        ):
            assert rule in {one.rule for one in found}
            assert evidence in " ".join(one.evidence for one in found)


OPEN_LOOPS = {
    "starts_early": (EARLY, "started before they were due: "),
    "ignores_due_times": (EARLY, "(0, 1, 2, 3, 4, 5, "),
    "newest_first": (ORDER, "started after jobs that were due 50 ms later: "),
    "drops_late_jobs": (DROPPED, "40 jobs, never started: "),
}


def test_a_crawler_that_breaks_the_open_loop_is_found_out() -> None:
    def broken(crawler: str) -> list[Finding]:
        name = f"tests.broken_crawlers:{crawler}"
        info = replace(find(name), is_declared=True, open_loop=True)
        runner = ContractRunner(Entrant(crawler, name), info, server, {})
        return [one for rule in open_loop_rules(runner) if (one := rule.finding()).is_broken]

    with ServerProcess() as server, ThreadPoolExecutor(len(OPEN_LOOPS)) as executor:
        for (rule, evidence), found in zip(
            OPEN_LOOPS.values(), executor.map(broken, OPEN_LOOPS), strict=True
        ):
            assert [one.rule for one in found] == [rule]
            assert evidence in found[0].evidence


def test_a_crawler_of_which_nothing_is_declared_may_be_one_for_closed_loops_and_gets_alone() -> (
    None
):
    name = "tests.broken_crawlers:with_urllib"
    with ServerProcess() as server:
        runner = ContractRunner(Entrant("plain", name), find(name), server, {})
        rules = [*open_loop_rules(runner), *list(body_rules(runner))[2:]]
        found = {one.rule: one for one in (rule.finding() for rule in rules)}
        assert {rule: one.is_kept for rule, one in found.items()} == {EARLY: None, SENT: None}
        assert found[EARLY].evidence.endswith("it cannot be used in open loop")
        assert found[SENT].evidence.endswith("it cannot be used with --method POST")
        runner.info = replace(runner.info, is_declared=True)
        assert list(open_loop_rules(runner)) == []
        assert rules[-1].finding().is_broken


def test_the_crawler_of_the_documents_keeps_the_contract_in_both_loops(tmp_path: Path) -> None:
    page = (Path(__file__).parent.parent / "docs" / "crawlers.md").read_text()
    section = page[page.index("\n## The open loop\n") : page.index("\n## The contract\n")]
    code = section[section.index("    import asyncio") : section.index("\n`check` does a run")]
    mine = tmp_path / "mine.py"
    mine.write_text(dedent(code))
    entrant = Entrant("mine", f"{mine}:crawl")
    with ServerProcess() as server:
        runner = ContractRunner(entrant, find(entrant.crawler), server, {})
        rules = [*plain_rules(runner), *open_loop_rules(runner), *list(body_rules(runner))[2:]]
        findings = [rule.finding() for rule in rules]
    assert [one for one in findings if not one.is_kept] == []
    assert {EARLY, ORDER, DROPPED, SENT} <= {one.rule for one in findings}


@pytest.mark.thorough
def test_an_honest_crawler_that_is_imprecise_breaks_no_rule_about_words() -> None:
    """As in the example of README, a crawler may call every failure `failed`."""
    name = "tests.broken_crawlers:all_failed"
    found = list(check_contract(Entrant("plain", name)))
    assert [finding.rule for finding in found if finding.is_broken] == []
    missed = [finding for finding in found if not finding.is_kept]
    assert {finding.level for finding in missed} == {SHOULD}
    words = {finding.played.fault: finding.played.word for finding in missed if finding.played}
    assert words == dict.fromkeys(PLAYED, "failed")


@pytest.mark.parametrize(
    ("words", "is_failure", "is_exact", "is_as_declared", "heard"),
    [
        ({"word": "timeout", "wanted": "timeout"}, True, True, False, "timeout"),
        ({"word": "failed", "wanted": "timeout"}, True, False, False, "failed"),
        ({"word": "closed", "wanted": "reset", "declared": "closed"}, True, False, True, "closed"),
        ({"word": "", "status": 200, "wanted": "malformed"}, False, False, False, "good"),
        (
            {"word": "", "status": 200, "wanted": "malformed", "declared": ""},
            False,
            False,
            True,
            "good",
        ),
        ({"wanted": "timeout", "declared": UNBOUNDED}, False, False, True, "unbounded"),
        ({"wanted": "timeout"}, False, False, False, "not recorded"),
        ({"word": "", "status": 503, "fault": "503"}, True, True, False, "503"),
        ({"word": "failed", "fault": "503"}, True, False, False, "failed"),
    ],
)
def test_a_fault_is_judged_by_what_was_recorded(
    words: dict[str, object], is_failure: bool, is_exact: bool, is_as_declared: bool, heard: str
) -> None:
    known = {"crawler": "x", "fault": "hang", "wanted": "", "declared": None, **words}
    played = Played(**known)  # type: ignore[arg-type]
    assert (played.is_failure, played.is_exact, played.is_as_declared, played.heard) == (
        is_failure,
        is_exact,
        is_as_declared,
        heard,
    )


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
    monkeypatch.setattr(bench.contract.faults, "PLAYED", ("hang", "500", "close"))
    with ServerProcess() as server:
        name = "tests.broken_crawlers:dies_of_500"
        runner = ContractRunner(Entrant("fragile", name), find(name), server, {})
        findings = [rule.finding() for rule in fault_rules(runner)]
    found = {finding.rule: finding for finding in findings}
    assert not found["the crawl goes on after a failure"].is_kept
    broken = [one for rule, one in found.items() if rule.startswith("fault ") and not one.is_kept]
    assert [one.played.fault for one in broken if one.played is not None] == ["500"]
    assert "exit code 9" in broken[0].evidence
    assert broken[0].level is MUST


def test_a_crawler_that_never_ends_is_not_looked_at_any_further(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench.contract.plain_rules, "_PLAIN_TIMEOUT_S", 0.1)
    monkeypatch.setattr(bench.contract.runs, "GRACE_S", 1.0)
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
    done = bench_called("check", "tests.broken_crawlers:crash")
    assert done.returncode == 1
    assert "BROKEN   MUST    A plain run comes to an end" in done.stdout
    assert "2 MUST rules broken, 0 SHOULD missed" in done.stdout


def test_resends_are_declared_with_a_condition_or_not_at_all() -> None:
    for info in REGISTRY:
        assert (info.resends > 0) == (info.resend_condition in RESEND_CONDITIONS)
    foreign = find("tests.broken_crawlers:chat")
    assert (foreign.is_declared, foreign.resends_in_words) == (False, "not declared")


@pytest.mark.parametrize(
    ("crawler", "declared"),
    [
        ("tests.broken_crawlers:chat", ("not declared", "not declared")),
        ("protocol", ("none", "whole fetch")),
        ("tornado", ("5, if a kept connection dropped before an answer", "whole fetch")),
    ],
)
def test_an_audit_prints_no_declaration_that_nobody_has_made(
    crawler: str, declared: tuple[str, str]
) -> None:
    trial = cell(crawler, 2, 100.0).trials[0]
    ((*_, may_resend, timeout_bounds, _),) = audit_table(
        "", [AuditRow(Entrant("x", crawler), trial, trial, 10.0)]
    ).cells()
    assert (may_resend, timeout_bounds) == declared
