"""Imports a crawler, and says in one line why it cannot be imported. Standard library only."""

from importlib import import_module
from pathlib import Path

from crawlers.contract import Crawl
from crawlers.crawler_file import import_file, is_file_name, why_taken
from crawlers.installed import install_command
from crawlers.registry import CrawlerInfo, CrawlerNotInstalledError


def load(info: CrawlerInfo) -> Crawl:
    """Import a crawler. Raises CrawlerNotInstalledError."""
    is_file = is_file_name(info.module)
    try:
        module = import_file(info.module) if is_file else import_module(info.module)
    # Whatever a module that was brought along does wrong is its own: it may be no Python at all.
    except Exception as error:
        reason, way_out = _reason(info, error), _way_out(info, error)
        raise CrawlerNotInstalledError(
            f"crawler {info.name!r} cannot be imported ({reason}){way_out}"
        ) from error
    crawl: Crawl | None = getattr(module, info.function, None)
    if not callable(crawl):
        taken = "" if is_file else why_taken(info.module.partition(".")[0])
        raise CrawlerNotInstalledError(
            f"crawler {info.name!r} cannot be imported (it has no function {info.function!r})"
            + (f": {taken}" if taken else "")
        )
    return crawl


def _way_out(info: CrawlerInfo, error: Exception) -> str:
    if info.libraries:
        return f": {install_command(info)}"
    if "attempted relative import" in str(error):
        return (
            ": it is part of a package; name it package.module:function, and put the folder of the "
            "package on the path: PYTHONPATH=FOLDER"
        )
    if is_file_name(info.module):
        return ""
    name = info.module.partition(".")[0]
    if taken := why_taken(name):
        return f": {taken}"
    # Of the crawler itself, and not of something that it imports.
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{info.module}.".startswith(f"{missing}."):
        return ""
    file = f"{info.module.replace('.', '/')}.py"
    if Path(file).is_file():
        return f": did you mean ./{file}:{info.function}?"
    return (
        f": name its file, as in path/to/{file}:{info.function}, or put its folder on the path: "
        "PYTHONPATH=FOLDER"
    )


def _reason(info: CrawlerInfo, error: Exception) -> str:
    from traceback import extract_tb

    is_plain = isinstance(error, ImportError | AttributeError)
    text = str(error) if is_plain else f"{type(error).__name__}: {error}"
    frames = [one for one in extract_tb(error.__traceback__) if one.filename == info.module]
    return f"{text} ({Path(info.module).name}, line {frames[-1].lineno})" if frames else text
