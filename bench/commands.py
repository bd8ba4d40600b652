"""What each verb of the command line does; returns its exit code."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.environment import describe_environment
from bench.experiment import Experiment, PlannedRun
from bench.limits import check_limits
from bench.pinning import choose_pinning, pin
from bench.progress import expected_s, progress_on_stderr, span_shown
from bench.results import find_file, new_folder
from bench.runner import ProcessRunner, RunResult
from bench.store import FILE_NAME, Store
from bench.sweep import sweep
from bench.targets import private_server, recognise
from crawlers.registry import CrawlerInfo, CrawlerNotInstalledError, find

EXIT_OK = 0
EXIT_REQUESTS_FAILED = 1
EXIT_USAGE = 2
EXIT_ENVIRONMENT = 3
EXIT_INTERRUPTED = 130

_DEFAULT_DELAY_US = 100_000


def run_experiment(arguments: Namespace) -> int:
    """`crawlbench run`: the sweep, a table, the plots."""
    asked = _experiment(arguments)
    infos = [_installed(name) for name in asked.crawlers]
    runs = asked.order({info.name: info.max_concurrency for info in infos})
    check_limits(runs)
    folder = new_folder(arguments.out)
    pinning = choose_pinning()
    span = span_shown(sum(expected_s(run) for run in runs))
    print(
        f"{len(runs)} runs, about {span}; results in {folder}; {pinning.note}",
        file=sys.stderr,
    )
    with ExitStack() as stack:
        target = stack.enter_context(private_server(pinning, runs))
        store = stack.enter_context(
            Store.create(
                folder / FILE_NAME,
                asked,
                len(runs),
                describe_environment(pinning.note),
                datetime.now(UTC).isoformat(timespec="seconds"),
            )
        )
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
                f"\ncrawlbench: interrupted; {progress.count} of {len(runs)} runs are kept in "
                f"{folder}: look at them with crawlbench report, crawlbench plots",
                file=sys.stderr,
            )
            return EXIT_INTERRUPTED
    for result in failed:
        _print_failure(result)
    try:
        code = report(Namespace(folder=folder, all=False))
    except BrokenPipeError:  # nobody reads the table; the plots are still wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_OK
    drawn = _draw(folder)
    return EXIT_REQUESTS_FAILED if failed else code or drawn


def crawl_once(arguments: Namespace) -> int:
    """`crawlbench crawl NAME`: one run through the runner, in detail."""
    from bench.report import load_run, make_console, print_run

    info = _installed(arguments.crawler)
    if arguments.concurrency > info.max_concurrency:
        print(
            f"crawlbench: {info.name} fetches {info.max_concurrency} at a time: "
            f"-c {arguments.concurrency} is taken for that",
            file=sys.stderr,
        )
    concurrency = min(arguments.concurrency, info.max_concurrency)
    asked = Experiment(
        crawlers=(info.name,),
        concurrencies=(concurrency,),
        delay_us=_DEFAULT_DELAY_US if arguments.delay is None else arguments.delay,
        trials=1,
        waves=1,
        seed=0,
        timeout_s=arguments.timeout,
    )
    (cell,) = asked.cells({info.name: info.max_concurrency})
    planned = PlannedRun(1, 1, cell, arguments.requests)
    check_limits([planned])
    pinning = choose_pinning()
    with ExitStack() as stack:
        if arguments.url:
            target = recognise(arguments.url)
            if not target.is_ours and arguments.delay is not None:
                print(
                    f"crawlbench: {target.url} is not the address of a crawlbench server, so that "
                    "--delay cannot be asked for: give the address alone, or leave --delay out",
                    file=sys.stderr,
                )
                return EXIT_USAGE
            if not target.is_ours:
                print(
                    f"crawlbench: {target.url} is not the address of a crawlbench server: it is "
                    "fetched as it is, and there is no ledger",
                    file=sys.stderr,
                )
        else:
            target = stack.enter_context(private_server(pinning, [planned]))
        result = ProcessRunner(target, asked.timeout_s, pinning).run(planned)
        if result.failure:
            _print_failure(result)
            return EXIT_REQUESTS_FAILED
        # Through a results file, so that there is one way from a run to its numbers.
        path = Path(stack.enter_context(TemporaryDirectory(prefix="crawlbench-"))) / FILE_NAME
        store = stack.enter_context(Store.create(path, asked, 1, {}, result.started_utc))
        store.append(result)
        (run,) = store.runs()
        summary = load_run(store, run)
        if summary is None:
            print("crawlbench: not one request was recorded", file=sys.stderr)
            return EXIT_REQUESTS_FAILED
        if arguments.json:
            print(json.dumps({"crawler": info.name, **asdict(summary)}, indent=2))
        else:
            print_run(run, summary, make_console())
    return EXIT_REQUESTS_FAILED if summary.errors or summary.troubles else EXIT_OK


def report(arguments: Namespace) -> int:
    """`crawlbench report`: the table of an experiment."""
    from bench.report import load_cells, make_console, print_report

    with Store.open(find_file(arguments.folder)) as store:
        cells = load_cells(store)
        print_report(store, cells, make_console(), show_all=arguments.all)
    return EXIT_OK if all(cell.is_clean for cell in cells) else EXIT_REQUESTS_FAILED


def plots(arguments: Namespace) -> int:
    """`crawlbench plots`: draw the figures of an experiment again."""
    return _draw(find_file(arguments.folder).parent)


def list_crawlers(_: Namespace) -> int:
    """`crawlbench list`."""
    from bench.report import make_console, print_crawlers

    print_crawlers(make_console())
    return EXIT_OK


def _experiment(arguments: Namespace) -> Experiment:
    trials, concurrencies = (1, (1, 10, 100)) if arguments.quick else (3, (1, 10, 100, 250, 500))
    return Experiment(
        crawlers=arguments.crawlers,
        concurrencies=arguments.concurrency or concurrencies,
        delay_us=arguments.delay,
        trials=arguments.trials or trials,
        waves=arguments.waves,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
    )


def _installed(name: str) -> CrawlerInfo:
    """Raises UnknownCrawlerError, CrawlerNotInstalledError."""
    from bench.report import install_command, installed_versions

    info = find(name)
    if not info.libraries:
        _check_brought_along(name)
    elif not installed_versions(info):
        raise CrawlerNotInstalledError(
            f"crawler {name!r} is not installed: {install_command(info)}"
        )
    return info


def _check_brought_along(name: str) -> None:
    """Raises CrawlerNotInstalledError if it cannot be imported, in a process of its own."""
    command = [sys.executable, "-P", "-m", "crawlers", "--can-load", name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise CrawlerNotInstalledError(said.removeprefix("crawlers: "))


@contextmanager
def _on_cpus(cpus: frozenset[int]) -> Iterator[None]:
    """Keep this process on these CPUs for a while: off the one that is measured."""
    before = frozenset(os.sched_getaffinity(0)) if cpus else cpus
    pin(0, cpus)
    try:
        yield
    finally:
        pin(0, before)


def _print_failure(result: RunResult) -> None:
    cell = result.planned.cell
    print(
        f"crawlbench: {cell.crawler} at {cell.concurrency}, trial {result.planned.trial}: "
        f"{result.failure}",
        file=sys.stderr,
    )
    for line in result.stderr_tail.splitlines()[-5:]:
        print(f"    {line}", file=sys.stderr)


def _draw(folder: Path) -> int:
    """The plots, by a process of their own: bench does not import them. Returns its exit code."""
    sys.stdout.flush()
    command = [sys.executable, "-P", "-m", "plots", str(folder)]
    # In a session of its own, Ctrl-C reaches it through us alone.
    return subprocess.run(command, start_new_session=True).returncode
