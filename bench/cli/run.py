"""`crawlbench run`: makes a sweep, prints its tables, and draws its figures and its page."""

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cli.cluster_options import add_cluster, check_clock, cluster_of
from bench.cli.load_options import (
    add_delay,
    add_load,
    check_entrants,
    check_open_loop,
    check_ports,
    load_arguments,
    options_for_our_server,
    warn_of_timeout,
)
from bench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    add_crawlers,
    add_fail_if,
    add_format,
    add_out,
    add_progress,
    add_seed,
    add_sources,
    add_timeline_at,
    add_timeout,
    add_wide,
)
from bench.cli.parallel_options import add_parallel, check_server_processes, with_processes
from bench.cli.runtime_options import add_runtimes, with_runtimes
from bench.cli.scenario_option import add_scenario, over_all_scenarios, with_options_of_scenario
from bench.errors import UsageError
from bench.measure.loopback import MAY_LOAD
from bench.plan.delays import Delay
from bench.plan.presets import OF_SCENARIOS, STANDARD
from bench.plan.scenarios import ALL
from crawlers.checked import checked_count, checked_list

if TYPE_CHECKING:
    from bench.kinds import Kind
    from bench.measure.runner import Target
    from bench.plan.experiment import Experiment
    from bench.results.store import Store

DESCRIPTION = """\
Starts the delay server and runs every crawler at every concurrency, each run
in a fresh process. Records each request at both ends, prints tables, and draws
the plots and report.html. The first and the last run measure how fast the
server itself is. With --url or --urls it sweeps a server that runs already."""

