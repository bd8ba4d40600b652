"""The contract of crawlers as a list of rules, each looked at with real processes and servers."""

import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from time import monotonic, sleep
from types import MappingProxyType

import numpy as np

from bench.delays import Delay
from bench.entrants import Entrant
from bench.experiment import Cell, PlannedRun
from bench.in_flight import Levels
from bench.pinning import UNPINNED
from bench.runner import ProcessRunner, RunResult, Target
from bench.store import IntColumns
from crawlers.contract import ERROR_WORDS
from crawlers.registry import UNBOUNDED, CrawlerInfo, find
from server.control_client import ControlError, stats
from server.process import ServerProcess
from server.request_plan import FAULTS

_PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "all_proxy"), "http://127.0.0.1:9")
"""Where there is none: whatever obeys the environment's proxies fails."""
_PATIENT_S = 10.0
_GRACE_S, _GRACE_OF_A_FAULT_S = 10.0, 2.0
"""To start a process, and for whatever takes its time."""
_PLAIN_TIMEOUT_S = 3.0
_FAULT_TIMEOUT_S = 0.5
_DRIP_ENDS_S = 60.0
_BODY_BYTES = 5_000_000
_SERVER_GOES_S = 20.0

FAULT_WORDS = {
    "hang": "timeout",
    "drip-body": "timeout",
    "drip-headers": "timeout",
    "reset": "reset",
    "reset-body": "reset",
    "close": "closed",
    "close-body": "closed",
    "bad-length": "malformed",
    "bad-status": "malformed",
    "bad-chunk": "malformed",
}
"""What each fault is called; those that are not here are a status, and no error."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether one rule is kept, and what shows it."""

    rule: str
    is_kept: bool
    evidence: str


class BrokenError(Exception):
    """A rule is not kept; the text is the evidence."""


@dataclass(slots=True)
class _Check:
    """Runs one crawler against a server, as the rules want it."""

    entrant: Entrant
    info: CrawlerInfo
    server: ServerProcess
    environment: Mapping[str, str]
    number: int = field(default=0)
    is_hopeless: bool = field(default=False)
    """Whether a plain run came to nothing."""

    def run(
        self,
        requests: int,
        concurrency: int,
        delay_ms: int = 0,
        *,
        url: str = "",
        timeout_s: float = _PATIENT_S,
        faults: dict[int, str] | None = None,
        has_proxy: bool = False,
        grace_s: float | None = None,
    ) -> RunResult:
        """One run. Raises BrokenError if it left no outcome."""
        self.number += 1
        target = Target(url, "") if url else Target(*self.server.addresses)
        cell = Cell(self.entrant.label, concurrency, Delay.fixed(delay_ms * 1000))
        planned = PlannedRun(
            self.number, 1, cell, requests, self.entrant, faults=tuple((faults or {}).items())
        )
        environment = {**self.environment, **(_PROXIES if has_proxy else {})}
        runner = ProcessRunner(target, timeout_s, UNPINNED, environment, grace_s or _GRACE_S)
        result = runner.run(planned)
        if result.outcome is None:
            said = result.stderr_tail.splitlines()[-1:]
            raise BrokenError(": ".join([result.failure, *said]))
        return result

    def slots(self, wanted: int) -> int:
        """As many, or as the crawler can do."""
        return min(wanted, self.info.max_concurrency)


def check_contract(
    entrant: Entrant, environment: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Finding]:
    """Every rule, in turn; crawlers run with this added to their environment.

    Raises what starting a server raises.
    """
    with ServerProcess() as server:
        check = _Check(entrant, find(entrant.crawler), server, environment)
        for rules in (
            _of_a_plain_run,
            _of_slots,
            _of_answers,
            _of_failures,
            _of_a_server_that_goes,
        ):
            yield from _found(rules, check)
            if check.is_hopeless:
                yield Finding("the other rules", False, "not looked at: it does not even do that")
                return


Rules = Callable[[_Check], Iterator[tuple[str, Callable[[], str]]]]


def _found(rules: Rules, check: _Check) -> Iterator[Finding]:
    """Findings of rules that share a run; a run that fails breaks all of them."""
    try:
        for rule, look in rules(check):
            try:
                yield Finding(rule, True, look())
            except BrokenError as broken:
                yield Finding(rule, False, str(broken))
    except BrokenError as broken:
        check.is_hopeless = rules is _of_a_plain_run
        yield Finding((rules.__doc__ or "").rstrip("."), False, str(broken))


