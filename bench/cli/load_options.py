"""Options of what requests ask for, how they are spread over time, and the service. Pure.

`run`, `crawl` and `calibrate` share them.
"""

import math
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from bench.documents import document
from bench.errors import UsageError
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.load import OPEN_LOOP_S, most_in_flight
from bench.plan.rates import ARRIVALS, FIXED, Rate, RateError, split_rates
from bench.plan.sizes import ONE_BYTE, Size
from bench.program import PROGRAM, say
from crawlers.checked import checked_seconds
from crawlers.registry import find
from server.models import ModelError, split_models
from server.service import FLAGS, PLAIN, Service, ServiceError
from server.service_options import add_service_options, service_of

Model = TypeVar("Model")

_MANUAL = document("services.md")
_OPEN_LOOP = f"""\
With --rate the loop is open: each request is sent when it is due, whatever
happened to those before it. A rate is an axis of the sweep: several are
separated by commas, and they take the place of --concurrency, which becomes
the most requests that may be in flight. More in
{_MANUAL}"""
_ONE_OPEN_LOOP = f"""\
With --rate the loop is open: each request is sent when it is due, whatever
happened to those before it. --concurrency is then the most requests that may
be in flight. More in
{_MANUAL}"""
_SERVICE = f"""\
What the server does with all requests of a run together. Without these
options it serves every request at once. Two results with different services
are not compared. More in
{_MANUAL}"""


@dataclass(frozen=True, slots=True)
class LoadArguments:
    """The values of these options; `as_fields` returns those of an Experiment."""

    sizes: tuple[Size, ...] = (ONE_BYTE,)
    rates: tuple[Rate, ...] = ()
    arrivals: str = FIXED
    duration_s: float = 0.0
    warm_up_s: float = 0.0
    body: Size | None = None
    service: Service = PLAIN

    def as_fields(self) -> dict[str, Any]:
        """Return the fields by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def add_delay(parser: ArgumentParser, *, may_be_many: bool, default: Delay | None = None) -> None:
    """Add `delay`: a tuple of delay models, or one, or None if it is not given."""
    shown = default.text if default is not None else "100"
    parser.add_argument(
        "--delay",
        type=checked_models(Delay.parse) if may_be_many else _checked_model(Delay.parse),
        default=default,
        metavar="MS,MS" if may_be_many else "MS",
        help="delay of each response in ms: 100, 20-200 (evenly from that range), or a model: "
        "exponential:mean=100, lognormal:median=120,p99=900, weighted:50@90,500@9,2000@1, "
        f"trace:FILE (default: {shown})",
    )


def add_size(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add `size`: a tuple of size models, of one if there may not be many, or None."""
    parser.add_argument(
        "--size",
        type=checked_models(Size.parse) if may_be_many else _checked_tuple(Size.parse),
        metavar="BYTES,BYTES" if may_be_many else "BYTES",
        help="size of each response in bytes (500, 2k, 1M), or a model of it as for --delay "
        "(default: 1)",
    )


