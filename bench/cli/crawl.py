"""`crawlbench crawl NAME`: makes one crawl and describes it in detail."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.cli.cluster_options import add_cluster, check_clock, cluster_of
from bench.cli.load_options import (
    add_delay,
    add_load,
    check_entrants,
    check_ports,
    load_arguments,
    options_for_our_server,
    warn_of_timeout,
)
from bench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    add_fail_if,
    add_out,
    add_progress,
    add_seed,
    add_sources,
    add_timeout,
    add_wide,
    checked_entrant,
)
from bench.cli.parallel_options import add_parallel, check_server_processes, with_processes
from bench.cli.runtime_options import add_runtimes, with_runtimes
from bench.errors import UsageError
from bench.exit_codes import EXIT_INTERRUPTED
from bench.plan.delays import Delay
from bench.program import PROGRAM, say
from crawlers.checked import checked_count

if TYPE_CHECKING:
    from bench.analysis.thresholds import Threshold
    from bench.measure.carriers import Place
    from bench.measure.kept_crawl import KeptCrawl
    from bench.measure.runner import Target

_DEFAULT_DELAY = Delay.fixed(100_000)
_DEFAULT_REQUESTS = 1000
_DEFAULT_CONCURRENCY = 100

DESCRIPTION = """\
Makes one crawl in a fresh process and describes it in detail: against a delay
server of its own, or against URL. If URL is the address of a crawlbench
server, its ledger is used; any other URL is fetched as it is. The results are
kept, and Ctrl-C keeps what was fetched so far."""

EXAMPLES = (
    ("crawl asyncio -n 5000 -c 100 --delay 100", "5000 requests, 100 at a time"),
    ("crawl mine:crawl -n 20 -c 1", "the function crawl of your own mine.py"),
    ("crawl asyncio -c 5 --urls urls.txt", "every URL of a list, once"),
    (
        "crawl asyncio --delay lognormal:median=120,p99=900 --rate 50",
        "50 requests per second for 10 s, to a service with a long tail",
    ),
    (
        "crawl asyncio -c 40 --capacity 10 --queue 20 --duration 5",
        "a service that serves 10 at a time, lets 20 wait and refuses others",
    ),
    (
        "crawl asyncio --python 3.13 --loop uvloop --delay 0",
        "on another interpreter and another event loop",
    ),
    ("crawl asyncio --cluster local:2", "shared among two workers of Dask on this machine"),
    ("crawl asyncio --fail-if 'p99>500' 'errors>0.1%'", "a check for CI"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the crawler and what it fetches."""
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
        help=f"how many requests to make (default: {_DEFAULT_REQUESTS}, or what --duration or "
        "--rate allows)",
    )
    parser.add_argument(
        "-c",
        "--concurrency",
        type=checked_count,
        metavar="C",
        help=f"requests in flight at a time (default: {_DEFAULT_CONCURRENCY}); with --rate, the "
        "most (default: the larger of 100 and 4 x rate x mean delay)",
    )
    add_delay(parser, may_be_many=False)
    add_load(parser, may_be_many=False)
    add_parallel(parser, may_be_many=False)
    add_runtimes(parser, may_be_many=False)
    add_cluster(parser)
    add_sources(
        parser,
        "crawl this URL instead of a server of its own",
        "fetch every URL in FILE once, one URL per line, - for stdin; if they are /add URLs "
        "of one crawlbench server with one name= and seq=0, 1, ..., they are checked with its "
        "ledger",
    )
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_progress(parser)
    add_fail_if(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Make the crawl, keep and print its results, and return the exit code."""
    with cluster_of(arguments) as place:
        kept = _kept(arguments, place)
    return _show(kept, arguments.fail_if, as_json=arguments.json, is_wide=arguments.wide)


def _kept(arguments: Namespace, place: "Place | None") -> "KeptCrawl":
    """Make the crawl and keep its results."""
    from bench.measure.kept_crawl import keep_crawl
    from bench.measure.limits import check_limits, check_server, ports_allowed
    from bench.measure.readiness import chosen_entrants, installed
    from bench.measure.targets import check_options, read_urls, recognise, recognise_urls
    from bench.plan.crawl import CrawlExperiment

    urls = read_urls(arguments.urls) if arguments.urls else ()
    load, for_our_server = load_arguments(arguments), options_for_our_server(arguments)
    in_urls = {"--delay", "--size"} & set(for_our_server)
    if urls and (arguments.url or arguments.requests or in_urls):
        raise UsageError(
            "--urls fetches each URL of FILE once: leave out --url, --delay, --size and -n"
        )
    target, why_no_ledger = recognise_urls(urls) if urls else (None, "")
    if why_no_ledger:
        say(f"these URLs lead to a crawlbench server, but its ledger is not used: {why_no_ledger}")
    entrants = chosen_entrants((arguments.crawler,), may_share=True)
    if len(entrants) != 1:
        raise UsageError(
            f"crawl runs one crawler, and {arguments.crawler} names {len(entrants)}: name one of "
            f"{PROGRAM} list, or compare them with {PROGRAM} run --crawlers {arguments.crawler}"
        )
    (entrant,) = with_processes(
        with_runtimes(entrants, arguments),
        arguments,
        (arguments.concurrency,) if arguments.concurrency else (),
    )
    info = installed(entrant)
    check_entrants(load, (entrant,))
    if len(load.rates) > 1:
        raise UsageError(f"crawl has one rate: sweep several with {PROGRAM} run --rate")
    asked_for = arguments.concurrency or (0 if load.rates else _DEFAULT_CONCURRENCY)
    most = info.max_concurrency * entrant.processes
    if asked_for > most:
        say(f"{entrant} can only fetch {most} at a time: -c {most} is used instead of {asked_for}")
    concurrency = min(asked_for, most)
    if arguments.url:
        target = recognise(arguments.url)
        check_options(target, for_our_server)
    elif urls and for_our_server and (target is None or not target.is_ours):
        raise UsageError(
            f"--urls: {', '.join(for_our_server)} can only be used if the URLs are one run of one "
            "crawlbench server"
        )
    delays, timeout_s = (_delay(arguments, target),), arguments.timeout or DEFAULT_TIMEOUT_S
    check_ports(load, delays, concurrency, ports_allowed())
    warn_of_timeout(delays, timeout_s)
    by_default = 0 if load.duration_s or load.rates else _DEFAULT_REQUESTS
    asked = CrawlExperiment(
        entrants=(entrant,),
        concurrencies=(concurrency,) if concurrency else (),
        delays=delays,
        trials=1,
        waves=1,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
        timeout_s=timeout_s,
        requests=len(urls) or arguments.requests or by_default,
        url=arguments.url or "",
        urls=urls,
        urls_from=arguments.urls or "",
        has_plans=target is not None and bool(target.plans),
        cafile=arguments.cafile or "",
        is_insecure=arguments.insecure,
        server_processes=check_server_processes(
            arguments, load.service, has_own_server=target is None
        ),
        cluster=str(arguments.cluster or ""),
        bind=arguments.bind or "",
        **load.as_fields(),
    )
    (planned,) = asked.order({entrant.label: info.max_concurrency})
    check_limits([planned])
    if target is not None and target.is_ours:
        check_server(target, planned.cell.concurrency)
    check_clock(place, target)
    out = arguments.out or DEFAULT_OUT
    return keep_crawl(asked, planned, target, out, place, arguments.progress)


def _show(
    kept: "KeptCrawl", fail_if: "Sequence[Threshold]", *, as_json: bool, is_wide: bool
) -> int:
    """Print the results of a crawl and where they are kept, and return the exit code."""
    from bench.analysis.analyse import analyse
    from bench.measure.session import print_failure
    from bench.plan.crawl import CrawlExperiment
    from bench.report.failed_urls import print_failed_urls
    from bench.report.run import crawl_as_json, print_crawl
    from bench.report.tables import make_console
    from bench.report.thresholds import exit_code, judged, print_thresholds, thresholds_as_json
    from bench.results.folder import find_file
    from bench.results.store import Store

    with Store.open(find_file(kept.folder)) as store:
        analysis, asked = analyse(store), store.read_asked(CrawlExperiment)
        trial = analysis.only_trial
        assert trial is not None
        found = judged(analysis, fail_if)
        if kept.result.failure:
            print_failure(kept.result)
        elif trial.summary is None:
            say("no request was recorded")
        if as_json:
            told = crawl_as_json(store, asked, trial)
            told["thresholds"] = thresholds_as_json(found)
            print(json.dumps(told, indent=2))
            print_failed_urls(store, asked, [trial.run])
        elif trial.summary is None:
            say(f"the results of the run, as far as there are any, are in {kept.folder}")
        else:
            print_crawl(store, asked, trial, make_console(is_wide=is_wide))
            print(f"\nresults are in {kept.folder}; {PROGRAM} plots {kept.folder} draws them")
        print_thresholds(found, sys.stderr if as_json else sys.stdout)
    if kept.is_interrupted:
        return EXIT_INTERRUPTED
    return exit_code(found, analysis, is_complete=trial.summary is not None)


def _delay(arguments: Namespace, target: "Target | None") -> Delay:
    """Return the delay: as asked for, the range in the URLs of one run, or 0 for other URLs."""
    if target is not None and target.plans:
        delays_us = [plan.delay_us for plan in target.plans]
        return Delay.between(min(delays_us), max(delays_us))
    if target is not None and not target.is_ours:
        return Delay.fixed(0)
    asked: Delay | None = arguments.delay
    return _DEFAULT_DELAY if asked is None else asked
