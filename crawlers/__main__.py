"""One crawl in this process: the bench sends a spec on stdin (`--worker`), or users give flags."""

import os
import signal
import sys
from _thread import allocate_lock

if __name__ == "__main__" and not sys.flags.safe_path:
    # Without -P the current folder comes first, and a server.py there would hide our package.
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# While there is nothing to report, Ctrl-C ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from server.parent import adopt_orphans, continue_when_parent_ends, end_with_stdin, kill_own_group

if __name__ == "__main__" and sys.argv[1:] == ["--worker"]:
    continue_when_parent_ends()  # at once: a stopped process does not notice that stdin ends

# ruff: noqa: E402 - the imports take most of the time in which Ctrl-C may come
import argparse
import gc
import json
import platform
from array import array
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from time import monotonic_ns, process_time_ns
from time import sleep as _sleep  # kept here, because a library may replace it
from urllib.parse import urlsplit

from crawlers.checked import (
    add_trust_options,
    checked_count,
    checked_delay_us,
    checked_name,
    checked_rate,
    checked_seconds,
    checked_url,
)
from crawlers.contract import Crawl, Recorder, SharedIterator, failure_word
from crawlers.loading import load
from crawlers.registry import (
    FORMER_NAMES,
    REGISTRY,
    CrawlerInfo,
    CrawlerNotInstalledError,
    UnknownCrawlerError,
    find,
    located,
)
from crawlers.runtime import Runtime
from crawlers.spec import CAN_LOAD, READY, Spec, Usage, parse_start_line, write_outcome
from crawlers.trust import trust
from crawlers.work import WorkLog
from server.process_usage import (
    children_cpu_ns,
    descriptors_allowed,
    main_thread_times,
    peak_memory_bytes,
    raise_descriptor_limit,
    reap_children,
    unwaited_cpu_ns,
)
from server.standard_streams import run_program

EXIT_OK = 0
EXIT_REQUESTS_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Crawl; return the exit code."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    try:
        if arguments == ["--worker"]:
            return _work()
        if arguments[:1] == ["--can-load"]:
            return _load_alone(*arguments[1:])
        return _crawl_by_hand(arguments)
    except UnknownCrawlerError as error:
        print(f"crawlers: {error}", file=sys.stderr)
        return EXIT_USAGE
    except CrawlerNotInstalledError as error:
        print(f"crawlers: {error}", file=sys.stderr)
        return EXIT_ENVIRONMENT
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _load_alone(crawler: str, loop: str = "") -> int:
    """Load a crawler, and say what it runs on, which its libraries may change."""
    _use_loop(loop)
    load(find(crawler))
    print(CAN_LOAD)
    print(json.dumps(asdict(Runtime.of_this_process(loop))))
    return EXIT_OK


def _use_loop(name: str) -> None:
    """Have the crawler run on an event loop, unless the name is ""."""
    if name:
        from crawlers.loops import choose  # gevent must come before asyncio

        choose(name)


def _work() -> int:
    """Read a spec on stdin and write the outcome to what is now stdout; prints are discarded."""
    leave_at, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    spec = Spec.receive(sys.stdin.buffer)
    info = find(spec.crawler, spec.declared_as)
    recorder, log, meter = Recorder(), WorkLog(), Meter()
    site = None
    leaving = allocate_lock()  # before a crawler can patch it

    def leave(usage: Usage, recorder: Recorder, log: WorkLog) -> None:
        # The bench reads no further than it must, and says why itself.
        with suppress(BrokenPipeError), open(leave_at, "wb") as stream:  # noqa: PTH123 - no pathlib
            records = site.records() if site is not None else None
            runtime = Runtime.of_this_process(spec.loop)
            versions = _versions(info, spec.loop)
            write_outcome(stream, usage, versions, recorder, log, runtime, records)

    def leave_early() -> None:
        """The bench was interrupted: leave what there is so far, whatever the crawler is doing."""
        if not leaving.acquire(blocking=False):
            return  # all was done anyway
        try:
            if meter.has_begun:
                leave(meter.usage(), recorder.so_far(), WorkLog(log.first_due_ns))
        finally:
            os._exit(EXIT_INTERRUPTED)

    gate = StartGate()
    end_with_stdin(kill_own_group, partial(gate.read, leave_early))
    trust(spec.trust)
    _use_loop(spec.loop)
    crawl = load(info)
    if spec.work is not None:
        spec.work.load()  # now, while the clock is not running
    if spec.site is not None:  # only now, because gevent must come first
        from crawlers.spiders.running import SiteRun

        site = SiteRun(crawl, spec.site, spec.base_url)
        crawl = site.crawl
    os.write(leave_at, READY)
    spec = replace(spec, begin_ns=gate.wait())
    usage = _measure(crawl, spec, recorder, log, meter)
    leaving.acquire()  # and if it is taken, wait for the end of this process
    leave(usage, recorder, log)
    if site is not None:
        site.close()
    return EXIT_OK