def _of_a_plain_run(check: _Check) -> Iterator[tuple[str, Callable[[], str]]]:
    """A plain run comes to an end and leaves its records."""
    slots = check.slots(7)
    requests = 10 * slots
    result = check.run(requests, slots, delay_ms=5, timeout_s=_PLAIN_TIMEOUT_S)
    fetches, arrivals = _accounts(result)
    _want(len(fetches["seq"]) > 0, "nothing was recorded: is it a plain function, not async?")

    def each_once() -> str:
        recorded, sent = sorted(fetches["seq"].tolist()), sorted(arrivals["seq"].tolist())
        _want(recorded == list(range(requests)), f"{requests} jobs, recorded: {_brief(recorded)}")
        _want(sent == list(range(requests)), f"{requests} jobs, sent: {_brief(sent)}")
        return f"{requests} jobs, recorded and sent once each"

    def all_good() -> str:
        bad = _words(fetches)
        _want(not bad, f"failed without reason: {bad}")
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
        rows = {seq: row for row, seq in enumerate(arrivals["seq"].tolist())}
        for seq, start, end in zip(
            *(fetches[name].tolist() for name in ("seq", "start_ns", "end_ns")), strict=True
        ):
            row = rows.get(seq)
            _want(row is not None, f"seq {seq} is recorded, and never arrived")
            arrived = int(arrivals["arrived_ns"][row])
            replied = int(arrivals["replied_ns"][row])
            _want(start < arrived, f"seq {seq} arrived before its start")
            _want(replied < end, f"seq {seq} ended before its answer")
            _want(end - start >= 5_000_000, f"seq {seq} took less than its delay")
        return "start < arrival < reply < end for each"

    def request() -> str:
        assert result.ledger is not None
        head = result.ledger.first_request_head.decode("latin-1").lower()
        _want(head.startswith("get /add?"), f"it asks: {head.splitlines()[:1]}")
        _want("accept-encoding: identity\r\n" in head, "no Accept-Encoding: identity")
        return "GET, Accept-Encoding: identity"

    def no_proxy() -> str:
        proxied, _ = _accounts(check.run(2, 1, has_proxy=True))
        words = _words(proxied)
        _want(not words, f"with a proxy in the environment that is not there: {words}")
        return "a proxy in the environment is left alone"

    yield "each job is fetched once and recorded once", each_once
    yield "an answer in order is no error", all_good
    yield "jobs are started in their order", in_order
    yield "never more than C at a time", at_most
    yield "the times are true: slot held, nothing sent yet, to the last byte", true_times
    yield "the same bytes are asked for as by all others", request
    yield "no proxy of the environment is used", no_proxy


def _of_slots(check: _Check) -> Iterator[tuple[str, Callable[[], str]]]:
    """A run with a delay comes to an end."""
    slots = check.slots(12)
    _, arrivals = _accounts(check.run(3 * slots, slots, delay_ms=300))

    def all_used() -> str:
        levels = Levels.at_server(arrivals)
        peak = levels.peak if levels is not None else 0
        _want(peak == slots, f"{peak} in flight at the server, {slots} were asked for")
        return f"{peak} in flight at the server, {slots} were asked for"

    def connections() -> str:
        count = len(np.unique(arrivals["connection"]))
        if not check.info.libraries:
            return f"{count} for {3 * slots} requests; nothing is declared"
        wanted = slots if check.info.keep_alive else 3 * slots
        _want(count == wanted, f"{count} for {3 * slots} requests, by its declaration {wanted}")
        return f"{count} for {3 * slots} requests, as declared"

    yield "all C slots are used", all_used
    yield "connections are kept as declared", connections


def _of_answers(check: _Check) -> Iterator[tuple[str, Callable[[], str]]]:
    """Answers of any size and status are read."""
    data_url = check.server.addresses.data_url

    def whole_body() -> str:
        url = f"{data_url}/add?delay=0&size={_BODY_BYTES}"
        fetches, _ = _accounts(check.run(2, 1, url=url))
        sizes = fetches["size_bytes"].tolist()
        _want(sizes == [_BODY_BYTES] * 2, f"{sizes} bytes of {_BODY_BYTES} each")
        return f"{_BODY_BYTES:,} bytes, all read"

    def refused() -> str:
        with socket.create_server(("127.0.0.1", 0)) as gone:
            port = gone.getsockname()[1]
        fetches, _ = _accounts(check.run(3, 1, url=f"http://127.0.0.1:{port}/"))
        _want(_words(fetches) == {"connect": 3}, f"recorded as {_words(fetches)}")
        return "connect, each time"

    yield "the whole body is read", whole_body
    yield "no connection is a failure recorded", refused


