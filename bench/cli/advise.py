"""`crawlbench advise`: finds how many requests at a time to make, and with which crawler."""

import json
from argparse import SUPPRESS, ArgumentParser, ArgumentTypeError, Namespace
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.cli.load_options import (
    add_delay,
    add_requests,
    add_service,
    load_arguments,
    options_for_our_server,
    warn_of_timeout,
)
from bench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    add_format,
    add_out,
    add_progress,
    add_seed,
    add_timeout,
    add_wide,
    checked_entrant,
)
from bench.errors import UsageError
from bench.plan.advice import LEAST_BOX_S, MOST
from bench.plan.delays import Delay
from bench.program import PROGRAM, say
from crawlers.checked import (
    add_trust_options,
    checked_count,
    checked_list,
    checked_seconds,
    checked_url,
)

if TYPE_CHECKING:
    from bench.measure.runner import Target
    from bench.measure.session import Measured
    from bench.plan.advice import AdviceExperiment
    from bench.plan.entrants import Entrant
    from server.service import Service

_DEFAULT_DELAY = Delay.fixed(100_000)

DESCRIPTION = """\
Finds the smallest number of requests at a time that reaches 95 % of the best
throughput and meets your objectives, for a service that you describe or for
the server at URL. It measures one concurrency after another, confirms its
answer in fresh runs, and says what limits beyond it. Several crawlers are
compared."""

