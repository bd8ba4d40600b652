"""Whether a crawler's libraries are installed here, in which versions, and what installs them."""

from importlib.metadata import PackageNotFoundError, version

from crawlers.registry import CrawlerInfo


def installed_versions(info: CrawlerInfo) -> list[str]:
    """`library version` of a crawler's libraries; empty if one is missing."""
    try:
        return [f"{library} {version(library)}" for library in info.libraries] or [info.style]
    except PackageNotFoundError:
        return []


def install_command(info: CrawlerInfo) -> str:
    """What installs a crawler's libraries."""
    return f"pip install '.[{info.extra}]'" if info.extra else "pip install ."
