"""Which crawlers a user means, and whether they can run here."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from sysconfig import get_config_var

from bench.measure.interpreters import check_interpreter, crawler_command
from bench.plan.entrants import Entrant, EntrantError, with_crawler, with_unique_labels
from bench.plan.floor import fastest_floor
from bench.printable import printable
from crawlers.installed import install_command, installed_versions
from crawlers.loops import check_installed, check_loop
from crawlers.registry import (
    FORMER_NAMES,
    CrawlerInfo,
    CrawlerNotInstalledError,
    find,
    group,
    located,
)
from crawlers.runtime import Runtime
from crawlers.spec import CAN_LOAD

_LOAD_S = 60.0
"""Time limit for an interpreter to import a crawler."""


def chosen_entrants(named: Sequence[Entrant], *, may_share: bool = False) -> tuple[Entrant, ...]:
    """Return the entrants, each with a unique label and paths that hold in other folders.

    Unless `may_share`, none may have several processes. Raises UnknownCrawlerError, EntrantError.
    """
    for one in named:
        if one.processes > 1 and not may_share:
            raise EntrantError(
                f"{one}: only the verbs run and crawl share a run among processes: leave out "
                f"*{one.processes}"
            )
    absolute = [
        replace(
            entrant,
            crawler=located(entrant.crawler),
            python=entrant.python and str(Path(entrant.python).absolute()),
        )
        for one in named
        for entrant in _members(one)
    ]
    return with_unique_labels(absolute)


def _members(named: Entrant) -> list[Entrant]:
    """Return the installed entrants of a group; any other entrant stands for itself."""
    if named.crawler in FORMER_NAMES:
        renamed = with_crawler(named, FORMER_NAMES[named.crawler])
        print(f"crawlbench: {named.crawler} is now called {renamed.crawler}", file=sys.stderr)
        return [renamed]
    infos = group(named.crawler)
    if not infos:
        return [named]
    missing = [info for info in infos if not installed_versions(info)]
    for info in missing:
        print(
            f"crawlbench: {info.name} is left out, it is not installed: {install_command(info)}",
            file=sys.stderr,
        )
    return [with_crawler(named, info.name) for info in infos if info not in missing]


def floor() -> str:
    """Return the fastest floor crawler that is installed here."""
    return fastest_floor(lambda name: bool(installed_versions(find(name))))


def installed(entrant: Entrant) -> CrawlerInfo:
    """Check that an entrant can run here, and return its row of the registry.

    Raises UnknownCrawlerError, CrawlerNotInstalledError, InterpreterError.
    """
    info = find(entrant.crawler, entrant.declared_as)
    if entrant.loop:
        check_loop([info], entrant.loop)
    check_interpreter(entrant)
    if entrant.python or not info.libraries:
        _load_alone(entrant)
    elif not installed_versions(info):
        name = entrant.label if entrant.declared_as else info.name
        raise CrawlerNotInstalledError(
            f"crawler {name!r} is not installed: {install_command(info)}"
        )
    elif entrant.loop:
        check_installed(entrant.loop)
    return info


def runtime_of(entrant: Entrant) -> Runtime:
    """Return what an entrant runs on. Its libraries may switch the GIL on, so that it is loaded.

    On this interpreter that takes no process if it cannot run without a GIL. Raises
    CrawlerNotInstalledError.
    """
    if not entrant.python and not get_config_var("Py_GIL_DISABLED"):
        return Runtime.of_this_process(entrant.loop)
    return _load_alone(entrant)


def _load_alone(entrant: Entrant) -> Runtime:
    """Load a crawler in a process of its interpreter, and return what it says that it runs on.

    Raises CrawlerNotInstalledError.
    """
    return _loaded(replace(entrant, label="", declared_as="", processes=1))


@cache
def _loaded(entrant: Entrant) -> Runtime:
    command = crawler_command(entrant, "--can-load", entrant.crawler, entrant.loop)
    where = f" (by {entrant.python})" if entrant.python else ""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_LOAD_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = f"nothing heard for {_LOAD_S:g} s" if not isinstance(error, OSError) else error
        raise CrawlerNotInstalledError(
            f"crawler {entrant.crawler!r} cannot be loaded{where}: {reason}"
        ) from error
    _, has_loaded, told = done.stdout.partition(CAN_LOAD.encode())
    if done.returncode or not has_loaded:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}, and no answer"
        reason = printable(reason.removeprefix("crawlers: "))
        if entrant.crawler not in reason:
            reason = f"crawler {entrant.crawler!r} cannot be loaded: {reason}"
        raise CrawlerNotInstalledError(reason + where)
    try:
        return Runtime.parse(json.loads(told.strip().partition(b"\n")[0]))
    except ValueError as error:
        raise CrawlerNotInstalledError(
            f"crawler {entrant.crawler!r} cannot be loaded{where}: {printable(str(error))}"
        ) from error
