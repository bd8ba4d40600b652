"""Which versions of a crawler's libraries are installed here, and how to install them."""

import shlex
from importlib.metadata import PackageNotFoundError, requires, version

from crawlers.registry import CrawlerInfo


def installed_versions(info: CrawlerInfo) -> list[str]:
    """Return `library version` of each of a crawler's libraries; nothing if one is missing."""
    try:
        return [f"{library} {version(library)}" for library in info.libraries] or [info.style]
    except PackageNotFoundError:
        return []


def install_command(info: CrawlerInfo) -> str:
    """Return the command that installs a crawler's libraries, however crawlbench was installed."""
    try:
        declared = requires("crawlbench") or []
    except PackageNotFoundError:  # on another interpreter
        declared = []
    of_extra = [one for one in declared if f"extra == '{info.extra}'" in one]
    wanted = [one.partition(";")[0].strip() for one in of_extra] or info.libraries
    return f"pip install {shlex.join(wanted)}"
