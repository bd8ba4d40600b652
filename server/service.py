"""What the server does with all requests of a run together: capacity, queue, limits, bad moments.

A request's plan says how long it takes and how large its response is. The service says how many
are served at a time, how many wait, and which are refused. Pure, in virtual time: when a request
arrives, its begin and its due instant follow from the planned ends of those before it. A slot is
thus free at the planned instant, and not when a timer fires, and a client that leaves keeps it.

docs/services.md has the formulas. Standard library only: the bench simulates with this module.
"""

import math
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from typing import NamedTuple, Self

from server.request_plan import FAILURES, quoted

SERVED = 0
"""The status of an admission that is no refusal."""
TOO_MANY_REQUESTS = 429
UNAVAILABLE = 503

MOST_CAPACITY = 1_000_000
MOST_STEPS = 100
MOST_SECONDS = 86_400.0
MOST_RATE_PER_S = 1_000_000.0
MOST_FACTOR = 1_000.0

_SECOND_NS = 1_000_000_000
_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)
_MASK = 2**64 - 1
_LATEST_NS = 2**59
"""No response of a service that slows down is due later: 18 years on a clock that starts with the
machine. The ledger has 64 bits."""


class ServiceError(ValueError):
    """A text that describes no service; the message names the flag, the value and the fix."""


class CapacityStep(NamedTuple):
    """From an instant on, at most this many requests are served at a time."""

    capacity: int
    from_s: float
    """Seconds after the first arrival."""


class FaultShare(NamedTuple):
    """The share of requests that fail in one way."""

    fault: str
    """One of server.request_plan.FAILURES."""
    percent: float