EXAMPLES = (
    ("advise asyncio --capacity 50", "a service that answers in 100 ms, 50 at a time"),
    ("advise asyncio,threads --delay 20-200 --capacity 50", "two crawlers, and delays that vary"),
    ("advise asyncio --rate-limit 200", "a service that refuses more than 200 per second"),
    (
        "advise asyncio --capacity 50 --slo 'p99<=150,errors<=0.1%'",
        "the same, keeping two objectives",
    ),
    ("advise asyncio --url http://127.0.0.1:8000/", "a server of your own on this machine"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the crawlers, the service and the objectives."""
    parser.add_argument(
        "crawlers",
        type=checked_list(checked_entrant, may_repeat=True),
        metavar="CRAWLER[,CRAWLER]",
        help=f"crawlers, as {PROGRAM} list names them, or your own as ./mine.py:crawl; in full "
        "[LABEL=]NAME[@PYTHON]",
    )
    parser.add_argument(
        "--slo",
        type=_checked_objectives,
        default=(),
        metavar="OBJECTIVE,...",
        help="what must be kept, as in 'p99<=500,errors<=0.1%%': p50, p90 and p99 in ms, errors "
        "and refused in %%, rate in requests per second",
    )
    parser.add_argument(
        "--most",
        type=checked_count,
        metavar="C",
        help=f"the largest concurrency to try (default: {MOST}, or what this machine allows)",
    )
    parser.add_argument("--concurrency", type=_not_given, help=SUPPRESS)
    parser.add_argument(
        "--duration",
        type=checked_seconds,
        metavar="S",
        help="how long each concurrency is measured at a time (default: the larger of "
        f"{LEAST_BOX_S:g} s and 30 mean delays, 10 if the delay is fixed)",
    )
    add_delay(parser, may_be_many=False)
    add_requests(parser, may_be_many=False)
    parser.add_argument(
        "--url",
        type=checked_url,
        help="advise for the server at this URL, or for the crawlbench server at this address",
    )
    add_trust_options(parser)
    parser.add_argument(
        "--i-may-load-this-host",
        action="store_true",
        help="with --url: also load a server on another machine, which you must be allowed to",
    )
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_progress(parser)
    parser.add_argument("--json", action="store_true", help="print JSON, and draw no figure")
    add_format(parser)
    add_wide(parser)
    add_service(parser)
    # Those of other loads, which an advice does not have.
    parser.set_defaults(rate=None, over=None, arrivals=None, warm_up=None, requests=None)


def _not_given(_: str) -> str:
    raise ArgumentTypeError("advise finds the concurrency; --most is the largest that it tries")


def _checked_objectives(text: str) -> tuple[str, ...]:
    from bench.advice.objectives import Objective, ObjectiveError

    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    if not parts:
        raise ArgumentTypeError("the list is empty")
    try:
        for part in parts:
            Objective.parse(part)
    except ObjectiveError as error:
        raise ArgumentTypeError(str(error)) from None
    return parts


def run(arguments: Namespace) -> int:
    """Search, print the answer, draw its figure, and return the exit code."""
    from bench.advice.measuring import AdviceSearch
    from bench.measure.readiness import chosen_entrants, installed
    from bench.measure.session import measure_search
    from bench.wording import format_span

    entrants = chosen_entrants(arguments.crawlers)
    infos = {one.label: installed(one) for one in entrants}
    adaptive = [info.name for info in infos.values() if info.adapts]
    if adaptive:
        raise UsageError(
            f"{adaptive[0]} chooses how many it makes at a time, so that there is nothing to "
            f"advise: {PROGRAM} run --scenario all shows how well it chooses"
        )
    asked, target = _asked_for(arguments, entrants)
    most = {label: min(asked.most, info.max_concurrency) for label, info in infos.items()}
    is_ours = target is None or target.is_ours
    search = AdviceSearch(asked, most, is_ours=is_ours)
    announced = f"about {format_span(search.expected_s)}"
    announced += "" if is_ours else ", or more if the server answers slowly"
    out = arguments.out or DEFAULT_OUT
    measured = measure_search(asked, search, out, announced, target, arguments.progress)
    return _show(measured, arguments)


def _asked_for(
    arguments: Namespace, entrants: "tuple[Entrant, ...]"
) -> "tuple[AdviceExperiment, Target | None]":
    from bench.measure.limits import concurrency_allowed
    from bench.measure.readiness import floor
    from bench.measure.targets import check_options, sweep_target
    from bench.plan.advice import AdviceExperiment, box_s
    from crawlers.trust import Trust

    target = None
    trust = Trust(arguments.cafile or "", arguments.insecure)
    if arguments.url:
        may_load = arguments.i_may_load_this_host
        target = sweep_target(arguments.url, (), trust, may_load_any_host=may_load)
        check_options(target, options_for_our_server(arguments))
    elif arguments.i_may_load_this_host:
        raise UsageError("--i-may-load-this-host only works with --url")
    is_ours = target is None or target.is_ours
    delay = (arguments.delay or _DEFAULT_DELAY) if is_ours else Delay.fixed(0)
    timeout_s = arguments.timeout or DEFAULT_TIMEOUT_S
    warn_of_timeout((delay,), timeout_s)
    span_s = arguments.duration or box_s(delay.mean_us, is_fixed=delay.is_fixed)
    load = load_arguments(arguments)
    _check_service(load.service, span_s)
    asked = AdviceExperiment(
        entrants=entrants,
        concurrencies=(arguments.most or concurrency_allowed(MOST, target),),
        delays=(delay,),
        trials=1,
        waves=1,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
        timeout_s=timeout_s,
        floor=floor() if is_ours else "",
        url=arguments.url or "",
        cafile=trust.cafile,
        is_insecure=trust.is_insecure,
        objectives=arguments.slo,
        **load.as_fields(),
    )
    return replace(asked, duration_s=span_s), target


def _check_service(service: "Service", span_s: float) -> None:
    """Refuse a capacity that changes, and say if a time box is too short for a stall."""
    if len(service.capacity) > 1:
        raise UsageError(
            "advise finds one number, and this capacity changes: give one --capacity, or see how "
            f"crawlers follow it with {PROGRAM} run --scenario all"
        )
    if span_s < 2 * service.stall_every_s:
        say(
            f"a time box of {span_s:g} s has no stall, because time begins anew in each: "
            f"--duration {2 * service.stall_every_s:g} has one"
        )


def _show(measured: "Measured", arguments: Namespace) -> int:
    """Print the answer and draw its figure, and return the exit code."""
    from bench.advice.analysis import analyse_advice
    from bench.advice.limits import OBJECTIVE
    from bench.advice.report import advice_as_json, print_advice
    from bench.cli.show import draw
    from bench.exit_codes import (
        EXIT_INTERRUPTED,
        EXIT_OK,
        EXIT_REQUESTS_FAILED,
        EXIT_THRESHOLD,
    )
    from bench.measure.session import Ending
    from bench.report.tables import make_console
    from bench.results.folder import find_file
    from bench.results.store import Store

    if measured.ending is Ending.INTERRUPTED:
        return EXIT_INTERRUPTED
    with Store.open(find_file(measured.folder)) as store:
        advice = analyse_advice(store)
        if arguments.json:
            print(json.dumps(advice_as_json(store, advice), indent=2))
        else:
            print_advice(store, advice, make_console(is_wide=arguments.wide))
    drawn = (
        draw(measured.folder, arguments.format, advice, is_summary=True)
        if advice.crawlers and not arguments.json
        else EXIT_OK
    )
    if advice.chosen is None and any(one.limit.word == OBJECTIVE for one in advice.crawlers):
        return EXIT_THRESHOLD
    is_complete = measured.ending is Ending.DONE and advice.is_sound
    is_complete &= advice.chosen is not None
    return drawn if is_complete else EXIT_REQUESTS_FAILED
