"""Makes the runs of an experiment, or resumes an interrupted one, and keeps every run."""

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.errors import StoreError
from bench.measure.carriers import CarrierGoneError, Place
from bench.measure.environments import is_own_environment
from bench.measure.limits import check_count, check_limits, check_server
from bench.measure.machine import describe_environment
from bench.measure.pinning import (
    Pinning,
    choose_pinning,
    choose_server_processes,
    of_running_server,
    on_cpus,
)
from bench.measure.progress import PlannedProgress, Progress, expected_s
from bench.measure.readiness import installed
from bench.measure.runner import ProcessRunner, ServerGoneError, Target
from bench.measure.sweep import sweep
from bench.measure.targets import private_server, sweep_target
from bench.measure.views import AUTO
from bench.measure.watching import watched
from bench.plan.entrants import Entrant
from bench.plan.experiment import Asked, Experiment, PlannedRun
from bench.printable import printable
from bench.program import PROGRAM
from bench.results.environment import differences
from bench.results.folder import exclusive_lock, find_file, link_latest, new_folder
from bench.results.run_result import RunResult
from bench.results.schema import RunRow
from bench.results.store import FILE_NAME, Store
from bench.wording import format_count, format_span, is_or_are
from crawlers.registry import REGISTRY, find
from crawlers.trust import Trust


class Ending(Enum):
    """How an experiment ended."""

    DONE = "done"
    RUNS_FAILED = "runs failed"
    """All runs were made, and some of them failed."""
    INTERRUPTED = "interrupted"


class Measured(NamedTuple):
    """An experiment that was completed or interrupted."""

    folder: Path
    """The folder of its results."""
    ending: Ending


def measure(
    asked: Asked,
    out: Path,
    target: Target | None = None,
    place: Place | None = None,
    shown: str = AUTO,
) -> Measured:
    """Make all runs of an experiment, and keep them in a new folder in `out`.

    If `target` is None, a delay server is started for them. If `place` is given, crawlers run there
    and not on this machine. `shown` is the view of the progress, one of bench.measure.views. After
    Ctrl-C, the runs that were made are kept. Raises errors that name a mistake, such as StoreError,
    TooMuchError and CrawlerNotInstalledError.
    """
    runs = _order(asked)
    _check(runs, target)
    folder = new_folder(out)
    note = _note(asked, target, place)
    environment = describe_environment(note)
    created_utc = datetime.now(UTC).isoformat(timespec="seconds")
    _announce(note, runs, folder, target)
    with exclusive_lock(folder):
        store = Store.create(folder / FILE_NAME, asked, len(runs), environment, created_utc)
        session = _Session(runs, PlannedProgress(runs), place=place, shown=shown)
        return _run_all(runs, store, asked, target, session)


class Search(Protocol):
    """An experiment in which each run depends on those before it."""

    @property
    def largest(self) -> Sequence[PlannedRun]:
        """The runs that need the most of this machine and of the server."""

    @property
    def progress(self) -> Progress:
        """Where the progress is noted."""

    def runs(self, store: Store) -> Iterator[PlannedRun]:
        """Yield each run. Those before it have been kept in the store."""


def measure_search(
    asked: Asked,
    search: Search,
    out: Path,
    announced: str,
    target: Target | None = None,
    shown: str = AUTO,
) -> Measured:
    """Make the runs of a search, and keep them in a new folder in `out`.

    `announced` says on stderr what comes. Otherwise as `measure`.
    """
    _check(search.largest, target)
    folder = new_folder(out)
    pinning = _pinning(asked, target)
    environment = describe_environment(pinning.note)
    created_utc = datetime.now(UTC).isoformat(timespec="seconds")
    print(f"{announced}; results in {folder}\n{pinning.note}", file=sys.stderr)
    with exclusive_lock(folder):
        store = Store.create(folder / FILE_NAME, asked, 0, environment, created_utc)
        session = _Session(search.largest, search.progress, can_resume=False, shown=shown)
        return _run_all(search.runs(store), store, asked, target, session)