def _crawl_by_hand(argv: Sequence[str]) -> int:
    arguments = _parser().parse_args(argv)
    if arguments.delay is not None and urlsplit(arguments.url).path not in ("", "/"):
        print(
            "crawlers: --delay needs --url to be the address of a server, without a path",
            file=sys.stderr,
        )
        return EXIT_USAGE
    info = find(located(arguments.crawler))
    if arguments.crawler in FORMER_NAMES:
        print(f"crawlers: {arguments.crawler} is now called {info.name}", file=sys.stderr)
    spec = Spec(
        crawler=info.name,
        concurrency=arguments.concurrency,
        timeout_s=arguments.timeout,
        base_url=arguments.url,
        is_planned=arguments.delay is not None,
        run_name=arguments.name,
        delays_us=array("I", [arguments.delay or 0]) * arguments.requests,
        cafile=arguments.cafile or "",
        is_insecure=arguments.insecure,
        due_after_ns=_due_after_ns(arguments.rate, arguments.requests),
    )
    if arguments.rate is not None and info.is_declared and not info.open_loop:
        print(
            f"crawlers: {info.name} cannot start requests when they are due: remove --rate, or use "
            "another crawler",
            file=sys.stderr,
        )
        return EXIT_USAGE
    if spec.concurrency > info.max_concurrency:
        print(
            f"crawlers: {info.name} fetches at most {info.max_concurrency} at a time: use "
            f"-c {info.max_concurrency}",
            file=sys.stderr,
        )
    trust(spec.trust)
    recorder = Recorder()
    crawl = load(info)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        _measure(crawl, spec, recorder, WorkLog(), Meter())
    except KeyboardInterrupt:
        print(_line(recorder, _failures(recorder, spec)))
        return EXIT_INTERRUPTED
    failures = _failures(recorder, spec)
    print(_line(recorder, failures))
    return EXIT_REQUESTS_FAILED if failures else EXIT_OK


