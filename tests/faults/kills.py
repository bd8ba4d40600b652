"""Processes that are killed or stopped at random instants."""

import signal

import psutil

from tests.faults.place import Place, ShortfallError, must, stop
from tests.faults.table import fault

GROUP = "kill"
_RESUMED = "no process or temporary file is left; finished runs are kept; --resume does the rest"


def _kill_bench(place: Place) -> str:
    """At a random instant of a sweep, from its start on."""
    process = place.sweep()
    at_s = place.pause(0.2, 4.0)
    before = place.kept()
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    kept = place.must_keep(before)
    return f"killed after {at_s:.2f} s: {kept}"


for _number in range(1, 7):
    fault(
        GROUP,
        f"the bench at a random instant of a sweep ({_number})",
        "no process or temporary file is left; finished runs are kept and can be read",
    )(_kill_bench)


def _kill_and_resume(place: Place, words: tuple[object, ...], runs: int, at_least: int) -> str:
    process = place.start(*words, "--out", place.out)
    place.wait_for("runs are kept", lambda: place.kept() >= at_least)
    place.pause(0.0, 0.5)
    before = place.kept()
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    resumed = place.call("run", "--resume", place.newest())
    must(resumed.code in (0, 1), f"--resume: exit {resumed.code}: {resumed.last_line}")
    must(place.kept() == runs, f"{place.kept()} of {runs} runs after --resume")
    return f"killed with {before} runs kept; {runs} of {runs} after --resume"


@fault(GROUP, "the bench in mid-sweep, then --resume", _RESUMED)
def _(place: Place) -> str:
    words = ("run", "--crawlers", "protocol", "--concurrency", "1,3", "--delay", "2", "-n", 30)
    return _kill_and_resume(place, (*words, "--trials", 5), 12, 3)


@fault(GROUP, "the bench in mid-primes, then --resume", _RESUMED)
def _(place: Place) -> str:
    words = ("primes", "--work", "primes", "--sizes", "64,128", "--delay", "5")
    return _kill_and_resume(
        place, (*words, "--savers", "no-io,batches,threads", "--trials", 2), 12, 3
    )


@fault(GROUP, "the bench while it stores a run of 200 000 requests", _RESUMED)
def _(place: Place) -> str:
    words = ("run", "--crawlers", "protocol", "--concurrency", "50", "--delay", "0")
    process = place.start(*words, "-n", 200_000, "--trials", 2, "--out", place.out)
    place.wait_for("the first run is kept", lambda: place.kept() >= 1)
    place.wait_for("a crawler runs", lambda: place.child("crawlers"))
    place.wait_for("it has ended", lambda: not place.child("crawlers"))
    place.pause(0.0, 1.0)
    before = place.kept()
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    return place.must_keep(before)


@fault(GROUP, "the bench while it draws", "no process is left; `plots` draws all figures again")
def _(place: Place) -> str:
    process = place.start(
        *("run", "--crawlers", "protocol", "--concurrency", "1,3", "--delay", "1", "-n", 6),
        *("--trials", 1, "--out", place.out),
    )
    place.wait_for("it draws", lambda: place.child("plots"))
    place.pause(0.0, 1.5)
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    drawn = place.call("plots", place.newest())
    must(drawn.code == 0, f"plots: exit {drawn.code}: {drawn.last_line}")
    must(not list(place.newest().glob(".*")), "hidden files are left among the results")
    return "killed while it drew; all figures drawn afterwards"


@fault(GROUP, "the process that draws", "one line that says so; a documented exit code")
def _(place: Place) -> str:
    process = place.start(
        *("run", "--crawlers", "protocol", "--concurrency", "1", "--delay", "1", "-n", 6),
        *("--trials", 1, "--out", place.out),
    )
    place.wait_for("it draws", lambda: place.child("plots"))
    stop(place.child("plots"))
    done = place.end(process)
    must("SIGKILL" in done.stderr, f"nothing says why: {done.last_line!r}")
    return done.must_say(3)


def _kill_server(place: Place) -> str:
    process = place.sweep()
    place.wait_for("runs are kept", lambda: place.kept() >= 2)
    place.pause(0.0, 1.0)
    before = place.kept()
    stop(place.child("server"))
    said = place.end(process).must_say(3, "the server is gone", "--resume")
    place.must_keep(before)
    return said


