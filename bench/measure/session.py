"""Does an experiment, from the beginning or from where it was interrupted, and keeps every run."""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from bench.errors import StoreError
from bench.measure.limits import check_count, check_limits
from bench.measure.machine import describe_environment
from bench.measure.pinning import choose_pinning, pin
from bench.measure.progress import expected_s, progress_on_stderr
from bench.measure.readiness import installed
from bench.measure.runner import ProcessRunner, ServerGoneError
from bench.measure.sweep import sweep
from bench.measure.targets import private_server
from bench.plan.experiment import Asked, PlannedRun
from bench.printable import printable
from bench.program import PROGRAM
from bench.results.environment import differences
from bench.results.folder import exclusive_lock, find_file, link_latest, new_folder
from bench.results.run_result import RunResult
from bench.results.schema import RunRow
from bench.results.store import FILE_NAME, Store
from bench.wording import format_span
from crawlers.registry import REGISTRY, find


class Ending(Enum):
    """How an experiment ended."""

    DONE = "done"
    RUNS_FAILED = "runs failed"
    """All runs were made, and some came to nothing."""
    INTERRUPTED = "interrupted"


class Measured(NamedTuple):
    """An experiment that was made, or begun."""

    folder: Path
    """Of its results."""
    ending: Ending


def measure(asked: Asked, out: Path) -> Measured:
    """Do an experiment.

    What was measured before an interruption is kept. Raises what names a mistake: StoreError,
    TooMuchError, CrawlerNotInstalledError and so on.
    """
    runs = _order(asked)
    check_limits(runs)
    folder = new_folder(out)
    environment = describe_environment(choose_pinning().note)
    created_utc = datetime.now(UTC).isoformat(timespec="seconds")
    _announce(runs, folder)
    with exclusive_lock(folder):
        store = Store.create(folder / FILE_NAME, asked, len(runs), environment, created_utc)
        return _run_all(runs, store, asked)


class Kind(Protocol):
    """What must be known of a kind of experiment to go on with one; bench.kinds has them."""

    @property
    def asked(self) -> type[Asked]:
        """The class of what is asked."""

    @property
    def programs(self) -> frozenset[str]:
        """Its crawlers that are of this package and not in the registry."""


def resume(folder: Path, kind_of: Callable[[Store], Kind], *, allow_foreign: bool) -> Measured:
    """Do what is missing of an experiment; as `measure`. Raises StoreError.

    `allow_foreign`: programs that the file names and that are not of this package may be run.
    """
    path = find_file(folder)
    with exclusive_lock(path.parent):
        return _resume(path, kind_of, allow_foreign)


def _resume(path: Path, kind_of: Callable[[Store], Kind], allow_foreign: bool) -> Measured:
    store = Store.open(path, may_write=True)
    try:
        store.check()
        kind = kind_of(store)
        asked = store.read_asked(kind.asked)
        _check_foreign(asked, kind.programs, path.parent, allow_foreign)
        missing = _missing(asked, store)
        if missing:
            check_limits(missing)
            environment = describe_environment(choose_pinning().note)
            different = list(differences(store.environment(), environment))
            copy = store.upgrade()
            if copy is not None:
                print(
                    f"crawlbench: {path} is of an older version and is brought up to date; a copy "
                    f"of it as it was is {copy}",
                    file=sys.stderr,
                )
            store.note_resumption(datetime.now(UTC).isoformat(timespec="seconds"), different)
            for difference in different:
                print(f"crawlbench: since it was begun, {difference}", file=sys.stderr)
    except BaseException:
        store.close()
        raise
    if not missing:
        store.close()
        print(f"nothing is missing in {path.parent}", file=sys.stderr)
        return Measured(path.parent, Ending.DONE)
    _announce(missing, path.parent)
    return _run_all(missing, store, asked)


def _check_foreign(
    asked: Asked, of_its_kind: frozenset[str], folder: Path, is_allowed: bool
) -> None:
    """What is not of this package would be run because the file says so. Raises StoreError."""
    runs = asked.order({one.label: find(one.crawler).max_concurrency for one in asked.entrants})
    ours = {info.name for info in REGISTRY} | of_its_kind
    # Whatever is to be started, the client that measures the server's ceiling included.
    entrants = dict.fromkeys((*asked.entrants, *(run.entrant for run in runs)))
    foreign = [str(one) for one in entrants if one.python or one.crawler not in ours]
    if foreign and not is_allowed:
        raise StoreError(
            f"the results in {folder} name programs that are not of this package: "
            f"{', '.join(foreign)}; if they are yours, --allow-foreign runs them"
        )
    for one in foreign:
        print(f"crawlbench: the results name a program, which is run: {one}", file=sys.stderr)


