"""`crawlbench site`: spiders crawl a whole generated site, whose pages are all known."""

import json
import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from typing import TYPE_CHECKING

from bench.cli.load_options import add_delay, checked_models
from bench.cli.options import (
    DEFAULT_OUT,
    DEFAULT_TIMEOUT_S,
    add_format,
    add_out,
    add_progress,
    add_timeout,
    add_wide,
)
from bench.documents import document
from bench.errors import UsageError
from bench.exit_codes import EXIT_INTERRUPTED, EXIT_OK, EXIT_REQUESTS_FAILED
from bench.plan.delays import Delay
from bench.plan.sizes import Size
from bench.program import say
from crawlers.checked import (
    MAX_SECONDS,
    checked_count,
    checked_list,
    checked_seconds,
    checked_seed,
)
from crawlers.spiders.registry import SPIDERS
from crawlers.spiders.task import LOOP, MOST_PARSERS, PARSES
from server.site.spec import DIFFICULTIES, SiteError, SiteSpec

if TYPE_CHECKING:
    from bench.measure.session import Measured
    from bench.plan.site import SiteExperiment

_ALL = "all"
_SPIDERS = ("threads", "gevent", "asyncio", "asyncio-uvloop")
_CONCURRENCIES = (10, 100)
_DELAY = Delay.fixed(20_000)
_SIZES = (Size("5000"),)

DESCRIPTION = f"""\
Spiders crawl a whole site by following its links. The site is generated from
its seed, so that all its pages are known, and the server's ledger shows which
of them a spider fetched, how often, and when. Reported are pages per second
and what the spider missed, fetched twice, or should not have fetched.
More in {document("site.md")}"""

EXAMPLES = (
    ("site --pages 2000 --concurrency 10,100", "four spiders on a plain site"),
    (
        "site --spiders all --pages 1000 --with all --hosts 4",
        "every spider on a site with every difficulty",
    ),
    (
        "site --spiders asyncio --parse loop,processes --size 5k,500k",
        "where to parse pages, by their size",
    ),
    ("site --spiders ./mine.py:spider --with all", "your own spider"),
)


