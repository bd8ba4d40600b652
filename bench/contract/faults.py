"""Plays every fault to a crawler: what the crawler records, and what the server sees."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.contract.runs import ContractRunner, NoOutcomeError, accounts_of
from bench.results.run_result import RunResult
from crawlers.contract import ERROR_WORDS
from crawlers.registry import UNBOUNDED
from server.request_plan import FAILURES

FAULT_TIMEOUT_S = 0.5
"""Time limit of a fetch while faults are played."""
_DRIPS = ("drip-body", "drip-headers")
_GRACE_ALONE_S = 2.0
_TIMEOUTS = 10

PLAYED = FAILURES

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
"""The exact word for each fault; the server answers the other faults with their status."""


@dataclass(frozen=True, slots=True)
class Played:
    """One fault that was played to a crawler, as both ends saw it. Times are in seconds."""

    crawler: str
    """The label of the entrant."""
    fault: str
    wanted: str
    """The exact word; "" if a status is wanted."""
    declared: str | None
    """What the crawler is declared to report instead: a word, "" for a good response, UNBOUNDED."""
    word: str | None = None
    """What the crawler recorded, of ERROR_WORDS; "" is no error. None if it recorded nothing."""
    status: int = 0
    took_s: float | None = None
    """Duration of the fetch at the client."""
    noticed_s: float | None = None
    """Time from the server's first misbehaviour or response to the end at the client, with requests
    that were sent again."""
    arrivals: int | None = None
    """How many requests arrived at the server for the one that was asked for."""
    worked_on_s: float | None = None
    """How long the server's connection stayed open after the client's end; None for a normal
    response."""
    failure: str = ""
    """Why the crawler's process left no outcome, in one line."""
    never_ended: bool = False
    """Whether the process was killed because it did not end."""

    @property
    def is_failure(self) -> bool:
        """Whether the fault was recorded as something else than a good response."""
        return self.word is not None and (bool(self.word) or self.status != 200)

    @property
    def is_unbounded(self) -> bool:
        """Whether it was not played, because no time limit ends it by declaration."""
        return self.declared == UNBOUNDED

    @property
    def heard(self) -> str:
        """What the crawler reported, in a word or two."""
        if self.is_unbounded:
            return UNBOUNDED
        if self.never_ended:
            return "not ended"
        if self.word is None:
            return "crashed" if self.failure else "not recorded"
        return self.word or ("good" if self.status == 200 else str(self.status))

    @property
    def is_exact(self) -> bool:
        """Whether the crawler reported the exact word, or the status."""
        if self.word is None:
            return False
        if not self.wanted:
            return not self.word and str(self.status) == self.fault
        return self.word == self.wanted

    @property
    def is_as_declared(self) -> bool:
        """Whether the crawler reported, instead of the exact word, what is declared."""
        if self.declared is None or self.is_exact:
            return False
        said = self.word if self.word or self.status == 200 else None
        return self.is_unbounded or self.declared == said

    def to_json(self) -> dict[str, Any]:
        """Return all fields, and `heard`, `is_exact`, `is_as_declared`."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        derived = ("heard", "is_exact", "is_as_declared")
        return {**named, **{name: getattr(self, name) for name in derived}}


@dataclass(frozen=True, slots=True)
class Play:
    """One run in which faults were played one after another, with a plain request after each."""

    result: RunResult
    faulty: dict[int, str]
    """The faults, by seq."""
    requests: int


@dataclass(frozen=True, slots=True)
class AllPlayed:
    """All faults, and the runs that came to an end."""

    faults: tuple[Played, ...]
    """The faults in the order of PLAYED."""
    plays: tuple[Play, ...]
    failures: tuple[str, ...]
    """Failures of the runs that did not come to an end."""


def play_faults(runner: ContractRunner) -> AllPlayed:
    """Play all faults in one run if the crawler survives that, otherwise in several."""
    played: dict[str, Played] = {}
    plays: list[Play] = []
    failures: list[str] = []
    instead = dict(runner.info.said_instead)
    left = [fault for fault in PLAYED if instead.get(fault) != UNBOUNDED]
    tried: list[str] = []
    for faults in _attempts(left):
        missing = [fault for fault in faults if fault not in played]
        if not missing or missing == tried:
            continue
        tried = missing
        is_alone = len(missing) == 1
        try:
            play = _play(runner, missing, _GRACE_ALONE_S if is_alone else None)
        except NoOutcomeError as error:
            if is_alone:
                played[missing[0]] = _without_outcome(runner, missing[0], error)
            failures.append(str(error))
            continue
        plays.append(play)
        played |= {fault: _seen(runner, play, seq) for seq, fault in play.faulty.items()}
    found = (played.get(fault) or _blank(runner, fault) for fault in PLAYED)
    return AllPlayed(tuple(found), tuple(plays), tuple(failures))


def _attempts(faults: list[str]) -> Iterator[list[str]]:
    """Yield the faults to play together: all, then those that end soon, then each alone."""
    yield faults
    yield [fault for fault in faults if fault not in _DRIPS]
    for fault in faults:
        yield [fault]


def _play(runner: ContractRunner, faults: Iterable[str], grace_s: float | None) -> Play:
    faulty = {2 * place + 1: fault for place, fault in enumerate(faults)}
    requests = 2 * len(faulty) + 1
    result = runner.run(requests, 1, timeout_s=FAULT_TIMEOUT_S, faults=faulty, grace_s=grace_s)
    return Play(result, faulty, requests)


def _blank(runner: ContractRunner, fault: str, **known: Any) -> Played:
    declared = dict(runner.info.said_instead).get(fault)
    return Played(runner.entrant.label, fault, FAULT_WORDS.get(fault, ""), declared, **known)


def _without_outcome(runner: ContractRunner, fault: str, error: NoOutcomeError) -> Played:
    patience_s = _GRACE_ALONE_S + _TIMEOUTS * FAULT_TIMEOUT_S
    is_killed = error.span_s >= patience_s
    return _blank(runner, fault, failure=str(error), never_ended=is_killed)


def _seen(runner: ContractRunner, play: Play, seq: int) -> Played:
    """Return what both ends saw of one fault."""
    fault = play.faulty[seq]
    fetches, arrivals = accounts_of(play.result)
    ledger = play.result.ledger
    assert ledger is not None
    of_seq = (arrivals["seq"] == seq).nonzero()[0].tolist()
    records = (fetches["seq"] == seq).nonzero()[0].tolist()
    if not records:
        return _blank(runner, fault, arrivals=len(of_seq))
    row = records[0]
    start_ns, end_ns = int(fetches["start_ns"][row]), int(fetches["end_ns"][row])
    began_ns = [int(arrivals["replied_ns"][place]) for place in of_seq]
    ended_ns = [
        at
        for place, at in zip(ledger.faults["row"], ledger.faults["ended_ns"], strict=True)
        if place in of_seq
    ]
    return _blank(
        runner,
        fault,
        word=ERROR_WORDS[int(fetches["error"][row])],
        status=int(fetches["status"][row]),
        took_s=(end_ns - start_ns) / 1e9,
        noticed_s=(end_ns - min(began_ns)) / 1e9 if began_ns else None,
        arrivals=len(of_seq),
        worked_on_s=max(0.0, (max(ended_ns) - end_ns) / 1e9) if ended_ns else None,
    )
