"""The contract of crawlers as a list of rules, each looked at with real processes and servers."""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import partial
from threading import Thread
from time import monotonic, sleep
from types import MappingProxyType

import numpy as np

from bench.analysis.in_flight import Levels
from bench.analysis.join import Join
from bench.analysis.reconciliation import resend_mismatches
from bench.contract.faults import AllPlayed, Played, play_faults
from bench.contract.runs import BrokenError, ContractRunner, UnknownError, accounts_of
from bench.plan.entrants import Entrant
from bench.results.columns import IntColumns
from crawlers.contract import failure_word, is_good
from crawlers.registry import NOT_DECLARED, CrawlerInfo, find
from server.control_client import ControlError, fetch_run, stats
from server.ledger import ANSWERED, WAITING, RunRecord
from server.process import ServerProcess
from server.request_plan import LATE_S, MAX_SIZE_BYTES, Plan, to_target

_PLAIN_TIMEOUT_S = 3.0
_BODY_BYTES = MAX_SIZE_BYTES
"""More than the buffers of both sockets hold: the server has not sent it all before it is read."""
_LATE_BODY_BYTES = 10
_SETTLE_S = 2.0
_SERVER_GOES_S = 20.0


class RuleLevel(Enum):
    """What follows from a rule that is not kept."""

    MUST = "MUST"
    """A number would be wrong."""
    SHOULD = "SHOULD"
    """Something is said less precisely than it could be."""


MUST, SHOULD = RuleLevel.MUST, RuleLevel.SHOULD


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the contract."""

    level: RuleLevel
    title: str
    look: Callable[[], str]
    """Returns the evidence that it is kept. Raises BrokenError, UnknownError."""
    played: Played | None = None
    """Of a rule about a fault."""

    def finding(self) -> "Finding":
        """Look."""
        try:
            return Finding(self.level, self.title, True, self.look(), self.played)
        except UnknownError as unknown:
            return Finding(self.level, self.title, None, str(unknown), self.played)
        except BrokenError as broken:
            return Finding(self.level, self.title, False, str(broken), self.played)


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one rule is kept, and what shows it."""

    level: RuleLevel
    rule: str
    """Its title."""
    is_kept: bool | None
    """None: it could not be found out, and no number is wrong for it."""
    evidence: str
    played: Played | None = None
    """The fault that the rule is about."""

    @property
    def is_broken(self) -> bool:
        """Whether a number would be wrong."""
        return self.level is MUST and self.is_kept is False


def check_contract(
    entrant: Entrant, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Finding]:
    """Every rule, in turn; crawlers run with this added to their environment.

    Raises what starting a server raises.
    """
    with ServerProcess() as server:
        runner = ContractRunner(entrant, find(entrant.crawler), server, environment)
        for rules in (
            of_a_plain_run,
            _of_slots,
            _of_answers,
            of_bodies,
            of_faults,
            _of_resends,
            _of_a_server_that_goes,
        ):
            try:
                for rule in rules(runner):
                    yield rule.finding()
            except BrokenError as broken:
                # The run that these rules share came to nothing.
                title = (rules.__doc__ or "").rstrip(".")
                yield Finding(MUST, title, False, str(broken))
                if rules is of_a_plain_run:
                    evidence = "not looked at: it does not even do that"
                    yield Finding(MUST, "the other rules", False, evidence)
                    return


def check_faults(entrant: Entrant) -> AllPlayed:
    """The faults alone, each as both ends saw it. Raises what starting a server raises."""
    with ServerProcess() as server:
        return play_faults(ContractRunner(entrant, find(entrant.crawler), server, {}))


