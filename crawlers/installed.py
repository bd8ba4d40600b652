"""Which versions of a crawler's libraries are installed here, and how to install them."""

from importlib.metadata import PackageNotFoundError, version

from crawlers.registry import CrawlerInfo


def installed_versions(info: CrawlerInfo) -> list[str]:
    """Return `library version` of each of a crawler's libraries; nothing if one is missing."""
    try:
        return [f"{library} {version(library)}" for library in info.libraries] or [info.style]
    except PackageNotFoundError:
        return []


def install_command(info: CrawlerInfo) -> str:
    """Return the command that installs a crawler's libraries."""
    return f"pip install '.[{info.extra}]'" if info.extra else "pip install ."