def _order(asked: Asked) -> tuple[PlannedRun, ...]:
    infos = {entrant.label: installed(entrant) for entrant in asked.entrants}
    max_concurrency = {label: info.max_concurrency for label, info in infos.items()}
    check_count(asked.count(max_concurrency))
    return asked.order(max_concurrency)


def _missing(asked: Asked, store: Store) -> list[PlannedRun]:
    """Raises StoreError where what was done is not what would be planned now."""
    done = {run.number: run for run in store.runs()}
    planned = _order(asked)
    for run in planned:
        was = done.get(run.number)
        if was is not None and not _is_same(was, run):
            raise StoreError(
                f"cannot go on with {store.path}: its run {run.number} is not the one that this "
                "version of crawlbench plans: use the version that began it"
            )
    return [run for run in planned if run.number not in done]


def _is_same(was: RunRow, planned: PlannedRun) -> bool:
    """Whether a run that was done is the one that is planned."""
    return (
        was.role == planned.role
        and was.trial == planned.trial
        and was.cell == planned.cell
        and was.work == planned.work
    )


def _announce(runs: Sequence[PlannedRun], folder: Path) -> None:
    span = format_span(sum(expected_s(run) for run in runs))
    note = choose_pinning().note
    print(f"{len(runs)} runs, about {span}; results in {folder}\n{note}", file=sys.stderr)


def _run_all(runs: Sequence[PlannedRun], opened: Store, asked: Asked) -> Measured:
    folder = opened.path.parent
    pinning = choose_pinning()
    with ExitStack() as stack:
        store = stack.enter_context(opened)
        target = stack.enter_context(private_server(pinning, runs))
        stack.enter_context(_on_cpus(pinning.server))
        progress = stack.enter_context(progress_on_stderr(runs))
        is_begun = bool(store.runs())

        def kept(result: RunResult) -> None:
            nonlocal is_begun
            if not is_begun:  # an experiment without a run is nothing to look at
                link_latest(folder, asked.kind)
            is_begun = True
            progress.done(result)

        try:
            failed = sweep(
                runs,
                ProcessRunner(target, asked.timeout_s, pinning),
                store,
                progress.start,
                kept,
            )
        except KeyboardInterrupt:
            # Each command on a line of its own: no terminal breaks it where it cannot be copied.
            print(
                f"\ncrawlbench: interrupted; {progress.count} of {len(runs)} runs are kept in "
                f"{folder}\n"
                f"  to look at them:    {PROGRAM} report {folder}\n"
                f"  to draw them:       {PROGRAM} plots {folder}\n"
                f"  to do the others:   {PROGRAM} run --resume {folder}",
                file=sys.stderr,
            )
            return Measured(folder, Ending.INTERRUPTED)
        except (ServerGoneError, StoreError) as error:
            error.args = (f"{error}; {_what_is_kept(progress.count, runs, folder)}",)
            raise
    _print_failures(failed)
    return Measured(folder, Ending.RUNS_FAILED if failed else Ending.DONE)


def _what_is_kept(done: int, runs: Sequence[PlannedRun], folder: Path) -> str:
    resume = f"{PROGRAM} run --resume {folder} does the others"
    return f"{done} of {len(runs)} runs are kept in {folder}: {resume}"


@contextmanager
def _on_cpus(cpus: frozenset[int]) -> Iterator[None]:
    """Keep this process on these CPUs for a while: off the one that is measured."""
    before = frozenset(os.sched_getaffinity(0)) if cpus else cpus
    pin(0, cpus)
    try:
        yield
    finally:
        pin(0, before)


def _print_failures(failed: Sequence[RunResult]) -> None:
    """Each failure of a crawler once, with how many more there were like it."""
    alike: dict[tuple[str, str, str], list[RunResult]] = {}
    for result in failed:
        last_line = (result.stderr_tail.splitlines() or [""])[-1]
        key = (result.planned.cell.crawler, result.failure, last_line)
        alike.setdefault(key, []).append(result)
    for results in alike.values():
        print_failure(results[0])
        if len(results) > 1:
            print(f"    and {len(results) - 1} runs more like it", file=sys.stderr)


def print_failure(result: RunResult) -> None:
    """Why a run came to nothing, and the last words of its crawler, on stderr."""
    cell = result.planned.cell
    print(
        f"crawlbench: {cell.crawler} at {cell.concurrency}, trial {result.planned.trial}: "
        f"{result.failure}",
        file=sys.stderr,
    )
    for line in result.stderr_tail.splitlines()[-5:]:
        print(f"    {printable(line)}", file=sys.stderr)
