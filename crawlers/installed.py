"""Which versions of a crawler's libraries are installed here, and how to install them."""

import shlex
import sys
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

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
    return command_to_install(*wanted)


def command_to_install(*requirements: str) -> str:
    """Return the command that installs libraries for this interpreter, which may have no pip."""
    words = [sys.executable, "-m", "pip", "install"]
    if find_spec("pip") is None:  # as in environments that uv makes
        words = ["uv", "pip", "install", "--python", sys.executable]
    return shlex.join([*words, *requirements])