@dataclass(frozen=True, slots=True)
class Service:
    """One service. Without arguments, it serves everything at once and without a limit."""

    capacity: tuple[CapacityStep, ...] = ()
    """In the order of time, the first from 0 s on; empty for no limit."""
    queue: int | None = None
    """How many requests may wait for a place; None for any number."""
    rate_limit_per_s: float = 0.0
    """Requests per second of the token bucket; 0 for no limit."""
    burst: float = 0.0
    """Tokens of the full bucket, which it has at the start."""
    is_spent: bool = False
    """Whether the bucket is empty at the start instead, as it is after a while of hard use."""
    sigma: float = 0.0
    kappa: float = 0.0
    """A request takes its delay times 1 + sigma (n - 1) + kappa n (n - 1), with n requests in
    service when it begins, itself included (Gunther's universal scalability law)."""
    stall_every_s: float = 0.0
    stall_for_s: float = 0.0
    """The service stands still for `stall_for_s` every `stall_every_s` after the first arrival."""
    fault_share: tuple[FaultShare, ...] = ()
    fault_seed: int = 1

    @classmethod
    def parse(cls, flags: Mapping[str, str]) -> Self:
        """Return the service of these flags, by name without dashes: `{"capacity": "50"}`.

        Raises ServiceError.
        """
        values: dict[str, object] = {}
        for flag, text in flags.items():
            if flag not in _PARSERS:
                raise ServiceError(
                    f"{quoted(flag)} is no property of a service: choose from {', '.join(FLAGS)}"
                )
            values |= _PARSERS[flag](text)
        service = cls(**values)  # type: ignore[arg-type]
        service.check()
        return service

    def flags(self) -> dict[str, str]:
        """Return the flags that `parse` reads, those with an effect only."""
        found = {
            "capacity": _capacity_text(self.capacity),
            "queue": "" if self.queue is None else str(self.queue),
            "rate-limit": self._rate_limit_text(),
            "slowdown": f"{_text(self.sigma)},{_text(self.kappa)}" if self.is_slowed_down else "",
            "stall": f"{_text(self.stall_every_s)}:{_text(self.stall_for_s)}"
            if self.stall_for_s
            else "",
            "fault-share": ",".join(f"{kind}@{_text(share)}" for kind, share in self.fault_share),
            "fault-seed": str(self.fault_seed) if self.fault_share else "",
        }
        return {flag: text for flag, text in found.items() if text}

    def shared_flags(self) -> list[str]:
        """Return the flags whose state all requests share, so that one process must hold it."""
        return [flag for flag in self.flags() if not flag.startswith("fault-")]

    def _rate_limit_text(self) -> str:
        if not self.rate_limit_per_s:
            return ""
        spent = f":{_SPENT}" if self.is_spent else ""
        return f"{_text(self.rate_limit_per_s)}:{_text(self.burst)}{spent}"

    @property
    def is_plain(self) -> bool:
        """Whether each request is served at once, whatever the others do."""
        return not self.flags()

    @property
    def is_slowed_down(self) -> bool:
        """Whether requests in service slow each other down."""
        return bool(self.sigma or self.kappa)

    @property
    def refuses(self) -> bool:
        """Whether it may refuse requests."""
        return self.queue is not None or bool(self.rate_limit_per_s)

    def most_capacity(self) -> int | None:
        """Return the largest capacity that it ever has; None for no limit."""
        return max((step.capacity for step in self.capacity), default=None)

    def begun(self) -> "ServiceState | None":
        """Return its state before the first arrival; None if it needs none."""
        return None if self.is_plain else ServiceState(self)

    def fault_of(self, seq: int) -> str:
        """Return how the request `seq` fails, or "": the same for every run with this seed."""
        if not self.fault_share:
            return ""
        left = _uniform(self.fault_seed, seq) * 100
        for fault, percent in self.fault_share:
            left -= percent
            if left < 0:
                return fault
        return ""

    def check(self) -> None:
        """Raise ServiceError for values of the right types that make no sense."""
        _check_capacity(self.capacity)
        if self.queue is not None and not 0 <= self.queue <= MOST_CAPACITY:
            raise ServiceError(f"queue {self.queue}: give 0 to {MOST_CAPACITY} requests")
        if self.queue is not None and not self.capacity:
            raise ServiceError(
                f"queue {self.queue}: without a capacity nothing waits; add --capacity"
            )
        if self.rate_limit_per_s or self.burst or self.is_spent:
            _check_between("rate-limit", self.rate_limit_per_s, 0.001, MOST_RATE_PER_S)
            _check_between("rate-limit: burst", self.burst, 1, MOST_RATE_PER_S)
        _check_between("slowdown", self.sigma, 0, MOST_FACTOR)
        _check_between("slowdown", self.kappa, 0, MOST_FACTOR)
        if self.stall_every_s or self.stall_for_s:
            _check_between("stall", self.stall_every_s, 0.001, MOST_SECONDS)
            _check_between("stall", self.stall_for_s, 0.001, MOST_SECONDS)
            if self.stall_for_s >= self.stall_every_s:
                raise ServiceError(
                    f"stall {_text(self.stall_every_s)}:{_text(self.stall_for_s)}: a stall "
                    "must end before the next one begins"
                )
        for fault, percent in self.fault_share:
            if fault not in FAILURES:
                raise ServiceError(
                    f"fault-share {quoted(fault)}: there is no such fault; choose from "
                    f"{', '.join(FAILURES)}"
                )
            _check_between("fault-share", percent, 0.0001, 100)
        faults = [fault for fault, _ in self.fault_share]
        if len(set(faults)) < len(faults):
            raise ServiceError("fault-share: a fault is given twice; add its shares up")
        if sum(percent for _, percent in self.fault_share) > 100:
            shares = self.flags()["fault-share"]
            raise ServiceError(f"fault-share {shares}: it adds up to more than 100 %")
        if not 0 <= self.fault_seed < 2**63:
            raise ServiceError(f"fault-seed {self.fault_seed}: give 0 to {2**63 - 1}")

    def __str__(self) -> str:
        """Return `capacity 50, queue 10`, or "" for a service without limits."""
        return ", ".join(
            f"{flag.replace('-', ' ')} {text}"
            for flag, text in self.flags().items()
            if flag != "fault-seed"
        )


