"""Whether a crawler's libraries are installed here, in which versions, and what installs them."""

import shlex
from importlib.metadata import PackageNotFoundError, requires, version

from crawlers.registry import CrawlerInfo


def installed_versions(info: CrawlerInfo) -> list[str]:
    """`library version` of a crawler's libraries; empty if one is missing."""
    try:
        return [f"{library} {version(library)}" for library in info.libraries] or [info.style]
    except PackageNotFoundError:
        return []


def install_command(info: CrawlerInfo) -> str:
    """What installs a crawler's libraries, wherever this package itself was installed from."""
    try:
        declared = requires("crawlbench") or []
    except PackageNotFoundError:  # on another interpreter
        declared = []
    of_extra = [one for one in declared if f"extra == '{info.extra}'" in one]
    wanted = [one.partition(";")[0].strip() for one in of_extra] or info.libraries
    return f"pip install {shlex.join(wanted)}"
