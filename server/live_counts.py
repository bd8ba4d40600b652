"""The few counters of a server that are asked for several times a second. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from server.log_histogram import MOST_NS, bucket_of
from server.packed_columns import HUGE

_NUMBERS = ("monotonic_ns", "requests", "ended", "in_flight", "errors")


@dataclass(frozen=True, slots=True)
class LiveCounts:
    """What a server has done since its start.

    `times` has the counts of a server.log_histogram of arrival to reply (or to when the client was
    gone), of requests in runs.
    """

    monotonic_ns: int
    """When it was counted, on the server's CLOCK_MONOTONIC."""
    requests: int
    """Those that have arrived."""
    ended: int
    """Those that have been answered, were answered by a fault, or whose client has gone."""
    in_flight: int
    """Those that have arrived and have not ended."""
    errors: int
    """Those that ended with a status from 400 on, by a fault, or because the client has gone."""
    times: Mapping[int, int]

    @classmethod
    def parse(cls, answer: object) -> Self:
        """Return what a server, which may be anyone's, sent as JSON. Raises ValueError."""
        if not isinstance(answer, dict):
            raise ValueError("it is no JSON object")
        for name in _NUMBERS:
            _check_count(name, answer.get(name))
        times = answer.get("times")
        if not isinstance(times, dict):
            raise ValueError("it has no times")
        for bucket, count in times.items():
            _check_count("number of times in a bucket", count)
            if not _is_bucket(bucket):
                raise ValueError("its times are in no buckets")
        numbers = {name: answer[name] for name in _NUMBERS}
        return cls(**numbers, times={int(bucket): count for bucket, count in times.items()})

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads, for json.dumps, which makes the buckets strings."""
        return {**{name: getattr(self, name) for name in _NUMBERS}, "times": dict(self.times)}


def merge_live(members: Sequence[LiveCounts], now_ns: int) -> LiveCounts:
    """Return the counters of several server processes together."""
    times: dict[int, int] = {}
    for one in members:
        for bucket, count in one.times.items():
            times[bucket] = times.get(bucket, 0) + count
    return LiveCounts(
        monotonic_ns=now_ns,
        requests=sum(one.requests for one in members),
        ended=sum(one.ended for one in members),
        in_flight=sum(one.in_flight for one in members),
        errors=sum(one.errors for one in members),
        times=times,
    )


def _is_bucket(text: str) -> bool:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MOST_NS))):
        return False
    return int(text) < MOST_NS and bucket_of(int(text)) == int(text)


def _check_count(name: str, value: object) -> None:
    if type(value) is not int or not 0 <= value < HUGE:
        raise ValueError(f"it has no {name}")
