"""The option `--scenario` of `run`: what it stands for, and which options contradict it."""

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from bench.cli.options import DEFAULT_SEED, DEFAULT_TIMEOUT_S
from bench.cli.parallel_options import with_processes
from bench.cli.runtime_options import with_runtimes
from bench.errors import UsageError
from bench.plan.presets import OF_SCENARIOS
from bench.plan.scenarios import ALL, SCENARIOS, find_scenario
from bench.program import PROGRAM
from server.service import FLAGS

if TYPE_CHECKING:
    from bench.scenarios.experiment import ScenariosExperiment

_DETERMINED = (
    *("delay", *FLAGS, "size", "method", "body-size", "rate", "over", "arrivals", "duration"),
    *("warm-up", "requests", "waves", "url", "urls", "cafile", "insecure", "i-may-load-this-host"),
    *("quick", "chapter"),
)
_OF_ONE_SWEEP = ("fail-if", "timeline-at", "server-processes", "cluster", "bind")


def add_scenario(parser: ArgumentParser) -> None:
    """Add `scenario`, the name of a scenario, or `all`, or None."""
    parser.add_argument(
        "--scenario",
        type=_checked_scenario,
        metavar="SCENARIO",
        help=f"take the delay, the service and the times from a scenario of {PROGRAM} scenarios; "
        f"{ALL} scores crawlers over all of them (default then: crawlers "
        f"{', '.join(OF_SCENARIOS.crawlers)}, concurrency "
        f"{','.join(map(str, OF_SCENARIOS.concurrencies))}, one trial). Crawlers that adapt, and "
        "your own, are then measured at the largest --concurrency only",
    )


def _checked_scenario(text: str) -> str:
    """Return the name of a scenario, or `all`. Raises ArgumentTypeError."""
    try:
        return text if text == ALL else find_scenario(text).name
    except LookupError as error:
        raise ArgumentTypeError(error.args[0]) from None


def with_options_of_scenario(arguments: Namespace) -> Namespace:
    """Return the arguments of the command that asks for the same without `--scenario NAME`.

    Raises UsageError for options that contradict it.
    """
    _check_no_conflict(arguments)
    scenario = find_scenario(arguments.scenario)
    flags = {flag.replace("-", "_"): text for flag, text in scenario.service.flags().items()}
    times = {"duration": scenario.duration_s, "warm_up": scenario.warm_up_s}
    return Namespace(**(vars(arguments) | flags | times | {"delay": (scenario.delay,)}))


def over_all_scenarios(arguments: Namespace) -> "ScenariosExperiment":
    """Return what `--scenario all` asks for. Raises UsageError, and as `chosen_entrants`."""
    from bench.measure.readiness import chosen_entrants
    from bench.plan.entrants import Entrant
    from bench.scenarios.experiment import ScenariosExperiment
    from crawlers.registry import find

    _check_no_conflict(arguments)
    if useless := _given(arguments, _OF_ONE_SWEEP):
        raise UsageError(f"{useless} is for one sweep: leave it out with --scenario {ALL}")
    usual = tuple(Entrant(name, name) for name in OF_SCENARIOS.crawlers)
    entrants = chosen_entrants(arguments.crawlers or usual, may_share=True)
    entrants = with_processes(with_runtimes(entrants, arguments), arguments, ())
    infos = {one.label: find(one.crawler, one.declared_as) for one in entrants}
    asked = ScenariosExperiment(
        scenarios=SCENARIOS,
        entrants=entrants,
        # Nothing is declared of a crawler that is brought along: it may adapt.
        adaptive=tuple(name for name, one in infos.items() if one.adapts or not one.is_declared),
        concurrencies=arguments.concurrency or OF_SCENARIOS.concurrencies,
        trials=arguments.trials or OF_SCENARIOS.trials,
        seed=DEFAULT_SEED if arguments.seed is None else arguments.seed,
        timeout_s=arguments.timeout or DEFAULT_TIMEOUT_S,
    )
    try:
        asked.check()
    except ValueError as error:
        raise UsageError(f"--scenario {ALL}: {error}") from None
    return asked


def _check_no_conflict(arguments: Namespace) -> None:
    if conflicting := _given(arguments, _DETERMINED):
        raise UsageError(
            f"--scenario {arguments.scenario} determines this: leave out {conflicting}"
        )


def _given(arguments: Namespace, names: tuple[str, ...]) -> str:
    """Return those of these options that were given, separated by commas."""
    values = vars(arguments)
    return ", ".join(f"--{one}" for one in names if values[one.replace("-", "_")])