PLAIN = Service()
"""The service that serves everything at once and without a limit."""


class Admission(NamedTuple):
    """What happens to one request. All times are in ns, on the clock of the arrivals."""

    status: int
    """SERVED, or the status of the refusal."""
    begin_ns: int
    """When a place was free; the arrival for a refusal."""
    due_ns: int
    """When the response is due."""
    retry_after_s: int = 0
    """For a refusal: after how many whole seconds to try again."""


class ServiceState:
    """The service of one run, asked once per arrival, in the order of arrival."""

    __slots__ = (
        "_begins",
        "_burst_ns",
        "_ends",
        "_free_at_ns",
        "_interval_ns",
        "_last_begin_ns",
        "_next_step",
        "_origin_ns",
        "_places",
        "_stall_every_ns",
        "_stall_for_ns",
        "_steps",
        "service",
    )

    def __init__(self, service: Service) -> None:
        self.service = service
        self._origin_ns = -1
        self._ends: list[int] = []
        """A heap of the planned ends of requests in service."""
        self._begins: deque[int] = deque()
        """The planned begins of requests that wait, in order."""
        self._last_begin_ns = 0
        self._places = math.inf
        self._steps: list[tuple[int, int]] = []
        self._next_step = 0
        self._stall_every_ns = round(service.stall_every_s * _SECOND_NS)
        self._stall_for_ns = round(service.stall_for_s * _SECOND_NS)
        self._interval_ns = (
            _SECOND_NS / service.rate_limit_per_s if service.rate_limit_per_s else 0.0
        )
        self._burst_ns = (service.burst - 1) * self._interval_ns
        self._free_at_ns = 0.0
        """When the bucket would be full again."""

    def admit(self, arrived_ns: int, delay_us: int) -> Admission:
        """Decide what happens to a request that takes `delay_us` when it is served alone."""
        if self._origin_ns < 0:
            self._begin(arrived_ns)
        service = self.service
        if self._interval_ns:
            # The generic cell rate algorithm: a token bucket without a counter that must be filled.
            free_at_ns = max(self._free_at_ns, arrived_ns)
            missing_ns = free_at_ns - arrived_ns - self._burst_ns
            if missing_ns > 0:
                return self._refuse(TOO_MANY_REQUESTS, arrived_ns, missing_ns)
            self._free_at_ns = free_at_ns + self._interval_ns
        ends = self._ends
        if service.queue is not None and self._is_full(arrived_ns):
            return self._refuse(UNAVAILABLE, arrived_ns, ends[0] - arrived_ns)
        begin_ns = max(arrived_ns, self._last_begin_ns)
        while ends and ends[0] <= begin_ns:
            heappop(ends)
        if self._steps:
            begin_ns = self._when_free(begin_ns)
            if service.queue is not None and begin_ns > arrived_ns:
                self._begins.append(begin_ns)
        self._last_begin_ns = begin_ns
        takes_ns = delay_us * 1000
        if service.sigma or service.kappa:
            others = len(ends)
            takes_ns = round(
                takes_ns * (1 + service.sigma * others + service.kappa * (others + 1) * others)
            )
            takes_ns = min(takes_ns, _LATEST_NS - begin_ns)
        due_ns = begin_ns + takes_ns
        if self._stall_for_ns:
            due_ns = self._after_stall(due_ns)
        if self._steps or service.sigma or service.kappa:
            heappush(ends, due_ns)
        return Admission(SERVED, begin_ns, due_ns)

    def _begin(self, arrived_ns: int) -> None:
        self._origin_ns = arrived_ns
        if self.service.is_spent:
            self._free_at_ns = arrived_ns + self._burst_ns + self._interval_ns
        self._steps = [
            (arrived_ns + round(from_s * _SECOND_NS), capacity)
            for capacity, from_s in self.service.capacity
        ]

    def _is_full(self, at_ns: int) -> bool:
        """Return whether a request that arrives now would have to wait, and there is no room."""
        begins, ends = self._begins, self._ends
        while begins and begins[0] <= at_ns:
            begins.popleft()
        if len(begins) < (self.service.queue or 0):
            return False
        # If one waits, all places are taken. Otherwise nothing was planned beyond this instant.
        if begins:
            return True
        self._apply_until(at_ns)
        return len(ends) >= self._places

    def _when_free(self, at_ns: int) -> int:
        """Return the first instant from `at_ns` on at which fewer are in service than may be."""
        ends, steps = self._ends, self._steps
        while True:
            self._apply_until(at_ns)
            if len(ends) < self._places:
                return at_ns
            # The next thing to happen: one ends, or the capacity changes.
            at_ns = ends[0]
            if self._next_step < len(steps):
                at_ns = min(at_ns, steps[self._next_step][0])

    def _apply_until(self, at_ns: int) -> None:
        """Let all steps of the capacity and all ends up to an instant happen."""
        ends, steps = self._ends, self._steps
        while self._next_step < len(steps) and steps[self._next_step][0] <= at_ns:
            self._places = steps[self._next_step][1]
            self._next_step += 1
        while ends and ends[0] <= at_ns:
            heappop(ends)

    def _after_stall(self, at_ns: int) -> int:
        """Return `at_ns`, or the end of the stall that it falls into."""
        since_ns = at_ns - self._origin_ns
        if since_ns < self._stall_every_ns:
            return at_ns
        into_ns = since_ns % self._stall_every_ns
        return at_ns if into_ns >= self._stall_for_ns else at_ns - into_ns + self._stall_for_ns

    def _refuse(self, status: int, arrived_ns: int, missing_ns: float) -> Admission:
        due_ns = self._after_stall(arrived_ns) if self._stall_for_ns else arrived_ns
        return Admission(status, arrived_ns, due_ns, max(1, math.ceil(missing_ns / _SECOND_NS)))