def add_load(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add the options of sizes, rates, times and the service."""
    add_requests(parser, may_be_many=may_be_many)
    _add_time(parser, may_be_many=may_be_many)
    add_service(parser)


def add_requests(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add the options of what a request asks for and carries, besides its delay."""
    add_size(parser, may_be_many=may_be_many)
    parser.add_argument(
        "--method", choices=("GET", "POST"), help="method of the requests (default: GET)"
    )
    parser.add_argument(
        "--body-size",
        type=_checked_model(Size.parse),
        metavar="BYTES",
        help="with --method POST: size of the JSON that each request sends, as for --size "
        "(default: 100)",
    )


def add_service(parser: ArgumentParser) -> None:
    """Add the options of the service."""
    add_service_options(parser, _SERVICE)


def _add_time(parser: ArgumentParser, *, may_be_many: bool) -> None:
    group = parser.add_argument_group("time", _OPEN_LOOP if may_be_many else _ONE_OPEN_LOOP)
    group.add_argument(
        "--rate",
        metavar="R,R" if may_be_many else "R",
        help="send R requests per second; 100@0,400@5,100@10 is a schedule (400 from 5 s to 10 s), "
        "and 50..500 with --over 20 a ramp",
    )
    group.add_argument(
        "--over", type=checked_seconds, metavar="S", help="how many seconds a ramp of --rate takes"
    )
    group.add_argument(
        "--arrivals",
        choices=ARRIVALS,
        help="with --rate, how requests are spaced: evenly, or at random as those of many "
        f"independent users are (default: {FIXED})",
    )
    group.add_argument(
        "--duration",
        type=checked_seconds,
        metavar="S",
        help="a run begins no request after S seconds, instead of making a number of requests "
        f"(default with --rate and without -n: {OPEN_LOOP_S:g})",
    )
    group.add_argument(
        "--warm-up",
        type=checked_seconds,
        metavar="S",
        help="leave the first S seconds of a run out of throughput and times (default: 0)",
    )


def load_arguments(arguments: Namespace) -> LoadArguments:
    """Return the values of the options that `add_load` added. Raises UsageError."""
    try:
        service = service_of(arguments)
        rates = _rates(arguments.rate, arguments.over) if arguments.rate is not None else ()
    except (ServiceError, RateError) as error:
        raise UsageError(str(error)) from None
    if not rates:
        for flag in ("over", "arrivals"):
            if getattr(arguments, flag) is not None:
                raise UsageError(f"--{flag} needs --rate: in closed loop nothing is due")
    if arguments.over is not None and not any(rate.over_s for rate in rates):
        raise UsageError("--over needs a ramp, such as --rate 50..500")
    if arguments.body_size is not None and arguments.method != "POST":
        raise UsageError("--body-size needs --method POST")
    body = (arguments.body_size or Size("100")) if arguments.method == "POST" else None
    duration_s, warm_up_s = arguments.duration or 0.0, arguments.warm_up or 0.0
    span_s = duration_s or (OPEN_LOOP_S if rates and not arguments.requests else math.inf)
    if warm_up_s >= span_s:
        raise UsageError(
            f"--warm-up {warm_up_s:g} leaves nothing to count of a run of {span_s:g} s: give a "
            "shorter warm-up, or a longer --duration"
        )
    if duration_s and arguments.requests:
        raise UsageError("--duration and -n both say when a run ends: leave one out")
    return LoadArguments(
        sizes=arguments.size or (ONE_BYTE,),
        rates=rates,
        arrivals=arguments.arrivals or FIXED,
        duration_s=duration_s,
        warm_up_s=warm_up_s,
        body=body,
        service=service,
    )


def options_for_our_server(arguments: Namespace) -> list[str]:
    """Return the options that were given and that only a crawlbench server understands."""
    return [
        f"--{name}"
        for name in ("delay", "size", *FLAGS)
        if getattr(arguments, name.replace("-", "_")) is not None
    ]


def check_open_loop(
    load: LoadArguments, concurrencies: Sequence[int] | None, waves: int | None
) -> None:
    """Raise UsageError for a concurrency or a length that does not go with the other options."""
    if load.rates and concurrencies and len(concurrencies) > 1:
        raise UsageError(
            "--rate takes the place of the concurrency: give one --concurrency at most, which is "
            "then the most requests in flight"
        )
    if waves and load.rates:
        raise UsageError(
            "--waves goes with a concurrency, and not with --rate: use -n or --duration"
        )
    if waves and load.duration_s:
        raise UsageError("--duration and --waves both say when a run ends: leave one out")


def check_entrants(load: LoadArguments, entrants: Sequence[Entrant]) -> None:
    """Raise UsageError for crawlers that are declared not to wait until a request is due."""
    if not load.rates:
        return
    infos = [find(one.crawler, one.declared_as) for one in entrants]
    unable = [one.name for one in infos if one.is_declared and not one.open_loop]
    if unable:
        verb = "does" if len(unable) == 1 else "do"
        raise UsageError(
            f"--rate: {', '.join(unable)} {verb} not wait until a request is due: choose crawlers "
            f"that {PROGRAM} list --wide has under open loop"
        )


def check_ports(
    load: LoadArguments, delays: Sequence[Delay], concurrency: int | None, ports: int | None
) -> None:
    """Raise UsageError for a rate that may need more connections than there are ports."""
    for rate in load.rates if ports is not None else ():
        for delay in delays:
            needed = concurrency or most_in_flight(rate, delay.mean_us)
            if ports is not None and needed > ports:
                raise UsageError(
                    f"--rate {rate.without_over()} with a delay of {delay} may need {needed:,} "
                    f"connections, and this machine has {ports:,} ports to one server: give a "
                    f"lower rate, or --concurrency up to {ports}"
                )


def warn_of_timeout(delays: Sequence[Delay], timeout_s: float) -> None:
    """Say which delay models have more than one in a thousand values beyond the time limit."""
    for delay in delays:
        p999_us = delay.quantile_us(0.999)
        if p999_us > timeout_s * 1e6:
            say(
                f"--timeout {timeout_s:g} is below the p99.9 of --delay {delay.text}, "
                f"{p999_us / 1e6:g} s: such requests fail as they are planned to take longer"
            )


def _rates(text: str, over_s: float | None) -> tuple[Rate, ...]:
    try:
        rates = tuple(Rate.parse(one.strip(), over_s) for one in split_rates(text) if one.strip())
    except RateError as error:
        raise RateError(f"--{error}") from None
    if not rates:
        raise RateError(f"--rate {text!r}: give a number of requests per second")
    if len(set(rates)) < len(rates):
        raise RateError(f"--rate {text!r} has a rate twice")
    return rates


def _checked_tuple(parse: Callable[[str], Model]) -> Callable[[str], tuple[Model, ...]]:
    checked = _checked_model(parse)
    return lambda text: (checked(text),)


def _checked_model(parse: Callable[[str], Model]) -> Callable[[str], Model]:
    def checked(text: str) -> Model:
        if len(split_models(text)) > 1:
            raise ArgumentTypeError(f"{text!r}: give one value; {PROGRAM} run sweeps several")
        try:
            return parse(text.strip())
        except ModelError as error:
            raise ArgumentTypeError(str(error)) from None

    return checked


def checked_models(parse: Callable[[str], Model]) -> Callable[[str], tuple[Model, ...]]:
    """Return a type for argparse: a list of models, separated by commas, without repetitions."""
    checked = _checked_model(parse)

    def checked_all(text: str) -> tuple[Model, ...]:
        models = tuple(checked(one) for one in split_models(text) if one.strip())
        if not models:
            raise ArgumentTypeError("the list is empty")
        if len(set(models)) < len(models):
            raise ArgumentTypeError(f"{text!r} has a value twice")
        return models

    return checked_all