def _of_failures(check: _Check) -> Iterator[tuple[str, Callable[[], str]]]:
    """A server that misbehaves does not end the crawl."""
    instead = dict(check.info.said_instead)
    played = [fault for fault in FAULTS if instead.get(fault) != UNBOUNDED]
    faulty = {2 * place + 1: fault for place, fault in enumerate(played)}
    requests = 2 * len(played) + 1
    try:
        result = check.run(requests, 1, timeout_s=_FAULT_TIMEOUT_S, faults=faulty)
    except BrokenError as broken:
        yield "after a failure the crawl goes on", partial(_raise, broken)
        for fault in FAULTS:
            yield f"fault {fault}", partial(_judge_alone, check, fault)
        return
    fetches, arrivals = _accounts(result)
    row_of = {seq: row for row, seq in enumerate(fetches["seq"].tolist())}

    def goes_on() -> str:
        recorded = sorted(fetches["seq"].tolist())
        _want(recorded == list(range(requests)), f"recorded: {_brief(recorded)}")
        bad = [seq for seq in range(0, requests, 2) if fetches["error"][row_of[seq]]]
        _want(not bad, f"requests after a fault failed too: {_brief(bad)}")
        return f"{len(played)} faults, and a good answer after each"

    def not_again() -> str:
        counts = np.bincount(arrivals["seq"], minlength=requests)
        again = [faulty[seq] for seq in faulty if counts[seq] > 1]
        if check.info.resends:
            return f"sent again, as declared: {', '.join(again) or 'none'}"
        _want(
            not again,
            f"sent again: {', '.join(again)}; some libraries do so by themselves: switch it "
            "off, or say so beside your numbers",
        )
        return "each was sent once"

    yield "after a failure the crawl goes on", goes_on
    yield "what failed is not sent again", not_again
    for fault in FAULTS:
        if fault not in played:
            yield f"fault {fault}", lambda: "unbounded: no limit of time ends it, as declared"
    for seq, fault in faulty.items():
        yield (
            f"fault {fault}",
            lambda seq=seq, fault=fault: _judge_fault(  # type: ignore[misc]
                check.info, fetches, row_of.get(seq), fault
            ),
        )


def _raise(error: BrokenError) -> str:
    raise error


def _judge_alone(check: _Check, fault: str) -> str:
    """One fault in a run of its own, of a crawler that one of them stops."""
    result = check.run(
        1, 1, timeout_s=_FAULT_TIMEOUT_S, faults={0: fault}, grace_s=_GRACE_OF_A_FAULT_S
    )
    fetches, _ = _accounts(result)
    return _judge_fault(check.info, fetches, 0 if len(fetches["seq"]) else None, fault)


def _judge_fault(info: CrawlerInfo, fetches: IntColumns, row: int | None, fault: str) -> str:
    """One recorded fetch, with the word of the fault, and in time."""
    _want(row is not None, "never recorded")
    assert row is not None
    word = ERROR_WORDS[int(fetches["error"][row])]
    status = int(fetches["status"][row])
    took_s = float(fetches["end_ns"][row] - fetches["start_ns"][row]) / 1e9
    shown = word or f"status {status}"
    if fault not in FAULT_WORDS:
        _want(shown == f"status {fault}", f"{shown}, and not status {fault}")
        return shown
    wanted = FAULT_WORDS[fault]
    instead = dict(info.said_instead).get(fault)
    _want(word in (wanted, instead), f"{shown}, and not {wanted}")
    # A drip goes on for a minute: whoever waits for its end has no limit of time.
    _want(took_s < _DRIP_ENDS_S / 2, f"{shown} after {took_s:.1f} s")
    word = shown if word else "taken for good"
    return f"{word} after {took_s:.2f} s" + ("" if word == wanted else ", as declared")


def _of_a_server_that_goes(check: _Check) -> Iterator[tuple[str, Callable[[], str]]]:
    """A server that goes in mid-run does not end the crawl."""
    slots = check.slots(4)
    requests = 60
    with ServerProcess() as doomed:
        stopping = Thread(target=_stop_in_mid_run, args=(doomed,))
        stopping.start()
        try:
            url = f"{doomed.addresses.data_url}/add?delay=50"
            result = check.run(requests, slots, url=url)
        finally:
            stopping.join()
    fetches, _ = _accounts(result)

    def all_recorded() -> str:
        recorded = sorted(fetches["seq"].tolist())
        _want(recorded == list(range(requests)), f"recorded: {_brief(recorded)}")
        words = _words(fetches)
        allowed = {"reset", "closed", "connect", "failed"}
        _want(set(words) <= allowed and bool(words), f"recorded as {words}")
        return ", ".join(f"{word} {count}" for word, count in words.items())

    yield "a server that goes in mid-run costs failures and no more", all_recorded


_ALL_RULES: tuple[Rules, ...] = (
    _of_a_plain_run,
    _of_slots,
    _of_answers,
    _of_failures,
    _of_a_server_that_goes,
)


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


def _accounts(result: RunResult) -> tuple[IntColumns, IntColumns]:
    """Fetches, and arrivals if there is a ledger."""
    assert result.outcome is not None
    ledger = result.ledger.columns if result.ledger is not None else {}
    return (
        {name: np.array(column, dtype=np.int64) for name, column in result.outcome.fetches.items()},
        {name: np.array(column, dtype=np.int64) for name, column in ledger.items()},
    )


def _words(fetches: IntColumns) -> dict[str, int]:
    """How many failed, by word; a status that is not 200 counts as well."""
    counts: dict[str, int] = {}
    for code, status in zip(fetches["error"].tolist(), fetches["status"].tolist(), strict=True):
        word = ERROR_WORDS[code] or ("" if status == 200 else f"status {status}")
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def _want(is_so: bool, evidence: str) -> None:
    if not is_so:
        raise BrokenError(evidence)


def _brief(numbers: list[int]) -> str:
    shown = ", ".join(map(str, numbers[:12]))
    return f"{len(numbers)} ({shown}{', ...' if len(numbers) > 12 else ''})"