class Kind(Protocol):
    """What `resume` must know about a kind of experiment. bench.kinds has all kinds."""

    @property
    def asked(self) -> type[Asked]:
        """The class of its experiments."""

    @property
    def why_not_resumed(self) -> str:
        """Why an experiment of this kind cannot be resumed; "" if it can."""

    @property
    def programs(self) -> frozenset[str]:
        """Its crawlers that are part of this package and not in the registry."""


def resume(
    folder: Path,
    kind_of: Callable[[Store], Kind],
    *,
    allow_foreign: bool,
    may_load_any_host: bool = False,
    place: Place | None = None,
    shown: str = AUTO,
) -> Measured:
    """Make the missing runs of an interrupted experiment. Raises StoreError, and as `measure`.

    If `allow_foreign`, programs that the file names may be run even if they are not part of this
    package. If `may_load_any_host`, the URLs that it names may be of another host.
    """
    path = find_file(folder)
    with exclusive_lock(path.parent):
        return _resume(path, kind_of, allow_foreign, may_load_any_host, place, shown)


def _resume(
    path: Path,
    kind_of: Callable[[Store], Kind],
    allow_foreign: bool,
    may_load_any_host: bool,
    place: Place | None,
    shown: str,
) -> Measured:
    store = Store.open(path, may_write=True)
    try:
        store.check()
        kind = kind_of(store)
        if kind.why_not_resumed:
            raise StoreError(f"cannot resume {path.parent}: {kind.why_not_resumed}")
        asked = store.read_asked(kind.asked)
        _check_foreign(asked, kind.programs, path.parent, allow_foreign)
        missing = _missing(asked, store)
        if missing:
            _check_place(asked, path.parent, place)
        target = _target_of(asked, path, may_load_any_host) if missing else None
        if missing:
            _check(missing, target)
            environment = describe_environment(_note(asked, target, place))
            different = list(differences(store.environment(), environment))
            copy = store.upgrade()
            if copy is not None:
                print(
                    f"crawlbench: {path} has an older format and is upgraded; the original is kept "
                    f"as {copy}",
                    file=sys.stderr,
                )
            store.note_resumption(datetime.now(UTC).isoformat(timespec="seconds"), different)
            for difference in different:
                print(
                    f"crawlbench: since the start of the experiment, {difference}", file=sys.stderr
                )
    except BaseException:
        store.close()
        raise
    if not missing:
        store.close()
        print(f"all runs of {path.parent} have been made already", file=sys.stderr)
        return Measured(path.parent, Ending.DONE)
    _announce(_note(asked, target, place), missing, path.parent, target)
    session = _Session(missing, PlannedProgress(missing), place=place, shown=shown)
    return _run_all(missing, store, asked, target, session)


def _target_of(asked: Asked, path: Path, may_load_any_host: bool) -> Target | None:
    """Return the server that an experiment was begun with; None for one of its own."""
    if not isinstance(asked, Experiment) or not (asked.url or asked.urls):
        return None
    trust = Trust(asked.cafile, asked.is_insecure)
    target = sweep_target(asked.url, asked.urls, trust, may_load_any_host=may_load_any_host)
    if target.is_ours != bool(asked.floor):
        now = "is" if target.is_ours else "is not"
        raise StoreError(
            f"cannot resume {path.parent}: {target.url} {now} a crawlbench server, unlike when the "
            "experiment began"
        )
    return target


def _check_place(asked: Asked, folder: Path, place: Place | None) -> None:
    """Raise StoreError if an experiment was begun elsewhere.

    The cluster that a file names is not connected: it could have this machine run programs.
    """
    begun_at = _place_options(asked)
    if begun_at and place is None:
        raise StoreError(
            f"cannot resume {folder}: it was begun on a cluster: if you trust that, add "
            f"{printable(begun_at)}"
        )
    if place is not None and not begun_at:
        raise StoreError(
            f"cannot resume {folder}: it was begun on this machine: leave out --cluster"
        )


