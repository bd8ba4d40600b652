"""Disks that are full, read-only or not there, and streams that take nothing."""

import shlex
import shutil
import subprocess

from tests.faults.place import Done, Place, must
from tests.faults.table import NotHereError, fault

GROUP = "disk"
_SMALL = (
    "run",
    "--crawlers",
    "protocol",
    "--concurrency",
    "1",
    "--delay",
    "1",
    "-n",
    6,
    "--trials",
    1,
)


def _on_small_disk(place: Place, folder: str, size: str, script: str) -> Done:
    """Run a script in namespaces of its own, where a folder of the place is a small disk."""
    unshare = shutil.which("unshare")
    if unshare is None:
        raise NotHereError("no unshare")
    mount = f"mount -t tmpfs -o size={size} none {shlex.quote(str(place.folder / folder))}"
    probe = subprocess.run([unshare, "-rm", "true"], capture_output=True, check=False)
    if probe.returncode:
        raise NotHereError("this system gives no namespaces to users")
    (place.folder / folder).mkdir(exist_ok=True)
    return place.run([unshare, "-rm", "bash", "-c", f"{mount} && {{ {script} ; }}"])


def _words(place: Place, *words: object) -> str:
    return shlex.join(place.command(*words))


@fault(
    GROUP,
    "the disk of results fills up in mid-sweep",
    "exit 3; one line names the file and --resume; after room was made, --resume does the rest",
)
def _(place: Place) -> str:
    sweep = _words(
        place,
        "run",
        "--crawlers",
        "protocol",
        "--concurrency",
        "10",
        "--delay",
        "0",
        "-n",
        2000,
        "--trials",
        8,
        "--out",
        place.out,
    )
    resume = _words(place, "run", "--resume") + f" {shlex.quote(str(place.out))}/latest/"
    filler = shlex.quote(str(place.out / "filler"))
    script = (
        f"head -c 1000000 /dev/zero >{filler}; {sweep}; echo code $? >&2; rm {filler}; "
        f"mount -o remount,size=40m {shlex.quote(str(place.out))}; {resume}; echo code $? >&2"
    )
    done = _on_small_disk(place, "out", "3m", script)
    codes = [line for line in done.stderr.splitlines() if line.startswith("code ")]
    must(codes[:1] == ["code 3"], f"{codes}: {done.stderr[-400:]}")
    must("--resume" in done.stderr.partition("code 3")[0], f"no --resume: {done.stderr[-400:]}")
    must(codes[1:] in (["code 0"], ["code 1"]), f"--resume: {codes}: {done.stderr[-400:]}")
    must("Traceback" not in done.stderr, "a traceback")
    line = done.stderr.partition("code 3")[0].strip().splitlines()[-1]
    return f"exit 3: {line}; then resumed"


@fault(GROUP, "the disk of results is full from the start", "exit 3; one line names the folder")
def _(place: Place) -> str:
    filler = shlex.quote(str(place.out / "filler"))
    script = f"head -c 2000000 /dev/zero >{filler}; {_words(place, *_SMALL, '--out', place.out)}"
    return _on_small_disk(place, "out", "1m", script).must_say(3, str(place.out))


@fault(GROUP, "the temporary disk is full", "it is not needed, or one line says that it is full")
def _(place: Place) -> str:
    filler = shlex.quote(str(place.temporary / "filler"))
    crawl = _words(place, "crawl", "protocol", "-n", 3000, "-c", 10, "--delay", 0)
    script = f"head -c 2000000 /dev/zero >{filler}; {crawl}"
    done = _on_small_disk(place, "tmp", "1m", script)
    must(done.code in (0, 3), f"exit code {done.code}: {done.last_line}")
    must("Traceback" not in done.stderr, "a traceback")
    must(done.code == 0 or "space" in done.stderr, f"no reason: {done.last_line}")
    return f"exit {done.code}: {done.last_line or 'sound'}"


@fault(GROUP, "TMPDIR names a folder that is not there", "it is not needed, or one line says so")
def _(place: Place) -> str:
    done = place.call(
        "crawl", "protocol", "-n", 5, "-c", 1, "--delay", 1, environment={"TMPDIR": "/nonexistent"}
    )
    must(done.code in (0, 3), f"exit code {done.code}: {done.last_line}")
    must("Traceback" not in done.stderr, "a traceback")
    return f"exit {done.code}"


@fault(GROUP, "results go to a read-only disk", "exit 3; one line names the folder and --out")
def _(place: Place) -> str:
    run = _words(place, *_SMALL, "--out", place.out)
    script = f"mount -o remount,ro {shlex.quote(str(place.out))}; {run}"
    return _on_small_disk(place, "out", "1m", script).must_say(3, str(place.out), "--out")


@fault(GROUP, "results of a read-only disk are read", "`report` shows them")
def _(place: Place) -> str:
    run = _words(place, *_SMALL, "--out", place.out)
    report = _words(place, "report") + f" {shlex.quote(str(place.out))}/latest"
    script = f"{run} >&2 || exit 9; mount -o remount,ro {shlex.quote(str(place.out))}; {report}"
    done = _on_small_disk(place, "out", "9m", script)
    must("protocol" in done.stdout, f"exit {done.code}: {done.last_line}")
    return f"exit {done.code}, with its tables"


@fault(GROUP, "--out is a file", "exit 3; one line names it", is_fast=True)
def _(place: Place) -> str:
    place.out.write_text("not a folder")
    return place.call(*_SMALL, "--out", place.out).must_say(3, str(place.out))


@fault(
    GROUP,
    "the folder of results is removed in mid-sweep",
    "exit 3; one line says so; nothing is left",
)
def _(place: Place) -> str:
    process = place.sweep()
    place.wait_for("runs are kept", lambda: place.kept() >= 1)
    shutil.rmtree(place.out, ignore_errors=True)
    done = place.end(process)
    must("Traceback" not in done.stderr, f"a traceback: {done.stderr[-300:]}")
    must(done.code in (1, 3), f"exit code {done.code}: {done.last_line}")
    return f"exit {done.code}: {done.last_line[:120]}"


def _to_full_device(place: Place, redirection: str, *words: object) -> Done:
    return place.run(["bash", "-c", f'"$@" {redirection}', "bash", *place.command(*words)])


@fault(GROUP, "stdout takes nothing (>/dev/full)", "exit 3; one line on stderr", is_fast=True)
def _(place: Place) -> str:
    return _to_full_device(place, ">/dev/full", "list").must_say(3, "No space left")


@fault(GROUP, "stderr takes nothing (2>/dev/full)", "the results are printed all the same")
def _(place: Place) -> str:
    done = _to_full_device(place, "2>/dev/full", *_SMALL, "--out", place.out)
    must("protocol" in done.stdout, f"exit {done.code}, and stdout has {done.stdout[-200:]!r}")
    return f"exit {done.code}, tables on stdout"


@fault(
    GROUP,
    "no standard streams at all (<&- >&- 2>&-)",
    "the runs are kept; nothing is written into results",
)
def _(place: Place) -> str:
    done = _to_full_device(place, "<&- >&- 2>&-", *_SMALL, "--out", place.out)
    must(done.code in (0, 1), f"exit code {done.code}")
    place.must_keep(3)
    return f"exit {done.code}, {place.kept()} runs kept"