def of_a_plain_run(runner: ContractRunner) -> Iterator[Rule]:
    """A plain run comes to an end and leaves its records."""
    slots = runner.slots(7)
    requests = 10 * slots
    result = runner.run(requests, slots, delay_ms=5, timeout_s=_PLAIN_TIMEOUT_S)
    fetches, arrivals = accounts_of(result)
    _want(len(fetches["seq"]) > 0, "nothing was recorded: is it a plain function, not async?")

    def each_once() -> str:
        recorded, sent = sorted(fetches["seq"].tolist()), sorted(arrivals["seq"].tolist())
        _want(recorded == list(range(requests)), f"{requests} jobs, recorded: {_brief(recorded)}")
        _want(sent == list(range(requests)), f"{requests} jobs, sent: {_brief(sent)}")
        return f"{requests} jobs, recorded and sent once each"

    def all_good() -> str:
        bad = _words(fetches)
        _want(not bad, f"failed without reason: {bad}")
        sizes = sorted(set(fetches["size_bytes"].tolist()))
        _want(sizes == [1], f"bodies of 1 byte, recorded as {_brief(sizes)}")
        return "no error, status 200, a body of 1 byte"

    def in_order() -> str:
        order = fetches["seq"][np.argsort(fetches["start_ns"], kind="stable")].tolist()
        _want(order == sorted(order), f"started in this order: {_brief(order)}")
        return "started in the order of the jobs"

    def at_most() -> str:
        peak = Levels.of(fetches["start_ns"], fetches["end_ns"]).peak
        _want(peak <= slots, f"{peak} at a time by its own clocks, {slots} were asked for")
        return f"{peak} at a time, {slots} were asked for"

    def true_times() -> str:
        arrival_of = Join.of(fetches, arrivals).arrival_of
        seqs, starts, ends = fetches["seq"], fetches["start_ns"], fetches["end_ns"]
        for seq, start, end, row in zip(seqs, starts, ends, arrival_of, strict=True):
            _want(row >= 0, f"seq {seq} is recorded, and never arrived")
            arrived, replied = arrivals["arrived_ns"][row], arrivals["replied_ns"][row]
            _want(start < arrived, f"seq {seq} arrived before its start")
            _want(replied < end, f"seq {seq} ended before its answer")
            _want(end - start >= 5_000_000, f"seq {seq} took less than its delay")
        return "start < arrival < reply < end for each"

    def head() -> str:
        assert result.ledger is not None
        return result.ledger.first_request_head.decode("latin-1").lower()

    def method() -> str:
        _want(head().startswith("get /add?"), f"it asks: {head().splitlines()[:1]}")
        return "GET"

    def encoding() -> str:
        is_there = "accept-encoding: identity\r\n" in head()
        _want(is_there, "no Accept-Encoding: identity, so that a server may compress")
        return "Accept-Encoding: identity"

    def no_proxy() -> str:
        proxied, _ = accounts_of(runner.run(2, 1, has_proxy=True))
        words = _words(proxied)
        _want(not words, f"with a proxy in the environment that is not there: {words}")
        return "a proxy in the environment is left alone"

    yield Rule(MUST, "each job is fetched once and recorded once", each_once)
    yield Rule(MUST, "an answer in order is no error", all_good)
    yield Rule(MUST, "jobs are started in their order", in_order)
    yield Rule(MUST, "never more than C at a time", at_most)
    yield Rule(
        MUST, "the times are true: slot held, nothing sent yet, to the last byte", true_times
    )
    yield Rule(MUST, "it asks with GET", method)
    yield Rule(SHOULD, "the same bytes are asked for as by all others", encoding)
    yield Rule(MUST, "no proxy of the environment is used", no_proxy)


def _of_slots(runner: ContractRunner) -> Iterator[Rule]:
    """A run with a delay comes to an end."""
    slots = runner.slots(12)
    _, arrivals = accounts_of(runner.run(3 * slots, slots, delay_ms=300))

    def all_used() -> str:
        levels = Levels.at_server(arrivals)
        peak = levels.peak if levels is not None else 0
        _want(peak == slots, f"{peak} in flight at the server, {slots} were asked for")
        return f"{peak} in flight at the server, {slots} were asked for"

    def connections() -> str:
        count = len(np.unique(arrivals["connection"]))
        if not runner.info.is_declared:
            return f"{count} for {3 * slots} requests; {NOT_DECLARED}"
        wanted = slots if runner.info.keep_alive else 3 * slots
        _want(count == wanted, f"{count} for {3 * slots} requests, by its declaration {wanted}")
        return f"{count} for {3 * slots} requests, as declared"

    yield Rule(MUST, "all C slots are used", all_used)
    yield Rule(MUST, "connections are kept as declared", connections)


def _of_answers(runner: ContractRunner) -> Iterator[Rule]:
    """A server that is not there does not end the crawl."""
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    fetches, _ = accounts_of(runner.run(3, 1, url=f"http://127.0.0.1:{port}/"))
    words = _words(fetches)

    def recorded() -> str:
        _want(sum(words.values()) == 3, f"3 requests, recorded as {words}")
        return f"{words}"

    def connect() -> str:
        _want(words == {"connect": 3}, f"recorded as {words}")
        return "connect, each time"

    yield Rule(MUST, "a refused connection is a recorded failure", recorded)
    yield Rule(SHOULD, "a refused connection is called connect", connect)