EXAMPLES = (
    ("run --quick", "one trial at concurrency 1, 10 and 100: a first look"),
    (
        "run --crawlers asyncio,threads --concurrency 10,100 --delay 50",
        "two crawlers, two concurrencies, a delay of 50 ms",
    ),
    ("run --crawlers asyncio,mine:crawl --trials 10", "your own next to ours, for compare"),
    (
        "run --crawlers asyncio --url http://127.0.0.1:8000/ -n 500",
        "a server of your own on this machine",
    ),
    (
        "run --crawlers asyncio --capacity 50 --duration 5 --warm-up 1",
        "a service that serves 50 at a time: which concurrency is enough?",
    ),
    (
        "run --crawlers asyncio --capacity 50 --rate 200,400,600",
        "the same service, with requests that come at these rates and do not wait",
    ),
    ("run --scenario all", "crawlers that adapt, and fixed ones, over all services"),
    ("run --chapter --crawlers gevent", "the chapter's sweep as the first two editions have it"),
    (
        "run --crawlers asyncio --processes 1,2,4 --concurrency 100",
        "concurrency against parallelism: the same crawl in one process and more",
    ),
    (
        "run --crawlers asyncio --python 3.11,3.13 --loop uvloop",
        "the same crawler on two interpreters, on another event loop",
    ),
    (
        "run --cluster tcp://10.0.0.1:8786 --bind 10.0.0.1",
        "on the workers of a Dask cluster; needs the package distributed",
    ),
    ("run --resume results/latest", "finish a sweep that was interrupted"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose what is measured and where the results go."""
    add_crawlers(parser, None)
    parser.add_argument(
        "--concurrency",
        type=checked_list(checked_count),
        metavar="C,C",
        help="requests in flight at a time; serial is measured at 1 only "
        f"(default: {','.join(map(str, STANDARD.concurrencies))})",
    )
    add_delay(parser, may_be_many=True)
    parser.add_argument(
        "--trials",
        type=checked_count,
        metavar="N",
        help=f"how often each cell is measured (default: {STANDARD.trials})",
    )
    parser.add_argument(
        "--waves",
        type=checked_count,
        metavar="N",
        help=f"a run makes N x concurrency requests (default: {STANDARD.waves})",
    )
    parser.add_argument(
        "-n",
        "--requests",
        type=checked_count,
        metavar="N",
        help="requests of each run, instead of --waves",
    )
    add_sources(
        parser,
        "sweep this URL, or the crawlbench server at this address, instead of a server of its own",
        "each run fetches the URLs in FILE in this order, one URL per line, - for stdin; each "
        "once, or with -n and --waves again from the start",
    )
    parser.add_argument(
        "--i-may-load-this-host",
        action="store_true",
        help="with --url, --urls and --resume: also load a server on another machine, which you "
        "must be allowed to",
    )
    add_load(parser, may_be_many=True)
    add_parallel(parser, may_be_many=True)
    add_runtimes(parser, may_be_many=True)
    add_cluster(parser)
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_progress(parser)
    add_fail_if(parser)
    add_format(parser)
    add_timeline_at(parser)
    add_wide(parser)
    add_scenario(parser)
    sweep = parser.add_mutually_exclusive_group()
    sweep.add_argument(
        "--quick", action="store_true", help="measure one trial at concurrency 1, 10 and 100"
    )
    sweep.add_argument(
        "--chapter",
        action="store_true",
        help="make the sweep of the book's chapter, which takes a quarter of an hour: asyncio, "
        "500 requests, delays of 50, 300, 550 and 800 ms, concurrency 1, 26 ... 476, one trial; "
        "other options change it",
    )
    sweep.add_argument(
        "--resume",
        type=Path,
        metavar="DIR",
        help="finish the interrupted experiment in DIR: only the missing runs are made",
    )
    parser.add_argument(
        "--allow-foreign",
        action="store_true",
        help="with --resume: run programs that DIR names and that are not of this package; only "
        "for results of your own",
    )


def run(arguments: Namespace) -> int:
    """Measure, print tables, draw figures, and return the exit code."""
    from bench.cli.show import show_measured
    from bench.measure.session import measure, resume

    if arguments.allow_foreign and arguments.resume is None:
        raise UsageError(
            "--allow-foreign only works with --resume DIR: otherwise no program comes from a file"
        )
    has_all_scenarios = arguments.scenario == ALL and arguments.resume is None
    everything = over_all_scenarios(arguments) if has_all_scenarios else None
    out = arguments.out or DEFAULT_OUT
    with cluster_of(arguments) as place:
        if everything is not None:
            measured = measure(everything, out, shown=arguments.progress)
        elif arguments.resume is None:
            asked, target = asked_for(arguments)
            check_clock(place, target)
            measured = measure(asked, out, target, place, arguments.progress)
        elif conflicting := _conflicting_with_resume(arguments):
            raise UsageError(
                f"--resume continues with the original options: leave out {', '.join(conflicting)}"
            )
        else:
            measured = resume(
                arguments.resume,
                lambda store: _checked_kind(store, arguments),
                allow_foreign=arguments.allow_foreign,
                may_load_any_host=arguments.i_may_load_this_host,
                place=place,
                shown=arguments.progress,
            )
    return show_measured(
        measured,
        arguments.format,
        arguments.timeline_at,
        arguments.fail_if,
        is_wide=arguments.wide,
    )


def _checked_kind(store: "Store", arguments: Namespace) -> "Kind":
    """Return the kind of the experiment to resume. Raises UsageError for thresholds without use."""
    from bench.kinds import kind_of
    from bench.plan.experiment import Experiment

    kind = kind_of(store)
    if arguments.fail_if and not issubclass(kind.asked, Experiment):
        raise UsageError(
            f"--fail-if is for sweeps, and {store.path} is of {kind.name}: leave it out"
        )
    return kind


def _conflicting_with_resume(arguments: Namespace) -> list[str]:
    """Return the options that were given although --resume already determines what is measured."""
    about_results = {"parser", "resume", "format", "timeline_at", "wide", "fail_if", "progress"}
    about_results |= {"allow_foreign", "i_may_load_this_host", "cluster", "bind"}
    return [
        f"--{name.replace('_', '-')}"
        for name, value in vars(arguments).items()
        if name not in about_results and value not in (None, False)
    ]


def asked_for(arguments: Namespace) -> "tuple[Experiment, Target | None]":
    """Return what is asked for, and the server that runs already, if it is to be swept."""
    from bench.measure.targets import check_options, read_urls, sweep_target
    from crawlers.trust import Trust

    if arguments.scenario is not None:
        arguments = with_options_of_scenario(arguments)
    asked = _experiment(arguments)
    for_our_server = options_for_our_server(arguments)
    if not (arguments.url or arguments.urls):
        if arguments.i_may_load_this_host:
            raise UsageError(f"{MAY_LOAD} only works with --url, --urls or --resume")
        return asked, None
    if arguments.urls and (arguments.url or for_our_server):
        options = ["--url"] if arguments.url else []
        raise UsageError(
            f"--urls names all that is fetched: leave out {', '.join([*options, *for_our_server])}"
        )
    urls = read_urls(arguments.urls) if arguments.urls else ()
    trust = Trust(arguments.cafile or "", arguments.insecure)
    target = sweep_target(
        arguments.url or "", urls, trust, may_load_any_host=arguments.i_may_load_this_host
    )
    if not urls:
        check_options(target, for_our_server)
    has_length = asked.requests or arguments.waves or asked.duration_s or asked.rates
    return replace(
        asked,
        delays=asked.delays if target.is_ours else (Delay.fixed(0),),
        floor=asked.floor if target.is_ours else "",
        requests=asked.requests if has_length else len(urls),
        url=arguments.url or "",
        urls=urls,
        urls_from=arguments.urls or "",
        cafile=trust.cafile,
        is_insecure=trust.is_insecure,
    ), target


def _experiment(arguments: Namespace) -> "Experiment":
    from bench.measure.limits import ports_allowed
    from bench.measure.readiness import chosen_entrants, floor
    from bench.plan.entrants import Entrant
    from bench.plan.experiment import Experiment
    from bench.plan.presets import CHAPTER, QUICK

    load = load_arguments(arguments)
    check_open_loop(load, arguments.concurrency, arguments.waves)
    if arguments.requests and arguments.waves:
        raise UsageError("--waves and -n both say when a run ends: leave one out")
    timeout_s = arguments.timeout or DEFAULT_TIMEOUT_S
    preset = QUICK if arguments.quick else CHAPTER if arguments.chapter else STANDARD
    preset = OF_SCENARIOS if arguments.scenario else preset
    named = arguments.crawlers or tuple(Entrant(name, name) for name in preset.crawlers)
    concurrencies = arguments.concurrency or (() if load.rates else preset.concurrencies)
    entrants = with_runtimes(chosen_entrants(named, may_share=True), arguments)
    entrants = with_processes(entrants, arguments, concurrencies)
    check_entrants(load, entrants)
    delays = arguments.delay or preset.delays
    check_ports(load, delays, max(arguments.concurrency or (0,)), ports_allowed())
    warn_of_timeout(delays, timeout_s)
    # --waves and --duration take precedence over the number of requests of a preset.
    by_preset = 0 if arguments.waves or load.duration_s or load.rates else preset.requests
    return Experiment(
        entrants=entrants,
        concurrencies=concurrencies,
        delays=delays,
        trials=arguments.trials or preset.trials,
        waves=arguments.waves or preset.waves,
        requests=arguments.requests or by_preset,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
        timeout_s=timeout_s,
        floor=floor(),
        server_processes=check_server_processes(
            arguments, load.service, has_own_server=not (arguments.url or arguments.urls)
        ),
        cluster=str(arguments.cluster or ""),
        bind=arguments.bind or "",
        **load.as_fields(),
    )