def _uniform(seed: int, seq: int) -> float:
    """Return a number from 0 to below 1 for a request, by SplitMix64 of the seed and `seq`."""
    mixed = (seed * 0x9E3779B97F4A7C15 + (seq + 1) * 0xBF58476D1CE4E5B9) & _MASK
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB), (31, 1)):
        mixed = ((mixed ^ (mixed >> shift)) * factor) & _MASK
    return (mixed >> 11) / 2**53


def _parse_capacity(text: str) -> dict[str, object]:
    steps = []
    for piece in text.split(","):
        count, at, seconds = piece.partition("@")
        from_s = _number("capacity", text, seconds, "50@0,20@10") if at else 0.0
        steps.append(CapacityStep(_whole("capacity", text, count), from_s))
    if len(steps) > 1 and "@" not in text.partition(",")[0]:
        raise ServiceError(
            f"capacity {quoted(text)}: give each step its begin in seconds, the first at 0, as in "
            "50@0,20@10"
        )
    return {"capacity": tuple(steps)}


def _parse_queue(text: str) -> dict[str, object]:
    return {"queue": _whole("queue", text, text)}


def _parse_rate_limit(text: str) -> dict[str, object]:
    held, colon, spent = text.partition(f":{_SPENT}")
    if spent:
        raise ServiceError(f"rate-limit {quoted(text)}: nothing may follow {_SPENT!r}")
    is_spent = bool(colon)
    rate_text, colon, burst_text = held.partition(":")
    rate = _number("rate-limit", text, rate_text, "200 or 200:20")
    burst = _number("rate-limit", text, burst_text, "200:20") if colon else max(1.0, rate / 10)
    return {"rate_limit_per_s": rate, "burst": burst, "is_spent": is_spent}