def of_bodies(runner: ContractRunner) -> Iterator[Rule]:
    """Answers of any size are read."""

    def large() -> str:
        name = f"large-body-{runner.number}"
        target = to_target(Plan(name, delay_us=0, size_bytes=_BODY_BYTES))
        url = f"{runner.server.addresses.data_url}{target}"
        fetches, _ = accounts_of(runner.run(2, 1, url=url))
        sizes = fetches["size_bytes"].tolist()
        _want(sizes == [_BODY_BYTES] * 2, f"{sizes} bytes of {_BODY_BYTES} each")
        outcomes = list(_settled(runner, name).columns["outcome"])
        _want(
            outcomes == [ANSWERED] * 2,
            f"{outcomes.count(ANSWERED)} of 2 bodies left the server whole: recorded, and not read",
        )
        return f"{_BODY_BYTES:,} bytes, all read"

    def late() -> str:
        result = runner.run(2, 1, faults={0: "late-body", 1: "late-body"})
        fetches, arrivals = accounts_of(result)
        join = Join.of(fetches, arrivals)
        words, sizes = _words(fetches), fetches["size_bytes"].tolist()
        _want(not words, f"recorded as {words}")
        _want(sizes == [_LATE_BODY_BYTES] * 2, f"{sizes} bytes of {_LATE_BODY_BYTES} each")
        for row, seq in enumerate(fetches["seq"]):
            _want(bool(join.has_arrived[row]), f"seq {seq} is recorded, and never arrived")
            after_s = (fetches["end_ns"][row] - join.replied_ns[row]) / 1e9
            _want(
                after_s >= LATE_S,
                f"the last byte came after {LATE_S:g} s, and the fetch ended after {after_s:.3f} s",
            )
        return f"its second half came after {LATE_S:g} s, and was waited for"

    yield Rule(MUST, "the whole body is read", large)
    yield Rule(MUST, "a fetch ends with the last byte of its body", late)


def of_faults(runner: ContractRunner) -> Iterator[Rule]:
    """A server that misbehaves does not end the crawl."""
    played = play_faults(runner)
    yield Rule(MUST, "after a failure the crawl goes on", partial(_goes_on, played))
    yield Rule(
        MUST,
        "what failed is sent again no more than declared",
        partial(_resends, runner, played),
    )
    rules = [rule_of_failing(one) for one in played.faults]
    yield from rules
    for one, failing in zip(played.faults, rules, strict=True):
        if not failing.finding().is_broken:  # otherwise the word is not what matters
            exact = f"called {one.wanted}" if one.wanted else f"recorded as status {one.fault}"
            yield Rule(SHOULD, f"fault {one.fault} is {exact}", partial(_is_exact, one), one)


def rule_of_failing(one: Played) -> Rule:
    """That a fault is recorded, and not as a good answer."""
    failing = "a recorded failure" if one.wanted else "not a good answer"
    return Rule(MUST, f"fault {one.fault} is {failing}", partial(_fails, one), one)


def _goes_on(played: AllPlayed) -> str:
    endless = [one.fault for one in played.faults if one.never_ended]
    crashed = [one.fault for one in played.faults if one.failure and not one.never_ended]
    _want(not crashed, f"it crashes after {', '.join(crashed)}")
    for play in played.plays:
        fetches, _ = accounts_of(play.result)
        recorded = sorted(fetches["seq"].tolist())
        _want(recorded == list(range(play.requests)), f"recorded: {_brief(recorded)}")
        failed = ~is_good(fetches["error"], fetches["status"], is_planned=True)
        bad = sorted(set(fetches["seq"][failed].tolist()) - set(play.faulty))
        _want(not bad, f"requests after a fault failed too: {_brief(bad)}")
    _want(bool(played.plays), "; ".join(played.failures))
    count = sum(len(play.faulty) for play in played.plays)
    said = f"{count} faults, and a good answer after each"
    return said + (f"; not looked at: {', '.join(endless)}" if endless else "")


def _resends(runner: ContractRunner, played: AllPlayed) -> str:
    """Of faults one at a time, each after a good answer on a kept connection."""
    info = runner.info
    again: list[str] = []
    for play in played.plays:
        join = Join.of(*accounts_of(play.result))
        _held_to(info, play.requests, join)
        seqs = join.arrivals["seq"][join.is_sent_again].tolist()
        again += [play.faulty[seq] for seq in dict.fromkeys(seqs) if seq in play.faulty]
    # Whatever else went wrong, part of an answer had come, or nobody had closed anything.
    without_reason = [fault for fault in again if fault not in ("close", "reset")]
    _want(
        not without_reason, f"sent again, with no dropped connection: {', '.join(without_reason)}"
    )
    said = ", ".join(again)
    return f"sent again: {said}; resends: {info.resends_shown}" if said else "each was sent once"


def _held_to(info: CrawlerInfo, requests: int, join: Join) -> None:
    """Raises BrokenError where resends are beyond the declaration."""
    found = resend_mismatches(requests, join, info.resends, info.resend_condition)
    count = len(join.arrivals["seq"])
    _want(
        not found,
        f"{'; '.join(map(str, found))}; {count} arrivals of {requests} requests. "
        "Some libraries do so by themselves: switch it off, or say so next to your numbers",
    )


