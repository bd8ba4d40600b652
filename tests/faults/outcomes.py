"""Crawlers that do harm, in the middle of a sweep of honest ones."""

import json

from tests.faults.place import Place, must
from tests.faults.table import fault

GROUP = "crawler"
HARMFUL = "tests.faults.crawlers"


def _beside_honest(place: Place, crawler: str, *words: str) -> str:
    """A sweep of a harmful crawler and an honest one, one trial of each at two concurrencies."""
    done = place.call(
        *("run", "--crawlers", f"bad={crawler},protocol"),
        *("--concurrency", "1,2", "--delay", "1", "-n", 10, "--trials", 1, "--out", place.out),
    )
    must(done.code == 1, f"exit code {done.code}, and not 1: {done.last_line}")
    must("Traceback (most recent" not in done.stderr, f"a traceback: {done.stderr[-300:]}")
    for word in words:
        must(word in done.stderr + done.stdout, f"{word!r} is not said: {done.stderr[-300:]}")
    must(place.kept() == 6, f"{place.kept()} of 6 runs are kept")
    sound = _sound_runs(place)
    must(sound == 2, f"{sound} of 2 honest runs beside it are sound")
    said = next(
        (line for line in (done.stderr + done.stdout).splitlines() if "bad at" in line), "INVALID"
    )
    return f"{said[:110]}; 2 of 2 honest runs are sound"


def _sound_runs(place: Place) -> int:
    """Of the honest crawler, those that are not INVALID, and of which no request failed."""
    exported = place.call("export", "--format", "json", place.latest)
    must(exported.code == 0, f"export: exit {exported.code}: {exported.last_line}")
    return sum(
        run["crawler"] == "protocol"
        and run["role"] == "cell"
        and run["verdict"] != "INVALID"
        and run["summary"]["good"] == 10
        for run in json.loads(exported.stdout)
    )


_OUTCOMES = {
    "five": "is `5`",
    "deep": "is deeply nested JSON",
    "nan": "has NaN for usage",
    "usage_huge": "has usage beyond 2^62",
    "long_column": "says it has 10^12 rows",
    "negative_length": "has negative lengths",
    "other_type_code": "has unknown type codes",
    "other_columns": "has columns named by an escape sequence",
    "many_rows": "has more rows than jobs",
    "error_unknown": "has an error of no word",
    "versions_nested": "has nested versions",
    "more_behind": "is whole, and more comes after it",
    "endless": "has no end",
    "dev_zero": "is /dev/zero",
    "nothing": "is nothing",
}
"""Of tests.hostile_crawlers, some in a whole sweep; tests/test_hostile_crawlers.py runs all."""

for _name, _what in _OUTCOMES.items():
    fault(
        GROUP,
        f"its outcome {_what}",
        "that run fails with a reason; the runs after it are sound",
    )(lambda place, name=_name: _beside_honest(place, f"tests.hostile_crawlers:{name}"))  # type: ignore[misc]


@fault(
    GROUP,
    "it is a coroutine function that nobody awaits",
    "its runs are INVALID; the others are sound",
)
def _(place: Place) -> str:
    return _beside_honest(place, f"{HARMFUL}:is_async")


@fault(
    GROUP,
    "it raises, with an escape sequence in the text",
    "its runs fail; the sequence is shown, not obeyed",
)
def _(place: Place) -> str:
    return _beside_honest(place, f"{HARMFUL}:raises", "crashed")


@fault(GROUP, "it dies of SIGABRT", "its runs fail: died of SIGABRT")
def _(place: Place) -> str:
    return _beside_honest(place, f"{HARMFUL}:aborts", "SIGABRT")


@fault(GROUP, "it ends its process with exit code 0", "its runs fail: no outcome")
def _(place: Place) -> str:
    return _beside_honest(place, f"{HARMFUL}:exits", "outcome")


@fault(
    GROUP,
    "it writes escape sequences to stderr",
    "its runs fail; the sequences are shown, not obeyed",
)
def _(place: Place) -> str:
    return _beside_honest(place, f"{HARMFUL}:escapes")


@fault(
    GROUP,
    "it floods the server with requests of other names",
    "its runs are INVALID; the others are sound",
)
def _(place: Place) -> str:
    return _beside_honest(place, f"{HARMFUL}:floods")


def _alone(place: Place, crawler: str) -> str:
    """A crawl that is to succeed all the same."""
    done = place.call("crawl", f"{HARMFUL}:{crawler}", "-n", 100, "-c", 5, "--delay", 1)
    must("Traceback (most recent" not in done.stderr, f"a traceback: {done.stderr[-300:]}")
    must(done.code == 0, f"exit code {done.code}: {done.last_line}")
    return "the crawl is sound"


@fault(GROUP, "it writes 200 MB to stderr", "the crawl is sound; no disk takes it")
def _(place: Place) -> str:
    return _alone(place, "screams")


@fault(
    GROUP,
    "it leaves a child in a session of its own",
    "the child does not outlive the run",
    is_fast=True,
)
def _(place: Place) -> str:
    return _alone(place, "daemonises")


@fault(GROUP, "it empties the temporary folder", "the crawl is sound, or fails in one line")
def _(place: Place) -> str:
    done = place.call("crawl", f"{HARMFUL}:unlinks", "-n", 100, "-c", 5, "--delay", 1)
    must("Traceback (most recent" not in done.stderr, f"a traceback: {done.stderr[-300:]}")
    must(done.code in (0, 1, 3), f"exit code {done.code}")
    return f"exit {done.code}: {done.last_line or 'sound'}"


@fault(GROUP, "it closes its stdin, and the bench is killed", "it does not outlive the bench")
def _(place: Place) -> str:
    process = place.start(*("crawl", f"{HARMFUL}:eats_stdin", "-n", 3000, "-c", 1, "--delay", 10))
    place.wait_for("the crawler runs", lambda: place.child("crawlers"))
    place.pause(0.5, 1.0)
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    return "nothing is left"
