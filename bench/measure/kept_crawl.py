"""Makes one crawl and keeps its results in a new folder."""

from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from bench.errors import StoreError
from bench.interrupts import HeldBack, hold_interrupts, interrupt_once
from bench.measure.carriers import Place
from bench.measure.machine import describe_environment
from bench.measure.pinning import choose_pinning, choose_server_processes, on_cpus
from bench.measure.progress import CrawlProgress
from bench.measure.runner import ProcessRunner, Target
from bench.measure.targets import private_server
from bench.measure.views import AUTO
from bench.measure.watching import Watch, watched
from bench.plan.crawl import CrawlExperiment
from bench.plan.experiment import PlannedRun
from bench.program import say
from bench.results.folder import exclusive_lock, link_latest, new_folder
from bench.results.run_result import RunResult
from bench.results.store import FILE_NAME, Store
from crawlers.trust import Trust


class KeptCrawl(NamedTuple):
    """A crawl whose results have been kept."""

    folder: Path
    result: RunResult
    is_interrupted: bool


def keep_crawl(
    asked: CrawlExperiment,
    planned: PlannedRun,
    target: Target | None,
    out: Path,
    place: Place | None = None,
    shown: str = AUTO,
) -> KeptCrawl:
    """Make the crawl and keep its results in a new folder in `out`.

    If `target` is None, a delay server is started for it. If `place` is given, the crawler runs
    there and not on this machine. `shown` is the view of the progress, one of bench.measure.views.
    The first Ctrl-C ends the crawl, and what was fetched so far is kept; a second one raises
    KeyboardInterrupt, unless it comes while that is being written. Raises StoreError, and what the
    runner or the start of the server raises; nothing is kept then.
    """
    served_by = choose_server_processes(
        asked.server_processes,
        planned.entrant.processes,
        has_shared_state=bool(asked.service.shared_flags()),
    )
    pinning = choose_pinning(served_by if target is None else 1, planned.entrant.processes)
    interruption = _Interruption()
    late: list[HeldBack] = []
    """Interruptions while what was fetched is read and written, which is not cut short."""
    folder = new_folder(out)
    try:
        with ExitStack() as stack:
            stack.enter_context(exclusive_lock(folder))
            created_utc = datetime.now(UTC).isoformat(timespec="seconds")
            environment = describe_environment(
                f"{pinning.note}; {place.note}" if place is not None else pinning.note
            )
            store = stack.enter_context(
                Store.create(folder / FILE_NAME, asked, 1, environment, created_utc)
            )
            if target is None:
                target = stack.enter_context(
                    private_server(
                        pinning, [planned], served_by, place.bind if place is not None else ""
                    )
                )
            trust = Trust(asked.cafile, asked.is_insecure)
            runner = ProcessRunner(
                replace(target, trust=trust),
                asked.timeout_s,
                pinning,
                on_interrupt=interruption,
                on_ended=lambda: late.append(stack.enter_context(hold_interrupts())),
                carrier=place.carrier if place is not None else None,
            )
            stack.enter_context(on_cpus(pinning.server))
            progress = CrawlProgress(runner.limit_s(planned))
            with watched(asked, [planned], target, folder, progress, shown) as watch:
                interruption.watch = watch
                watch.started(planned)
                result = runner.run(planned)
                store.append(result)
                watch.kept(result)
                is_cut = interruption.has_come or bool(result.failure)
                ending = "interrupted" if interruption.has_come else "runs failed"
                watch.end(ending if is_cut else "done", folder)
    except BaseException:
        _remove_if_empty(folder)
        raise
    link_latest(folder, asked.kind)
    is_interrupted = interruption.has_come or any(one.has_come for one in late)
    return KeptCrawl(folder, result, is_interrupted)


class _Interruption:
    """Handler of the first Ctrl-C."""

    def __init__(self) -> None:
        self.has_come = False
        self.watch: Watch | None = None

    def __call__(self) -> None:
        self.has_come = True
        # An interruption in the middle of printing would have the line printed twice.
        with hold_interrupts() as held_back:
            interrupt_once()
            if self.watch is not None:
                self.watch.make_room()
            say("interrupted: collecting what was fetched; press Ctrl-C again to stop at once")
        if held_back.has_come:
            raise KeyboardInterrupt


def _remove_if_empty(folder: Path) -> None:
    """Remove a new folder of results that contains no run; its file may not even be begun."""
    with suppress(StoreError), Store.open(folder / FILE_NAME) as store:
        if store.runs():
            return
    with suppress(OSError):
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
