"""Options for what crawlers run on: interpreters and event loops."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from bench.cli.options import checked_single
from bench.plan.entrants import Entrant, multiplied
from bench.program import say
from crawlers.checked import checked_list
from crawlers.loops import LOOPS, check_loop
from crawlers.registry import find, located


def add_runtimes(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add `python` and `loop`, which are None if they are not given."""
    checked = checked_list if may_be_many else checked_single
    several = "; with several, each crawler is measured on each" if may_be_many else ""
    parser.add_argument(
        "--python",
        type=checked(str),
        metavar="V,V" if may_be_many else "V",
        help="run crawlers on this interpreter, a version as in 3.13 or 3.14t, or the path of a "
        "python. An environment with the client libraries is made for it, in the versions that "
        f"are installed here, and kept{several}; NAME@PYTHON uses an environment of your own",
    )
    parser.add_argument(
        "--loop",
        type=checked(str),
        metavar="L,L" if may_be_many else "L",
        help=f"run crawlers of the asyncio family on this event loop: {', '.join(LOOPS)}{several}; "
        "NAME+LOOP is the same for one crawler",
    )


def with_runtimes(entrants: Sequence[Entrant], arguments: Namespace) -> tuple[Entrant, ...]:
    """Return the entrants on each interpreter and on each event loop that is asked for.

    Environments for the interpreters are made if need be. Raises EntrantError, UnknownLoopError,
    InterpreterError, CrawlerNotInstalledError.
    """
    asked: tuple[str, ...] = arguments.python or ()
    multiplied(entrants, pythons=asked)  # refuses what cannot be asked before anything is made
    entrants = multiplied(entrants, loops=arguments.loop or ())
    named = [arguments.crawler] if "crawler" in arguments else arguments.crawlers or ()
    entrants = _on_their_loops(entrants, [located(one.crawler) for one in named])
    if not asked:
        return entrants
    from bench.measure.environments import pythons_for

    infos = [find(one.crawler, one.declared_as) for one in entrants]
    loops = sorted({one.loop for one in entrants if one.loop})
    return multiplied(entrants, pythons=pythons_for(asked, list(dict.fromkeys(infos)), loops))


def _on_their_loops(entrants: Sequence[Entrant], named: Sequence[str]) -> tuple[Entrant, ...]:
    """Return the entrants without those of a group that cannot run on the loop asked for.

    Raises UnknownLoopError, also for those whose crawlers are named.
    """
    fit: list[Entrant] = []
    left_out: list[Entrant] = []
    for entrant in entrants:
        can = not entrant.loop or find(entrant.crawler, entrant.declared_as).takes_loop
        (fit if can or entrant.crawler in named else left_out).append(entrant)
    for loop in dict.fromkeys(one.loop for one in entrants if one.loop):
        check_loop([find(one.crawler, one.declared_as) for one in fit if one.loop == loop], loop)
    if left_out:
        names = ", ".join(dict.fromkeys(one.crawler for one in left_out))
        say(f"left out, because their event loop cannot be chosen: {names}")
    return tuple(fit)