def _parse_slowdown(text: str) -> dict[str, object]:
    sigma, _, kappa = text.partition(",")
    return {
        "sigma": _number("slowdown", text, sigma, "0.02,0.0005"),
        "kappa": _number("slowdown", text, kappa, "0.02,0.0005"),
    }


def _parse_stall(text: str) -> dict[str, object]:
    every_text, _, lasts_text = text.partition(":")
    every_s = _number("stall", text, every_text, "10:1.4")
    for_s = _number("stall", text, lasts_text, "10:1.4")
    if not for_s:
        raise ServiceError(f"stall {quoted(text)}: for no stalls, leave it out")
    return {"stall_every_s": every_s, "stall_for_s": for_s}


def _parse_fault_share(text: str) -> dict[str, object]:
    shares = []
    for piece in text.split(","):
        fault, _, percent = piece.partition("@")
        share = _number("fault-share", text, percent.removesuffix("%"), "500@1,reset@0.5")
        shares.append(FaultShare(fault, share))
    return {"fault_share": tuple(shares)}


def _parse_fault_seed(text: str) -> dict[str, object]:
    if not (text.isascii() and text.isdigit() and len(text) <= 19):
        raise ServiceError(f"fault-seed {quoted(text)}: give a whole number from 0 on")
    return {"fault_seed": int(text)}


_SPENT = "spent"
_PARSERS = {
    "capacity": _parse_capacity,
    "queue": _parse_queue,
    "rate-limit": _parse_rate_limit,
    "slowdown": _parse_slowdown,
    "stall": _parse_stall,
    "fault-share": _parse_fault_share,
    "fault-seed": _parse_fault_seed,
}

FLAGS = tuple(_PARSERS)
"""The names of all flags, without dashes."""


def _whole(flag: str, text: str, number: str) -> int:
    if not (number.isascii() and number.isdigit() and len(number) <= 7):
        is_queue = flag == "queue"
        what = "a whole number of requests" if is_queue else "whole numbers of requests"
        raise ServiceError(
            f"{flag} {quoted(text)}: give {what}, {0 if is_queue else 1} to {MOST_CAPACITY}"
        )
    return int(number)


def _number(flag: str, text: str, number: str, example: str) -> float:
    if _NUMBER.fullmatch(number) is None:
        wrong = f"{quoted(number)} is not a number" if number else "a number is missing"
        wrong += f"; write it as in {example}"
        raise ServiceError(f"{flag} {quoted(text)}: {wrong}")
    return float(number)


def _check_between(what: str, value: float, least: float, most: float) -> None:
    # This comparison is also false for NaN.
    if not least <= value <= most:
        raise ServiceError(f"{what} {_text(value)}: give {_text(least)} to {_text(most)}")


def _check_capacity(steps: tuple[CapacityStep, ...]) -> None:
    if len(steps) > MOST_STEPS:
        raise ServiceError(f"capacity: {len(steps)} steps are too many: give up to {MOST_STEPS}")
    for capacity, from_s in steps:
        if not 1 <= capacity <= MOST_CAPACITY:
            raise ServiceError(f"capacity {capacity}: give 1 to {MOST_CAPACITY} requests")
        _check_between("capacity step", from_s, 0, MOST_SECONDS)
    if steps and steps[0].from_s:
        raise ServiceError(f"capacity {_capacity_text(steps)}: the first step must begin at 0 s")
    for before, after in pairwise(steps):
        if after.from_s <= before.from_s:
            raise ServiceError(
                f"capacity {_capacity_text(steps)}: each step must begin after the one before"
            )


def _capacity_text(steps: tuple[CapacityStep, ...]) -> str:
    if len(steps) == 1 and not steps[0].from_s:
        return str(steps[0].capacity)
    return ",".join(f"{capacity}@{_text(from_s)}" for capacity, from_s in steps)


def _text(value: float) -> str:
    return f"{value:.9f}".rstrip("0").rstrip(".")
