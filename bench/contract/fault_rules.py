"""Rules about faults: each is played, recorded as a failure, and not sent again too often."""

from collections.abc import Iterator
from functools import partial

from bench.analysis.join import Join
from bench.analysis.reconciliation import resend_mismatches
from bench.contract.evidence import abbreviated, require
from bench.contract.faults import AllPlayed, Played, play_faults
from bench.contract.rules import MUST, SHOULD, Rule
from bench.contract.runs import ContractRunner, UnknownError, accounts_of
from crawlers.contract import is_good
from crawlers.registry import CrawlerInfo


def fault_rules(runner: ContractRunner) -> Iterator[Rule]:
    """Play all faults and yield the rules about them."""
    played = play_faults(runner)
    yield Rule(MUST, "the crawl goes on after a failure", partial(_goes_on, played))
    yield Rule(
        MUST,
        "failed requests are sent again no more often than declared",
        partial(_resends, runner, played),
    )
    rules = [rule_of_failing(one) for one in played.faults]
    yield from rules
    for one, failing in zip(played.faults, rules, strict=True):
        if not failing.finding().is_broken:  # otherwise the word does not matter
            exact = f"called {one.wanted}" if one.wanted else f"recorded as status {one.fault}"
            yield Rule(SHOULD, f"fault {one.fault} is {exact}", partial(_is_exact, one), one)


def rule_of_failing(one: Played) -> Rule:
    """Return the rule that a fault is recorded, and not as a good response."""
    failing = "a recorded failure" if one.wanted else "not a good response"
    return Rule(MUST, f"fault {one.fault} is {failing}", partial(_fails, one), one)


def _goes_on(played: AllPlayed) -> str:
    endless = [one.fault for one in played.faults if one.never_ended]
    crashed = [one.fault for one in played.faults if one.failure and not one.never_ended]
    require(not crashed, f"it crashes after {', '.join(crashed)}")
    for play in played.plays:
        fetches, _ = accounts_of(play.result)
        recorded = sorted(fetches["seq"].tolist())
        require(recorded == list(range(play.requests)), f"recorded: {abbreviated(recorded)}")
        failed = ~is_good(fetches["error"], fetches["status"], is_planned=True)
        bad = sorted(set(fetches["seq"][failed].tolist()) - set(play.faulty))
        require(not bad, f"requests after a fault failed too: {abbreviated(bad)}")
    require(bool(played.plays), "; ".join(played.failures))
    count = sum(len(play.faulty) for play in played.plays)
    said = f"{count} faults, and a good response after each"
    return said + (f"; not checked: {', '.join(endless)}" if endless else "")


def _resends(runner: ContractRunner, played: AllPlayed) -> str:
    """Check the resends of single faults, each after a good response on a kept connection."""
    info = runner.info
    again: list[str] = []
    for play in played.plays:
        join = Join.of(*accounts_of(play.result))
        require_declared_resends(info, play.requests, join)
        seqs = join.arrivals["seq"][join.is_sent_again].tolist()
        again += [play.faulty[seq] for seq in dict.fromkeys(seqs) if seq in play.faulty]
    # With any other fault, part of a response had come, or nobody had closed the connection.
    without_reason = [fault for fault in again if fault not in ("close", "reset")]
    require(
        not without_reason, f"sent again, with no dropped connection: {', '.join(without_reason)}"
    )
    said = ", ".join(again)
    return f"sent again: {said}; resends: {info.resends_in_words}" if said else "each was sent once"


def require_declared_resends(info: CrawlerInfo, requests: int, join: Join) -> None:
    """Raise BrokenError if there were more resends than declared."""
    found = resend_mismatches(requests, join, info.resends, info.resend_condition)
    count = len(join.arrivals["seq"])
    require(
        not found,
        f"{'; '.join(map(str, found))}; {count} arrivals of {requests} requests. "
        "Some libraries send requests again: turn that off, or declare it next to your numbers",
    )


def _fails(played: Played) -> str:
    """Check that a fault is recorded, and not as a good response."""
    if played.is_unbounded:
        return "not played: no time limit ends it, as declared"
    if played.never_ended and played.fault != "hang":
        # Nobody knows what would have been recorded, and a slow response makes no number wrong.
        raise UnknownError(played.failure)
    require(not played.failure, played.failure)
    require(played.word is not None, "never recorded")
    if not played.is_failure and played.is_as_declared:
        return "recorded as a good response, as declared"
    if not played.is_failure and played.fault == "bad-length":
        # RFC 9112, 6.3, requires an error; but the crawler has read all that was sent.
        raise UnknownError("recorded as a good response, after reading all that was sent")
    require(played.is_failure, "recorded as a good response")
    return f"{_recorded(played)} after {played.took_s:.2f} s"


def _is_exact(played: Played) -> str:
    """Check for the exact word or the declared one, recorded in time."""
    require(not played.never_ended, f"the time limit does not end it: {played.failure}")
    require(played.word is not None or played.is_unbounded, "never recorded")
    exact = played.wanted or f"status {played.fault}"
    require(played.is_exact or played.is_as_declared, f"{_recorded(played)}, and not {exact}")
    return _recorded(played) + (", as declared" if played.is_as_declared else "")


def _recorded(played: Played) -> str:
    if played.is_unbounded or played.word:
        return played.heard
    return f"status {played.status}"
