"""What the verbs that measure do: run, crawl, calibrate. Each returns its exit code."""

import json
import sys
from argparse import Namespace
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from bench.cli.options import DEFAULT_OUT, DEFAULT_SEED, DEFAULT_TIMEOUT_S
from bench.exit_codes import (
    EXIT_INTERRUPTED,
    EXIT_OK,
    EXIT_REQUESTS_FAILED,
    EXIT_USAGE,
)
from bench.kinds import kind_of
from bench.measure.limits import check_limits, check_server
from bench.measure.pinning import choose_pinning
from bench.measure.readiness import chosen_entrants, floor, installed
from bench.measure.runner import ProcessRunner, Target
from bench.measure.session import Ending, measure, print_failure, resume
from bench.measure.targets import private_server, read_urls, recognise, recognise_urls
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.experiment import CALIBRATION, Experiment, PlannedRun
from bench.plan.presets import CHAPTER, QUICK, STANDARD
from bench.results.run_result import RunResult
from crawlers.contract import ERROR_WORDS
from crawlers.trust import Trust

if TYPE_CHECKING:
    from bench.analysis.cells import Trial

_DEFAULT_DELAY = Delay.fixed(100_000)
_DEFAULT_REQUESTS = 1000
_CALIBRATION_CONCURRENCY = 10
_SHOWN_FAILURES = 10


def run_experiment(arguments: Namespace) -> int:
    """`crawlbench run`: the sweep, tables, plots, the page."""
    from bench.cli import reading

    if arguments.allow_foreign and arguments.resume is None:
        _say("--allow-foreign belongs to --resume DIR: without it you name the programs yourself")
        return EXIT_USAGE
    if arguments.resume is None:
        measured = measure(_experiment(arguments), arguments.out or DEFAULT_OUT)
    elif beside := _given_beside_resume(arguments):
        _say(f"--resume goes on with what was asked before: leave out {', '.join(beside)}")
        return EXIT_USAGE
    else:
        measured = resume(arguments.resume, kind_of, allow_foreign=arguments.allow_foreign)
    if measured.ending is Ending.INTERRUPTED:
        return EXIT_INTERRUPTED
    code = reading.show(measured.folder, arguments.format, is_wide=arguments.wide)
    return EXIT_REQUESTS_FAILED if measured.ending is Ending.RUNS_FAILED else code


def _given_beside_resume(arguments: Namespace) -> list[str]:
    """Options that say what to measure."""
    about_results = ("function", "resume", "format", "allow_foreign", "wide")
    return [
        f"--{name}"
        for name, value in vars(arguments).items()
        if name not in about_results and value not in (None, False)
    ]


def calibrate(arguments: Namespace) -> int:
    """`crawlbench calibrate`: what each crawler adds to delays that are known."""
    from bench.cli import reading

    asked = Experiment(
        entrants=chosen_entrants(arguments.crawlers),
        concurrencies=(_CALIBRATION_CONCURRENCY,),
        delays=(arguments.delay,),
        trials=1,
        waves=1,
        seed=_seed(arguments),
        timeout_s=arguments.timeout or DEFAULT_TIMEOUT_S,
        requests=arguments.requests,
        floor=floor(),
        kind=CALIBRATION,
    )
    measured = measure(asked, arguments.out or DEFAULT_OUT)
    if measured.ending is Ending.INTERRUPTED:
        return EXIT_INTERRUPTED
    code = reading.show(measured.folder, is_wide=arguments.wide)
    return EXIT_REQUESTS_FAILED if measured.ending is Ending.RUNS_FAILED else code


