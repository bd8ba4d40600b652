"""`crawlbench calibrate`: measures how much time each crawler adds to known delays."""

from argparse import ArgumentParser, Namespace

from bench.cli.load_options import add_delay, add_size, warn_of_timeout
from bench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_SEED,
    DEFAULT_TIMEOUT_S,
    add_crawlers,
    add_out,
    add_progress,
    add_seed,
    add_timeout,
    add_wide,
)
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant
from bench.plan.presets import STANDARD
from bench.plan.sizes import ONE_BYTE
from crawlers.checked import checked_count

_CONCURRENCY = 10

DESCRIPTION = f"""\
Measures how many milliseconds each crawler adds to known delays, and where.
The delays are drawn from a range or a model, at a concurrency of {_CONCURRENCY} (1 for the
crawlers that fetch one at a time)."""

EXAMPLES = (
    ("calibrate", "the crawlers of the standard sweep"),
    ("calibrate --crawlers all --delay 50-200", "all crawlers, longer delays"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the crawlers and the delays."""
    add_crawlers(parser, tuple(Entrant(name, name) for name in STANDARD.crawlers))
    add_delay(parser, may_be_many=False, default=Delay.between(1_000, 20_000))
    add_size(parser, may_be_many=False)
    parser.add_argument(
        "-n",
        "--requests",
        type=checked_count,
        default=1000,
        metavar="N",
        help="requests per crawler (default: 1000)",
    )
    add_seed(parser)
    add_timeout(parser)
    add_out(parser)
    add_progress(parser)
    add_wide(parser)


def run(arguments: Namespace) -> int:
    """Measure, print the table, and return the exit code."""
    from bench.cli.show import show_measured
    from bench.measure.readiness import chosen_entrants, floor
    from bench.measure.session import measure
    from bench.plan.experiment import CALIBRATION, Experiment

    timeout_s = arguments.timeout or DEFAULT_TIMEOUT_S
    warn_of_timeout((arguments.delay,), timeout_s)
    asked = Experiment(
        entrants=chosen_entrants(arguments.crawlers),
        concurrencies=(_CONCURRENCY,),
        delays=(arguments.delay,),
        trials=1,
        waves=1,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
        timeout_s=timeout_s,
        requests=arguments.requests,
        floor=floor(),
        kind=CALIBRATION,
        sizes=arguments.size or (ONE_BYTE,),
    )
    measured = measure(asked, arguments.out or DEFAULT_OUT, shown=arguments.progress)
    return show_measured(measured, is_wide=arguments.wide)