for _number in range(1, 4):
    fault(
        GROUP,
        f"the server at a random instant ({_number})",
        "exit 3; one line names the server and --resume; finished runs are kept",
    )(_kill_server)


@fault(GROUP, "the server before it listens", "exit 3, or 130; nothing is left")
def _(place: Place) -> str:
    process = place.sweep()
    place.wait_for("the server is there", lambda: place.child("server"))
    stop(place.child("server"))
    done = place.end(process)
    must(done.code == 3, f"exit code {done.code}: {done.last_line}")
    return done.must_say(3, "server")


def _killed(process: psutil.Process | None) -> bool:
    try:
        stop(process)
    except (ShortfallError, psutil.NoSuchProcess):
        return False
    return True


def _kill_crawler(place: Place) -> str:
    process = place.start(
        *(
            "run",
            "--crawlers",
            "protocol,asyncio",
            "--concurrency",
            "5",
            "--delay",
            "20",
            "-n",
            200,
        ),
        *("--trials", 1, "--out", place.out),
    )
    place.pause(0.0, 1.5)
    # Between two runs there is none, for a moment.
    place.wait_for("a crawler runs", lambda: _killed(place.child("crawlers")))
    done = place.end(process)
    must(place.kept() == 4, f"{place.kept()} of 4 runs")
    if done.code == 0:
        return "exit 0: it had left its outcome already"
    return done.must_say(1, "died of SIGKILL")


for _number in range(1, 4):
    fault(
        GROUP,
        f"a crawler at a random instant ({_number})",
        "that run is INVALID (died of SIGKILL), the others are done; exit 1",
    )(_kill_crawler)


def _stop_then_kill(place: Place, module: str) -> str:
    process = place.sweep()
    place.wait_for("runs are kept", lambda: place.kept() >= 1)
    # Its second thread watches what ties it to the bench: before, it has only begun to begin.
    place.wait_for(f"{module} runs", lambda: _has_threads(place.child(module)))
    stop(place.child(module), signal.SIGSTOP)
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    return f"{module} was stopped; nothing is left of it"


def _has_threads(process: psutil.Process | None) -> bool:
    try:
        return process is not None and process.num_threads() > 1
    except psutil.NoSuchProcess:
        return False


@fault(GROUP, "the bench, with its crawler stopped (SIGSTOP)", "no process is left")
def _(place: Place) -> str:
    return _stop_then_kill(place, "crawlers")


@fault(GROUP, "the bench, with its server stopped (SIGSTOP)", "no process is left")
def _(place: Place) -> str:
    return _stop_then_kill(place, "server")


@fault(GROUP, "a crawler stopped for 0.4 s in mid-run", "the run is SUSPECT (stall)")
def _(place: Place) -> str:
    process = place.start("crawl", "protocol", "-n", 300, "-c", 3, "--delay", "20")
    place.wait_for("the crawler runs", lambda: place.child("crawlers"))
    place.pause(0.5, 1.0)
    crawler = place.child("crawlers")
    stop(crawler, signal.SIGSTOP)
    place.pause(0.4, 0.5)
    stop(crawler, signal.SIGCONT)
    done = place.end(process)
    must("stood still" in done.stdout, "nothing is said of it")
    return "SUSPECT: it stood still"


@fault(GROUP, "the bench in `check`", "no process or temporary file is left")
def _(place: Place) -> str:
    process = place.start("check", "asyncio")
    at_s = place.pause(0.5, 3.0)
    process.kill()
    process.communicate()
    place.must_leave_nothing()
    return f"killed after {at_s:.2f} s"


@fault(GROUP, "everything of a sweep at once (kill -9 of all its processes)", _RESUMED)
def _(place: Place) -> str:
    process = place.sweep()
    place.wait_for("runs are kept", lambda: place.kept() >= 2)
    place.pause(0.0, 0.5)
    before = place.kept()
    for one in place.processes():
        one.kill()
    process.communicate()
    place.must_leave_nothing()
    return place.must_keep(before)
