"""`crawlbench crawl NAME`: one run through the runner, in detail."""

import json
import sys
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from bench.cli.options import (
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    add_seed,
    add_timeout,
    add_wide,
    checked_delay,
    checked_entrant,
)
from bench.errors import UsageError
from bench.exit_codes import EXIT_OK, EXIT_REQUESTS_FAILED
from bench.plan.delays import Delay
from bench.plan.experiment import Experiment, PlannedRun
from bench.program import PROGRAM, say
from crawlers.checked import add_trust_options, checked_count, checked_url
from crawlers.contract import failure_word

if TYPE_CHECKING:
    from bench.analysis.cells import Trial
    from bench.measure.runner import Target
    from bench.results.run_result import RunResult

_DEFAULT_DELAY = Delay.fixed(100_000)
_DEFAULT_REQUESTS = 1000
_SHOWN_FAILURES = 10

DESCRIPTION = """\
Makes one crawl in a fresh process and describes it in detail: against a delay
server of its own, or against URL. If URL is the address of a crawlbench
server, its ledger is used; any other URL is fetched as it is."""

EXAMPLES = (
    ("crawl asyncio -n 5000 -c 100 --delay 100", "5000 requests, 100 at a time"),
    ("crawl mine:crawl -n 20 -c 1", "the function crawl of your own mine.py"),
    ("crawl asyncio -c 5 --urls urls.txt", "every URL of a list, once"),
)


def add_options(parser: ArgumentParser) -> None:
    """Who crawls, and what."""
    parser.add_argument(
        "crawler",
        type=checked_entrant,
        metavar="NAME",
        help=f"a crawler, as {PROGRAM} list names it, or your own as ./mine.py:crawl; "
        "NAME@PYTHON runs it on another interpreter",
    )
    parser.add_argument(
        "-n",
        "--requests",
        type=checked_count,
        metavar="N",
        help=f"how many requests to make (default: {_DEFAULT_REQUESTS})",
    )
    parser.add_argument(
        "-c",
        "--concurrency",
        type=checked_count,
        default=100,
        metavar="C",
        help="requests in flight at a time (default: 100)",
    )
    parser.add_argument(
        "--delay",
        type=checked_delay,
        metavar="MS",
        help="delay of the server in ms; 20-200 draws each evenly from that range (default: 100)",
    )
    parser.add_argument(
        "--url", type=checked_url, help="crawl this URL instead of a server of its own"
    )
    parser.add_argument(
        "--urls",
        metavar="FILE",
        help="fetch every URL in FILE once, one URL per line, - for stdin; if they are /add URLs "
        "of one crawlbench server with one name= and seq=0, 1, ..., they are checked with its "
        "ledger",
    )
    add_trust_options(parser)
    add_seed(parser)
    add_timeout(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Crawl, then print what came of it."""
    from bench.analysis.validity import Level
    from bench.cli.one_run import run_once
    from bench.measure.limits import check_limits, check_server
    from bench.measure.pinning import choose_pinning
    from bench.measure.readiness import chosen_entrants, installed
    from bench.measure.runner import ProcessRunner
    from bench.measure.session import print_failure
    from bench.measure.targets import private_server, read_urls, recognise, recognise_urls
    from crawlers.trust import Trust

    urls = read_urls(arguments.urls) if arguments.urls else ()
    if urls and (arguments.url or arguments.delay is not None or arguments.requests):
        raise UsageError(
            "--urls says what is fetched, and how often: leave out --url, --delay and -n"
        )
    target, why_no_ledger = recognise_urls(urls) if urls else (None, "")
    if why_no_ledger:
        say(f"these URLs are of a crawlbench server, whose ledger is not used: {why_no_ledger}")
    (entrant,) = chosen_entrants((arguments.crawler,))
    info = installed(entrant)
    if arguments.concurrency > info.max_concurrency:
        say(
            f"{info.name} fetches {info.max_concurrency} at a time: "
            f"-c {arguments.concurrency} is taken for that"
        )
    asked = Experiment(
        entrants=(entrant,),
        concurrencies=(min(arguments.concurrency, info.max_concurrency),),
        delays=(_delay(arguments, target),),
        trials=1,
        waves=1,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
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
            _check_target(target, planned, arguments.delay is not None)
        else:
            target = stack.enter_context(private_server(pinning, [planned]))
        target = replace(target, trust=Trust(arguments.cafile or "", arguments.insecure))
        runner = ProcessRunner(target, asked.timeout_s, pinning)
        result, trial = run_once(asked, planned, runner, target.plans)
    if result.failure:
        print_failure(result)
        return EXIT_REQUESTS_FAILED
    if trial.summary is None:
        say("not one request was recorded")
        return EXIT_REQUESTS_FAILED
    _print_trial(trial, as_json=arguments.json, is_wide=arguments.wide)
    if urls or not target.is_ours:
        _print_failed(result, target)
    is_sound = not trial.summary.errors and trial.verdict.level is not Level.INVALID
    return EXIT_OK if is_sound else EXIT_REQUESTS_FAILED


def _delay(arguments: Namespace, target: "Target | None") -> Delay:
    """As asked for; of URLs of one run, the range of what they ask for."""
    if target is not None and target.plans:
        delays_us = [plan.delay_us for plan in target.plans]
        return Delay(min(delays_us), max(delays_us))
    asked: Delay | None = arguments.delay
    return _DEFAULT_DELAY if asked is None else asked


def _check_target(target: "Target", planned: PlannedRun, has_delay: bool) -> None:
    """Whether a URL can be crawled as asked; says so where it is not as one may think.

    Raises UsageError, TooMuchError, server.control_client.ControlError.
    """
    from bench.measure.limits import check_server

    if target.is_ours:
        check_server(target, planned.cell.concurrency)
        return
    what = f"{target.url} is not the address of a crawlbench server"
    if has_delay:
        raise UsageError(
            f"{what}, so that --delay cannot be asked for: give the address alone, or leave "
            "--delay out"
        )
    say(f"{what}: it is fetched as it is, and there is no ledger")


def _print_failed(result: "RunResult", target: "Target") -> None:
    """Of servers that are not ours: which URLs failed, on stderr, and what may help."""
    assert result.outcome is not None
    fetches = result.outcome.fetches
    failed: dict[str, int] = {}
    for seq, status, code in sorted(
        zip(fetches["seq"], fetches["status"], fetches["error"], strict=True)
    ):
        word = failure_word(code, status, is_planned=target.is_ours)
        if not word:
            continue
        url = target.urls[seq] if seq < len(target.urls) else target.url
        what = f"{word}: {url}"
        failed[what] = failed.get(what, 0) + 1
    for what, count in list(failed.items())[:_SHOWN_FAILURES]:
        print(f"    {what}{f' ({count} times)' if count > 1 else ''}", file=sys.stderr)
    if len(failed) > _SHOWN_FAILURES:
        print(f"    and {len(failed) - _SHOWN_FAILURES} more", file=sys.stderr)
    if any(what.startswith("connect: https:") for what in failed):
        say(
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
        **trial.summary.to_json(),
    }
    print(json.dumps(told, indent=2))