def _place_options(asked: Asked) -> str:
    return shlex.join(asked.place_options()) if isinstance(asked, Experiment) else ""


def _check(runs: Sequence[PlannedRun], target: Target | None) -> None:
    check_limits(runs)
    if target is not None and target.is_ours:
        check_server(target, max(run.cell.concurrency for run in runs))


def _pinning(asked: Asked, target: Target | None) -> Pinning:
    most = max(one.processes for one in asked.entrants)
    if target is not None:
        return of_running_server(choose_pinning(1, most))
    return choose_pinning(_server_processes(asked), most)


def _note(asked: Asked, target: Target | None, place: Place | None) -> str:
    """Return which process runs where, in one line."""
    note = _pinning(asked, target).note
    return f"{note}; {place.note}" if place is not None else note


def _server_processes(asked: Asked) -> int:
    if not isinstance(asked, Experiment):
        return 1
    most = max(one.processes for one in asked.entrants)
    is_shared = bool(asked.service.shared_flags())
    return choose_server_processes(asked.server_processes, most, has_shared_state=is_shared)


def _check_foreign(
    asked: Asked, of_its_kind: frozenset[str], folder: Path, is_allowed: bool
) -> None:
    """Raise StoreError if the file names programs outside this package, unless they are allowed."""
    runs = asked.order({one.label: find(one.crawler).max_concurrency for one in asked.entrants})
    ours = {info.name for info in REGISTRY} | of_its_kind
    # Everything that would be started, including the crawler that measures the server's ceiling.
    entrants = dict.fromkeys((*asked.entrants, *(run.entrant for run in runs)))
    foreign = [str(one) for one in entrants if _has_foreign_python(one) or one.crawler not in ours]
    if foreign and not is_allowed:
        raise StoreError(
            f"the results in {folder} name programs that are not part of crawlbench: "
            f"{', '.join(foreign)}; if you trust them, add --allow-foreign to run them"
        )
    for one in foreign:
        print(f"crawlbench: running a program that the results name: {one}", file=sys.stderr)


def _has_foreign_python(entrant: Entrant) -> bool:
    """Whether it runs on another interpreter than ours and those of environments made here."""
    return bool(entrant.python) and not is_own_environment(entrant.python)


def _order(asked: Asked) -> tuple[PlannedRun, ...]:
    infos = {entrant.label: installed(entrant) for entrant in asked.entrants}
    max_concurrency = {label: info.max_concurrency for label, info in infos.items()}
    check_count(asked.count(max_concurrency))
    return asked.order(max_concurrency)


def _missing(asked: Asked, store: Store) -> list[PlannedRun]:
    """Return the runs to be made. Raises StoreError if runs that were made differ from the plan."""
    done = {run.number: run for run in store.runs()}
    planned = _order(asked)
    for run in planned:
        was = done.get(run.number)
        if was is not None and not _is_same(was, run):
            raise StoreError(
                f"cannot resume {store.path}: its run {run.number} differs from the plan of this "
                "version of crawlbench: use the version that started the experiment"
            )
    return [run for run in planned if run.number not in done]


def _is_same(was: RunRow, planned: PlannedRun) -> bool:
    """Return whether a run that was made matches the plan."""
    return (
        was.role == planned.role
        and was.trial == planned.trial
        and was.cell == planned.cell
        and was.work == planned.work
    )


def _announce(note: str, runs: Sequence[PlannedRun], folder: Path, target: Target | None) -> None:
    # Nobody knows how long a server takes that is not ours.
    is_foreign = target is not None and not target.is_ours
    span = "" if is_foreign else f", about {format_span(sum(expected_s(run) for run in runs))}"
    print(f"{format_count(len(runs), 'run')}{span}; results in {folder}\n{note}", file=sys.stderr)


class _Session(NamedTuple):
    largest: Sequence[PlannedRun]
    """All runs, or those that need the most."""
    progress: Progress
    can_resume: bool = True
    place: Place | None = None
    shown: str = AUTO
    """The view of the progress."""


