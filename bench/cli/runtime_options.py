"""Options for what crawlers run on: interpreters and event loops."""

from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from bench.plan.entrants import Entrant, multiplied
from crawlers.checked import checked_list
from crawlers.loops import LOOPS, check_loop
from crawlers.registry import find


def add_runtimes(parser: ArgumentParser, *, may_be_many: bool) -> None:
    """Add `python` and `loop`, which are None if they are not given."""
    several = "; with several, each crawler is measured on each" if may_be_many else ""
    parser.add_argument(
        "--python",
        type=checked_list(str) if may_be_many else _one,
        metavar="V,V" if may_be_many else "V",
        help="run crawlers on this interpreter, a version as in 3.13 or 3.14t, or the path of a "
        "python. An environment with the client libraries is made for it, in the versions that "
        f"are installed here, and kept{several}; NAME@PYTHON uses an environment of your own",
    )
    parser.add_argument(
        "--loop",
        type=checked_list(str) if may_be_many else _one,
        metavar="L,L" if may_be_many else "L",
        help=f"run crawlers of the asyncio family on this event loop: {', '.join(LOOPS)}{several}; "
        "NAME+LOOP is the same for one crawler",
    )


def _one(text: str) -> tuple[str, ...]:
    return (text,)


def with_runtimes(entrants: Sequence[Entrant], arguments: Namespace) -> tuple[Entrant, ...]:
    """Return the entrants on each interpreter and on each event loop that is asked for.

    Environments for the interpreters are made if need be. Raises EntrantError, UnknownLoopError,
    InterpreterError, CrawlerNotInstalledError.
    """
    asked: tuple[str, ...] = arguments.python or ()
    multiplied(entrants, pythons=asked)  # refuses what cannot be asked before anything is made
    entrants = multiplied(entrants, loops=arguments.loop or ())
    infos = [find(one.crawler, one.declared_as) for one in entrants]
    for entrant, info in zip(entrants, infos, strict=True):
        if entrant.loop:
            check_loop(info, entrant.loop)
    if not asked:
        return tuple(entrants)
    from bench.measure.environments import pythons_for

    loops = sorted({one.loop for one in entrants if one.loop})
    return multiplied(entrants, pythons=pythons_for(asked, list(dict.fromkeys(infos)), loops))
