"""The requests that the process of figures answers, as JSON lines."""

import ctypes
import json
import os
import select
import signal
import sys
from _thread import start_new_thread
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.errors import MachineError, UsageError
from bench.printable import shortened
from plots.interactive.assets import FILES
from plots.interactive.drawing import Drawn
from plots.interactive.live import live_figures
from plots.interactive.results import Compared, compare, figures_of, tables_of, timeline_of

JSON = Mapping[str, Any]
_M_MMAP_THRESHOLD = -3
"""As in malloc.h."""


def main() -> int:
    """Answer the requests on stdin until it ends, in their order, and return the exit code."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # a terminal sends it to the UI, too, which ends us
    _end_when_unread(sys.stdout.fileno())
    _give_memory_back()
    for line in sys.stdin:
        for answer in answers_to(line):
            print(answer, flush=True)
    return 0


def answers_to(line: str) -> Iterator[str]:
    """Yield the answers to a request, as JSON. Whatever is wrong is one answer with an `error`."""
    number = None
    try:
        request = json.loads(line)
        number = request["id"]
        for answer in _ANSWERS[request["do"]](request):
            yield _json({"id": number, **answer})
    except (MachineError, UsageError, OSError) as error:
        yield _json({"id": number, "error": shortened(str(error))})
    except Exception as error:  # the next request can be answered all the same
        text = f"{type(error).__name__}: {error}"
        yield _json({"id": number, "error": shortened(f"cannot answer the request: {text}")})


def _json(answer: JSON) -> str:
    """Return one line, of ASCII alone: names may hold what is no UTF-8. Raises ValueError."""
    return json.dumps(answer, allow_nan=False, separators=(",", ":"))


def _assets(_: JSON) -> Iterator[JSON]:
    yield {"files": {name: str(path) for name, path in FILES.items()}}


def _figures(request: JSON) -> Iterator[JSON]:
    yield from _as_answers(figures_of(Path(request["folder"])))


def _tables(request: JSON) -> Iterator[JSON]:
    yield {"text": tables_of(Path(request["folder"]))}
    yield {"done": True}


def _timeline(request: JSON) -> Iterator[JSON]:
    yield from _as_answers(timeline_of(Path(request["folder"])))


def _live(request: JSON) -> Iterator[JSON]:
    yield from _as_answers(live_figures(request["begun"]))


def _compare(request: JSON) -> Iterator[JSON]:
    one, other = map(Path, request["folders"])
    yield from _as_answers(compare([one, other]))


def _as_answers(every: Iterable[Drawn | Compared]) -> Iterator[JSON]:
    for one in every:
        yield {"figure" if isinstance(one, Drawn) else "comparison": one.as_json()}
    yield {"done": True}


_ANSWERS: Mapping[str, Callable[[JSON], Iterator[JSON]]] = {
    "assets": _assets,
    "figures": _figures,
    "tables": _tables,
    "timeline": _timeline,
    "live": _live,
    "compare": _compare,
}


def _end_when_unread(descriptor: int) -> None:
    """End this process as soon as nobody can read its answers any more, whatever it is doing."""

    def watch() -> None:
        poll = select.poll()
        poll.register(descriptor, 0)  # POLLERR and POLLHUP are always reported
        poll.poll()
        os._exit(141)

    start_new_thread(watch, ())


def _give_memory_back() -> None:
    """Have large arrays given back to the system as soon as they are freed, with glibc.

    It raises its threshold for that as they come and go, and the process then holds 70 MB more.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, 2**20)
