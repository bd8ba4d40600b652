"""What the verbs that measure do: run, crawl, calibrate. Each returns its exit code."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from bench.delays import Delay
from bench.entrants import Entrant, with_labels_of_their_own
from bench.environment import describe_environment
from bench.exit_codes import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REQUESTS_FAILED,
    EXIT_USAGE,
)
from bench.experiment import Experiment, PlannedRun
from bench.interpreters import check_interpreter, crawler_command
from bench.limits import check_limits, check_server
from bench.pinning import choose_pinning, pin
from bench.progress import expected_s, progress_on_stderr, span_shown
from bench.results import new_folder
from bench.runner import ProcessRunner, RunResult, Target
from bench.store import FILE_NAME, Store
from bench.sweep import sweep
from bench.targets import private_server, read_urls, recognise
from crawlers.registry import CrawlerInfo, CrawlerNotInstalledError, find, group
from crawlers.spec import CAN_LOAD
from crawlers.trust import Trust

if TYPE_CHECKING:
    from bench.cells import Trial

_DEFAULT_DELAY = Delay.fixed(100_000)
_DEFAULT_REQUESTS = 1000
_CALIBRATION_CONCURRENCY = 10
_LOAD_S = 60.0
"""In which an interpreter must have imported a crawler."""


def run_experiment(arguments: Namespace) -> int:
    """`crawlbench run`: the sweep, a table, the plots."""
    from bench import reading

    folder, failed = _measure(_experiment(arguments), arguments.out)
    if folder is None:
        return EXIT_INTERRUPTED
    try:
        code = reading.report(Namespace(folder=folder, all=False, split=False))
    except BrokenPipeError:  # nobody reads the table; the plots are still wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_OK
    drawn = reading.draw(folder)
    return EXIT_REQUESTS_FAILED if failed else code or drawn


def calibrate(arguments: Namespace) -> int:
    """`crawlbench calibrate`: what each crawler adds to delays that are known."""
    from bench import reading

    asked = Experiment(
        entrants=chosen_entrants(arguments.crawlers),
        concurrencies=(_CALIBRATION_CONCURRENCY,),
        delay=arguments.delay,
        trials=1,
        waves=1,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        requests=arguments.requests,
        floor=_floor(),
    )
    folder, failed = _measure(asked, arguments.out, "latest-calibration")
    if folder is None:
        return EXIT_INTERRUPTED
    code = reading.calibration(Namespace(folder=folder))
    return EXIT_REQUESTS_FAILED if failed else code


def _measure(asked: Experiment, out: Path, latest: str = "latest") -> tuple[Path | None, bool]:
    """Do an experiment: the folder of its results, None if it was interrupted; whether runs failed.

    What was measured before an interruption is kept.
    """
    infos = {entrant.label: installed(entrant) for entrant in asked.entrants}
    runs = asked.order({label: info.max_concurrency for label, info in infos.items()})
    check_limits(runs)
    folder = new_folder(out, latest=latest)
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
            return None, False
    _print_failures(failed)
    return folder, bool(failed)


def crawl_once(arguments: Namespace) -> int:
    """`crawlbench crawl NAME`: one run through the runner, in detail."""
    from bench.single import run_once
    from bench.validity import Level

    urls = read_urls(arguments.urls) if arguments.urls else ()
    if urls and (arguments.url or arguments.delay is not None or arguments.requests):
        _say("--urls says what is fetched, and how often: leave out --url, --delay and -n")
        return EXIT_USAGE
    (entrant,) = chosen_entrants((arguments.crawler,))
    info = installed(entrant)
    if arguments.concurrency > info.max_concurrency:
        _say(
            f"{info.name} fetches {info.max_concurrency} at a time: "
            f"-c {arguments.concurrency} is taken for that"
        )
    asked = Experiment(
        entrants=(entrant,),
        concurrencies=(min(arguments.concurrency, info.max_concurrency),),
        delay=_DEFAULT_DELAY if arguments.delay is None else arguments.delay,
        trials=1,
        waves=1,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        requests=len(urls) or arguments.requests or _DEFAULT_REQUESTS,
    )
    (planned,) = asked.order({entrant.label: info.max_concurrency})
    check_limits([planned])
    pinning = choose_pinning()
    with ExitStack() as stack:
        if urls:
            target = Target(urls[0], "", urls)
        elif arguments.url:
            target = recognise(arguments.url)
            if not _may_crawl(target, planned, arguments.delay is not None):
                return EXIT_USAGE
        else:
            target = stack.enter_context(private_server(pinning, [planned]))
        target = replace(target, trust=Trust(arguments.cafile or "", arguments.insecure))
        runner = ProcessRunner(target, asked.timeout_s, pinning)
        result, trial = run_once(asked, planned, runner)
    if result.failure:
        _print_failure(result)
        return EXIT_REQUESTS_FAILED
    if trial.summary is None:
        _say("not one request was recorded")
        return EXIT_REQUESTS_FAILED
    _print_trial(trial, as_json=arguments.json)
    is_sound = not trial.summary.errors and trial.verdict.level is not Level.INVALID
    return EXIT_OK if is_sound else EXIT_REQUESTS_FAILED


def _may_crawl(target: Target, planned: PlannedRun, has_delay: bool) -> bool:
    """Whether a URL can be crawled as asked; says so where it cannot, or not as one may think.

    Raises TooMuchError, server.control_client.ControlError.
    """
    if target.is_ours:
        check_server(target, planned.cell.concurrency)
        return True
    what = f"{target.url} is not the address of a crawlbench server"
    if has_delay:
        _say(
            f"{what}, so that --delay cannot be asked for: give the address alone, or leave "
            "--delay out"
        )
        return False
    _say(f"{what}: it is fetched as it is, and there is no ledger")
    return True


def _print_trial(trial: "Trial", *, as_json: bool) -> None:
    from bench.bottleneck import bottleneck
    from bench.report import print_run
    from bench.tables import make_console

    assert trial.summary is not None
    if not as_json:
        print_run(trial.run, trial.summary, trial.verdict, make_console())
        return
    told = {
        "crawler": trial.run.crawler,
        "verdict": trial.verdict.level.name,
        "reasons": [
            {"level": one.level.name, "check": one.check, "text": one.text}
            for one in trial.verdict.reasons
        ],
        "limited_by": asdict(bottleneck(trial.summary, trial.verdict)),
        **asdict(trial.summary),
    }
    print(json.dumps(told, indent=2))


def _say(text: str) -> None:
    print(f"crawlbench: {text}", file=sys.stderr)


def _experiment(arguments: Namespace) -> Experiment:
    trials, concurrencies = (1, (1, 10, 100)) if arguments.quick else (3, (1, 10, 100, 250, 500))
    return Experiment(
        entrants=chosen_entrants(arguments.crawlers),
        concurrencies=arguments.concurrency or concurrencies,
        delay=arguments.delay,
        trials=arguments.trials or trials,
        waves=arguments.waves,
        requests=arguments.requests,
        seed=arguments.seed,
        timeout_s=arguments.timeout,
        floor=_floor(),
    )


def chosen_entrants(named: Sequence[Entrant]) -> tuple[Entrant, ...]:
    """With labels of their own, and paths that stay right in another folder."""
    absolute = [
        replace(entrant, python=str(Path(entrant.python).absolute())) if entrant.python else entrant
        for one in named
        for entrant in _members(one)
    ]
    return with_labels_of_their_own(absolute)


def _members(named: Entrant) -> list[Entrant]:
    """The entrants of a group that are installed here; another entrant is its own only member."""
    from bench.listing import install_command, installed_versions

    infos = group(named.crawler)
    if not infos:
        return [named]
    missing = [info for info in infos if not installed_versions(info)]
    for info in missing:
        _say(f"{info.name} is left out, it is not installed: {install_command(info)}")
    return [Entrant(info.name, info.name, named.python) for info in infos if info not in missing]


def _floor() -> str:
    """The fastest client there is here."""
    from bench.listing import installed_versions

    return "protocol-uvloop" if installed_versions(find("protocol-uvloop")) else "protocol"


def installed(entrant: Entrant) -> CrawlerInfo:
    """Raises UnknownCrawlerError, CrawlerNotInstalledError, InterpreterError."""
    from bench.listing import install_command, installed_versions

    info = find(entrant.crawler)
    check_interpreter(entrant)
    if entrant.python or not info.libraries:
        _check_loads(entrant)
    elif not installed_versions(info):
        raise CrawlerNotInstalledError(
            f"crawler {info.name!r} is not installed: {install_command(info)}"
        )
    return info


def _check_loads(entrant: Entrant) -> None:
    """Raises CrawlerNotInstalledError if it cannot be imported, in a process of its own."""
    command = crawler_command(entrant, "--can-load", entrant.crawler)
    where = f" (by {entrant.python})" if entrant.python else ""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LOAD_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = f"nothing heard for {_LOAD_S:g} s" if not isinstance(error, OSError) else error
        raise CrawlerNotInstalledError(
            f"crawler {entrant.crawler!r} cannot be loaded{where}: {reason}"
        ) from error
    if done.returncode or CAN_LOAD.encode() not in done.stdout:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}, and no answer"
        raise CrawlerNotInstalledError(_printable(reason.removeprefix("crawlers: ")) + where)


def _printable(text: str) -> str:
    """Without what would command a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)


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
        _print_failure(results[0])
        if len(results) > 1:
            print(f"    and {len(results) - 1} runs more like it", file=sys.stderr)


def _print_failure(result: RunResult) -> None:
    cell = result.planned.cell
    print(
        f"crawlbench: {cell.crawler} at {cell.concurrency}, trial {result.planned.trial}: "
        f"{result.failure}",
        file=sys.stderr,
    )
    for line in result.stderr_tail.splitlines()[-5:]:
        print(f"    {_printable(line)}", file=sys.stderr)
