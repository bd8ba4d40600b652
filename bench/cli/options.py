"""Options that several verbs share, and checks of their values."""

from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bench.measure.views import AUTO, VIEWS
from bench.plan.delays import Delay
from bench.plan.entrants import Entrant, EntrantError, parse_entrant
from bench.plan.presets import STANDARD
from bench.program import PROGRAM
from crawlers.checked import (
    Item,
    add_trust_options,
    checked_count,
    checked_list,
    checked_seconds,
    checked_seed,
    checked_url,
)
from server.models import ModelError

if TYPE_CHECKING:
    from bench.analysis.thresholds import Threshold

DEFAULT_SEED = 1
DEFAULT_TIMEOUT_S = 10.0
DEFAULT_OUT = Path("results")
"""Used if `seed`, `timeout` and `out` are None. They are no defaults of argparse, so that options
that were given can be distinguished."""


def add_folder(parser: ArgumentParser, newest: str = "results/latest") -> None:
    """Add `folder`, the results to read; None means the newest."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        metavar="DIR",
        help=f"folder of results (default: {newest})",
    )


def add_crawlers(parser: ArgumentParser, default: tuple[Entrant, ...] | None) -> None:
    """Add `crawlers`, the crawlers to measure."""
    parser.add_argument(
        "--crawlers",
        type=checked_list(checked_entrant, may_repeat=True),
        default=default,
        metavar="NAME,NAME",
        help=f"crawlers, as {PROGRAM} list names them, or all, chapter or patterns, or your own "
        "as ./mine.py:crawl; in full [LABEL=]NAME[+LOOP][*PROCESSES][@PYTHON], to run one on "
        "another event loop, in several processes or on another interpreter; a name given twice "
        "shows the noise "
        f"(default: {','.join(STANDARD.crawlers)})",
    )


def add_format(parser: ArgumentParser) -> None:
    """Add `format`, the file format of figures."""
    parser.add_argument(
        "--format",
        choices=("png", "svg", "pdf"),
        default="png",
        help="file format of the plots (default: %(default)s)",
    )


def add_timeline_at(parser: ArgumentParser) -> None:
    """Add `timeline_at`, the numbers of requests that more timelines show."""
    parser.add_argument(
        "--timeline-at",
        type=checked_list(checked_count),
        default=(),
        metavar="N,N",
        help="also draw the timeline of the first N requests of each crawler's run, for each N",
    )


def add_seed(parser: ArgumentParser) -> None:
    """Add `seed`, which is None if it is not given."""
    parser.add_argument(
        "--seed",
        type=checked_seed,
        metavar="N",
        help="seed of the order of runs, and of all delays, sizes and arrivals that are drawn "
        f"(default: {DEFAULT_SEED})",
    )


def add_out(parser: ArgumentParser) -> None:
    """Add `out`, which is None if it is not given."""
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"folder in which the folder of results is created (default: {DEFAULT_OUT})",
    )


def add_progress(parser: ArgumentParser) -> None:
    """Add `progress`, the view of what goes on while it is measured."""
    parser.add_argument(
        "--progress",
        choices=(AUTO, *VIEWS),
        default=AUTO,
        help="what stderr shows meanwhile: "
        + "; ".join(f"{name}: {what}" for name, (_, what) in VIEWS.items())
        + " (default: live on a terminal, none elsewhere)",
    )


def add_sources(parser: ArgumentParser, url: str, urls: str) -> None:
    """Add the options that name a server that runs already. `url` and `urls` are their help."""
    parser.add_argument("--url", type=checked_url, help=url)
    parser.add_argument("--urls", metavar="FILE", help=urls)
    add_trust_options(parser)


def add_fail_if(parser: ArgumentParser) -> None:
    """Add `fail_if`, the thresholds that decide about the exit code."""
    parser.add_argument(
        "--fail-if",
        type=checked_threshold,
        nargs="+",
        action="extend",
        default=[],
        metavar="THRESHOLD",
        help="exit with 99 if any of these is so, as in 'p99>500' 'errors>0.1%%' 'rate<900': "
        "times in ms, shares in %%, rates per second",
    )


def add_timeout(parser: ArgumentParser) -> None:
    """Add `timeout` in seconds, which is None if it is not given."""
    parser.add_argument(
        "--timeout",
        type=checked_seconds,
        metavar="S",
        help="time limit of a fetch in seconds, from its start to its last byte "
        f"(default: {DEFAULT_TIMEOUT_S:g})",
    )


def add_wide(parser: ArgumentParser) -> None:
    """Add `wide`: whether tables show every column, even in a narrow terminal."""
    parser.add_argument(
        "--wide",
        action="store_true",
        help="show all columns of every table, even where the terminal is too narrow for them",
    )


def add_plot(parser: ArgumentParser, what: str) -> None:
    """Add `plot`, the file to draw a figure into, or None."""
    parser.add_argument(
        "--plot",
        type=checked_plot,
        metavar="FILE",
        help=f"{what} into FILE, whose name ends in .png, .svg or .pdf",
    )


def checked_single(checked: Callable[[str], Item]) -> Callable[[str], tuple[Item, ...]]:
    """Return a check for one value, where another verb takes several. It returns a tuple, too."""

    def checked_value(text: str) -> tuple[Item, ...]:
        if "," in text:
            raise ArgumentTypeError(f"{text!r}: crawl takes one; {PROGRAM} run measures several")
        return (checked(text),)

    return checked_value


def checked_entrant(text: str) -> Entrant:
    """Return the crawler that a text names. Raises ArgumentTypeError."""
    try:
        return parse_entrant(text)
    except EntrantError as error:
        raise ArgumentTypeError(str(error)) from None


def checked_delay(text: str) -> Delay:
    """Return a delay model. Raises ArgumentTypeError."""
    try:
        return Delay.parse(text)
    except ModelError as error:
        raise ArgumentTypeError(str(error)) from None


def checked_threshold(text: str) -> "Threshold":
    """Return the threshold that a text describes. Raises ArgumentTypeError."""
    from bench.analysis.thresholds import Threshold, ThresholdError

    try:
        return Threshold.parse(text)
    except ThresholdError as error:
        raise ArgumentTypeError(str(error)) from None


def checked_plot(text: str) -> Path:
    """Return the path of a file that a figure can be written to. Raises ArgumentTypeError."""
    path = Path(text)
    if path.suffix not in (".png", ".svg", ".pdf"):
        raise ArgumentTypeError(f"{text!r} does not end in .png, .svg or .pdf")
    # Check now, and not after a long measurement.
    if not path.parent.is_dir():
        raise ArgumentTypeError(f"{text!r}: there is no folder {str(path.parent)!r}")
    return path