def _run_all(
    runs: Iterable[PlannedRun],
    opened: Store,
    asked: Asked,
    target: Target | None,
    session: _Session,
) -> Measured:
    folder, progress = opened.path.parent, session.progress
    pinning = _pinning(asked, target)
    with ExitStack() as stack:
        store = stack.enter_context(opened)
        if target is None:
            target = stack.enter_context(
                private_server(
                    pinning,
                    session.largest,
                    _server_processes(asked),
                    session.place.bind if session.place is not None else "",
                )
            )
        stack.enter_context(on_cpus(pinning.server))
        watch = stack.enter_context(
            watched(asked, session.largest, target, folder, progress, session.shown)
        )
        is_begun = bool(store.runs())

        def kept(result: RunResult) -> None:
            nonlocal is_begun
            if not is_begun:  # `latest` leads to experiments with at least one run
                link_latest(folder, asked.kind)
            is_begun = True
            watch.kept(result)

        try:
            failed = sweep(
                runs,
                ProcessRunner(
                    target,
                    asked.timeout_s,
                    pinning,
                    carrier=session.place.carrier if session.place is not None else None,
                ),
                store,
                watch.started,
                kept,
            )
        except KeyboardInterrupt:
            watch.end("interrupted", folder)
            # Each command has its own line, so that it can be copied from a narrow terminal.
            made = _format_made(progress, folder)
            lines = [
                f"\ncrawlbench: interrupted; {made}",
                f"  to print tables:         {PROGRAM} report {folder}",
                f"  to draw figures:         {PROGRAM} plots {folder}",
            ]
            if session.can_resume:
                lines.append(f"  to make the other runs:  {_resume_command(asked, folder)}")
            print("\n".join(lines), file=sys.stderr)
            return Measured(folder, Ending.INTERRUPTED)
        except (ServerGoneError, CarrierGoneError, StoreError) as error:
            made = _format_made(progress, folder)
            if session.can_resume:
                made += f": {_resume_command(asked, folder)} makes the others"
            error.args = (f"{error}; {made}",)
            raise
        watch.end("runs failed" if failed else "done", folder)
    _print_failures(failed)
    return Measured(folder, Ending.RUNS_FAILED if failed else Ending.DONE)


def _format_made(progress: Progress, folder: Path) -> str:
    count = progress.count
    return f"{count} of {progress.total} runs {is_or_are(count)} kept in {folder}"


def _resume_command(asked: Asked, folder: Path) -> str:
    """Return the command that makes the missing runs."""
    has_foreign = any(
        _has_foreign_python(one)
        or (":" in one.crawler and not one.crawler.startswith(("bench.", "crawlers.")))
        for one in asked.entrants
    )
    allow = " --allow-foreign" if has_foreign else ""
    return f"{PROGRAM} run --resume {folder}{allow} {_place_options(asked)}".rstrip()


def _print_failures(failed: Sequence[RunResult]) -> None:
    """Print each failure of a crawler once, with the number of further runs that failed alike."""
    alike: dict[tuple[str, str, str], list[RunResult]] = {}
    for result in failed:
        last_line = (result.stderr_tail.splitlines() or [""])[-1]
        key = (result.planned.cell.crawler, result.failure, last_line)
        alike.setdefault(key, []).append(result)
    for results in alike.values():
        print_failure(results[0])
        if len(results) > 1:
            print(f"    and {len(results) - 1} more like it", file=sys.stderr)


def print_failure(result: RunResult) -> None:
    """Print why a run failed, and the last lines of its crawler's stderr, on stderr."""
    cell = result.planned.cell
    print(
        f"crawlbench: {cell.crawler} at {cell.concurrency}, trial {result.planned.trial}: "
        f"{result.failure}",
        file=sys.stderr,
    )
    for line in result.stderr_tail.splitlines()[-5:]:
        print(f"    {printable(line)}", file=sys.stderr)