def _due_after_ns(rate_per_s: float | None, requests: int) -> "array[int]":
    if rate_per_s is None:
        return array("q")
    return array("q", (int(seq / rate_per_s * 1e9) for seq in range(requests)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crawlers",
        description="Crawl by hand, and print one line: requests, errors, seconds, requests/s.",
        epilog="With --delay, URL is a delay server (python -m server), and each request asks it "
        "for that delay. Without, URL is fetched as it is, again and again. "
        "Exit codes: 0 ok, 1 requests failed, 2 usage, 3 environment, 130 interrupted.",
    )
    names = ", ".join(info.name for info in REGISTRY)
    parser.add_argument(
        "crawler",
        help=f"one of {names}; or your own, as ./mine.py:crawl or package.module:function",
    )
    parser.add_argument("--url", required=True, type=checked_url, help="http(s)://host[:port]/...")
    parser.add_argument(
        "-n",
        "--requests",
        type=checked_count,
        default=1000,
        help="number of requests (default: %(default)s)",
    )
    parser.add_argument(
        "-c",
        "--concurrency",
        type=checked_count,
        default=100,
        help="requests in flight at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--delay", type=checked_delay_us, metavar="MS", help="delay to ask the server for"
    )
    parser.add_argument(
        "--rate",
        type=checked_rate,
        metavar="R",
        help="start R requests per second, at even intervals, and not as soon as one is done; "
        "at most -c are in flight",
    )
    parser.add_argument(
        "--timeout",
        type=checked_seconds,
        default=10.0,
        metavar="S",
        help="time limit of a fetch (default: %(default)s)",
    )
    parser.add_argument(
        "--name",
        type=checked_name,
        default="by-hand",
        help="name of the run in the ledger (default: %(default)s)",
    )
    add_trust_options(parser)
    return parser


def _measure(crawl: Crawl, spec: Spec, recorder: Recorder, log: WorkLog, meter: "Meter") -> Usage:
    raise_descriptor_limit()
    if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # inherited from whoever started the bench
    adopt_orphans()
    jobs = SharedIterator(spec.jobs(log))
    meter.begin()
    with meter.pauses:
        crawl(jobs, spec.concurrency, spec.timeout_s, recorder)
    return meter.usage()


class StartGate:
    """Holds a crawl back until the bench says on stdin when it starts."""

    def __init__(self) -> None:
        self._is_closed = allocate_lock()  # before a crawler can patch it
        self._is_closed.acquire()
        self._at_ns = 0
        self._said = b""

    def read(self, leave_early: Callable[[], None], said: bytes) -> None:
        """Take what has come on stdin. Whatever comes after the start means to leave early."""
        if not self._is_closed.locked():
            return leave_early()
        self._said += said
        line, end, rest = self._said.partition(b"\n")
        if not end:
            return None
        try:
            self._at_ns = parse_start_line(line)
        except ValueError:  # before the start, too, it means to leave
            leave_early()
        self._is_closed.release()
        return leave_early() if rest else None

    def wait(self) -> int:
        """Return at the instant of the start, which is returned; 0 for a start at once."""
        self._is_closed.acquire()
        self._is_closed.release()
        left_ns = self._at_ns - monotonic_ns()
        if left_ns > 0:
            _sleep(left_ns / 1e9)
        return self._at_ns


class Meter:
    """Measures what a crawl costs its process."""

    def __init__(self) -> None:
        self.pauses = GcPauses()
        self.has_begun = False

    def begin(self) -> None:
        """Begin to measure."""
        reap_children()
        self._others_ns, self._living_ns = children_cpu_ns(), unwaited_cpu_ns() or 0
        self._times = main_thread_times()
        self._start_ns, self._start_cpu_ns = monotonic_ns(), process_time_ns()
        self.has_begun = True

    def usage(self) -> Usage:
        """From the beginning to now. Any thread may call it."""
        cpu_ns, end_ns = process_time_ns() - self._start_cpu_ns, monotonic_ns()
        before, times = self._times, main_thread_times()
        waited_for_ns = children_cpu_ns() - self._others_ns
        reap_children()
        living_ns = unwaited_cpu_ns()
        # The usage of processes that existed before does not belong to this crawl.
        unwaited_ns = children_cpu_ns() - self._others_ns - waited_for_ns
        unwaited_ns += (living_ns or 0) - self._living_ns
        return Usage(
            wall_ns=end_ns - self._start_ns,
            cpu_ns=cpu_ns + max(0, waited_for_ns + unwaited_ns),
            unwaited_cpu_ns=max(0, unwaited_ns) if living_ns is not None else None,
            peak_memory_bytes=peak_memory_bytes(),
            gc_pauses=self.pauses.count,
            gc_pause_ns=self.pauses.sum_ns,
            gc_longest_ns=self.pauses.longest_ns,
            main_cpu_ns=times.cpu_ns - before.cpu_ns if times and before else None,
            waited_ns=times.waited_ns - before.waited_ns if times and before else None,
            descriptors=descriptors_allowed(),
        )


class GcPauses:
    """Measures the pauses of the garbage collector inside its `with` block."""

    def __init__(self) -> None:
        self.count = self.sum_ns = self.longest_ns = 0
        self._start_ns = 0

    def __enter__(self) -> None:
        gc.callbacks.append(self._note)

    def __exit__(self, *_: object) -> None:
        gc.callbacks.remove(self._note)

    def _note(self, phase: str, _: object) -> None:
        if phase == "start":
            self._start_ns = monotonic_ns()
            return
        pause_ns = monotonic_ns() - self._start_ns
        self.count += 1
        self.sum_ns += pause_ns
        self.longest_ns = max(self.longest_ns, pause_ns)


def _versions(info: CrawlerInfo, loop: str) -> dict[str, str]:
    from importlib.metadata import version

    libraries = [*info.libraries]
    if loop:
        from crawlers.loops import distributions_of

        libraries += distributions_of(loop)
    return {
        "python": platform.python_version(),
        **{library: version(library) for library in libraries},
    }


def _failures(recorder: Recorder, spec: Spec) -> dict[str, int]:
    """Return how many fetches failed, by word."""
    columns = recorder.columns()
    counts: dict[str, int] = {}
    for status, code in zip(columns["status"], columns["error"], strict=True):
        word = failure_word(code, status, is_planned=spec.is_planned)
        if word:
            counts[word] = counts.get(word, 0) + 1
    return counts


def _line(recorder: Recorder, failures: dict[str, int]) -> str:
    if not len(recorder):
        return "0 requests"
    columns = recorder.columns()
    seconds = (max(columns["end_ns"]) - min(columns["start_ns"])) / 1e9
    words = ", ".join(f"{word} {count}" for word, count in failures.items())
    good = len(recorder) - sum(failures.values())
    return (
        f"{len(recorder)} requests, {sum(failures.values())} errors{f' ({words})' if words else ''}"
        f", {seconds:.3f} s, {good / seconds:.1f} requests/s"
    )


if __name__ == "__main__":
    sys.exit(run_program("crawlers", main))
