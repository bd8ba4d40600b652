"""Which spiders a user means, and where each parses."""

from collections.abc import Iterator, Sequence

from bench.errors import UsageError
from bench.measure.readiness import installed
from bench.plan.entrants import Entrant, parse_entrant
from bench.program import say
from crawlers.crawler_file import is_file_name
from crawlers.installed import install_command, installed_versions
from crawlers.registry import find, located
from crawlers.spiders.registry import SPIDERS, SpiderInfo, find_spider
from crawlers.spiders.task import LOOP, PARSES

ALL = "all"


def spider_entrant(name: str) -> Entrant:
    """Return the entrant of a spider, or of a user's own. Raises UsageError, EntrantError."""
    info = find_spider(name)
    if info is not None:
        return Entrant(info.name, info.program, declared_as=info.declared_as)
    if ":" not in name and not is_file_name(name):
        from difflib import get_close_matches

        names = [one.name for one in SPIDERS]
        near = get_close_matches(name, (*names, ALL), 1)
        meant = f"did you mean {near[0]!r}?" if near else f"the spiders are {', '.join(names)}"
        raise UsageError(f"there is no spider {name!r}; {meant}")
    entrant = parse_entrant(name)
    if entrant.processes > 1 or entrant.loop:
        raise UsageError(f"{name}: a spider runs in one process, on the loop that it chooses")
    return Entrant(entrant.label, located(entrant.crawler), entrant.python)


def chosen_spiders(names: Sequence[str], parses: Sequence[str]) -> tuple[tuple[Entrant, str], ...]:
    """Return every spider with every place in which it is to parse, and can.

    Raises UsageError, also for a spider that can parse in none of these places, EntrantError and
    CrawlerNotInstalledError.
    """
    chosen = []
    for name in dict.fromkeys(_named(names)):
        entrant = spider_entrant(name)
        installed(entrant)
        info = find_spider(name)
        possible = info.parses if info is not None else PARSES
        places = [one for one in dict.fromkeys(parses) if one in possible]
        left_out = [one for one in parses if one not in possible]
        if not places:
            raise UsageError(
                f"the spider {name} can only parse in {', '.join(possible)}: choose one with "
                "--parse, or another spider"
            )
        for place in left_out:
            say(f"the spider {name} cannot parse in {place}: this is left out")
        for place in places:
            label = entrant.label if place == LOOP else f"{entrant.label}+{place}"
            own = Entrant(label, entrant.crawler, entrant.python, entrant.declared_as)
            chosen.append((own, place))
    return tuple(chosen)


def _named(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        if name != ALL:
            yield name
            continue
        for info in SPIDERS:
            if _is_installed(info):
                yield info.name


def _is_installed(info: SpiderInfo) -> bool:
    row = find(info.program, info.declared_as)
    if installed_versions(row):
        return True
    say(f"{info.name} is left out, it is not installed: {install_command(row)}")
    return False