def crawl_once(arguments: Namespace) -> int:
    """`crawlbench crawl NAME`: one run through the runner, in detail."""
    from bench.analysis.validity import Level
    from bench.cli.one_run import run_once

    urls = read_urls(arguments.urls) if arguments.urls else ()
    if urls and (arguments.url or arguments.delay is not None or arguments.requests):
        _say("--urls says what is fetched, and how often: leave out --url, --delay and -n")
        return EXIT_USAGE
    target, why_no_ledger = recognise_urls(urls) if urls else (None, "")
    if why_no_ledger:
        _say(f"these URLs are of a crawlbench server, whose ledger is not used: {why_no_ledger}")
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
        delays=(_delay(arguments, target),),
        trials=1,
        waves=1,
        seed=_seed(arguments),
        timeout_s=arguments.timeout or DEFAULT_TIMEOUT_S,
        requests=len(urls) or arguments.requests or _DEFAULT_REQUESTS,
    )
    (planned,) = asked.order({entrant.label: info.max_concurrency})
    check_limits([planned])
    pinning = choose_pinning()
    with ExitStack() as stack:
        if target is not None:
            if target.is_ours:
                check_server(target, planned.cell.concurrency)
        elif arguments.url:
            target = recognise(arguments.url)
            if not _may_crawl(target, planned, arguments.delay is not None):
                return EXIT_USAGE
        else:
            target = stack.enter_context(private_server(pinning, [planned]))
        target = replace(target, trust=Trust(arguments.cafile or "", arguments.insecure))
        runner = ProcessRunner(target, asked.timeout_s, pinning)
        result, trial = run_once(asked, planned, runner, target.plans)
    if result.failure:
        print_failure(result)
        return EXIT_REQUESTS_FAILED
    if trial.summary is None:
        _say("not one request was recorded")
        return EXIT_REQUESTS_FAILED
    _print_trial(trial, as_json=arguments.json, is_wide=arguments.wide)
    if urls or not target.is_ours:
        _print_failed(result, target)
    is_sound = not trial.summary.errors and trial.verdict.level is not Level.INVALID
    return EXIT_OK if is_sound else EXIT_REQUESTS_FAILED


def _delay(arguments: Namespace, target: Target | None) -> Delay:
    """As asked for; of URLs of one run, the range of what they ask for."""
    if target is not None and target.plans:
        delays_us = [plan.delay_us for plan in target.plans]
        return Delay(min(delays_us), max(delays_us))
    return _DEFAULT_DELAY if arguments.delay is None else arguments.delay


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


def _print_failed(result: RunResult, target: Target) -> None:
    """Of servers that are not ours: which URLs failed, on stderr, and what may help."""
    assert result.outcome is not None
    fetches = result.outcome.fetches
    failed: dict[str, int] = {}
    for seq, status, code in sorted(
        zip(fetches["seq"], fetches["status"], fetches["error"], strict=True)
    ):
        if not code and status < 400:
            continue
        url = target.urls[seq] if seq < len(target.urls) else target.url
        what = f"{ERROR_WORDS[code] or f'status {status}'}: {url}"
        failed[what] = failed.get(what, 0) + 1
    for what, count in list(failed.items())[:_SHOWN_FAILURES]:
        print(f"    {what}{f' ({count} times)' if count > 1 else ''}", file=sys.stderr)
    if len(failed) > _SHOWN_FAILURES:
        print(f"    and {len(failed) - _SHOWN_FAILURES} more", file=sys.stderr)
    if any(what.startswith("connect: https:") for what in failed):
        _say(
            "connect, of https: refused, no such host, or a certificate that is not trusted: "
            "--cafile names an authority, --insecure accepts any"
        )


def _print_trial(trial: "Trial", *, as_json: bool, is_wide: bool) -> None:
    from bench.analysis.bottleneck import bottleneck
    from bench.report.run import print_run
    from bench.report.tables import make_console

    assert trial.summary is not None
    if not as_json:
        print_run(trial.run, trial.summary, trial.verdict, make_console(is_wide=is_wide))
        return
    told = {
        "crawler": trial.run.crawler,
        "verdict": trial.verdict.level.name,
        "reasons": [
            {"level": one.word, "check": one.check, "text": one.text}
            for one in trial.verdict.reasons
        ],
        "limited_by": asdict(bottleneck(trial.summary, trial.verdict)),
        **asdict(trial.summary),
    }
    print(json.dumps(told, indent=2))


def _say(text: str) -> None:
    print(f"crawlbench: {text}", file=sys.stderr)


def _seed(arguments: Namespace) -> int:
    return DEFAULT_SEED if arguments.seed is None else int(arguments.seed)


def _experiment(arguments: Namespace) -> Experiment:
    preset = QUICK if arguments.quick else CHAPTER if arguments.chapter else STANDARD
    named = arguments.crawlers or tuple(Entrant(name, name) for name in preset.crawlers)
    return Experiment(
        entrants=chosen_entrants(named),
        concurrencies=arguments.concurrency or preset.concurrencies,
        delays=arguments.delay or preset.delays,
        trials=arguments.trials or preset.trials,
        waves=arguments.waves or preset.waves,
        # Waves that are asked for are not overruled by a number of requests that is not.
        requests=arguments.requests or (0 if arguments.waves else preset.requests),
        seed=_seed(arguments),
        timeout_s=arguments.timeout or DEFAULT_TIMEOUT_S,
        floor=floor(),
    )
