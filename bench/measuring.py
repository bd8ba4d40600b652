"""Does an experiment, from the beginning or from where it was interrupted, and keeps every run."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bench.environment import describe_environment, differences
from bench.experiment import PRIMES, Asked, PlannedRun
from bench.limits import check_count, check_limits
from bench.pinning import choose_pinning, pin
from bench.program import PROGRAM
from bench.progress import expected_s, progress_on_stderr, span_shown
from bench.readiness import installed, printable
from bench.results import find_file, held, new_folder
from bench.runner import ProcessRunner, RunResult, ServerGoneError
from bench.store import FILE_NAME, Store, StoreError
from bench.sweep import sweep
from bench.targets import private_server


def measure(asked: Asked, out: Path, latest: str = "latest") -> tuple[Path | None, bool]:
    """Do an experiment: the folder of its results, None if it was interrupted; whether runs failed.

    What was measured before an interruption is kept. Raises what names a mistake: StoreError,
    TooMuchError, CrawlerNotInstalledError and so on.
    """
    runs = _order(asked)
    check_limits(runs)
    folder = new_folder(out, latest=latest)
    environment = describe_environment(choose_pinning().note)
    created_utc = datetime.now(UTC).isoformat(timespec="seconds")
    _announce(runs, folder)
    with held(folder):
        store = Store.create(folder / FILE_NAME, asked, len(runs), environment, created_utc)
        return _run_all(runs, store, asked)


def resume(folder: Path) -> tuple[Path | None, bool]:
    """Do what is missing of an experiment; as `measure`. Raises StoreError."""
    path = find_file(folder)
    with held(path.parent):
        return _resume(path)


def _resume(path: Path) -> tuple[Path | None, bool]:
    store = Store.open(path)
    try:
        store.check()
        asked = _asked(store)
        _say_foreign(asked)
        missing = _missing(asked, store)
        if missing:
            check_limits(missing)
            environment = describe_environment(choose_pinning().note)
            different = list(differences(store.environment(), environment))
            store.note_resumption(datetime.now(UTC).isoformat(timespec="seconds"), different)
            for difference in different:
                print(f"crawlbench: since it was begun, {difference}", file=sys.stderr)
    except BaseException:
        store.close()
        raise
    if not missing:
        store.close()
        print(f"nothing is missing in {path.parent}", file=sys.stderr)
        return path.parent, False
    _announce(missing, path.parent)
    return _run_all(missing, store, asked)


def _say_foreign(asked: Asked) -> None:
    """What is not of this package, and is run because the file says so."""
    for entrant in asked.entrants:
        if entrant.python or (":" in entrant.crawler and not entrant.crawler.startswith("bench.")):
            print(
                f"crawlbench: the results name a program, which is run: {entrant}", file=sys.stderr
            )


def _asked(store: Store) -> Asked:
    asked = store.asked()
    if asked["kind"] != PRIMES:
        return store.experiment()
    from bench.primes.experiment import PrimesExperiment

    try:
        return PrimesExperiment.from_json(asked)
    except (ValueError, TypeError, LookupError) as error:
        raise StoreError(f"cannot read {store.path}: {error}") from error


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
        is_same = was is None or (
            *(was.role, was.trial, was.crawler, was.concurrency, was.delay, was.work),
        ) == (
            *(run.role, run.trial, run.cell.crawler, run.cell.concurrency, run.cell.delay),
            run.work,
        )
        if not is_same:
            raise StoreError(
                f"cannot go on with {store.path}: its run {run.number} is not the one that this "
                "version of crawlbench plans: use the version that began it"
            )
    return [run for run in planned if run.number not in done]


def _announce(runs: Sequence[PlannedRun], folder: Path) -> None:
    span = span_shown(sum(expected_s(run) for run in runs))
    note = choose_pinning().note
    print(f"{len(runs)} runs, about {span}; results in {folder}; {note}", file=sys.stderr)


def _run_all(runs: Sequence[PlannedRun], opened: Store, asked: Asked) -> tuple[Path | None, bool]:
    folder = opened.path.parent
    pinning = choose_pinning()
    with ExitStack() as stack:
        store = stack.enter_context(opened)
        target = stack.enter_context(private_server(pinning, runs))
        stack.enter_context(_on_cpus(pinning.server))
        progress = stack.enter_context(progress_on_stderr(runs))
        try:
            failed = sweep(
                runs,
                ProcessRunner(target, asked.timeout_s, pinning),
                store,
                progress.start,
                progress.done,
            )
        except KeyboardInterrupt:
            print(
                f"\ncrawlbench: interrupted; {_what_is_kept(progress.count, runs, folder)}; look "
                f"at them with {PROGRAM} report {folder}, {PROGRAM} plots {folder}",
                file=sys.stderr,
            )
            return None, False
        except (ServerGoneError, StoreError) as error:
            error.args = (f"{error}; {_what_is_kept(progress.count, runs, folder)}",)
            raise
    _print_failures(failed)
    return folder, bool(failed)


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