def add_options(parser: ArgumentParser) -> None:
    """Add the options that choose the spiders, the site, and the limits to keep."""
    names = ", ".join(one.name for one in SPIDERS)
    parser.add_argument(
        "--spiders",
        type=checked_list(str),
        metavar="NAME,NAME",
        help=f"spiders: {names}; {_ALL} for all that are installed, or your own as "
        f"./mine.py:spider (default: {','.join(_SPIDERS)})",
    )
    parser.add_argument(
        "--concurrency",
        type=checked_list(checked_count),
        metavar="C,C",
        help="pages that a spider fetches at a time "
        f"(default: {','.join(map(str, _CONCURRENCIES))})",
    )
    _add_site(parser)
    _add_limits(parser)
    parser.add_argument(
        "--parse",
        type=checked_list(_checked_parse),
        metavar="WHERE,WHERE",
        help=f"where pages are parsed: {', '.join(PARSES)}. {LOOP}: where they were fetched "
        f"(default: {LOOP})",
    )
    parser.add_argument(
        "--parsers",
        type=_checked_parsers,
        metavar="N",
        help="how many threads or processes parse (default: one for each CPU)",
    )
    parser.add_argument(
        "--trials", type=checked_count, metavar="N", help="how often each run is made (default: 1)"
    )
    add_timeout(parser)
    add_out(parser)
    add_progress(parser)
    add_format(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_wide(parser)


def _add_site(parser: ArgumentParser) -> None:
    add_delay(parser, may_be_many=False, default=_DELAY)
    group = parser.add_argument_group("the site")
    group.add_argument(
        "--pages", type=checked_count, metavar="N", help="number of pages (default: 1000)"
    )
    group.add_argument(
        "--links", type=checked_count, metavar="N", help="links on each page (default: 20)"
    )
    group.add_argument(
        "--size",
        type=checked_models(Size.parse),
        metavar="BYTES,BYTES",
        help="size of a page in bytes (500, 5k, 1M), or a model of it as for --delay; several "
        f"make several sites (default: {_SIZES[0].text})",
    )
    group.add_argument(
        "--hosts",
        type=checked_count,
        metavar="N",
        help="number of hosts, from 127.0.0.1 on (default: 1)",
    )
    group.add_argument(
        "--with",
        dest="difficulties",
        metavar="NAME,NAME@SHARE",
        type=_checked_difficulties,
        default={},
        help=f"what makes the site hard to crawl: {_ALL}, or some of {', '.join(DIFFICULTIES)}, "
        "each with its share of the pages in percent if the usual one is not wanted "
        "(default: nothing)",
    )
    group.add_argument(
        "--crawl-delay",
        type=checked_seconds,
        metavar="S",
        help="the Crawl-delay in robots.txt, in seconds (default: none)",
    )
    group.add_argument(
        "--seed", type=checked_seed, metavar="N", help="seed of the site (default: 1)"
    )


def _add_limits(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("politeness")
    group.add_argument(
        "--per-host",
        type=checked_count,
        metavar="N",
        help="most pages to fetch from one host at a time (default: no limit)",
    )
    group.add_argument(
        "--host-delay",
        type=_checked_ms,
        metavar="MS",
        help="least time in ms between the starts of two fetches of one host (default: none)",
    )


def _checked_ms(text: str) -> float:
    try:
        ms = float(text)
    except ValueError:
        ms = 0.0
    if not 0 < ms <= 1000 * MAX_SECONDS:  # NaN is refused too
        raise ArgumentTypeError(f"{text!r} is not a number of ms above 0, up to a day")
    return ms


def _checked_difficulties(text: str) -> dict[str, str]:
    """Return the share of each difficulty that is named; "" for the usual one."""
    shares: dict[str, str] = {}
    for one in filter(None, map(str.strip, text.split(","))):
        name, at, share = one.partition("@")
        if at and (name not in DIFFICULTIES or not share):
            raise ArgumentTypeError(
                f"{one!r}: give NAME@SHARE as in missing@5, with a share in percent; the names "
                f"are {', '.join(DIFFICULTIES)}"
            )
        if ";" in one or name in shares:
            raise ArgumentTypeError(f"{text!r}: give NAME,NAME@SHARE, and each name once")
        shares[name] = share
    if _ALL in shares and any(not share and name != _ALL for name, share in shares.items()):
        raise ArgumentTypeError(
            f"{text!r}: {_ALL} has every difficulty: add only those with a share of their own, as "
            f"in {_ALL},missing@5"
        )
    return shares


def _checked_parsers(text: str) -> int:
    parsers = checked_count(text)
    if parsers > MOST_PARSERS:
        raise ArgumentTypeError(f"{text!r} is not a whole number from 1 to {MOST_PARSERS}")
    return parsers


def _checked_parse(text: str) -> str:
    if text not in PARSES:
        raise ArgumentTypeError(f"{text!r} is not one of {', '.join(PARSES)}")
    return text


def run(arguments: Namespace) -> int:
    """Crawl the site with every spider, print tables, draw figures, and return the exit code."""
    from bench.measure.session import measure

    out = arguments.out or DEFAULT_OUT
    return _show(measure(_asked_for(arguments), out, shown=arguments.progress), arguments)


def _asked_for(arguments: Namespace) -> "SiteExperiment":
    from bench.measure.spiders import chosen_spiders
    from bench.plan.site import SiteExperiment

    sizes = arguments.size or _SIZES
    spec = _spec(arguments, sizes[0])
    parses = arguments.parse or (LOOP,)
    chosen = chosen_spiders(arguments.spiders or _SPIDERS, parses)
    asked = SiteExperiment(
        entrants=tuple(entrant for entrant, _ in chosen),
        parses=tuple(parse for _, parse in chosen),
        concurrencies=arguments.concurrency or _CONCURRENCIES,
        sizes=sizes,
        site=spec.text,
        trials=arguments.trials or 1,
        seed=spec.seed,
        timeout_s=arguments.timeout or DEFAULT_TIMEOUT_S,
        per_host=arguments.per_host or 0,
        host_delay_s=(arguments.host_delay or 0.0) / 1000,
        parsers=arguments.parsers or os.cpu_count() or 1,
    )
    try:
        asked.check()
    except ValueError as error:
        raise UsageError(str(error)) from None
    _warn_of_limits(asked)
    return asked


def _spec(arguments: Namespace, size: Size) -> SiteSpec:
    """Return the spec of the site. Raises UsageError for one that makes no sense."""
    values = {
        "seed": arguments.seed,
        "pages": arguments.pages,
        "links": arguments.links,
        "size": size.text,
        "delay": arguments.delay.text,
        "hosts": arguments.hosts,
        "crawl-delay": arguments.crawl_delay,
    }
    pairs = [f"{name}={value}" for name, value in values.items() if value is not None]
    usual = [name for name, share in arguments.difficulties.items() if not share]
    pairs += [f"with={','.join(usual)}"] if usual else []
    pairs += [f"{name}={share}" for name, share in arguments.difficulties.items() if share]
    try:
        return SiteSpec.parse(";".join(pairs))
    except SiteError as error:
        raise UsageError(str(error)) from None


def _warn_of_limits(asked: "SiteExperiment") -> None:
    from crawlers.spiders.registry import find_spider

    if not (asked.per_host or asked.host_delay_s):
        return
    for entrant in asked.entrants:
        info = find_spider(entrant.crawler)
        if info is not None and not info.keeps_host_limits:
            say(f"{info.name} has no limits per host: its runs may break those that were asked for")


def _show(measured: "Measured", arguments: Namespace) -> int:
    from bench.cli.show import show_measured
    from bench.measure.session import Ending
    from bench.results.folder import find_file
    from bench.results.store import Store
    from bench.sites.analysis import analyse_site
    from bench.sites.report import site_as_json

    if not arguments.json:
        return show_measured(measured, arguments.format, is_wide=arguments.wide)
    if measured.ending is Ending.INTERRUPTED:
        return EXIT_INTERRUPTED
    with Store.open(find_file(measured.folder)) as store:
        analysis = analyse_site(store)
        print(json.dumps(site_as_json(store, analysis), indent=2))
    is_complete = measured.ending is Ending.DONE and analysis.is_sound
    return EXIT_OK if is_complete else EXIT_REQUESTS_FAILED