def _of_resends(runner: ContractRunner) -> Iterator[Rule]:
    """Many failures at once do not end the crawl."""
    slots = runner.slots(20)
    requests = 3 * slots
    # First on fresh connections, then, after a wave of good answers, on kept ones.
    waves = (range(slots), range(2 * slots, requests))
    faulty = {seq: ("close", "reset")[seq % 2] for wave in waves for seq in wave}
    join = Join.of(*accounts_of(runner.run(requests, slots, delay_ms=20, faults=faulty)))

    def as_declared() -> str:
        _held_to(runner.info, requests, join)
        counts = f"{len(join.arrivals['seq'])} arrivals of {requests} requests"
        return f"{counts}, {len(faulty)} of which fail; resends: {runner.info.resends_shown}"

    yield Rule(MUST, "many that fail at once are sent again no more than declared", as_declared)


def _fails(played: Played) -> str:
    """Recorded, and not as good."""
    if played.is_unbounded:
        return "not played: no limit of time ends it, as declared"
    if played.never_ended and played.fault != "hang":
        # What would have been recorded is not known, and a slow answer makes no number wrong.
        raise UnknownError(played.failure)
    _want(not played.failure, played.failure)
    _want(played.word is not None, "never recorded")
    if not played.is_failure and played.is_as_declared:
        return "taken for good, as declared"
    if not played.is_failure and played.fault == "bad-length":
        # RFC 9112, 6.3, wants an error; but what was sent has been read, up to the close.
        raise UnknownError("taken for good, and all that was sent has been read")
    _want(played.is_failure, "taken for good")
    return f"{_shown(played)} after {played.took_s:.2f} s"


def _is_exact(played: Played) -> str:
    """The exact word, or what is declared instead, and in time."""
    _want(not played.never_ended, f"the limit of time does not end it: {played.failure}")
    _want(played.word is not None or played.is_unbounded, "never recorded")
    exact = played.wanted or f"status {played.fault}"
    _want(played.is_exact or played.is_as_declared, f"{_shown(played)}, and not {exact}")
    return _shown(played) + (", as declared" if played.is_as_declared else "")


def _shown(played: Played) -> str:
    if played.is_unbounded or played.word:
        return played.heard
    return f"status {played.status}"


def _of_a_server_that_goes(runner: ContractRunner) -> Iterator[Rule]:
    """A server that goes in mid-run does not end the crawl."""
    slots = runner.slots(4)
    requests = 60
    with ServerProcess() as doomed:
        stopping = Thread(target=_stop_in_mid_run, args=(doomed,))
        stopping.start()
        try:
            url = f"{doomed.addresses.data_url}/add?delay=50"
            result = runner.run(requests, slots, url=url)
        finally:
            stopping.join()
    fetches, _ = accounts_of(result)

    def all_recorded() -> str:
        recorded = sorted(fetches["seq"].tolist())
        _want(recorded == list(range(requests)), f"recorded: {_brief(recorded)}")
        words = _words(fetches)
        allowed = {"reset", "closed", "connect", "failed"}
        _want(set(words) <= allowed and bool(words), f"recorded as {words}")
        return ", ".join(f"{word} {count}" for word, count in words.items())

    yield Rule(MUST, "a server that goes in mid-run costs failures and no more", all_recorded)


def _stop_in_mid_run(server: ServerProcess) -> None:
    deadline = monotonic() + _SERVER_GOES_S
    while monotonic() < deadline:
        try:
            if stats(server.addresses.control_url)["in_flight"]:
                break
        except ControlError:
            break
        sleep(0.01)
    server.stop()


def _settled(runner: ContractRunner, name: str) -> RunRecord:
    """The ledger of a run that has ended; a server may learn of a close a little later."""
    deadline = monotonic() + _SETTLE_S
    while True:
        try:
            record = fetch_run(runner.server.addresses.control_url, name)
        except ControlError as error:
            if error.status != 404:
                raise
            return RunRecord.empty(name)
        if WAITING not in record.columns["outcome"] or monotonic() > deadline:
            return record
        sleep(0.02)


def _words(fetches: IntColumns) -> dict[str, int]:
    """How many failed, by word."""
    counts: dict[str, int] = {}
    for code, status in zip(fetches["error"].tolist(), fetches["status"].tolist(), strict=True):
        word = failure_word(code, status, is_planned=True)
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def _want(is_so: bool, evidence: str) -> None:
    if not is_so:
        raise BrokenError(evidence)


def _brief(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return f"{len(numbers)} ({shown}{', ...' if len(numbers) > 12 else ''})"
