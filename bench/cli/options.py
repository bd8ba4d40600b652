"""Options that several verbs have, and what they may be given."""

import argparse
from pathlib import Path

from bench.plan.delays import Delay
from bench.plan.entrants import Entrant, EntrantError, parse_entrant
from bench.plan.presets import STANDARD
from bench.program import PROGRAM
from crawlers.checked import checked_list, checked_seconds, checked_seed
from server.request_plan import PlanError

DEFAULT_SEED = 1
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_OUT = Path("results")
"""What the options are taken for that were not given: None tells those apart that were."""

EXIT_CODES = (
    "Exit codes: 0 ok, 1 requests or runs failed, 2 usage, 3 this machine (a missing library, a "
    "limit, a full disk), 99 a regression was found (compare), 130 interrupted."
)


def add_crawlers(parser: argparse.ArgumentParser, default: tuple[Entrant, ...] | None) -> None:
    """Who takes part."""
    parser.add_argument(
        "--crawlers",
        type=checked_list(checked_entrant, may_repeat=True),
        default=default,
        metavar="A,B",
        help=f"names of {PROGRAM} list, all, chapter, or [LABEL=]NAME[@PYTHON]; the same twice "
        "measures noise "
        f"({','.join(STANDARD.crawlers)})",
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """In which form figures are drawn."""
    parser.add_argument(
        "--format",
        choices=("png", "svg", "pdf"),
        default="png",
        help="of the plots (%(default)s)",
    )


def add_wide(parser: argparse.ArgumentParser) -> None:
    """Whether tables show every column, however narrow the terminal is."""
    parser.add_argument(
        "--wide",
        action="store_true",
        help="show all columns of every table, even where the terminal is too narrow for them",
    )


def add_seed(parser: argparse.ArgumentParser) -> None:
    """`seed`: None if it was not given."""
    parser.add_argument(
        "--seed",
        type=checked_seed,
        metavar="N",
        help=f"of the order of runs, and of delays from a range ({DEFAULT_SEED})",
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """`out`: None if it was not given."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"where the folder of results is made ({DEFAULT_OUT})",
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    """`timeout`, in s: None if it was not given."""
    parser.add_argument(
        "--timeout",
        type=checked_seconds,
        metavar="S",
        help=f"of a fetch, from its start to its last byte ({DEFAULT_TIMEOUT_S:g})",
    )


def checked_entrant(text: str) -> Entrant:
    """A crawler. Raises argparse.ArgumentTypeError."""
    try:
        return parse_entrant(text)
    except EntrantError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def checked_delay(text: str) -> Delay:
    """A delay or a range. Raises argparse.ArgumentTypeError."""
    try:
        return Delay.parse(text)
    except PlanError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
